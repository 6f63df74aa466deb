#include "base/err.h"

#include "check.h"

#include <errno.h>

static const char *text(struct err err)
{
    static char out[128];
    return err_text(err, out, sizeof out);
}

static void success_is_none(void)
{
    CHECK(!err_is(ERR_OK));
    CHECK_STR(text(ERR_OK), "no error");
    CHECK_INT(sizeof(struct err), 16);
}

static void errno_has_words(void)
{
    errno = EADDRINUSE;
    struct err err = err_errno("bind");
    CHECK(err_is(err) && err.kind == ERR_SYSTEM && err.code == EADDRINUSE);
    CHECK_STR(text(err), "bind: Address already in use");
}

static void libuv_codes_have_words(void)
{
    CHECK_STR(text(err_make(ERR_UV, -ECONNREFUSED, "connect")), "connect: Connection refused");
    CHECK_STR(text(err_make(ERR_UV, -3008, "resolve")), "resolve: unknown name");
    CHECK_STR(text(err_make(ERR_UV, -3001, "resolve")), "resolve: temporary failure of name resolution");
    CHECK_STR(text(err_make(ERR_UV, -4095, "read")), "read: end of file");
    CHECK_STR(text(err_make(ERR_UV, -4094, "read")), "read: unknown error");
}

static void other_kinds_have_words(void)
{
    CHECK_STR(text(err_make(ERR_INPUT, 0, "x")), "x: refused input");
    CHECK_STR(text(err_make(ERR_INPUT, 400, "x")), "x: refused input (400)");
    CHECK_STR(text(err_make(ERR_TLS, 5, "x")), "x: TLS error");
    CHECK_STR(text(err_make(ERR_LIMIT, 0, "x")), "x: limit reached");
    CHECK_STR(text(err_make(ERR_TIMEOUT, 0, "x")), "x: timed out");
    CHECK_STR(text(err_make(ERR_EOF, 0, "x")), "x: ended early");
    CHECK_STR(text(err_make(ERR_STATE, 0, "x")), "x: not possible now");
    CHECK_STR(text(err_make(ERR_CANCELED, 0, "x")), "x: canceled");
    CHECK_STR(text((struct err){99, 0, "x"}), "x: unknown error");
}

static void text_is_cut_to_its_room(void)
{
    char out[8];
    CHECK_STR(err_text(err_make(ERR_LIMIT, 0, "abcdefghij"), out, sizeof out), "abcdefg");
}

int main(void)
{
    RUN(success_is_none);
    RUN(errno_has_words);
    RUN(libuv_codes_have_words);
    RUN(other_kinds_have_words);
    RUN(text_is_cut_to_its_room);
    return checks_done();
}
