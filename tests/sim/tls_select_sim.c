/* Which certificate a ClientHello gets, beyond its name: the answer to TLS-ALPN-01, one of two kinds of key, and that of an
 * address for those who ask for no name. Both TLS versions; the clients are BoringSSL's own, over memory. */
#include "client_cert.h"
#include "tls_world.h"

#include <openssl/pool.h>

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
enum { NUM_VERSIONS = 2 };

/* What a client does; zeroed: anything that BoringSSL does by itself. */
struct asks {
    const char *sni;
    uint16_t version;    /* alone; 0: any */
    const char *alpn;    /* as it is sent, lengths included */
    const char *ciphers; /* of TLS 1.2 */
    const char *groups;
    uint16_t schemes[4]; /* 0 at the end */
    SSL_SESSION *session;
};

struct outcome {
    bool established, validating, resumed, got_ticket;
    int error;
    char alpn[16];
    struct buf leaf; /* DER that the client was shown */
};

static void link_ask(struct link *link, const struct asks *asks)
{
    size_t num = 0;
    if (asks->version) {
        SSL_set_min_proto_version(link->ssl, asks->version);
        SSL_set_max_proto_version(link->ssl, asks->version);
    }
    if (asks->alpn)
        CHECK_INT(SSL_set_alpn_protos(link->ssl, (const uint8_t *)asks->alpn, (unsigned)strlen(asks->alpn)), 0);
    if (asks->ciphers)
        CHECK(SSL_set_strict_cipher_list(link->ssl, asks->ciphers) == 1);
    if (asks->groups)
        CHECK(SSL_set1_groups_list(link->ssl, asks->groups) == 1);
    while (num < 4 && asks->schemes[num])
        num++;
    if (num)
        CHECK(SSL_set_verify_algorithm_prefs(link->ssl, asks->schemes, num) == 1);
}

static struct outcome ask(struct world *world, const struct asks *asks)
{
    struct link link;
    struct outcome outcome = {0};
    const uint8_t *alpn;
    unsigned alpn_len;
    link_open(&link, world, asks->sni, asks->session, 0);
    link_ask(&link, asks);
    world_run(world, &link, NULL);
    outcome.established = link.established && link.client_done;
    outcome.validating = link.tls.validating;
    outcome.error = link.client_error;
    if (outcome.established) {
        CHECK(stream_write(&link.tls.base, SLICE_LIT("x"))); /* a ticket goes with the first bytes */
        world_run(world, &link, NULL);
        outcome.resumed = SSL_session_reused(link.ssl);
        const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(SSL_get0_peer_certificates(link.ssl), 0);
        buf_append(&outcome.leaf, CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf));
    }
    SSL_get0_alpn_selected(link.ssl, &alpn, &alpn_len);
    snprintf(outcome.alpn, sizeof outcome.alpn, "%.*s", (int)alpn_len, alpn_len ? (const char *)alpn : "");
    outcome.got_ticket = world->session && SSL_SESSION_has_ticket(world->session);
    SSL_SESSION_free(world->session);
    world->session = NULL;
    link_end(&link);
    return outcome;
}

static bool shows(struct outcome *outcome, const struct cert *cert)
{
    const CRYPTO_BUFFER *leaf = cert->chain[0];
    return outcome->established && slice_eq(buf_slice(&outcome->leaf),
                                            slice_make(CRYPTO_BUFFER_data(leaf), CRYPTO_BUFFER_len(leaf)));
}

/* Whether it is shown that one. */
static bool gets(struct world *world, const struct asks *asks, const struct cert *cert)
{
    struct outcome outcome = ask(world, asks);
    bool right = shows(&outcome, cert);
    buf_cleanup(&outcome.leaf);
    return right;
}

static int error_of(struct world *world, const struct asks *asks)
{
    struct outcome outcome = ask(world, asks);
    CHECK(!outcome.established && !outcome.validating);
    buf_cleanup(&outcome.leaf);
    return outcome.error;
}

static void world_use(struct world *world, struct tls_server_options options)
{
    tls_server_free(world->server);
    options.current = &world->set;
    options.protocols = protocols;
    world->server = tls_server_new(&options);
}

/* ---- TLS-ALPN-01 ---- */

#define ACME_ALPN "\x0a" "acme-tls/1"
#define HTTP_ALPN "\x08http/1.1"

/* ACME-77, ACME-79: whoever asks for it, and nobody else, whether the name is served or not. */
static void a_pending_answer_is_shown_to_who_asks_for_it(void)
{
    struct world world;
    struct cert *answer = test_cert_for("a.test"), *usual = test_cert_for("a.test");
    world_init(&world, false);
    certset_put(world.set, SLICE_LIT("a.test"), usual, true);
    certset_put_alpn(world.set, SLICE_LIT("a.test"), answer, SLICE_LIT("token"));
    certset_put_alpn(world.set, SLICE_LIT("1.2.0.192.in-addr.arpa"), answer, SLICE_LIT("token"));
    for (size_t i = 0; i < NUM_VERSIONS; i++) {
        struct asks asks[] = {
            {.sni = "a.test", .version = versions[i], .alpn = ACME_ALPN},
            {.sni = "A.Test", .version = versions[i], .alpn = ACME_ALPN},
            {.sni = "a.test", .version = versions[i], .alpn = HTTP_ALPN ACME_ALPN},
            {.sni = "a.test", .version = versions[i], .alpn = ACME_ALPN, .groups = "P-521:P-256"}, /* HelloRetryRequest */
            {.sni = "1.2.0.192.in-addr.arpa", .version = versions[i], .alpn = ACME_ALPN},
        };
        for (size_t k = 0; k < sizeof asks / sizeof asks[0]; k++) {
            struct outcome outcome = ask(&world, &asks[k]);
            CHECK(outcome.validating && shows(&outcome, answer));
            CHECK(!outcome.got_ticket && !outcome.resumed);
            CHECK_STR(outcome.alpn, "acme-tls/1");
            buf_cleanup(&outcome.leaf);
        }
        CHECK(gets(&world, &(struct asks){.sni = "a.test", .version = versions[i]}, usual));
        CHECK(gets(&world, &(struct asks){.sni = "a.test", .version = versions[i], .alpn = HTTP_ALPN}, usual));
    }
    cert_unref(answer);
    cert_unref(usual);
    world_cleanup(&world);
}

/* ACME-81, HARDENING T7. */
static void without_a_pending_answer_it_is_never_negotiated(void)
{
    struct world world;
    struct cert *answer = test_cert_for("b.test");
    world_init(&world, true); /* unknown names get the default */
    world_name(&world, "a.test");
    certset_set_default(world.set, SLICE_LIT("a.test"));
    certset_put_alpn(world.set, SLICE_LIT("b.test"), answer, SLICE_LIT("token"));
    static const char *const names[] = {"a.test", "x.b.test", "unknown.test", NULL};
    for (size_t i = 0; i < NUM_VERSIONS; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            struct asks alone = {.sni = names[k], .version = versions[i], .alpn = ACME_ALPN};
            struct asks beside = {.sni = names[k], .version = versions[i], .alpn = ACME_ALPN HTTP_ALPN};
            CHECK_INT(error_of(&world, &alone), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
            struct outcome outcome = ask(&world, &beside);
            CHECK(outcome.established && !outcome.validating);
            CHECK_STR(outcome.alpn, "http/1.1");
            buf_cleanup(&outcome.leaf);
        }
    certset_remove_alpn(world.set, SLICE_LIT("b.test"));
    CHECK_INT(error_of(&world, &(struct asks){.sni = "b.test", .alpn = ACME_ALPN}),
              SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    cert_unref(answer);
    world_cleanup(&world);
}

/* A session of the name does not lead past the certificate that is to be shown. */
static void no_session_is_resumed_into_it(void)
{
    struct world world;
    struct cert *answer = test_cert_for("a.test");
    world_init(&world, false);
    world_name(&world, "a.test");
    for (size_t i = 0; i < NUM_VERSIONS; i++) {
        SSL_CTX_set_max_proto_version(world.client_ctx, versions[i]);
        SSL_SESSION *session = take_session(&world, "a.test");
        struct asks plain = {.sni = "a.test", .session = session};
        struct asks asks = {.sni = "a.test", .alpn = ACME_ALPN, .session = session};
        struct outcome before = ask(&world, &plain);
        CHECK(before.resumed);
        certset_put_alpn(world.set, SLICE_LIT("a.test"), answer, SLICE_LIT("token"));
        struct outcome outcome = ask(&world, &asks);
        CHECK(outcome.validating && !outcome.resumed && shows(&outcome, answer));
        certset_remove_alpn(world.set, SLICE_LIT("a.test"));
        buf_cleanup(&before.leaf);
        buf_cleanup(&outcome.leaf);
        SSL_SESSION_free(session);
    }
    cert_unref(answer);
    world_cleanup(&world);
}

static bool name_is_raw(void *ctx, struct slice name)
{
    return slice_eq(name, slice_str(ctx));
}

/* ACME-82: neither client certificates nor a policy of TLS 1.3 alone stands in the way, nor bytes that ALPN cannot name. */
static void rules_for_clients_do_not_concern_it(void)
{
    struct world world;
    struct client_cert root = client_cert_root("root");
    struct buf pem = {0};
    struct tls_client_auth *auth = NULL;
    struct cert *answer = test_cert_for("a.test");
    world_init(&world, false);
    world_name(&world, "a.test");
    client_cert_pem(&root, &pem);
    CHECK(!err_is(tls_client_auth_new(buf_slice(&pem), TLS_CLIENT_AUTH_REQUIRE, &auth)));
    world_use(&world, (struct tls_server_options){.client_auth = auth, .policy = TLS_POLICY_MODERN});
    certset_put_alpn(world.set, SLICE_LIT("a.test"), answer, SLICE_LIT("token"));
    for (size_t i = 0; i < NUM_VERSIONS; i++)
        CHECK(gets(&world, &(struct asks){.sni = "a.test", .version = versions[i], .alpn = ACME_ALPN}, answer));
    CHECK_INT(error_of(&world, &(struct asks){.sni = "a.test", .version = TLS1_2_VERSION}),
              SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);
    struct asks old = {.sni = "a.test", .version = TLS1_1_VERSION, .alpn = ACME_ALPN};
    struct outcome outcome = ask(&world, &old);
    CHECK(!outcome.established && outcome.error == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION);

    world_use(&world, (struct tls_server_options){.without_alpn = name_is_raw, .without_alpn_ctx = (void *)"a.test"});
    CHECK(gets(&world, &(struct asks){.sni = "a.test", .alpn = ACME_ALPN}, answer));
    certset_remove_alpn(world.set, SLICE_LIT("a.test"));
    CHECK_INT(error_of(&world, &(struct asks){.sni = "a.test", .alpn = ACME_ALPN}),
              SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
    outcome = ask(&world, &(struct asks){.sni = "a.test", .alpn = ACME_ALPN "\x02pg"});
    CHECK(outcome.established);
    CHECK_STR(outcome.alpn, "");
    buf_cleanup(&outcome.leaf);
    cert_unref(answer);
    buf_cleanup(&pem);
    client_cert_cleanup(&root);
    world_cleanup(&world);
}

/* ---- two kinds of key ---- */

#define RSA_SUITE "ECDHE-RSA-AES128-GCM-SHA256"
#define ECDSA_SUITE "ECDHE-ECDSA-AES128-GCM-SHA256"

static void a_client_gets_the_first_certificate_that_it_can_use(void)
{
    const char *names[] = {"a.test", NULL};
    struct cert *ecdsa = test_cert_for("a.test"), *rsa = test_cert_new(names, true, 3600);
    struct world world;
    world_init(&world, false);
    certset_put(world.set, SLICE_LIT("a.test"), rsa, true);
    certset_put(world.set, SLICE_LIT("a.test"), ecdsa, true);
    const struct {
        struct asks asks;
        const struct cert *cert;
    } cases[] = {
        {{.version = 0}, ecdsa},
        {{.version = TLS1_3_VERSION}, ecdsa},
        {{.version = TLS1_3_VERSION, .schemes = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_ECDSA_SECP256R1_SHA256}}, ecdsa},
        {{.version = TLS1_3_VERSION, .schemes = {SSL_SIGN_RSA_PSS_RSAE_SHA256}}, rsa},
        {{.version = TLS1_3_VERSION, .schemes = {SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384}}, rsa},
        {{.version = TLS1_3_VERSION, .groups = "X25519"}, ecdsa}, /* names no curve of signatures in TLS 1.3 */
        {{.ciphers = RSA_SUITE}, ecdsa},                          /* nor do suites of TLS 1.2 */
        {{.version = TLS1_2_VERSION}, ecdsa},
        {{.version = TLS1_2_VERSION, .ciphers = RSA_SUITE ":" ECDSA_SUITE}, ecdsa},
        {{.version = TLS1_2_VERSION, .ciphers = RSA_SUITE}, rsa},
        {{.version = TLS1_2_VERSION, .groups = "X25519"}, rsa},
        {{.version = TLS1_2_VERSION, .groups = "X25519:P-256"}, ecdsa},
        {{.version = TLS1_2_VERSION, .schemes = {SSL_SIGN_RSA_PKCS1_SHA256}}, rsa},
        {{.version = TLS1_2_VERSION, .schemes = {SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_ECDSA_SECP384R1_SHA384}}, ecdsa},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asks asks = cases[i].asks;
        asks.sni = "a.test";
        if (!gets(&world, &asks, cases[i].cert))
            fprintf(stderr, "case %zu\n", i);
        CHECK(gets(&world, &asks, cases[i].cert));
    }
    cert_unref(ecdsa);
    cert_unref(rsa);
    world_cleanup(&world);
}

static void the_curve_of_the_key_decides(void)
{
    const char *names[] = {"a.test", NULL};
    struct cert *ecdsa = test_cert_p384("a.test"), *rsa = test_cert_new(names, true, 3600);
    struct world world;
    world_init(&world, false);
    certset_put(world.set, SLICE_LIT("a.test"), ecdsa, true);
    certset_put(world.set, SLICE_LIT("a.test"), rsa, true);
    struct asks tls13 = {.sni = "a.test",
                         .version = TLS1_3_VERSION,
                         .schemes = {SSL_SIGN_ECDSA_SECP256R1_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA256}};
    CHECK(gets(&world, &tls13, rsa));
    tls13.schemes[0] = SSL_SIGN_ECDSA_SECP384R1_SHA384;
    CHECK(gets(&world, &tls13, ecdsa));
    struct asks tls12 = {.sni = "a.test", .version = TLS1_2_VERSION, .groups = "X25519:P-256"};
    CHECK(gets(&world, &tls12, rsa));
    tls12.groups = "X25519:P-384";
    CHECK(gets(&world, &tls12, ecdsa));
    cert_unref(ecdsa);
    cert_unref(rsa);
    world_cleanup(&world);
}

/* A session is of the name, whichever key it was made with. */
static void either_kind_of_key_resumes(void)
{
    const char *names[] = {"a.test", NULL};
    struct cert *ecdsa = test_cert_for("a.test"), *rsa = test_cert_new(names, true, 3600);
    struct world world;
    world_init(&world, false);
    certset_put(world.set, SLICE_LIT("a.test"), ecdsa, true);
    SSL_SESSION *session = take_session(&world, "a.test");
    certset_remove(world.set, SLICE_LIT("a.test"));
    certset_put(world.set, SLICE_LIT("a.test"), rsa, true);
    struct outcome outcome = ask(&world, &(struct asks){.sni = "a.test", .session = session});
    CHECK(outcome.resumed);
    buf_cleanup(&outcome.leaf);
    CHECK(gets(&world, &(struct asks){.sni = "a.test"}, rsa));
    SSL_SESSION_free(session);
    cert_unref(ecdsa);
    cert_unref(rsa);
    world_cleanup(&world);
}

/* ---- addresses ---- */

static const char *came_to; /* the address that the next client comes to; NULL: not known */

static bool local_ip(const struct tls_stream *tls, struct ip *out_ip)
{
    (void)tls;
    return came_to && ip_parse(slice_str(came_to), out_ip);
}

/* ACME-89. */
static void a_client_without_a_name_gets_the_certificate_of_the_address(void)
{
    struct cert *v4 = test_cert_for("v4.test"), *v6 = test_cert_for("v6.test"), *usual = test_cert_for("a.test");
    struct world world;
    world_init(&world, false);
    world_use(&world, (struct tls_server_options){.local_ip = local_ip});
    certset_put(world.set, SLICE_LIT("a.test"), usual, true);
    certset_put(world.set, SLICE_LIT("192.0.2.1"), v4, true);
    certset_put(world.set, SLICE_LIT("2001:db8::1"), v6, true);
    came_to = "192.0.2.1";
    CHECK(gets(&world, &(struct asks){0}, v4));
    CHECK(gets(&world, &(struct asks){.sni = "a.test"}, usual));
    CHECK_INT(error_of(&world, &(struct asks){.sni = "b.test"}), SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME);
    CHECK_INT(error_of(&world, &(struct asks){.sni = "192.0.2.1"}), SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME); /* T1 */
    came_to = "10.0.0.7";
    CHECK(gets(&world, &(struct asks){0}, v4));
    came_to = "2001:db8::1";
    CHECK(gets(&world, &(struct asks){0}, v6));
    came_to = NULL;
    CHECK_INT(error_of(&world, &(struct asks){0}), SSL_R_TLSV1_ALERT_UNRECOGNIZED_NAME);
    cert_unref(v4);
    cert_unref(v6);
    cert_unref(usual);
    world_cleanup(&world);
}

/* HARDENING T5. */
static void a_session_of_one_address_does_not_resume_another(void)
{
    struct world world;
    world_init(&world, false);
    world_use(&world, (struct tls_server_options){.local_ip = local_ip});
    world_name(&world, "192.0.2.1");
    world_name(&world, "2001:db8::1");
    came_to = "192.0.2.1";
    SSL_SESSION *session = take_session(&world, NULL);
    struct asks asks = {.session = session};
    struct outcome same = ask(&world, &asks);
    CHECK(same.resumed);
    came_to = "2001:db8::1";
    struct outcome other = ask(&world, &asks);
    CHECK(other.established && !other.resumed);
    buf_cleanup(&same.leaf);
    buf_cleanup(&other.leaf);
    SSL_SESSION_free(session);
    world_cleanup(&world);
}

int main(void)
{
    RUN(a_pending_answer_is_shown_to_who_asks_for_it);
    RUN(without_a_pending_answer_it_is_never_negotiated);
    RUN(no_session_is_resumed_into_it);
    RUN(rules_for_clients_do_not_concern_it);
    RUN(a_client_gets_the_first_certificate_that_it_can_use);
    RUN(the_curve_of_the_key_decides);
    RUN(either_kind_of_key_resumes);
    RUN(a_client_without_a_name_gets_the_certificate_of_the_address);
    RUN(a_session_of_one_address_does_not_resume_another);
    return checks_done();
}
