/* ACME-122: the record of dns-persist-01, row by row and in DNS. */
#include "certs/persist.h"

#include "check.h"
#include "dns_server.h"

#define ACCOUNT "https://ca.example/acct/1"

static const struct slice issuers[] = {{"ca.example", 10}, {"second.example", 14}};

static struct persist_question question_of(const char *name)
{
    return (struct persist_question){.name = slice_str(name),
                                     .issuers = issuers,
                                     .num_issuers = 2,
                                     .account = {.url = SLICE_LIT(ACCOUNT)},
                                     .now_s = 1000};
}

static void each_row(void)
{
    static const struct {
        const char *text, *name;
        enum persist_verdict verdict;
    } rows[] = {
        {"ca.example; accounturi=" ACCOUNT, "a.test", PERSIST_FITS},
        {"SECOND.example ;AccountURI = " ACCOUNT " ; unknown=x", "a.test", PERSIST_FITS},
        {"ca.example; accounturi=" ACCOUNT "; policy=wildcard", "*.a.test", PERSIST_FITS},
        {"ca.example; accounturi=" ACCOUNT "; policy=WildCard", "*.a.test", PERSIST_FITS},
        {"ca.example; accounturi=" ACCOUNT "; policy=wildcard", "a.test", PERSIST_FITS},
        {"ca.example; accounturi=" ACCOUNT, "*.a.test", PERSIST_NOT_WILDCARD},
        {"ca.example; accounturi=" ACCOUNT "; policy=other", "*.a.test", PERSIST_NOT_WILDCARD},
        {"ca.example; accounturi=" ACCOUNT "; persistUntil=1000", "a.test", PERSIST_FITS},
        {"ca.example; accounturi=" ACCOUNT "; persistUntil=999", "a.test", PERSIST_PASSED},
        {"ca.example; accounturi=" ACCOUNT "; persistUntil=", "a.test", PERSIST_MALFORMED},
        {"ca.example; accounturi=" ACCOUNT "; persistUntil=tomorrow", "a.test", PERSIST_MALFORMED},
        {"ca.example; accounturi=" ACCOUNT "; accounturi=" ACCOUNT, "a.test", PERSIST_MALFORMED},
        {"ca.example; accounturi=" ACCOUNT "0", "a.test", PERSIST_OTHER_ACCOUNT},
        {"ca.example; accounturi=HTTPS://ca.example/acct/1", "a.test", PERSIST_OTHER_ACCOUNT}, /* byte for byte */
        {"ca.example", "a.test", PERSIST_OTHER_ACCOUNT},
        {"other.example; accounturi=" ACCOUNT, "a.test", PERSIST_OTHER_CA},
        {"v=spf1 -all", "a.test", PERSIST_OTHER_CA},
        {"", "a.test", PERSIST_OTHER_CA},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct persist_question question = question_of(rows[i].name);
        enum persist_verdict verdict = persist_judge(slice_str(rows[i].text), &question);
        if (verdict != rows[i].verdict)
            fprintf(stderr, "row %zu: %s\n", i, rows[i].text);
        CHECK_INT(verdict, rows[i].verdict);
    }
}

/* A CA of draft -02 takes a hash of the account for the domain, or for any domain, and the URL no longer. */
static void each_row_of_a_hash(void)
{
#define HASHED "authority.example; accounturi=https://ca.example/account-hash/sha-256/"
    static const struct slice authority = SLICE_LIT("authority.example");
    static const struct {
        const char *text, *name;
        enum persist_verdict verdict;
    } rows[] = {
        {HASHED "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "example.com", PERSIST_FITS},
        {HASHED "NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug", "example.com", PERSIST_FITS},
        {HASHED "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw; policy=wildcard", "*.example.com", PERSIST_FITS},
        {HASHED "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "*.example.com", PERSIST_NOT_WILDCARD},
        {HASHED "5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "a.example.com", PERSIST_OTHER_ACCOUNT},
        {HASHED "5sqm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "example.com", PERSIST_OTHER_ACCOUNT},
        {HASHED, "example.com", PERSIST_OTHER_ACCOUNT},
        {"authority.example; accounturi=https://ca.example/acct/123", "example.com", PERSIST_OTHER_ACCOUNT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf value = {0};
        struct persist_question question = {
            .name = slice_str(rows[i].name),
            .issuers = &authority,
            .num_issuers = 1,
            .account = {.url = SLICE_LIT("https://ca.example/acct/123"),
                        .thumbprint = SLICE_LIT("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
                        .hash_prefix = SLICE_LIT("https://ca.example/account-hash/")}};
        CHECK_INT(persist_judge(slice_str(rows[i].text), &question), rows[i].verdict);
        persist_write_value(question.name, authority, &question.account, &value);
        CHECK_INT(persist_judge(buf_slice(&value), &question), PERSIST_FITS);
        buf_cleanup(&value);
    }
#undef HASHED
}

static void what_is_written_fits(void)
{
    static const char *const names[] = {"a.test", "*.a.test"};
    for (int i = 0; i < 2; i++) {
        struct buf owner = {0}, value = {0};
        struct persist_question question = question_of(names[i]);
        persist_write_owner(question.name, &owner);
        persist_write_value(question.name, issuers[0], &question.account, &value);
        CHECK_SLICE(buf_slice(&owner), "_validation-persist.a.test");
        CHECK_INT(persist_judge(buf_slice(&value), &question), PERSIST_FITS);
        buf_cleanup(&owner);
        buf_cleanup(&value);
    }
}

/* ---- in DNS ---- */

static const struct dns_server_record zone[] = {
    {"_validation-persist.a.test", DNS_SERVER_TXT, "v=spf1 -all"},
    {"_validation-persist.a.test", DNS_SERVER_TXT, "ca.example; accounturi=" ACCOUNT "0"},
    {"_validation-persist.a.test", DNS_SERVER_TXT, "ca.example; accounturi=" ACCOUNT},
    {"_validation-persist.old.test", DNS_SERVER_TXT, "ca.example; accounturi=" ACCOUNT "; persistUntil=9"},
    {"_validation-persist.other.test", DNS_SERVER_TXT, "other.example; accounturi=" ACCOUNT},
    {"_validation-persist.bad.test", DNS_SERVER_TXT, "other.example; accounturi=" ACCOUNT},
    {"_validation-persist.bad.test", DNS_SERVER_TXT, "ca.example; accounturi=" ACCOUNT "; persistUntil=x"},
    {"_validation-persist.broken.test", DNS_SERVER_RCODE, "2"},
    {NULL, 0, NULL},
};

struct looked {
    struct persist_look look;
    unsigned num_done;
    struct err err;
};

static void looked_done(struct persist_look *look, struct err err)
{
    struct looked *looked = container_of(look, struct looked, look);
    looked->num_done++;
    looked->err = err;
}

static void the_record_is_looked_for(void)
{
    static const struct {
        const char *name, *said;
    } rows[] = {
        {"a.test", NULL},
        {"*.a.test", "lacks policy=wildcard"},
        {"old.test", "has passed"},
        {"other.test", "is for this CA"},
        {"bad.test", "malformed"},
        {"broken.test", "could not be looked up"},
        {"nowhere.test", "there is no TXT record"},
    };
    uv_loop_t uv;
    struct dns_server server;
    uv_loop_init(&uv);
    struct net_loop *loop = net_loop_new(&uv);
    dns_server_open(&server, &uv, zone);
    struct dns_options options = {.loop = loop, .servers = &server.address, .num_servers = 1};
    struct dns *dns = dns_new(&options);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct looked looked = {.look = {.done = looked_done}};
        struct persist_question question = question_of(rows[i].name);
        persist_look_start(&looked.look, dns, &question);
        while (looked.num_done == 0 && uv_run(&uv, UV_RUN_ONCE))
            continue;
        CHECK_INT(looked.num_done, 1);
        CHECK(err_is(looked.err) == (rows[i].said != NULL));
        CHECK(!rows[i].said || strstr(looked.err.what, rows[i].said));
    }
    struct looked canceled = {.look = {.done = looked_done}};
    struct persist_question question = question_of("a.test");
    persist_look_start(&canceled.look, dns, &question);
    persist_look_cancel(&canceled.look);
    persist_look_cancel(&canceled.look);
    dns_free(dns);
    dns_server_close(&server);
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(canceled.num_done, 0);
    CHECK_INT(uv_loop_close(&uv), 0);
}

int main(void)
{
    RUN(each_row);
    RUN(each_row_of_a_hash);
    RUN(what_is_written_fits);
    RUN(the_record_is_looked_for);
    return checks_done();
}
