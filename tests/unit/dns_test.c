#include "net/dns.h"

#include "check.h"
#include "dns_server.h"

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct dns_server server;
    struct dns *dns;
};

static char long_text[700];

static const struct dns_server_record zone[] = {
    {"a.test", DNS_SERVER_A, "203.0.113.1"},
    {"a.test", DNS_SERVER_A, "203.0.113.2"},
    {"a.test", DNS_SERVER_AAAA, "2001:db8::1"},
    {"a.test", DNS_SERVER_CAA, "0 issue ca.example; accounturi=https://ca.example/acct/1"},
    {"a.test", DNS_SERVER_CAA, "128 issuewild ;"},
    {"a.test", DNS_SERVER_TXT, "short"},
    {"a.test", DNS_SERVER_TXT, long_text},
    {"alias.test", DNS_SERVER_CNAME, "a.test"},
    {"lost.test", DNS_SERVER_CNAME, "nowhere.test"},
    {"below.deep.test", DNS_SERVER_A, "203.0.113.3"},
    {"failing.test", DNS_SERVER_RCODE, "2"},
    {"refused.test", DNS_SERVER_RCODE, "5"},
    {"silent.test", DNS_SERVER_SILENT, ""},
    {"short.test", DNS_SERVER_SHORT, ""},
    {"loop.test", DNS_SERVER_LOOP, ""},
    {"overlong.test", DNS_SERVER_OVERLONG, ""},
    {"noise.test", DNS_SERVER_NOISE, ""},
    {"large.test", DNS_SERVER_TRUNCATED, ""},
    {"large.test", DNS_SERVER_A, "203.0.113.4"},
    {"large.test", DNS_SERVER_TXT, "by TCP"},
    {NULL, 0, NULL},
};

static void world_init(struct world *world, uint64_t query_ms)
{
    memset(long_text, 'x', sizeof long_text - 1);
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    dns_server_open(&world->server, &world->uv, zone);
    struct dns_options options = {
        .loop = world->loop, .servers = &world->server.address, .num_servers = 1, .query_ms = query_ms};
    world->dns = dns_new(&options);
}

static void world_cleanup(struct world *world)
{
    dns_free(world->dns);
    dns_server_close(&world->server);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

/* A question, and a copy of what was answered. */
struct asked {
    struct dns_query query;
    unsigned num_answers;
    enum dns_status status;
    size_t num;
    char first[800], second[800];
    bool critical;
    struct dns *ask_again, *free_dns;
    struct dns_query *cancel;
};

static void keep(char out[800], const struct dns_answer *answer, size_t i)
{
    char text[ADDRESS_TEXT_BYTES];
    out[0] = '\0';
    if (i >= answer->num)
        return;
    if (answer->addresses)
        snprintf(out, 800, "%s", address_ip_text(&answer->addresses[i], text));
    else if (answer->texts)
        snprintf(out, 800, "%.*s", (int)answer->texts[i].len, answer->texts[i].ptr);
    else
        snprintf(out, 800, "%.*s=%.*s", (int)answer->caa[i].tag.len, answer->caa[i].tag.ptr,
                 (int)answer->caa[i].value.len, answer->caa[i].value.ptr);
}

static void answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct asked *asked = container_of(query, struct asked, query);
    asked->num_answers++;
    asked->status = answer->status;
    asked->num = answer->num;
    keep(asked->first, answer, 0);
    keep(asked->second, answer, 1);
    if (answer->caa && answer->num > 1)
        asked->critical = answer->caa[1].critical;
    if (asked->cancel)
        dns_cancel(asked->cancel);
    if (asked->ask_again && asked->num_answers == 1)
        dns_ask(asked->ask_again, SLICE_LIT("a.test"), DNS_AAAA, query);
    dns_free(asked->free_dns);
}

static void ask(struct world *world, struct asked *asked, const char *name, enum dns_type type)
{
    *asked = (struct asked){.query = {.done = answered}};
    dns_ask(world->dns, slice_str(name), type, &asked->query);
    CHECK_INT(asked->num_answers, 0); /* never from within */
}

static void turn_until(struct world *world, const unsigned *num, unsigned want)
{
    while (*num < want && uv_run(&world->uv, UV_RUN_ONCE))
        continue;
    CHECK_INT(*num, want);
}

static struct asked answer_of(struct world *world, const char *name, enum dns_type type)
{
    struct asked asked;
    ask(world, &asked, name, type);
    turn_until(world, &asked.num_answers, 1);
    CHECK(!asked.query.lookup);
    return asked;
}

static void each_type_is_read(void)
{
    struct world world;
    world_init(&world, 0);
    struct asked asked = answer_of(&world, "a.test", DNS_A);
    CHECK_INT(asked.status, DNS_FOUND);
    CHECK_INT(asked.num, 2);
    CHECK_STR(asked.first, "203.0.113.1");
    CHECK_STR(asked.second, "203.0.113.2");
    asked = answer_of(&world, "a.test.", DNS_AAAA);
    CHECK_INT(asked.num, 1);
    CHECK_STR(asked.first, "2001:db8::1");
    asked = answer_of(&world, "a.test", DNS_CAA);
    CHECK_INT(asked.num, 2);
    CHECK_STR(asked.first, "issue=ca.example; accounturi=https://ca.example/acct/1");
    CHECK_STR(asked.second, "issuewild=;");
    CHECK(asked.critical);
    asked = answer_of(&world, "a.test", DNS_TXT); /* parts of 255 bytes are one text */
    CHECK_INT(asked.num, 2);
    CHECK_STR(asked.first, "short");
    CHECK_STR(asked.second, long_text);
    asked = answer_of(&world, "alias.test", DNS_CNAME);
    CHECK_INT(asked.num, 1);
    CHECK_STR(asked.first, "a.test");
    world_cleanup(&world);
}

static void aliases_are_followed(void)
{
    struct world world;
    world_init(&world, 0);
    struct asked asked = answer_of(&world, "alias.test", DNS_A);
    CHECK_INT(asked.status, DNS_FOUND);
    CHECK_STR(asked.first, "203.0.113.1");
    CHECK_INT(answer_of(&world, "alias.test", DNS_CAA).num, 2);
    CHECK_INT(answer_of(&world, "lost.test", DNS_A).status, DNS_NXDOMAIN);
    world_cleanup(&world);
}

static void why_there_is_nothing(void)
{
    struct world world;
    world_init(&world, 1000);
    CHECK_INT(answer_of(&world, "nowhere.test", DNS_A).status, DNS_NXDOMAIN);
    CHECK_INT(answer_of(&world, "deep.test", DNS_A).status, DNS_NODATA);
    CHECK_INT(answer_of(&world, "below.deep.test", DNS_AAAA).status, DNS_NODATA);
    CHECK_INT(answer_of(&world, "below.deep.test", DNS_CNAME).status, DNS_NODATA);
    CHECK_INT(answer_of(&world, "below.deep.test", DNS_TXT).status, DNS_NODATA);
    CHECK_INT(answer_of(&world, "below.deep.test", DNS_CAA).status, DNS_NODATA);
    CHECK_INT(answer_of(&world, "failing.test", DNS_A).status, DNS_SERVFAIL);
    CHECK_INT(answer_of(&world, "failing.test", DNS_CAA).status, DNS_SERVFAIL);
    CHECK_INT(answer_of(&world, "refused.test", DNS_A).status, DNS_REFUSED);
    CHECK_INT(answer_of(&world, "", DNS_A).status, DNS_MALFORMED);
    CHECK_INT(answer_of(&world, long_text, DNS_A).status, DNS_MALFORMED);
    world_cleanup(&world);
}

static void a_silent_server_costs_the_deadline_alone(void)
{
    struct world world;
    struct asked silent, loud;
    world_init(&world, 200);
    ask(&world, &silent, "silent.test", DNS_A);
    ask(&world, &loud, "a.test", DNS_A);
    turn_until(&world, &loud.num_answers, 1);
    CHECK_INT(silent.num_answers, 0);
    turn_until(&world, &silent.num_answers, 1);
    CHECK_INT(silent.status, DNS_TIMEOUT);
    CHECK_INT(answer_of(&world, "a.test", DNS_A).num, 2); /* and the next finds a channel */
    world_cleanup(&world);
}

static void nobody_listens(void)
{
    struct world world;
    world_init(&world, 2000);
    struct address closed = world.server.address;
    struct dns_server other;
    dns_server_open(&other, &world.uv, zone);
    closed = other.address;
    dns_server_close(&other);
    uv_run(&world.uv, UV_RUN_NOWAIT);
    struct dns_options options = {.loop = world.loop, .servers = &closed, .num_servers = 1, .query_ms = 2000};
    dns_free(world.dns);
    world.dns = dns_new(&options);
    CHECK_INT(answer_of(&world, "a.test", DNS_A).status, DNS_UNREACHABLE);
    world_cleanup(&world);
}

/* HARDENING: what a server sends is a stranger's. */
static void hostile_answers_end_as_failures(void)
{
    static const char *const names[] = {"short.test", "loop.test", "overlong.test", "noise.test"};
    struct world world;
    world_init(&world, 300);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (enum dns_type type = DNS_A; type <= DNS_CAA; type++) {
            struct asked asked = answer_of(&world, names[i], type);
            CHECK(asked.status != DNS_FOUND);
            CHECK_INT(asked.num, 0);
        }
    world_cleanup(&world);
}

static void large_answers_come_by_tcp_and_are_bounded(void)
{
    struct world world;
    struct dns_server_record many[101] = {{"many.test", DNS_SERVER_TRUNCATED, ""}};
    world_init(&world, 0);
    struct asked asked = answer_of(&world, "large.test", DNS_TXT);
    CHECK_STR(asked.first, "by TCP");
    CHECK_INT(world.server.num_tcp, 1);
    for (int i = 1; i < 100; i++)
        many[i] = (struct dns_server_record){"many.test", i % 2 ? DNS_SERVER_A : DNS_SERVER_CAA,
                                             i % 2 ? "203.0.113.9" : "0 issue ca.example"};
    world.server.records = many;
    CHECK_INT(answer_of(&world, "many.test", DNS_A).num, LIMIT_DNS_ADDRESSES);
    CHECK_INT(answer_of(&world, "many.test", DNS_CAA).num, LIMIT_DNS_RECORDS);
    many[40].name = NULL;
    for (int i = 1; i < 40; i++)
        many[i] = (struct dns_server_record){"many.test", DNS_SERVER_TXT, long_text};
    CHECK_INT(answer_of(&world, "many.test", DNS_TXT).num, LIMIT_DNS_TEXT_BYTES / (sizeof long_text - 1));
    world_cleanup(&world);
}

static void canceled_questions_are_not_answered(void)
{
    struct world world;
    struct asked first, second, third;
    world_init(&world, 0);
    ask(&world, &first, "a.test", DNS_A);
    ask(&world, &second, "a.test", DNS_AAAA);
    ask(&world, &third, "a.test", DNS_CAA);
    dns_cancel(&second.query);
    dns_cancel(&second.query);
    turn_until(&world, &first.num_answers, 1);
    turn_until(&world, &third.num_answers, 1);
    CHECK_INT(second.num_answers, 0);
    ask(&world, &first, "silent.test", DNS_A); /* the last one: nothing stays behind that keeps the loop alive */
    dns_cancel(&first.query);
    uv_run(&world.uv, UV_RUN_DEFAULT);
    CHECK_INT(first.num_answers, 0);
    world_cleanup(&world);
}

static void one_answer_may_cancel_ask_and_free(void)
{
    struct world world;
    struct asked first, second;
    world_init(&world, 0);
    ask(&world, &first, "", DNS_A); /* both are due in the same turn */
    ask(&world, &second, "", DNS_A);
    first.cancel = &second.query;
    first.ask_again = world.dns;
    turn_until(&world, &first.num_answers, 2);
    CHECK_STR(first.first, "2001:db8::1");
    CHECK_INT(second.num_answers, 0);
    ask(&world, &first, "a.test", DNS_A);
    ask(&world, &second, "silent.test", DNS_A);
    first.free_dns = world.dns;
    turn_until(&world, &first.num_answers, 1);
    world.dns = NULL;
    world_cleanup(&world);
    CHECK_INT(second.num_answers, 0);
    CHECK(!second.query.lookup);
}

int main(void)
{
    RUN(each_type_is_read);
    RUN(aliases_are_followed);
    RUN(why_there_is_nothing);
    RUN(a_silent_server_costs_the_deadline_alone);
    RUN(nobody_listens);
    RUN(hostile_answers_end_as_failures);
    RUN(large_answers_come_by_tcp_and_are_bounded);
    RUN(canceled_questions_are_not_answered);
    RUN(one_answer_may_cancel_ask_and_free);
    return checks_done();
}
