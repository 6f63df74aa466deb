/* Authorization fields of the scheme Basic, good and bad (RFC 7617). */
#include "exchange/basic_auth.h"

#include "base/limits.h"
#include "check.h"

static void add(struct head *head, struct arena *arena, const char *value)
{
    fields_put(&head->fields, arena, (struct field){SLICE_LIT("Authorization"), slice_str(value), FIELD_AUTHORIZATION});
}

/* The name, a bar and the password; "-" where there are none. */
static void check_read(const char *first, const char *second, const char *want)
{
    struct arena arena = {0};
    struct head head = {0};
    struct buf secret = {0}, got = {0};
    struct basic_credentials credentials;
    if (first)
        add(&head, &arena, first);
    if (second)
        add(&head, &arena, second);
    if (basic_auth_read(&head, &secret, &credentials))
        buf_printf(&got, "%.*s|%.*s", (int)credentials.name.len, credentials.name.ptr, (int)credentials.password.len,
                   credentials.password.ptr);
    else
        buf_append_char(&got, '-');
    CHECK_STR(buf_cstr(&got), want);
    buf_cleanup(&got);
    buf_cleanup_secret(&secret);
    arena_cleanup(&arena);
}

static void names_and_passwords_are_read(void)
{
    check_read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL, "Aladdin|open sesame"); /* the RFC's */
    check_read("Basic dGVzdDoxMjPCow==", NULL, "test|123\xc2\xa3");
    check_read("bAsIc   QWxhZGRpbjpvcGVuIHNlc2FtZQ==  ", NULL, "Aladdin|open sesame");
    check_read("Basic YTpiOmM=", NULL, "a|b:c");
    check_read("Basic YTo=", NULL, "a|");
    check_read("Basic OmI=", NULL, "|b");
    check_read("Basic Og==", NULL, "|");
}

static void anything_else_is_none(void)
{
    check_read(NULL, NULL, "-");
    check_read("", NULL, "-");
    check_read("Basic", NULL, "-");
    check_read("Basic ", NULL, "-");
    check_read("BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL, "-");
    check_read("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL, "-");
    check_read("Basic QWxhZGRpbg==", NULL, "-");                  /* no colon */
    check_read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", NULL, "-");    /* no padding */
    check_read("Basic QWxhZGRp bjpvcGVuIHNlc2FtZQ==", NULL, "-"); /* a blank inside */
    check_read("Basic QWxhZGRp\tbjpvcGVuIHNlc2FtZQ==", NULL, "-");
    check_read("Basic YTpi!", NULL, "-");
    check_read("Basic YTpiAGM=", NULL, "-"); /* a NUL, where crypt would end */
    check_read("Basic YTpiCg==", NULL, "-"); /* a newline */
    check_read("Basic YTpi, Basic YTpi", NULL, "-");
}

/* Which of them would the backend believe? */
static void two_fields_are_none(void)
{
    check_read("Basic YTpi", "Basic YTpi", "-");
    check_read("Basic YTpi", "Bearer x", "-");
    check_read("", "Basic YTpi", "-");
}

static void the_length_is_bounded(void)
{
    struct buf value = {0}, want = {0};
    buf_append_str(&value, "Basic YTpi"); /* a:b */
    buf_append_str(&want, "a|b");
    while (value.len < LIMIT_AUTHORIZATION_BYTES + 6) {
        buf_append_str(&value, "YmJi");
        buf_append_str(&want, "bbb");
    }
    CHECK_INT(value.len, LIMIT_AUTHORIZATION_BYTES + 6);
    check_read(buf_cstr(&value), NULL, buf_cstr(&want));
    buf_append_str(&value, "YmJi");
    check_read(buf_cstr(&value), NULL, "-");
    buf_cleanup(&value);
    buf_cleanup(&want);
}

int main(void)
{
    RUN(names_and_passwords_are_read);
    RUN(anything_else_is_none);
    RUN(two_fields_are_none);
    RUN(the_length_is_bounded);
    return checks_done();
}
