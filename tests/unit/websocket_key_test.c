#include "tls/websocket_key.h"

#include "check.h"

/* RFC 6455 §1.3. */
static void the_rfcs_example(void)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_key_accept(SLICE_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept);
    CHECK_STR(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void keys_are_sixteen_bytes_and_never_the_same(void)
{
    char one[WEBSOCKET_KEY_BYTES], two[WEBSOCKET_KEY_BYTES];
    websocket_key_make(one);
    websocket_key_make(two);
    CHECK_INT(strlen(one), 24);
    CHECK_SLICE(slice_skip(slice_str(one), 22), "==");
    CHECK(strcmp(one, two) != 0);
}

int main(void)
{
    RUN(the_rfcs_example);
    RUN(keys_are_sixteen_bytes_and_never_the_same);
    return checks_done();
}
