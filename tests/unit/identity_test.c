/* What the backend and the client are told of who asks, by variable (HARDENING R9). */
#include "exchange/identity.h"

#include "base/buf.h"
#include "check.h"
#include "exchange/exchange_internal.h"
#include "net/address.h"

#include <stdlib.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00-" TRACE "-00f067aa0ba902b7-01"

struct world {
    struct exchange_env env;
    struct exchange_client client;
    struct exchange x;
    struct config *config;
};

static void world_set_peer(struct world *world, const char *peer)
{
    struct address address = {.len = sizeof address.at.local};
    address.at.local.sun_family = AF_UNIX;
    if (strcmp(peer, "unix") != 0)
        CHECK(address_parse_ip(slice_str(peer), 0, &address));
    world->client.peer = slice_str(peer);
    identity_set_peer(&world->client, &address, &world->config->identity.trusted_proxies);
}

/* Fields as lines "Name: value\n...". */
static void world_init(struct world *world, const char *variable, const char *peer, const char *lines)
{
    bool trusts = !variable || strncmp(variable, "PORTICO_TRUSTED_PROXIES", 23) != 0;
    const char *environment[] = {"PORTICO_DOMAINS=a.test",
                                 trusts ? "PORTICO_TRUSTED_PROXIES=10.0.0.0/8,127.0.0.1" : variable,
                                 trusts ? variable : NULL, NULL};
    struct config_mistakes mistakes = {0};
    struct slice rest = slice_str(lines);
    *world = (struct world){.client = {.secure = true, .port_text = SLICE_LIT("443")}};
    CHECK(config_load(environment, &world->config, &mistakes));
    config_mistakes_cleanup(&mistakes);
    world_set_peer(world, peer);
    struct exchange *x = &world->x;
    x->env = &world->env;
    x->client = &world->client;
    x->config = world->config;
    x->head = arena_calloc(&x->arena, 1, sizeof *x->head);
    x->head->authority = SLICE_LIT("a.test");
    while (rest.len) {
        struct slice value = slice_split(&rest, '\n'), name = slice_split(&value, ':');
        head_add(x->head, &x->arena, name, slice_trim(value));
    }
    identity_begin(x);
    identity_read(x);
}

static void world_cleanup(struct world *world)
{
    arena_cleanup(&world->x.arena);
    config_unref(world->config);
}

/* What goes to the backend, in the same form; *out_num_dropped may be NULL. */
static const char *told(struct world *world, unsigned *out_num_dropped)
{
    static char text[2048];
    struct fields out = {0};
    size_t len = 0;
    unsigned num_dropped = identity_request_fields(&world->x, &world->x.arena, &out);
    FIELDS_EACH(&out, field)
    len += (size_t)snprintf(text + len, sizeof text - len, "%.*s: %.*s\n", (int)field->name.len, field->name.ptr,
                            (int)field->value.len, field->value.ptr);
    text[len] = '\0';
    if (out_num_dropped)
        *out_num_dropped = num_dropped;
    return text;
}

static void peers_are_trusted_by_their_address(void)
{
    static const struct {
        const char *peer;
        bool trusted, local;
    } rows[] = {{"10.1.2.3", true, false},    {"::ffff:10.1.2.3", true, false},
                {"11.1.2.3", false, false},   {"127.0.0.1", true, false},
                {"::1", false, false},        {"unix", true, true},
                {"2001:db8::1", false, false}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        world_init(&world, NULL, rows[i].peer, "");
        CHECK_INT(world.client.trusted, rows[i].trusted);
        CHECK_INT(world.client.peer_is_local, rows[i].local);
        CHECK_SLICE(world.x.identity.client_ip, rows[i].peer);
        world_cleanup(&world);
    }
    struct world world; /* a unix socket is trusted as loopback is */
    world_init(&world, "PORTICO_TRUSTED_PROXIES=10.0.0.0/8", "unix", "X-Forwarded-For: 6.6.6.6");
    CHECK_SLICE(world.x.identity.client_ip, "unix");
    world_cleanup(&world);
}

static void forms_by_variable(void)
{
    static const char *const sent =
        "X-Forwarded-For: 192.0.2.1\nForwarded: for=192.0.2.2;proto=http\nX-Forwarded-Proto: https\n"
        "X-Real-IP: 6.6.6.6\nX-Forwarded-Prefix: /p\nX-Open: 1";
    static const struct {
        const char *variable, *peer, *told, *client;
        unsigned num_dropped;
    } rows[] = {
        {"PORTICO_FORWARDED=x", "10.0.0.1",
         "X-Forwarded-Prefix: /p\nX-Open: 1\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\nX-Forwarded-Proto: https\n"
         "X-Forwarded-Host: a.test\nX-Forwarded-Port: 443\nX-Real-IP: 192.0.2.1\n",
         "192.0.2.1", 0},
        {"PORTICO_FORWARDED=rfc7239", "10.0.0.1",
         "X-Forwarded-Prefix: /p\nX-Open: 1\nForwarded: for=192.0.2.2;proto=http, "
         "for=10.0.0.1;host=a.test;proto=https\n",
         "192.0.2.2", 0},
        {"PORTICO_FORWARDED=both", "10.0.0.1",
         "X-Forwarded-Prefix: /p\nX-Open: 1\nX-Forwarded-For: 192.0.2.1, 10.0.0.1\nX-Forwarded-Proto: https\n"
         "X-Forwarded-Host: a.test\nX-Forwarded-Port: 443\nX-Real-IP: 192.0.2.1\n"
         "Forwarded: for=192.0.2.1;proto=https, for=10.0.0.1;host=a.test;proto=https\n",
         "192.0.2.1", 0},
        {"PORTICO_FORWARDED=off", "10.0.0.1",
         "X-Forwarded-For: 192.0.2.1\nForwarded: for=192.0.2.2;proto=http\nX-Forwarded-Proto: https\n"
         "X-Real-IP: 6.6.6.6\nX-Forwarded-Prefix: /p\nX-Open: 1\n",
         "192.0.2.1", 0},
        {"PORTICO_FORWARDED=off", "203.0.113.9", "X-Open: 1\n", "203.0.113.9", 5},
        {"PORTICO_FORWARDED=rfc7239", "203.0.113.9", "X-Open: 1\nForwarded: for=203.0.113.9;host=a.test;proto=https\n",
         "203.0.113.9", 5},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        unsigned num_dropped;
        world_init(&world, rows[i].variable, rows[i].peer, sent);
        world.x.identity.request_id = SLICE_NONE; /* another test's */
        CHECK_STR(told(&world, &num_dropped), rows[i].told);
        CHECK_INT(num_dropped, rows[i].num_dropped);
        CHECK_SLICE(world.x.identity.client_ip, rows[i].client);
        world_cleanup(&world);
    }
}

static void the_scheme_that_is_believed(void)
{
    static const struct {
        const char *peer, *lines;
        bool tls, secure;
    } rows[] = {
        {"203.0.113.9", "X-Forwarded-Proto: https", false, false},
        {"203.0.113.9", "X-Forwarded-Proto: http", true, true},
        {"10.0.0.1", "X-Forwarded-Proto: https", false, true},
        {"10.0.0.1", "X-Forwarded-Proto: http", true, false},
        {"10.0.0.1", "", true, true},
        {"10.0.0.1", "", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        world_init(&world, NULL, rows[i].peer, rows[i].lines);
        world.client.secure = rows[i].tls;
        identity_begin(&world.x);
        identity_read(&world.x);
        CHECK_INT(world.x.identity.secure, rows[i].secure);
        world_cleanup(&world);
    }
}

static void request_ids_by_variable(void)
{
    static const struct {
        const char *variable, *peer, *lines, *id; /* NULL: one is made */
    } rows[] = {
        {"PORTICO_REQUEST_ID=off", "10.0.0.1", "X-Request-ID: a", ""},
        {"PORTICO_REQUEST_ID=pass", "203.0.113.9", "X-Request-ID: a", "a"},
        {"PORTICO_REQUEST_ID=pass", "10.0.0.1", "X-Request-ID: a\nX-Request-ID: b", ""},
        {"PORTICO_REQUEST_ID=pass", "10.0.0.1", "X-Request-ID: a b", ""},
        {"PORTICO_REQUEST_ID=pass", "10.0.0.1", "", ""},
        {"PORTICO_REQUEST_ID=generate", "10.0.0.1", "X-Request-ID: a", "a"},
        {"PORTICO_REQUEST_ID=generate", "203.0.113.9", "X-Request-ID: a", NULL},
        {"PORTICO_REQUEST_ID=generate", "10.0.0.1", "X-Request-ID: a\nX-Request-ID: a", NULL},
        {"PORTICO_REQUEST_ID=generate", "10.0.0.1", "", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        struct fields answer = {0};
        char want[128];
        world_init(&world, rows[i].variable, rows[i].peer, rows[i].lines);
        struct slice id = world.x.identity.request_id;
        if (rows[i].id)
            CHECK_SLICE(id, rows[i].id);
        else
            CHECK_INT(id.len, 32);
        snprintf(want, sizeof want, "\nX-Request-ID: %.*s\n", (int)id.len, id.ptr);
        CHECK_INT(strstr(told(&world, NULL), want) != NULL, id.len > 0);
        CHECK_INT(strstr(told(&world, NULL), "X-Request-ID") != NULL, id.len > 0);
        identity_response_fields(&world.x, &world.x.arena, &answer);
        CHECK_INT(answer.num, world.config->identity.request_id == CONFIG_TRACE_GENERATE);
        world_cleanup(&world);
    }
}

static void traces_by_variable(void)
{
    static const struct {
        const char *variable, *lines, *trace_id, *told; /* what follows X-Real-IP; NULL: begins with a parent of ours */
        bool state;
    } rows[] = {
        {"PORTICO_TRACEPARENT=off", "traceparent: " PARENT "\ntracestate: a=1", "", "", false},
        {"PORTICO_TRACEPARENT=pass", "traceparent: " PARENT "\ntracestate: a=1", TRACE, "traceparent: " PARENT "\n",
         true},
        {"PORTICO_TRACEPARENT=pass", "traceparent: x\ntracestate: a=1", "", "", false},
        {"PORTICO_TRACEPARENT=pass", "traceparent: " PARENT "\ntraceparent: " PARENT "\ntracestate: a=1", "", "",
         false},
        {"PORTICO_TRACEPARENT=pass", "tracestate: a=1", "", "", false},
        {"PORTICO_TRACEPARENT=generate", "traceparent: " PARENT "\ntracestate: a=1", TRACE, NULL, true},
        {"PORTICO_TRACEPARENT=generate", "traceparent: x\ntracestate: a=1", NULL, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        world_init(&world, rows[i].variable, "203.0.113.9", rows[i].lines);
        world.x.identity.request_id = SLICE_NONE;
        const char *text = told(&world, NULL), *end = strstr(text, "X-Real-IP: 203.0.113.9\n");
        CHECK(end);
        end = end ? end + strlen("X-Real-IP: 203.0.113.9\n") : "";
        CHECK_INT(strstr(text, "tracestate: a=1\n") != NULL, rows[i].state);
        if (rows[i].trace_id)
            CHECK_SLICE(world.x.identity.trace_id, rows[i].trace_id);
        if (rows[i].told) {
            CHECK_STR(end, rows[i].told);
        } else {
            CHECK(strlen(end) == strlen("traceparent: " PARENT "\n") && !strstr(end, PARENT));
            CHECK(memmem(end, strlen(end), world.x.identity.trace_id.ptr, 32));
        }
        world_cleanup(&world);
    }
}

int main(void)
{
    RUN(peers_are_trusted_by_their_address);
    RUN(forms_by_variable);
    RUN(the_scheme_that_is_believed);
    RUN(request_ids_by_variable);
    RUN(traces_by_variable);
    return checks_done();
}
