#include "check.h"
#include "http/head.h"

static void methods(void)
{
    CHECK_INT(method_lookup(SLICE_LIT("GET")), METHOD_GET);
    CHECK_INT(method_lookup(SLICE_LIT("TRACE")), METHOD_TRACE);
    CHECK_INT(method_lookup(SLICE_LIT("get")), METHOD_OTHER);
    CHECK_INT(method_lookup(SLICE_LIT("PROPFIND")), METHOD_OTHER);
    CHECK(method_is_idempotent(METHOD_PUT));
    CHECK(!method_is_idempotent(METHOD_POST));
    CHECK(!method_is_idempotent(METHOD_OTHER));
}

static void authorities(void)
{
    static const struct {
        const char *authority, *host;
        int port, ipv6;
    } good[] = {
        {"a.example", "a.example", 0, 0},
        {"A.Example:443", "a.example", 443, 0},
        {"a.example.", "a.example", 0, 0},
        {"a.example.:1", "a.example", 1, 0},
        {"localhost:65535", "localhost", 65535, 0},
        {"192.0.2.1", "192.0.2.1", 0, 0},
        {"[2001:DB8::1]", "2001:db8::1", 0, 1},
        {"[::1]:80", "::1", 80, 1},
        {"[2001:db8:0:0::1]", "2001:db8::1", 0, 1}, /* as names of ours are written */
        {"[::ffff:1.2.3.4]", "::ffff:1.2.3.4", 0, 1},
        {"my_app-1", "my_app-1", 0, 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct head head = {0};
        struct arena arena = {0};
        CHECK(!err_is(head_set_authority(&head, &arena, slice_str(good[i].authority))));
        CHECK_SLICE(head.authority, good[i].authority);
        CHECK_SLICE(head.host, good[i].host);
        CHECK_INT(head.port, good[i].port);
        CHECK_INT(head.host_is_ipv6, good[i].ipv6);
        arena_cleanup(&arena);
    }
}

static void authorities_that_are_none(void)
{
    static const char *bad[] = {"",        ".",        "..",     ".a",    "a..b",  "a:",        "a:0",
                                "a:65536", "a:123456", "a:x",    "a:1:2", ":1",    "u@a",       "a,b",
                                "a b",     "a/b",      "a%41",   "*.a",   "[::1",  "::1",       "[::1]1",
                                "[]",      "[a]",      "[::1]:", "a\x80", "a\x7f", "[1.2.3.4]", "[fe80::1%eth0]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct head head = {0};
        struct arena arena = {0};
        struct err err = head_set_authority(&head, &arena, slice_str(bad[i]));
        CHECK_INT(err.code, 400);
        if (!err_is(err))
            fprintf(stderr, "taken: %s\n", bad[i]);
        CHECK_INT(head.authority.len + head.host.len, 0);
        arena_cleanup(&arena);
    }
    struct head head = {0};
    struct arena arena = {0};
    CHECK(err_is(head_set_authority(&head, &arena, SLICE_LIT("a\0b"))));
    CHECK(err_is(head_set_authority(&head, &arena, SLICE_LIT("[::1\0]"))));
    arena_cleanup(&arena);
}

static void many_fields(void)
{
    struct head head = {0};
    struct arena arena = {0};
    for (int i = 0; i < 100; i++)
        head_add(&head, &arena, arena_printf(&arena, "X-%d", i), arena_printf(&arena, "%d", i));
    CHECK_INT(head.fields.num, 100);
    CHECK_SLICE(head_get_named(&head, SLICE_LIT("x-0")), "0");
    CHECK_SLICE(head_get_named(&head, SLICE_LIT("X-99")), "99");
    CHECK(head_get_named(&head, SLICE_LIT("x-100")).ptr == NULL);
    arena_cleanup(&arena);
}

static void fields_by_id(void)
{
    struct head head = {0};
    struct arena arena = {0};
    CHECK(head_get(&head, FIELD_HOST).ptr == NULL);
    CHECK_INT(head_remove(&head, FIELD_HOST), 0);
    head_add(&head, &arena, SLICE_LIT("Cookie"), SLICE_LIT("a"));
    head_add(&head, &arena, SLICE_LIT("X"), SLICE_LIT("1"));
    head_add(&head, &arena, SLICE_LIT("cookie"), SLICE_LIT("b"));
    head_add(&head, &arena, SLICE_LIT("Y"), SLICE_LIT("2"));
    CHECK_SLICE(head_get(&head, FIELD_COOKIE), "a");
    CHECK_INT(head_remove(&head, FIELD_COOKIE), 2);
    CHECK(!fields_find(&head.fields, FIELD_COOKIE));
    CHECK_INT(head.fields.num, 2);
    CHECK_SLICE(head.fields.at[0].name, "X");
    CHECK_SLICE(head.fields.at[1].name, "Y");
    arena_cleanup(&arena);
}

static void tokens_in_several_fields(void)
{
    struct head head = {0};
    struct arena arena = {0};
    head_add(&head, &arena, SLICE_LIT("Connection"), SLICE_LIT("x"));
    head_add(&head, &arena, SLICE_LIT("Connection"), SLICE_LIT("y, Upgrade"));
    CHECK(head_has_token(&head, FIELD_CONNECTION, SLICE_LIT("upgrade")));
    CHECK(!head_has_token(&head, FIELD_CONNECTION, SLICE_LIT("close")));
    CHECK(!head_has_token(&head, FIELD_TE, SLICE_LIT("x")));
    arena_cleanup(&arena);
}

int main(void)
{
    RUN(methods);
    RUN(authorities);
    RUN(authorities_that_are_none);
    RUN(many_fields);
    RUN(fields_by_id);
    RUN(tokens_in_several_fields);
    return checks_done();
}
