/* T8, client certificates: who is let in, who is refused by which alert, and what is told of those who are in. Both TLS
 * versions; the clients are BoringSSL's own, over memory. */
#include "client_cert.h"
#include "tls_world.h"

#include "base/limits.h"

#include <openssl/base64.h>
#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

static const uint16_t versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
enum { NUM_VERSIONS = 2, NO_ALERT = 0, MAX_CHAIN = 12 };

/* What a client sends, the leaf first. */
struct sent {
    const struct client_cert *chain[MAX_CHAIN];
    size_t num;
};

struct outcome {
    bool established, resumed;
    int alert; /* that the client got */
    char refusal[128];
    struct tls_identity *identity; /* owned */
};

/* ---- a world that asks its clients ---- */

/* From now on. */
static void world_ask(struct world *world, const struct client_cert *root, enum tls_client_auth_mode mode)
{
    struct buf pem = {0};
    struct tls_client_auth *auth = NULL;
    client_cert_pem(root, &pem);
    CHECK(!err_is(tls_client_auth_new(buf_slice(&pem), mode, &auth)));
    buf_cleanup(&pem);
    tls_server_free(world->server);
    struct tls_server_options options = {.current = &world->set, .protocols = protocols, .client_auth = auth};
    world->server = tls_server_new(&options);
}

static void world_init_asking(struct world *world, const struct client_cert *root, enum tls_client_auth_mode mode)
{
    world_init(world, false);
    world_name(world, "a.test");
    world_ask(world, root, mode);
}

static void note_alert(const SSL *ssl, int type, int value)
{
    int *alert = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    if (type == SSL_CB_READ_ALERT && value >> 8 == SSL3_AL_FATAL)
        *alert = value & 0xff;
}

static void client_use(SSL *ssl, const struct sent *sent)
{
    for (size_t i = 0; i < sent->num; i++)
        CHECK((i ? SSL_add1_chain_cert(ssl, sent->chain[i]->x509) : SSL_use_certificate(ssl, sent->chain[i]->x509)) ==
              1);
    if (sent->num)
        CHECK(SSL_use_PrivateKey(ssl, sent->chain[0]->key) == 1);
}

static struct outcome attempt(struct world *world, uint16_t version, const struct sent *sent, SSL_SESSION *session)
{
    static const uint16_t signatures[] = {SSL_SIGN_ED25519, SSL_SIGN_ECDSA_SECP256R1_SHA256,
                                          SSL_SIGN_RSA_PSS_RSAE_SHA256};
    struct link link;
    struct outcome outcome = {0};
    SSL_CTX_set_app_data(world->client_ctx, &outcome.alert);
    SSL_CTX_set_info_callback(world->client_ctx, note_alert);
    link_open(&link, world, "a.test", session, 0);
    CHECK(SSL_set_min_proto_version(link.ssl, version) && SSL_set_max_proto_version(link.ssl, version));
    CHECK(SSL_set_signing_algorithm_prefs(link.ssl, signatures, sizeof signatures / sizeof signatures[0]));
    client_use(link.ssl, sent);
    world_run(world, &link, NULL);
    outcome.established = link.established && link.client_done;
    outcome.resumed = SSL_session_reused(link.ssl);
    if (link.tls.refusal)
        snprintf(outcome.refusal, sizeof outcome.refusal, "%s", link.tls.refusal);
    if (link.established) {
        outcome.identity = tls_server_take_identity(&link.tls);
        CHECK(!SSL_get0_peer_certificates(link.tls.ssl)); /* up to LIMIT_CHAIN_BYTES that a connection would keep */
        CHECK(stream_write(&link.tls.base, SLICE_LIT("hello")));
        world_run(world, &link, NULL);
        CHECK_SLICE(buf_slice(&link.client_got), "hello");
    }
    link_end(&link);
    return outcome;
}

/* One attempt with each version. */
static void expect(struct world *world, const struct sent *sent, bool in, const int alerts[NUM_VERSIONS])
{
    for (size_t i = 0; i < NUM_VERSIONS; i++) {
        struct outcome outcome = attempt(world, versions[i], sent, NULL);
        CHECK_INT(outcome.established, in);
        CHECK_INT(outcome.alert, alerts[i]);
        CHECK_INT(outcome.identity != NULL, in && sent->num > 0);
        CHECK_INT(outcome.refusal[0] != '\0', !in && sent->num > 0);
        tls_identity_free(outcome.identity);
    }
}

static void expect_in(struct world *world, const struct sent *sent)
{
    expect(world, sent, true, (const int[]){NO_ALERT, NO_ALERT});
}

static void expect_refused(struct world *world, const struct sent *sent, int alert)
{
    expect(world, sent, false, (const int[]){alert, alert});
}

static struct sent only(const struct client_cert *cert)
{
    return (struct sent){.chain = {cert}, .num = 1};
}

/* ---- who comes in ---- */

static void t8_a_good_certificate_is_let_in_in_both_modes(void)
{
    struct client_cert root = client_cert_root("root"), leaf = client_cert_by(&root, "device 7");
    for (int mode = TLS_CLIENT_AUTH_OPTIONAL; mode <= TLS_CLIENT_AUTH_REQUIRE; mode++) {
        struct world world;
        struct sent sent = only(&leaf);
        world_init_asking(&world, &root, (enum tls_client_auth_mode)mode);
        expect_in(&world, &sent);
        world_cleanup(&world);
    }
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&root);
}

static void t8_none_is_fine_where_it_is_optional_and_refused_where_required(void)
{
    struct client_cert root = client_cert_root("root");
    struct world world;
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_OPTIONAL);
    expect_in(&world, &(struct sent){0});
    world_cleanup(&world);
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
    expect(&world, &(struct sent){0}, false, (const int[]){SSL_AD_HANDSHAKE_FAILURE, SSL_AD_CERTIFICATE_REQUIRED});
    world_cleanup(&world);
    client_cert_cleanup(&root);
}

/* Of every kind of key, and through an intermediate. */
static void good_chains_of_every_kind_are_let_in(void)
{
    struct client_cert root = client_cert_root("root");
    struct client_cert middle =
        client_cert_make(&(struct client_spec){.common_name = SLICE_LIT("middle"), .issuer = &root, .is_ca = true});
    const enum client_key keys[] = {CLIENT_KEY_P256, CLIENT_KEY_ED25519, CLIENT_KEY_RSA_2048};
    struct world world;
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct client_cert leaf = client_cert_make(
            &(struct client_spec){.common_name = SLICE_LIT("leaf"), .issuer = &middle, .key = keys[i]});
        struct sent sent = {.chain = {&leaf, &middle}, .num = 2};
        expect_in(&world, &sent);
        client_cert_cleanup(&leaf);
    }
    world_cleanup(&world);
    client_cert_cleanup(&middle);
    client_cert_cleanup(&root);
}

/* An intermediate alone, or one self-signed client: what is in TLS_CLIENT_CA is trusted as it is, its issuer is not. */
static void what_is_listed_is_trusted_as_it_is(void)
{
    struct client_cert root = client_cert_root("root"),
                       self = client_cert_make(&(struct client_spec){.common_name = SLICE_LIT("self")});
    struct client_cert middle =
        client_cert_make(&(struct client_spec){.common_name = SLICE_LIT("middle"), .issuer = &root, .is_ca = true});
    struct client_cert below = client_cert_by(&middle, "below"), beside = client_cert_by(&root, "beside");
    struct world world;
    struct sent sent = only(&below), other = only(&beside), alone = only(&self);
    struct sent with_middle = {.chain = {&below, &middle}, .num = 2},
                whole = {.chain = {&below, &middle, &root}, .num = 3};
    world_init_asking(&world, &middle, TLS_CLIENT_AUTH_REQUIRE);
    expect_in(&world, &sent);
    expect_in(&world, &with_middle);
    expect_in(&world, &whole);
    expect_refused(&world, &other, SSL_AD_UNKNOWN_CA);
    world_cleanup(&world);
    world_init_asking(&world, &self, TLS_CLIENT_AUTH_REQUIRE);
    expect_in(&world, &alone);
    expect_refused(&world, &other, SSL_AD_UNKNOWN_CA);
    world_cleanup(&world);
    struct client_cert *all[] = {&root, &self, &middle, &below, &beside};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        client_cert_cleanup(all[i]);
}

/* ---- who does not ---- */

/* Each is refused where a certificate is optional too: a bad one is worse than none. */
static void t8_bad_certificates_are_refused_by_the_alert_that_says_why(void)
{
    struct client_cert root = client_cert_root("root"), foreign = client_cert_root("foreign"),
                       namesake = client_cert_root("root");
    const struct {
        struct client_spec spec;
        int alert;
    } rows[] = {
        {{.issuer = &foreign}, SSL_AD_UNKNOWN_CA},
        {{.issuer = &namesake}, SSL_AD_DECRYPT_ERROR},
        {{.issuer = NULL}, SSL_AD_UNKNOWN_CA}, /* self-signed */
        {{.issuer = &root, .from_s = -7200, .to_s = -60}, SSL_AD_CERTIFICATE_EXPIRED},
        {{.issuer = &root, .from_s = 3600, .to_s = 7200}, SSL_AD_CERTIFICATE_EXPIRED}, /* "or not currently valid" */
        {{.issuer = &root, .purpose = NID_server_auth}, SSL_AD_UNSUPPORTED_CERTIFICATE},
        {{.issuer = &root, .purpose = NID_code_sign}, SSL_AD_UNSUPPORTED_CERTIFICATE},
        {{.issuer = &root, .key = CLIENT_KEY_RSA_1024}, SSL_AD_BAD_CERTIFICATE},
        {{.issuer = &root, .digest = EVP_sha1()}, SSL_AD_BAD_CERTIFICATE},
        {{.issuer = &root, .padding = LIMIT_CLIENT_LEAF_BYTES}, SSL_AD_BAD_CERTIFICATE},
        {{.issuer = &root, .padding = LIMIT_CHAIN_BYTES}, SSL_AD_ILLEGAL_PARAMETER}, /* never read to its end */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int mode = TLS_CLIENT_AUTH_OPTIONAL; mode <= TLS_CLIENT_AUTH_REQUIRE; mode++) {
            struct world world;
            struct client_spec spec = rows[i].spec;
            spec.common_name = SLICE_LIT("bad");
            struct client_cert leaf = client_cert_make(&spec);
            struct sent sent = only(&leaf);
            world_init_asking(&world, &root, (enum tls_client_auth_mode)mode);
            for (size_t v = 0; v < NUM_VERSIONS; v++) {
                struct outcome outcome = attempt(&world, versions[v], &sent, NULL);
                if (outcome.established || outcome.identity || outcome.alert != rows[i].alert)
                    fprintf(stderr, "row %zu, version %zu: %s\n", i, v, outcome.refusal);
                CHECK(!outcome.established && !outcome.identity);
                CHECK_INT(outcome.alert, rows[i].alert);
            }
            world_cleanup(&world);
            client_cert_cleanup(&leaf);
        }
    client_cert_cleanup(&namesake);
    client_cert_cleanup(&foreign);
    client_cert_cleanup(&root);
}

/* A leaf that signs another one. */
static void a_client_is_no_authority(void)
{
    struct client_cert root = client_cert_root("root"), leaf = client_cert_by(&root, "client");
    struct client_cert forged = client_cert_by(&leaf, "admin");
    struct world world;
    struct sent sent = {.chain = {&forged, &leaf}, .num = 2};
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
    for (size_t v = 0; v < NUM_VERSIONS; v++) {
        struct outcome outcome = attempt(&world, versions[v], &sent, NULL);
        CHECK(!outcome.established && !outcome.identity && outcome.alert != NO_ALERT);
    }
    world_cleanup(&world);
    client_cert_cleanup(&forged);
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&root);
}

static void t8_an_intermediate_that_has_expired_is_refused(void)
{
    struct client_cert root = client_cert_root("root");
    struct client_cert middle = client_cert_make(&(struct client_spec){
        .common_name = SLICE_LIT("middle"), .issuer = &root, .is_ca = true, .from_s = -7200, .to_s = -60});
    struct client_cert leaf = client_cert_by(&middle, "leaf");
    struct world world;
    struct sent sent = {.chain = {&leaf, &middle}, .num = 2};
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
    expect_refused(&world, &sent, SSL_AD_CERTIFICATE_EXPIRED);
    world_cleanup(&world);
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&middle);
    client_cert_cleanup(&root);
}

/* LIMIT_CHAIN_CERTS are let in, root aside, one more is not. */
static void t8_a_chain_is_as_long_as_its_limit_at_most(void)
{
    struct client_cert chain[LIMIT_CHAIN_CERTS + 1]; /* from below the root down to a leaf, and one more */
    struct client_cert root = client_cert_root("root");
    struct world world;
    struct sent sent = {0};
    for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
        char name[16];
        snprintf(name, sizeof name, "level %zu", i);
        chain[i] = client_cert_make(
            &(struct client_spec){.common_name = slice_str(name), .issuer = i ? &chain[i - 1] : &root, .is_ca = true});
    }
    world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
    for (size_t num = LIMIT_CHAIN_CERTS; num <= LIMIT_CHAIN_CERTS + 1; num++) {
        sent.num = num;
        for (size_t i = 0; i < num; i++)
            sent.chain[i] = &chain[num - 1 - i];
        if (num == LIMIT_CHAIN_CERTS)
            expect_in(&world, &sent);
        else
            expect_refused(&world, &sent, SSL_AD_BAD_CERTIFICATE);
    }
    world_cleanup(&world);
    for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++)
        client_cert_cleanup(&chain[i]);
    client_cert_cleanup(&root);
}

/* A certificate is public; what counts is its key. */
struct impostor {
    struct link link;
    EVP_PKEY *key; /* signs whatever the certificate says */
};

static enum ssl_private_key_result_t thief_sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
                                                uint16_t algorithm, const uint8_t *in, size_t in_len)
{
    const struct impostor *impostor = container_of((struct link *)SSL_get_app_data(ssl), struct impostor, link);
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    *out_len = max_out;
    CHECK_INT(algorithm, SSL_SIGN_ECDSA_SECP256R1_SHA256);
    bool done = EVP_DigestSignInit(&ctx, NULL, EVP_sha256(), NULL, impostor->key) == 1 &&
                EVP_DigestSign(&ctx, out, out_len, in, in_len) == 1;
    EVP_MD_CTX_cleanup(&ctx);
    return done ? ssl_private_key_success : ssl_private_key_failure;
}

static void t8_a_certificate_without_its_key_identifies_nobody(void)
{
    static const SSL_PRIVATE_KEY_METHOD method = {.sign = thief_sign};
    struct client_cert root = client_cert_root("root"), victim = client_cert_by(&root, "victim"),
                       thief = client_cert_by(&root, "thief");
    struct client_cert *const keys[] = {&victim, &thief};
    for (size_t i = 0; i < 2 * NUM_VERSIONS; i++) {
        struct world world;
        struct impostor impostor = {.key = keys[i % 2]->key};
        struct link *link = &impostor.link;
        int alert = NO_ALERT;
        world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
        SSL_CTX_set_app_data(world.client_ctx, &alert);
        SSL_CTX_set_info_callback(world.client_ctx, note_alert);
        link_open(link, &world, "a.test", NULL, 0);
        CHECK(SSL_set_max_proto_version(link->ssl, versions[i / 2]));
        CHECK(SSL_use_certificate(link->ssl, victim.x509) == 1);
        SSL_set_private_key_method(link->ssl, &method);
        world_run(&world, link, NULL);
        CHECK_INT(link->established, i % 2 == 0);
        CHECK_INT(alert, i % 2 ? SSL_AD_DECRYPT_ERROR : NO_ALERT);
        link_end(link);
        world_cleanup(&world);
    }
    client_cert_cleanup(&thief);
    client_cert_cleanup(&victim);
    client_cert_cleanup(&root);
}

/* ---- resumption (T5, T8) ---- */

static void nobody_gets_a_ticket_where_clients_are_asked(void)
{
    struct client_cert root = client_cert_root("root"), leaf = client_cert_by(&root, "device 7");
    for (size_t v = 0; v < NUM_VERSIONS; v++) {
        struct world world;
        const struct sent sents[] = {only(&leaf), {.num = 0}};
        world_init_asking(&world, &root, TLS_CLIENT_AUTH_OPTIONAL);
        for (size_t i = 0; i < 2; i++) {
            struct outcome first = attempt(&world, versions[v], &sents[i], NULL);
            SSL_SESSION *session = world.session;
            world.session = NULL;
            CHECK(!session || !SSL_SESSION_has_ticket(session));
            struct outcome second = attempt(&world, versions[v], &sents[i], session);
            CHECK(first.established && second.established && !second.resumed);
            tls_identity_free(first.identity);
            tls_identity_free(second.identity);
            SSL_SESSION_free(session);
        }
        world_cleanup(&world);
    }
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&root);
}

/* TLS_CLIENT_AUTH was off when the ticket was given, and its key still opens it. */
static void a_ticket_from_before_proves_nothing(void)
{
    struct client_cert root = client_cert_root("root");
    for (size_t v = 0; v < NUM_VERSIONS; v++) {
        struct world world;
        world_init(&world, false);
        world_name(&world, "a.test");
        struct outcome before = attempt(&world, versions[v], &(struct sent){0}, NULL);
        SSL_SESSION *session = world.session;
        world.session = NULL;
        struct outcome resumed = attempt(&world, versions[v], &(struct sent){0}, session);
        CHECK(before.established && resumed.established && resumed.resumed);
        world_ask(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
        struct outcome after = attempt(&world, versions[v], &(struct sent){0}, session);
        CHECK(!after.established && !after.resumed && after.alert != NO_ALERT);
        SSL_SESSION_free(session);
        world_cleanup(&world);
    }
    client_cert_cleanup(&root);
}

/* The second lock: even with tickets, none would be taken where others are asked, or other roots believed. */
static void sessions_are_partitioned_by_who_is_asked(void)
{
    struct client_cert roots[] = {client_cert_root("a"), client_cert_root("b")};
    uint8_t contexts[5][SSL_MAX_SID_CTX_LENGTH];
    for (size_t i = 0; i < 5; i++) {
        struct world world;
        struct link link;
        world_init(&world, false);
        world_name(&world, "a.test");
        if (i)
            world_ask(&world, &roots[i / 3], i % 2 ? TLS_CLIENT_AUTH_OPTIONAL : TLS_CLIENT_AUTH_REQUIRE);
        struct client_cert leaf = client_cert_by(&roots[i / 3], "leaf");
        struct sent sent = only(&leaf);
        link_open(&link, &world, "a.test", NULL, 0);
        client_use(link.ssl, &sent);
        world_run(&world, &link, NULL);
        unsigned len = 0;
        CHECK(link.established);
        const uint8_t *context = SSL_SESSION_get0_id_context(SSL_get_session(link.tls.ssl), &len);
        CHECK_INT(len, sizeof contexts[i]);
        memcpy(contexts[i], context, len);
        for (size_t before = 0; before < i; before++)
            CHECK(memcmp(contexts[before], contexts[i], len) != 0);
        client_cert_cleanup(&leaf);
        link_end(&link);
        world_cleanup(&world);
    }
    client_cert_cleanup(&roots[0]);
    client_cert_cleanup(&roots[1]);
}

/* ---- what is told ---- */

/* The identity that the server has of a client with that certificate. */
static struct tls_identity *identity_of(const struct client_cert *root, const struct client_cert *leaf)
{
    struct world world;
    struct sent sent = only(leaf);
    world_init_asking(&world, root, TLS_CLIENT_AUTH_REQUIRE);
    struct outcome outcome = attempt(&world, TLS1_3_VERSION, &sent, NULL);
    CHECK(outcome.identity != NULL);
    world_cleanup(&world);
    return outcome.identity;
}

static void the_identity_is_the_leafs(void)
{
    struct client_cert root = client_cert_root("root");
    struct client_cert leaf = client_cert_make(&(struct client_spec){
        .organisation = SLICE_LIT("Example, Inc."), .common_name = SLICE_LIT("device 7"), .issuer = &root});
    struct tls_identity *identity = identity_of(&root, &leaf);
    uint8_t *der = NULL, hash[SHA256_DIGEST_LENGTH], back[LIMIT_CLIENT_LEAF_BYTES];
    size_t der_len = (size_t)i2d_X509(leaf.x509, &der), back_len = 0;
    char hex[3];
    CHECK_SLICE(identity->subject, "CN=device 7,O=Example\\, Inc.");
    CHECK_SLICE(identity->common_name, "device 7");
    SHA256(der, der_len, hash);
    CHECK_INT(identity->fingerprint.len, 2 * sizeof hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        snprintf(hex, sizeof hex, "%02x", hash[i]);
        CHECK_MEM(identity->fingerprint.ptr + 2 * i, 2, hex, 2);
    }
    struct slice cert = identity->client_cert; /* RFC 9440 §2.2 */
    CHECK(cert.len > 2 && cert.ptr[0] == ':' && cert.ptr[cert.len - 1] == ':');
    CHECK(EVP_DecodeBase64(back, &back_len, sizeof back, (const uint8_t *)cert.ptr + 1, cert.len - 2) == 1);
    CHECK_MEM(back, back_len, der, der_len);
    OPENSSL_free(der);
    tls_identity_free(identity);
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&root);
}

/* What a CA signs without looking must not become a field of its own, nor end a string. */
static void t8_odd_bytes_in_a_subject_are_escaped(void)
{
    static const struct {
        struct slice common_name;
        const char *subject, *plain;
    } rows[] = {
        {{"a\0b", 3}, "CN=a\\00b", ""},
        {{"a\r\nX-Admin: 1", 13}, "CN=a\\0D\\0AX-Admin: 1", ""},
        {{"a,O=Evil", 8}, "CN=a\\,O=Evil", "a,O=Evil"},
        {{"a\\\"+;<>", 7}, "CN=a\\\\\\\"\\+\\;\\<\\>", "a\\\"+;<>"},
        {{" #a ", 4}, "CN=\\ #a\\ ", " #a "},
        {{"#a", 2}, "CN=\\#a", "#a"},
        {{"J\xc3\xbcrgen", 7}, "CN=J\\C3\\BCrgen", "J\xc3\xbcrgen"},
        {{"a\x7f", 2}, "CN=a\\7F", ""},
        {{"\t", 1}, "CN=\\09", ""},
    };
    struct client_cert root = client_cert_root("root");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client_cert leaf =
            client_cert_make(&(struct client_spec){.common_name = rows[i].common_name, .issuer = &root});
        struct tls_identity *identity = identity_of(&root, &leaf);
        CHECK_SLICE(identity->subject, rows[i].subject);
        CHECK_SLICE(identity->common_name, rows[i].plain);
        tls_identity_free(identity);
        client_cert_cleanup(&leaf);
    }
    client_cert_cleanup(&root);
}

static void t8_a_subject_is_told_whole_or_its_client_refused(void)
{
    static char name[LIMIT_CLIENT_SUBJECT_BYTES + 1];
    struct client_cert root = client_cert_root("root");
    memset(name, 'n', sizeof name);
    for (size_t over = 0; over < 2; over++) {
        struct client_cert leaf = client_cert_make(&(struct client_spec){
            .common_name = slice_make(name, LIMIT_CLIENT_SUBJECT_BYTES - strlen("CN=") + over), .issuer = &root});
        struct world world;
        struct sent sent = only(&leaf);
        world_init_asking(&world, &root, TLS_CLIENT_AUTH_REQUIRE);
        if (over)
            expect_refused(&world, &sent, SSL_AD_BAD_CERTIFICATE);
        else
            expect_in(&world, &sent);
        world_cleanup(&world);
        client_cert_cleanup(&leaf);
    }
    client_cert_cleanup(&root);
}

static void a_certificate_without_a_subject_is_one(void)
{
    struct client_cert root = client_cert_root("root");
    struct client_cert leaf = client_cert_make(&(struct client_spec){.issuer = &root});
    struct tls_identity *identity = identity_of(&root, &leaf);
    CHECK_INT(identity->subject.len, 0);
    CHECK_INT(identity->common_name.len, 0);
    CHECK_INT(identity->fingerprint.len, TLS_FINGERPRINT_BYTES);
    tls_identity_free(identity);
    client_cert_cleanup(&leaf);
    client_cert_cleanup(&root);
}

/* ---- what is asked ---- */

/* When a client has to choose. */
static int note_authorities(SSL *ssl, void *arg)
{
    struct buf *told = arg;
    const STACK_OF(CRYPTO_BUFFER) *names = SSL_get0_server_requested_CAs(ssl);
    for (size_t i = 0; names && i < sk_CRYPTO_BUFFER_num(names); i++) {
        const CRYPTO_BUFFER *name = sk_CRYPTO_BUFFER_value(names, i);
        buf_append(told, CRYPTO_BUFFER_data(name), CRYPTO_BUFFER_len(name));
    }
    return 1;
}

static void clients_are_told_which_authorities(void)
{
    char longest[LIMIT_CLIENT_CA_NAMES_BYTES];
    memset(longest, 'n', sizeof longest);
    const struct slice names[] = {SLICE_LIT("the root"), slice_make(longest, sizeof longest)};
    for (size_t i = 0; i < 2; i++) {
        struct client_cert root = client_cert_make(&(struct client_spec){.common_name = names[i], .is_ca = true});
        struct world world;
        struct link link;
        struct buf told = {0};
        const uint8_t *der;
        size_t der_len;
        world_init_asking(&world, &root, TLS_CLIENT_AUTH_OPTIONAL);
        link_open(&link, &world, "a.test", NULL, 0);
        SSL_set_cert_cb(link.ssl, note_authorities, &told);
        world_run(&world, &link, NULL);
        CHECK(link.established);
        CHECK(X509_NAME_get0_der(X509_get_subject_name(root.x509), &der, &der_len) == 1);
        CHECK_MEM(told.ptr, told.len, der, i == 0 ? der_len : 0); /* too long for a message: none, which means any */
        buf_cleanup(&told);
        link_end(&link);
        world_cleanup(&world);
        client_cert_cleanup(&root);
    }
}

/* ---- TLS_CLIENT_CA ---- */

static void roots_are_whole_or_refused(void)
{
    struct client_cert root = client_cert_root("root");
    struct buf pem = {0}, broken = {0};
    struct tls_client_auth *auth = NULL;
    client_cert_pem(&root, &pem);
    buf_append_slice(&broken, buf_slice(&pem));
    buf_append_str(&broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    CHECK(err_is(tls_client_auth_new(SLICE_NONE, TLS_CLIENT_AUTH_REQUIRE, &auth)));
    CHECK(err_is(tls_client_auth_new(SLICE_LIT("no PEM"), TLS_CLIENT_AUTH_REQUIRE, &auth)));
    CHECK(err_is(tls_client_auth_new(buf_slice(&broken), TLS_CLIENT_AUTH_REQUIRE, &auth)));
    CHECK(err_is(tls_client_auth_new(slice_first(buf_slice(&pem), pem.len / 2), TLS_CLIENT_AUTH_REQUIRE, &auth)));
    CHECK(!err_is(tls_client_auth_new(buf_slice(&pem), TLS_CLIENT_AUTH_REQUIRE, &auth)));
    tls_client_auth_free(auth);
    buf_cleanup(&broken);
    buf_cleanup(&pem);
    client_cert_cleanup(&root);
}

int main(void)
{
    RUN(t8_a_good_certificate_is_let_in_in_both_modes);
    RUN(t8_none_is_fine_where_it_is_optional_and_refused_where_required);
    RUN(good_chains_of_every_kind_are_let_in);
    RUN(what_is_listed_is_trusted_as_it_is);
    RUN(t8_bad_certificates_are_refused_by_the_alert_that_says_why);
    RUN(a_client_is_no_authority);
    RUN(t8_an_intermediate_that_has_expired_is_refused);
    RUN(t8_a_chain_is_as_long_as_its_limit_at_most);
    RUN(t8_a_certificate_without_its_key_identifies_nobody);
    RUN(nobody_gets_a_ticket_where_clients_are_asked);
    RUN(a_ticket_from_before_proves_nothing);
    RUN(sessions_are_partitioned_by_who_is_asked);
    RUN(the_identity_is_the_leafs);
    RUN(t8_odd_bytes_in_a_subject_are_escaped);
    RUN(t8_a_subject_is_told_whole_or_its_client_refused);
    RUN(a_certificate_without_a_subject_is_one);
    RUN(clients_are_told_which_authorities);
    RUN(roots_are_whole_or_refused);
    return checks_done();
}
