/* The grammar of DOMAINS, what follows for each name, and the words of each refusal. */
#include "check.h"

#include "config/config.h"

static const char *issuer_text(enum config_issuer issuer)
{
    switch (issuer) {
    case CONFIG_ISSUER_ACME: return "acme";
    case CONFIG_ISSUER_INTERNAL: return "internal";
    case CONFIG_ISSUER_OWN: return "own";
    }
    return "?";
}

/* "a.com acme http://x:80 http://y:80 | *.b.test internal => https://c" */
static void print_names(const struct config *config, struct buf *out)
{
    for (size_t i = 0; i < config->num_names; i++) {
        const struct config_name *name = &config->names[i];
        buf_printf(out, "%s%s", i ? " | " : "", name->text.ptr);
        if (name->unicode.len)
            buf_printf(out, " (%s)", name->unicode.ptr);
        buf_printf(out, " %s", issuer_text(name->issuer));
        if (name->site->kind == CONFIG_SITE_REDIRECT)
            buf_printf(out, " => %s", name->site->redirect_to.ptr);
        for (size_t u = 0; name->site->group && u < name->site->group->num_upstreams; u++)
            buf_printf(out, " %s", name->site->group->upstreams[u]->text.ptr);
    }
}

/* Loads, and prints the names or the mistakes without their examples. */
static void load_and_print(const char *const *entries, struct buf *out)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    if (config_load(entries, &config, &mistakes)) {
        print_names(config, out);
        config_unref(config);
        return;
    }
    for (size_t i = 0; i < mistakes.num; i++) {
        const struct config_mistake *m = &mistakes.items[i];
        buf_printf(out, "%s%s", i ? " | " : "! ", strcmp(m->variable, "PORTICO_DOMAINS") == 0 ? "" : m->variable);
        buf_printf(out, "`%s` %s", m->value ? m->value : "", m->reason);
    }
    config_mistakes_cleanup(&mistakes);
}

struct row {
    const char *domains;
    const char *want;
};

static void check_rows(const struct row *rows, size_t num_rows, const char *more)
{
    for (size_t i = 0; i < num_rows; i++) {
        struct buf variable = {0}, got = {0};
        buf_printf(&variable, "PORTICO_DOMAINS=%s", rows[i].domains);
        load_and_print((const char *const[]){buf_cstr(&variable), more, NULL}, &got);
        CHECK_STR(buf_cstr(&got), rows[i].want);
        buf_cleanup(&variable);
        buf_cleanup(&got);
    }
}

#define CHECK_ROWS(rows, more) check_rows((rows), sizeof(rows) / sizeof(rows)[0], (more))

#define DEFAULT " acme http://127.0.0.1:8000"
#define LOCAL " internal http://127.0.0.1:8000"

static void test_accepted(void)
{
    static const struct row rows[] = {
        {"a.com", "a.com" DEFAULT},
        {"A.Com.", "a.com" DEFAULT},
        {" a.com\t", "a.com" DEFAULT},
        {"a.com,b.com", "a.com" DEFAULT " | b.com" DEFAULT},
        {"a.com\n\nb.com,\r\n,c.com\n", "a.com" DEFAULT " | b.com" DEFAULT " | c.com" DEFAULT},
        {"a.com b.com", "a.com" DEFAULT " | b.com" DEFAULT},
        {"xn--bcher-kva.de", "xn--bcher-kva.de (bücher.de)" DEFAULT},
        /* ACME-39: A-labels in lower case, however the name is written */
        {"Bücher.DE.", "xn--bcher-kva.de (bücher.de)" DEFAULT},
        {"BU\xcc\x88"
         "CHER.de",
         "xn--bcher-kva.de (bücher.de)" DEFAULT},
        {"bücher。de", "xn--bcher-kva.de (bücher.de)" DEFAULT},
        {"ｂücher.de", "xn--bcher-kva.de (bücher.de)" DEFAULT},
        {"straße.de strasse.de", "xn--strae-oqa.de (straße.de)" DEFAULT " | strasse.de" DEFAULT},
        {"xn--i-7iq.ws", "xn--i-7iq.ws (i❤.ws)" DEFAULT}, /* of older rules, and registered */
        {"*.münchen.test", "*.xn--mnchen-3ya.test (*.münchen.test)" LOCAL},
        {"例え.テスト", "xn--r8jz45g.xn--zckzah (例え.テスト)" DEFAULT},
        {"bücher.de, XN--BCHER-KVA.de", "xn--bcher-kva.de (bücher.de)" DEFAULT}, /* one name */
        {"a.com -> http://x:80", "a.com acme http://x:80"},
        {"a.com->http://x:80", "a.com acme http://x:80"},
        {"a.com www.a.com -> http://x http://y:81 unix:/s",
         "a.com acme http://x:80 http://y:81 unix:/s | www.a.com acme http://x:80 http://y:81 unix:/s"},
        {"a.com -> http://x http://X:80", "a.com acme http://x:80"},
        {"a.com -> http://x,\nb.com -> http://y", "a.com acme http://x:80 | b.com acme http://y:80"},
        {"old.com => https://new.com", "old.com acme => https://new.com"},
        {"old.com => https://new.com/", "old.com acme => https://new.com"},
        {"old.com => https://new.com:8443/base/", "old.com acme => https://new.com:8443/base"},
        {"old.com=>http://new.com", "old.com acme => http://new.com"},
        {"a.com => https://a.com:8443", "a.com acme => https://a.com:8443"},
        /* twice, and meaning the same */
        {"a.com, A.com.", "a.com" DEFAULT},
        {"a.com -> http://x, a.com -> http://x:80", "a.com acme http://x:80"},
        {"a.com a.com => https://b.com", "a.com acme => https://b.com"},
        /* local names: the built-in CA, at once */
        {"localhost", "localhost" LOCAL},
        {"app.localhost", "app.localhost" LOCAL},
        {"myhost", "myhost" LOCAL},
        {"*.app.test", "*.app.test" LOCAL},
        {"*.a.internal", "*.a.internal" LOCAL},
        {"10.0.0.1", "10.0.0.1" LOCAL},
        {"[FD00::0:1]", "fd00::1" LOCAL},
        {"::1", "::1" LOCAL},
        {"a.com localhost", "a.com" DEFAULT " | localhost" LOCAL},
    };
    CHECK_ROWS(rows, NULL);
}

#define NO_NAME \
    "is neither a name (labels of letters, digits and inner hyphens, 63 bytes each, 253 in all) nor an address"
#define STAR "has a `*` that is not the whole first label in front of two or more others"
#define NO_COLON "is neither a name nor an address; ports belong to HTTPS_LISTEN and HTTPS_PUBLIC"
#define URL_THERE "is a URL where a name belongs (the backends of one name are separated by spaces)"
#define REDIRECT_FORM "needs a URL of the form https://new.example.com behind `=>`"

static void test_names_refused(void)
{
    static const struct row rows[] = {
        {"https://m\xc3\xbcnchen.de", "! `https://münchen.de` " URL_THERE},
        {"ok.א1a.de", "! `ok.א1a.de` has the label `א1a`, which is no name (IDNA2008): string has forbidden "
                      "bi-directional properties"},
        {"*.i❤.ws", "! `*.i❤.ws` has the label `i❤`, which is no name (IDNA2008): string contains a disallowed "
                    "character"},
        {"bü_cher.de", "! `bü_cher.de` has an underscore, which no certificate may hold"},
        {"ü..de", "! `ü..de` " NO_NAME},
        {"*ü.de", "! `*ü.de` " STAR},
        {"a.xn--0.de", "! `a.xn--0.de` has the label `xn--0`, which is no name (IDNA2008): string contains invalid "
                       "punycode data"},
        {"\xff\xfe.de", "! `\\xff\\xfe.de` has the label `\\xff\\xfe`, which is no name (IDNA2008): string encoding "
                        "error"},
        {"https://a.com", "! `https://a.com` " URL_THERE},
        {"a.com/x", "! `a.com/x` has a path or a prefix length: a name or a single address belongs here"},
        {"10.0.0.0/8", "! `10.0.0.0/8` has a path or a prefix length: a name or a single address belongs here"},
        {"a.com:8443", "! `a.com:8443` " NO_COLON},
        {"[::1]:443", "! `[::1]:443` " NO_COLON},
        {"fe80::1%eth0", "! `fe80::1%eth0` " NO_COLON},
        {"1:2:3", "! `1:2:3` " NO_COLON},
        {"[a.com]", "! `[a.com]` " NO_COLON},
        {"*", "! `*` " STAR},
        {"*.com", "! `*.com` " STAR},
        {"*.localhost", "! `*.localhost` " STAR},
        {"*a.test.x", "! `*a.test.x` " STAR},
        {"a.*.test", "! `a.*.test` " STAR},
        {"**.a.test", "! `**.a.test` " STAR},
        {"*.*.a.test", "! `*.*.a.test` " STAR},
        {"a_b.com", "! `a_b.com` has an underscore, which no certificate may hold"},
        {"me@a.com", "! `me@a.com` looks like a mail address; a name belongs here"},
        {"a..com", "! `a..com` " NO_NAME},
        {".a.com", "! `.a.com` " NO_NAME},
        {"a.com..", "! `a.com..` " NO_NAME},
        {".", "! `.` " NO_NAME},
        {"-a.com", "! `-a.com` " NO_NAME},
        {"a-.com", "! `a-.com` " NO_NAME},
        {"a;b", "! `a;b` " NO_NAME},
        {"a.com;b.com", "! `a.com;b.com` " NO_NAME},
        {"1.2.3", "! `1.2.3` " NO_NAME},
        {"256.1.1.1", "! `256.1.1.1` " NO_NAME},
        {"01.2.3.4", "! `01.2.3.4` " NO_NAME},
        {"a.com\x01", "! `a.com\\x01` " NO_NAME},
        {"0.0.0.0", "! `0.0.0.0` is the unspecified address, which nobody can connect to"},
        {"[::]", "! `[::]` is the unspecified address, which nobody can connect to"},
        {",", "! `` holds separators alone and no name"},
        /* all of them in one run */
        {"a_b.com,c..d, ok.com", "! `a_b.com` has an underscore, which no certificate may hold | `c..d` " NO_NAME},
    };
    CHECK_ROWS(rows, NULL);
}

static void test_items_refused(void)
{
    static const struct row rows[] = {
        {"a.com -> http://x, http://y", "! `http://y` " URL_THERE},
        {"a.com ->", "! `a.com ->` has no backend behind its arrow"},
        {"-> http://x", "! `-> http://x` has no name in front of its arrow"},
        {"=> https://x.com", "! `=> https://x.com` has no name in front of its arrow"},
        {"a.com =>", "! `a.com =>` has no URL behind its arrow"},
        {"a.com -> http://x b.com -> http://y",
         "! `a.com -> http://x b.com -> http://y` has two arrows: items are separated by commas or newlines"},
        {"a.com -> http://x => https://y.com",
         "! `a.com -> http://x => https://y.com` has two arrows: items are separated by commas or newlines"},
        {"a.com -> x:80", "! `x:80` begins with none of http://, h2c://, tcp://, unix:, unix+h2c:"},
        {"a.com -> http://x tcp://y:1",
         "! `http://x tcp://y:1` mixes tcp:// with backends that speak HTTP: one group takes one of the two"},
        {"a.com -> tcp://y", "! `tcp://y` has no port"},
        {"a.com -> http://u:secret@x", "! `http://***@x` is no URL of the form http://host:port"},
        {"a.com => b.com", "! `a.com => b.com` " REDIRECT_FORM},
        {"a.com => ftp://b.com", "! `a.com => ftp://b.com` " REDIRECT_FORM},
        {"a.com => https://b.com#x", "! `a.com => https://b.com#x` " REDIRECT_FORM},
        {"a.com => https://b.com/?x=1",
         "! `a.com => https://b.com/?x=1` has a query in the URL behind `=>`: the request's own is kept"},
        {"a.com => https://b.com https://c.com",
         "! `a.com => https://b.com https://c.com` has more than one URL behind `=>`"},
        {"a.com => https://a.com", "! `a.com` is redirected to itself: https://a.com"},
        {"a.com => https://A.com./x", "! `a.com` is redirected to itself: https://A.com./x"},
        {"a.com => http://a.com:80", "! `a.com` is redirected to itself: http://a.com:80"},
        {"*.a.test => https://www.a.test", "! `*.a.test` is redirected to itself: https://www.a.test"},
        {"a.com -> http://x, a.com => https://b.com", "! `a.com` stands twice, with different targets"},
        {"bücher.de -> http://x, xn--bcher-kva.de -> http://y",
         "! `xn--bcher-kva.de` stands twice, with different targets"},
        {"a.com -> http://x, A.COM -> http://y", "! `A.COM` stands twice, with different targets"},
        {"a.com => https://b.com, a.com => https://c.com", "! `a.com` stands twice, with different targets"},
        /* bare names beside arrowed ones, with UPSTREAM unset: which of them was the arrow for? */
        {"a.com, www.a.com -> http://x",
         "! `` has names without an arrow beside names with one, while PORTICO_UPSTREAM is unset: set it, or give each "
         "item its own arrow"},
        {"a.com, old.com => https://a.com",
         "! `` has names without an arrow beside names with one, while PORTICO_UPSTREAM is unset: set it, or give each "
         "item its own arrow"},
        /* the name is looked at although its target is wrong, and the other way round */
        {"a_b.com -> x:80", "! `x:80` begins with none of http://, h2c://, tcp://, unix:, unix+h2c: | `a_b.com` has an "
                            "underscore, which no certificate may hold"},
    };
    CHECK_ROWS(rows, NULL);
}

static void test_beside_upstream(void)
{
    static const struct row rows[] = {
        {"a.com, b.com -> http://x", "a.com acme http://app:1 http://app:2 | b.com acme http://x:80"},
        {"a.com, a.com -> http://app:1 http://app:2", "a.com acme http://app:1 http://app:2"},
        {"a.com, a.com -> http://app:1", "! `a.com` stands twice, with different targets"},
    };
    CHECK_ROWS(rows, "PORTICO_UPSTREAM=http://app:1 http://app:2");
}

#define OR_OTHERWISE "give PORTICO_TLS_CERT_FILE, or set PORTICO_ACME_DIRECTORY=internal"
#define NO_WILDCARD                                                                                                   \
    "is a wildcard, which takes dns-01 or dns-persist-01: add one of them to PORTICO_ACME_CHALLENGE, list the names " \
    "one "                                                                                                            \
    "by one, " OR_OTHERWISE
#define NO_ADDRESS \
    "is an address, which takes http-01 or tls-alpn-01: add one of them to PORTICO_ACME_CHALLENGE, " OR_OTHERWISE
#define NO_HTTP                                                                                                \
    "cannot be validated by http-01 while PORTICO_HTTP_LISTEN is off: listen there, add another challenge to " \
    "PORTICO_ACME_CHALLENGE, " OR_OTHERWISE
#define NO_HTTPS                                                                                                    \
    "cannot be validated by tls-alpn-01 while PORTICO_HTTPS_LISTEN is off: listen there, add another challenge to " \
    "PORTICO_ACME_CHALLENGE, " OR_OTHERWISE

static void test_issuers(void)
{
    static const struct row public_ca[] = {
        {"*.a.com", "! `*.a.com` " NO_WILDCARD},
        {"203.0.113.7 2001:DB8::7", "203.0.113.7" DEFAULT " | 2001:db8::7" DEFAULT},
        {"*.a.com, b.com, *.b.com", "! `*.a.com` " NO_WILDCARD " | `*.b.com` " NO_WILDCARD},
    };
    static const struct row private_ca[] = {
        {"a.com localhost", "a.com" DEFAULT " | localhost" DEFAULT},
        {"10.0.0.1", "10.0.0.1" DEFAULT},
        {"*.a.internal", "! `*.a.internal` " NO_WILDCARD},
    };
    static const struct row internal[] = {
        {"a.com *.a.com 203.0.113.7", "a.com" LOCAL " | *.a.com" LOCAL " | 203.0.113.7" LOCAL},
    };
    CHECK_ROWS(public_ca, NULL);
    CHECK_ROWS(public_ca, "PORTICO_ACME_DIRECTORY=https://acme-staging-v02.api.letsencrypt.org/directory");
    CHECK_ROWS(private_ca, "PORTICO_ACME_DIRECTORY=https://localhost:14000/dir");
    CHECK_ROWS(private_ca, "PORTICO_ACME_DIRECTORY=https://notletsencrypt.org/dir");
    CHECK_ROWS(internal, "PORTICO_ACME_DIRECTORY=internal");
}

/* ACME-84: addresses are never validated by dns-01. */
static void test_challenges(void)
{
    static const struct row by_dns[] = {
        {"*.a.com b.com", "*.a.com" DEFAULT " | b.com" DEFAULT},
        {"203.0.113.7", "! `203.0.113.7` " NO_ADDRESS},
        {"10.0.0.1 *.a.test", "10.0.0.1" LOCAL " | *.a.test" LOCAL},
    };
    static const struct row both[] = {
        {"*.a.com b.com 203.0.113.7", "*.a.com" DEFAULT " | b.com" DEFAULT " | 203.0.113.7" DEFAULT},
    };
    CHECK_ROWS(by_dns, "PORTICO_ACME_CHALLENGE=dns-persist-01");
    CHECK_ROWS(both, "PORTICO_ACME_CHALLENGE=http-01, dns-persist-01");
}

static void test_listeners_off(void)
{
    static const struct row rows[] = {
        {"a.com localhost 203.0.113.7",
         "a.com" DEFAULT " | localhost" LOCAL " | 203.0.113.7" DEFAULT}, /* tls-alpn-01 */
    };
    CHECK_ROWS(rows, "PORTICO_HTTP_LISTEN=off");
    CHECK_ROWS(rows, "PORTICO_HTTPS_LISTEN=off"); /* http-01 */
}

static void check_three(const char *a, const char *b, const char *c, const char *want)
{
    struct buf got = {0};
    load_and_print((const char *const[]){a, b, c, NULL}, &got);
    CHECK_STR(buf_cstr(&got), want);
    buf_cleanup(&got);
}

static void test_one_challenge_and_listeners_off(void)
{
    static const char a[] = "PORTICO_DOMAINS=a.com", http[] = "PORTICO_HTTP_LISTEN=off";
    static const char address[] = "PORTICO_DOMAINS=203.0.113.7", https[] = "PORTICO_HTTPS_LISTEN=off";
    check_three(a, http, "PORTICO_ACME_CHALLENGE=http-01", "! `a.com` " NO_HTTP);
    check_three(a, https, "PORTICO_ACME_CHALLENGE=tls-alpn-01", "! `a.com` " NO_HTTPS);
    check_three(a, http, "PORTICO_ACME_CHALLENGE=tls-alpn-01", "a.com" DEFAULT);
    check_three(a, http, "PORTICO_ACME_CHALLENGE=http-01, dns-persist-01", "a.com" DEFAULT);
    check_three(address, http, "PORTICO_ACME_CHALLENGE=http-01, dns-persist-01", "! `203.0.113.7` " NO_HTTP);
    check_three("PORTICO_DOMAINS=localhost", http, "PORTICO_ACME_CHALLENGE=http-01", "localhost" LOCAL);
}

/* In order of preference, and only what can be answered: the keeper asks for no other. */
static void test_challenges_for_each(void)
{
    static const char *const texts[] = {"http", "alpn", "dns", "persist"};
    static const char *const want[] = {"dns alpn persist http", "dns persist", "alpn http"};
    const char *const entries[] = {"PORTICO_DOMAINS=a.com *.a.com 203.0.113.7",
                                   "PORTICO_ACME_CHALLENGE=dns-01\ntls-alpn-01,DNS-PERSIST-01,http-01",
                                   "PORTICO_ACME_DNS_HOOK=/bin/hook", NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    for (size_t i = 0; config && i < config->num_names; i++) {
        enum config_challenge challenges[NUM_CONFIG_CHALLENGES];
        size_t num = config_challenges_for(config, &config->names[i], challenges);
        struct buf got = {0};
        for (size_t c = 0; c < num; c++)
            buf_printf(&got, "%s%s", c ? " " : "", texts[challenges[c]]);
        CHECK_STR(buf_cstr(&got), want[i]);
        buf_cleanup(&got);
    }
    config_unref(config);
    config_mistakes_cleanup(&mistakes);
}

static void test_own_certificate(void)
{
    const char *entries[] = {"PORTICO_DOMAINS=*.a.com 203.0.113.7 b.com localhost",
                             "PORTICO_TLS_CERT=-----BEGIN CERTIFICATE-----",
                             "PORTICO_TLS_KEY=-----BEGIN PRIVATE KEY-----",
                             NULL,
                             NULL,
                             NULL};
    struct buf got = {0};
    load_and_print(entries, &got);
    CHECK_STR(buf_cstr(&got),
              "*.a.com own http://127.0.0.1:8000 | 203.0.113.7" DEFAULT " | b.com" DEFAULT " | localhost" LOCAL);
    got.len = 0;
    entries[3] = "PORTICO_HTTP_LISTEN=off";
    entries[4] = "PORTICO_ACME_CHALLENGE=http-01,dns-01"; /* the certificate may cover what a hook would be for */
    load_and_print(entries, &got);
    CHECK_STR(buf_cstr(&got), "*.a.com own http://127.0.0.1:8000 | 203.0.113.7 own http://127.0.0.1:8000 | b.com own "
                              "http://127.0.0.1:8000 | localhost" LOCAL);
    buf_cleanup(&got);
}

static void test_longest_name(void)
{
    /* 63 + 1 + 63 + 1 + 63 + 1 + 61 = 253 */
    struct buf name = {0}, variable = {0}, got = {0};
    for (int label = 0; label < 4; label++)
        for (int i = 0; i < (label == 3 ? 61 : 64); i++)
            buf_append_char(&name, i == 63 ? '.' : 'a');
    CHECK_INT(name.len, 253);
    buf_printf(&variable, "PORTICO_DOMAINS=%s.", buf_cstr(&name));
    load_and_print((const char *const[]){buf_cstr(&variable), NULL}, &got);
    buf_append_str(&name, DEFAULT);
    CHECK_STR(buf_cstr(&got), buf_cstr(&name));
    got.len = 0;
    variable.ptr[variable.len - 1] = 'a'; /* 254 */
    load_and_print((const char *const[]){buf_cstr(&variable), NULL}, &got);
    CHECK(got.len && got.ptr[0] == '!');
    buf_cleanup(&name);
    buf_cleanup(&variable);
    buf_cleanup(&got);
}

/* Lookup */

static const char *site_text(const struct config *config, const char *host)
{
    const struct config_site *site = config_site_for(config, slice_str(host));
    if (!site)
        return "none";
    return site->kind == CONFIG_SITE_REDIRECT ? site->redirect_to.ptr : site->group->upstreams[0]->text.ptr;
}

static void test_lookup(void)
{
    static const struct {
        const char *host, *site;
    } rows[] = {
        {"a.test", "http://a:80"},
        {"A.TEST", "http://a:80"},
        {"a.test.", "http://a:80"},
        {"a.test..", "none"},
        {"x.a.test", "http://wild:80"},
        {"X.A.Test.", "http://wild:80"},
        {"b.a.test", "http://b:80"},
        {"x.y.a.test", "none"},
        {".a.test", "none"},
        {"*.a.test", "none"},
        {"old.test", "https://a.test"},
        {"[fd00::1]", "http://v6:80"},
        {"fd00:0::1", "http://v6:80"},
        {"[FD00::1]", "http://v6:80"},
        {"[fd00::2]", "none"},
        {"10.0.0.1", "http://v4:80"},
        {"[10.0.0.1]", "none"},
        {"[a.test]", "none"},
        {"", "none"},
        {".", "none"},
        {"test", "none"},
        {"a.test:443", "none"},
        {"[", "none"},
        {"[]", "none"},
    };
    const char *const entries[] = {"PORTICO_DOMAINS=a.test -> http://a\n*.a.test -> http://wild\nb.a.test -> http://b\n"
                                   "old.test => https://a.test\nfd00::1 -> http://v6\n10.0.0.1 -> http://v4",
                                   NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    for (size_t i = 0; config && i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_STR(site_text(config, rows[i].host), rows[i].site);
        CHECK_INT(config_manages(config, slice_str(rows[i].host)), strcmp(rows[i].site, "none") != 0);
    }
    CHECK(!config_manages(config, slice_make("a.test\0x", 8)));
    char longest[300];
    memset(longest, 'a', sizeof longest);
    CHECK(!config_manages(config, slice_make(longest, sizeof longest)));
    CHECK(!config_manages(config, slice_make(longest, 255)));
    config_unref(config);
    config_mistakes_cleanup(&mistakes);
}

/* A command's argument: unlike a client's host it may be the wildcard itself, in Unicode, or no name at all. */
static void test_lookup_asked(void)
{
    static const struct {
        const char *text, *name;
    } rows[] = {
        {"A.Test.", "a.test"},     {"*.w.test", "*.w.test"},
        {"*.W.Test.", "*.w.test"}, {"x.w.test", "*.w.test"},
        {"*.a.test", NULL},        {"bücher.test", "xn--bcher-kva.test"},
        {"x.y.w.test", NULL},      {"w.test", NULL},
        {"-no-name-", NULL},       {"", NULL},
    };
    const char *const entries[] = {"PORTICO_DOMAINS=a.test,*.w.test,bücher.test", "PORTICO_UPSTREAM=http://b",
                                   "PORTICO_ACME_CHALLENGE=http-01,dns-persist-01", NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    for (size_t i = 0; config && i < sizeof rows / sizeof rows[0]; i++) {
        const struct config_name *name = config_name_asked(config, slice_str(rows[i].text));
        CHECK((name != NULL) == (rows[i].name != NULL));
        if (name && rows[i].name)
            CHECK_SLICE(name->text, rows[i].name);
    }
    config_unref(config);
    config_mistakes_cleanup(&mistakes);
}

/* Names that ON_DEMAND_ASK may allow go to UPSTREAM. */
static void test_lookup_on_demand(void)
{
    const char *const entries[] = {"PORTICO_DOMAINS=a.test -> http://a", "PORTICO_UPSTREAM=http://b",
                                   "PORTICO_ON_DEMAND_ASK=http://ask/", NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    if (!config)
        return;
    CHECK_STR(site_text(config, "a.test"), "http://a:80");
    CHECK_STR(site_text(config, "other.test"), "http://b:80");
    CHECK(!config_manages(config, SLICE_LIT("other.test")));
    config_unref(config);
}

/* The same backend of two items is one struct, with a place of its own in the list. */
static void test_upstreams_are_shared(void)
{
    const char *const entries[] = {"PORTICO_DOMAINS=a.com -> http://x http://y, b.com -> http://y:80",
                                   "PORTICO_UPSTREAM=http://z", NULL};
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    CHECK(config_load(entries, &config, &mistakes));
    CHECK_INT(config->num_upstreams, 3);
    for (size_t i = 0; i < config->num_upstreams; i++)
        CHECK_INT(config->upstreams[i]->index, i);
    CHECK(config->names[0].site->group->upstreams[1] == config->names[1].site->group->upstreams[0]);
    config_unref(config);
    config_mistakes_cleanup(&mistakes);
}

int main(void)
{
    RUN(test_accepted);
    RUN(test_names_refused);
    RUN(test_items_refused);
    RUN(test_beside_upstream);
    RUN(test_issuers);
    RUN(test_challenges);
    RUN(test_listeners_off);
    RUN(test_one_challenge_and_listeners_off);
    RUN(test_challenges_for_each);
    RUN(test_own_certificate);
    RUN(test_longest_name);
    RUN(test_lookup);
    RUN(test_lookup_asked);
    RUN(test_lookup_on_demand);
    RUN(test_upstreams_are_shared);
    return checks_done();
}
