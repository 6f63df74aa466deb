/* Who may have which page: the whole table of core/admin_access.h, and what DNS rebinding and web pages try. */
#include "core/admin_access.h"

#include "check.h"

static const struct slice token = SLICE_LIT("0123456789abcdef");

struct asked {
    enum admin_peer peer;
    const char *host, *authorization, *origin; /* NULL: not sent */
};

static enum admin_verdict verdict_with(struct asked asked, enum admin_right right, struct slice configured)
{
    struct arena arena = {0};
    struct head head = {.method = METHOD_GET, .version = 11};
    struct err err = head_set_authority(&head, &arena, slice_str(asked.host ? asked.host : "localhost"));
    CHECK(!err_is(err));
    if (asked.authorization)
        head_add(&head, &arena, SLICE_LIT("authorization"), slice_str(asked.authorization));
    if (asked.origin)
        head_add(&head, &arena, SLICE_LIT("Origin"), slice_str(asked.origin));
    struct admin_request request = {.head = &head, .path = SLICE_LIT("/"), .peer = asked.peer};
    enum admin_verdict verdict = admin_access(&request, right, configured);
    arena_cleanup(&arena);
    return verdict;
}

static enum admin_verdict verdict(struct asked asked, enum admin_right right)
{
    return verdict_with(asked, right, token);
}

#define GOOD "Bearer 0123456789abcdef"

static void test_the_table(void)
{
    static const struct {
        enum admin_peer peer;
        enum admin_verdict status, command; /* without the token */
    } rows[] = {
        {ADMIN_PEER_REMOTE, ADMIN_TOKEN_WANTED, ADMIN_TOKEN_WANTED},
        {ADMIN_PEER_LOOPBACK, ADMIN_GRANTED, ADMIN_TOKEN_WANTED},
        {ADMIN_PEER_UNIX, ADMIN_GRANTED, ADMIN_TOKEN_WANTED},
        {ADMIN_PEER_CONTROL, ADMIN_GRANTED, ADMIN_GRANTED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct asked bare = {.peer = rows[i].peer}, shown = {.peer = rows[i].peer, .authorization = GOOD};
        CHECK_INT(verdict(bare, ADMIN_RIGHT_ALL), ADMIN_GRANTED);
        CHECK_INT(verdict(bare, ADMIN_RIGHT_LOCAL), rows[i].status);
        CHECK_INT(verdict(bare, ADMIN_RIGHT_COMMAND), rows[i].command);
        CHECK_INT(verdict(shown, ADMIN_RIGHT_LOCAL), ADMIN_GRANTED);
        CHECK_INT(verdict(shown, ADMIN_RIGHT_COMMAND), ADMIN_GRANTED);
    }
}

static void test_only_the_token_is_the_token(void)
{
    static const char *const wrong[] = {"Bearer 0123456789abcdeg",
                                        "Bearer 0123456789abcde",
                                        "Bearer 0123456789abcdef0",
                                        "Bearer",
                                        "Bearer ",
                                        "0123456789abcdef",
                                        "Basic 0123456789abcdef",
                                        ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct asked asked = {.peer = ADMIN_PEER_REMOTE, .authorization = wrong[i]};
        CHECK_INT(verdict(asked, ADMIN_RIGHT_LOCAL), ADMIN_TOKEN_WANTED);
        CHECK_INT(verdict(asked, ADMIN_RIGHT_COMMAND), ADMIN_TOKEN_WANTED);
    }
    struct asked spelled = {.peer = ADMIN_PEER_REMOTE, .authorization = "bearer  0123456789abcdef"};
    CHECK_INT(verdict(spelled, ADMIN_RIGHT_LOCAL), ADMIN_GRANTED);
}

/* An empty token would be shown by everybody. */
static void test_without_a_token_nobody_shows_one(void)
{
    static const char *const shown[] = {"Bearer ", "Bearer x", GOOD};
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        struct asked asked = {.peer = ADMIN_PEER_REMOTE, .authorization = shown[i]};
        CHECK_INT(verdict_with(asked, ADMIN_RIGHT_LOCAL, SLICE_NONE), ADMIN_TOKEN_UNSET);
        asked.peer = ADMIN_PEER_LOOPBACK;
        CHECK_INT(verdict_with(asked, ADMIN_RIGHT_COMMAND, SLICE_NONE), ADMIN_TOKEN_UNSET);
    }
    struct asked control = {.peer = ADMIN_PEER_CONTROL};
    CHECK_INT(verdict_with(control, ADMIN_RIGHT_COMMAND, SLICE_NONE), ADMIN_GRANTED);
}

static void test_rebound_names_get_nothing(void)
{
    static const char *const hosts[] = {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                                        "xlocalhost", "portico"};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct asked asked = {.peer = ADMIN_PEER_LOOPBACK, .host = hosts[i]};
        CHECK_INT(verdict(asked, ADMIN_RIGHT_LOCAL), ADMIN_HOST_REFUSED);
        CHECK_INT(verdict(asked, ADMIN_RIGHT_ALL), ADMIN_GRANTED);
        asked.authorization = GOOD;
        CHECK_INT(verdict(asked, ADMIN_RIGHT_LOCAL), ADMIN_GRANTED);
        CHECK_INT(verdict(asked, ADMIN_RIGHT_COMMAND), ADMIN_HOST_REFUSED);
    }
    static const char *const ours[] = {"localhost",  "LocalHost:9180", "127.0.0.1:9180",
                                       "[::1]:9180", "10.1.2.3",       "[2001:db8::1]"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        struct asked asked = {.peer = ADMIN_PEER_LOOPBACK, .host = ours[i], .authorization = GOOD};
        CHECK_INT(verdict(asked, ADMIN_RIGHT_COMMAND), ADMIN_GRANTED);
        asked.authorization = NULL;
        CHECK_INT(verdict(asked, ADMIN_RIGHT_LOCAL), ADMIN_GRANTED);
    }
}

/* Whatever else it has: no web page sends a command. */
static void test_web_pages_command_nothing(void)
{
    static const char *const origins[] = {"http://localhost:9180", "https://evil.example", "null", ""};
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++)
        for (int peer = ADMIN_PEER_REMOTE; peer <= ADMIN_PEER_CONTROL; peer++) {
            struct asked asked = {.peer = (enum admin_peer)peer, .authorization = GOOD, .origin = origins[i]};
            CHECK_INT(verdict(asked, ADMIN_RIGHT_COMMAND), ADMIN_ORIGIN_REFUSED);
        }
}

int main(void)
{
    RUN(test_the_table);
    RUN(test_only_the_token_is_the_token);
    RUN(test_without_a_token_nobody_shows_one);
    RUN(test_rebound_names_get_nothing);
    RUN(test_web_pages_command_nothing);
    return checks_done();
}
