/* The keeper's certificates that no CA is asked for: the local root and its leaves, TLS_CERT, placeholders. */
#include "acme/pem.h"
#include "certs/own_cert.h"
#include "certs/self_test.h"
#include "check.h"
#include "keeper_world.h"
#include "scripted_issuer.h"
#include "test_cert.h"

#include <openssl/pool.h>
#include <openssl/x509.h>

#include <stdlib.h>

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static bool serves(const struct side *side, const char *name, enum cert_source source)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == source && cert_covers(cert, slice_str(name));
}

/* ---- the local CA ---- */

static const char *const internal_entries[] = {"PORTICO_DOMAINS=localhost,app.internal",
                                               "PORTICO_ACME_DIRECTORY=internal", NULL};

static void internal_names_are_served_at_once(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, internal_entries);
    kw_rest(&world);
    CHECK_INT(side->num_publications, 1); /* no placeholder came before */
    CHECK(serves(side, "localhost", CERT_INTERNAL));
    CHECK(serves(side, "app.internal", CERT_INTERNAL));
    CHECK(!certset_find(side->served, SLICE_LIT("localhost"))->managed);
    CHECK(memory_store_value(&world.disk.memory, "internal-ca").ptr != NULL);
    CHECK_INT(world.ca.num_requests, 0);
    CHECK_INT(kw_logged(&world, "\"local_root_made\"", "sha256"), 1);
    CHECK_INT(kw_logged(&world, "\"certificate_published\"", "\"source\":\"internal\""), 2);
    CHECK(!side_view(side, "localhost").managed);
    kw_cleanup(&world);
}

static void the_root_lasts_and_leaves_are_renewed(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, internal_entries);
    kw_rest(&world);
    struct slice root = memory_store_value(&world.disk.memory, "internal-ca");
    char *kept = mem_dup(root.ptr, root.len), *issuer = mem_strdup(side_serves(side, "localhost")->issuer);
    char *serial = mem_strdup(side_serves(side, "localhost")->serial);
    kw_pass(&world, 4 * day_ms);
    CHECK_STR(side_serves(side, "localhost")->serial, serial);
    kw_pass(&world, day_ms);
    CHECK(strcmp(side_serves(side, "localhost")->serial, serial) != 0);
    for (int i = 0; i < 60; i++) {
        kw_pass(&world, day_ms);
        const struct cert *cert = side_serves(side, "app.internal");
        CHECK(cert->not_before_s * 1000 <= world.wall_ms && cert->not_after_s * 1000 > world.wall_ms + day_ms);
    }
    kw_stop(side);
    side = kw_start(&world, internal_entries);
    kw_rest(&world);
    CHECK_STR(side_serves(side, "localhost")->issuer, issuer);
    CHECK_SLICE(memory_store_value(&world.disk.memory, "internal-ca"), kept);
    CHECK_INT(kw_logged(&world, "\"local_root_loaded\"", NULL), 1);
    world.wall_ms -= 30 * day_ms; /* set back: leaves that are not valid yet are no use */
    kw_pass(&world, 2 * minute_ms);
    CHECK(side_serves(side, "localhost")->not_before_s * 1000 <= world.wall_ms);
    mem_free(kept);
    mem_free(issuer);
    mem_free(serial);
    kw_cleanup(&world);
}

static void a_root_that_cannot_be_read_is_never_made_anew(void)
{
    static const enum store_result results[] = {STORE_DENIED, STORE_CORRUPT, STORE_UNAVAILABLE};
    for (size_t i = 0; i < 4; i++) {
        struct kw world;
        kw_init(&world);
        kw_stop((kw_start(&world, internal_entries), kw_rest(&world), &world.sides[0]));
        struct slice root = memory_store_value(&world.disk.memory, "internal-ca");
        char *kept = mem_dup(root.ptr, root.len);
        if (i < 3)
            world.disk.root_result = results[i];
        else
            memory_store_put(&world.disk.memory, SLICE_LIT("internal-ca"), SLICE_LIT("damage"));
        struct side *side = kw_start(&world, internal_entries);
        kw_pass(&world, 2 * day_ms);
        CHECK(serves(side, "localhost", CERT_PLACEHOLDER));
        CHECK(kw_logged(&world, "\"local_root_unreadable\"", NULL) > 0);
        CHECK_INT(kw_logged(&world, "\"local_root_made\"", NULL), 1);
        CHECK_SLICE(memory_store_value(&world.disk.memory, "internal-ca"), i < 3 ? kept : "damage");
        mem_free(kept);
        kw_cleanup(&world);
    }
}

static void a_root_that_cannot_be_stored_is_not_used(void)
{
    struct kw world;
    kw_init(&world);
    world.disk.root_result = STORE_OK;
    struct side *side = kw_start(&world, internal_entries);
    world.disk.memory.write_fault = STORE_FULL;
    kw_rest(&world);
    CHECK(serves(side, "localhost", CERT_PLACEHOLDER));
    CHECK_INT(kw_logged(&world, "\"local_root_not_stored\"", NULL), 1);
    world.disk.memory.write_fault = STORE_OK;
    side->keeper->reload.expired(&side->keeper->reload);
    kw_rest(&world);
    CHECK(serves(side, "localhost", CERT_INTERNAL));
    kw_cleanup(&world);
}

static void a_standby_waits_for_the_writers_root(void)
{
    struct kw world;
    kw_init(&world);
    world.disk.holder = &world.sides[2];
    struct side *side = kw_start(&world, internal_entries);
    kw_rest(&world);
    CHECK(!side->served); /* who writes is not known yet */
    side->keeper->standby.expired(&side->keeper->standby);
    kw_rest(&world);
    CHECK(serves(side, "localhost", CERT_PLACEHOLDER));
    world.disk.holder = NULL;
    kw_rest(&world);
    CHECK(serves(side, "localhost", CERT_INTERNAL));
    struct side *second = kw_start(&world, internal_entries);
    kw_rest(&world);
    CHECK(serves(second, "localhost", CERT_INTERNAL)); /* by the same root, though it may not write */
    CHECK_STR(side_serves(second, "localhost")->issuer, side_serves(side, "localhost")->issuer);
    kw_cleanup(&world);
}

static void many_names_in_slices(void)
{
    enum { NUM = 100 };
    struct kw world;
    char domains[4096] = "PORTICO_DOMAINS=";
    const char *entries[] = {domains, "PORTICO_ACME_DIRECTORY=internal", NULL};
    kw_init(&world);
    for (int i = 0; i < NUM; i++)
        snprintf(domains + strlen(domains), 32, "%sn%d.internal", i ? "," : "", i);
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK_INT(side->num_publications, 1); /* complete from the first one on */
    for (int i = 0; i < NUM; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.internal", i);
        CHECK(serves(side, name, CERT_INTERNAL));
    }
    kw_cleanup(&world);
}

/* ---- TLS_CERT ---- */

struct own {
    char cert[8192], key[4096];
};

static void own_pem(struct own *own, const struct cert *cert)
{
    struct buf chain = {0}, key = {0};
    pem_write(&chain, "CERTIFICATE", slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])));
    pem_write(&key, "PRIVATE KEY", slice_make(cert->key_der, cert->key_len));
    snprintf(own->cert, sizeof own->cert, "PORTICO_TLS_CERT=%s", buf_cstr(&chain));
    snprintf(own->key, sizeof own->key, "PORTICO_TLS_KEY=%s", buf_cstr(&key));
    buf_cleanup(&chain);
    buf_cleanup_secret(&key);
}

static void a_name_that_it_covers_is_never_ordered(void)
{
    static const char *const names[] = {"a.example", "*.own.example", NULL};
    struct kw world;
    struct own own;
    struct cert *cert = test_cert_new(names, false, 90L * 24 * 3600);
    own_pem(&own, cert);
    kw_init(&world);
    world.wall_ms = clock_system.wall_ms(&clock_system); /* by which it was dated */
    const char *entries[] = {"PORTICO_DOMAINS=a.example,b.example,c.own.example", own.cert, own.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_OWN));
    CHECK(serves(side, "c.own.example", CERT_OWN));
    CHECK(serves(side, "b.example", CERT_ISSUED));
    CHECK(!certset_find(side->served, SLICE_LIT("a.example"))->managed);
    CHECK_INT(world.ca.num_orders, 1);
    CHECK_INT(kw_logged(&world, "\"own_certificate_ends\"", NULL), 0);
    kw_pass(&world, 85 * day_ms);
    CHECK(kw_logged(&world, "\"own_certificate_ends\"", "a.example") > 0);
    CHECK(serves(side, "a.example", CERT_OWN));
    kw_cleanup(&world);
    cert_unref(cert);
}

static void without_names_its_own_names_are_served(void)
{
    static const char *const names[] = {"Own.Example", "*.own.example", NULL};
    struct kw world;
    struct own own;
    struct cert *cert = test_cert_new(names, true, 90L * 24 * 3600);
    own_pem(&own, cert);
    kw_init(&world);
    const char *entries[] = {own.cert, own.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK(serves(side, "own.example", CERT_OWN));
    CHECK(serves(side, "x.own.example", CERT_OWN));
    CHECK_STR(side->served->default_name, "own.example");
    CHECK(!side_serves(side, "other.example"));
    CHECK_INT(world.ca.num_requests, 0);
    kw_cleanup(&world);
    cert_unref(cert);
}

static struct err keeper_refuses(struct kw *world, const char *const *entries, struct buf *out_mistake)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    struct keeper *keeper = NULL;
    struct side side = {.world = world};
    bool loaded = config_load(entries, &config, &mistakes);
    CHECK(loaded);
    struct keeper_world around = {
        .loop = world->loop, .clock = &world->clock, .store = &side.store, .transport = &world->ca.transport};
    struct err err = keeper_new(&around, config, &keeper, out_mistake);
    config_unref(config);
    return err;
}

static void own_certificates_that_cannot_work(void)
{
    struct kw world;
    struct own own, other;
    struct buf mistake = {0};
    struct cert *cert = test_cert_for("a.example"), *another = test_cert_for("b.example");
    own_pem(&own, cert);
    own_pem(&other, another);
    kw_init(&world);
    const char *wrong_key[] = {own.cert, other.key, "PORTICO_STORAGE=/nowhere", NULL};
    CHECK(err_is(keeper_refuses(&world, wrong_key, &mistake)));
    CHECK(
        strstr(buf_cstr(&mistake), "PORTICO_TLS_CERT and PORTICO_TLS_KEY: match the private key with the certificate"));
    buf_cleanup(&mistake);
    memcpy(strstr(own.key, "PRIVATE KEY-----\n") + 17, "!!!!", 4);
    const char *bad_key[] = {own.cert, own.key, NULL};
    CHECK(err_is(keeper_refuses(&world, bad_key, &mistake)));
    CHECK(strncmp(buf_cstr(&mistake), "PORTICO_TLS_KEY: ", 17) == 0);
    buf_cleanup(&mistake);
    kw_cleanup(&world);
    cert_unref(cert);
    cert_unref(another);
}

static void an_account_key_that_cannot_work(void)
{
    struct kw world;
    struct buf mistake = {0};
    kw_init(&world);
    const char *entries[] = {"PORTICO_DOMAINS=a.example.com", "PORTICO_ACME_ACCEPT_TERMS=1",
                             "PORTICO_ACME_ACCOUNT_KEY=-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                             NULL};
    CHECK(err_is(keeper_refuses(&world, entries, &mistake)));
    CHECK(strncmp(buf_cstr(&mistake), "PORTICO_ACME_ACCOUNT_KEY: ", 26) == 0);
    buf_cleanup(&mistake);
    kw_cleanup(&world);
}

/* ---- self-test ---- */

static void certificates_are_tried_before_they_are_served(void)
{
    static const char *const names[] = {"a.example", "*.b.example", NULL};
    for (int rsa = 0; rsa < 2; rsa++) {
        struct cert *cert = test_cert_new(names, rsa, 86400);
        CHECK(!err_is(self_test(cert, SLICE_LIT("a.example"))));
        CHECK(!err_is(self_test(cert, SLICE_LIT("*.b.example"))));
        CHECK(!err_is(self_test(cert, SLICE_LIT("c.b.example"))));
        CHECK(err_is(self_test(cert, SLICE_LIT("b.example"))));
        CHECK(err_is(self_test(cert, SLICE_LIT("other.example"))));
        cert_unref(cert);
    }
    struct cert *cert = test_cert_for("a.example"), *other = test_cert_for("a.example");
    uint8_t *key = cert->key_der;
    size_t len = cert->key_len;
    cert->key_der = other->key_der; /* what a torn write would leave */
    cert->key_len = other->key_len;
    CHECK(err_is(self_test(cert, SLICE_LIT("a.example"))));
    cert->key_der = key;
    cert->key_len = len;
    cert_unref(cert);
    cert_unref(other);
}

static void the_first_look_is_no_spin(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start(&world, internal_entries);
    kw_rest(&world);
    CHECK(list_empty(&world.loop->deferred));
    CHECK(side->keeper->look.due_ms > world.mono_ms);
    kw_pass(&world, hour_ms);
    CHECK(side->keeper->look.due_ms > world.mono_ms);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(internal_names_are_served_at_once);
    RUN(the_root_lasts_and_leaves_are_renewed);
    RUN(a_root_that_cannot_be_read_is_never_made_anew);
    RUN(a_root_that_cannot_be_stored_is_not_used);
    RUN(a_standby_waits_for_the_writers_root);
    RUN(many_names_in_slices);
    RUN(a_name_that_it_covers_is_never_ordered);
    RUN(without_names_its_own_names_are_served);
    RUN(own_certificates_that_cannot_work);
    RUN(an_account_key_that_cannot_work);
    RUN(certificates_are_tried_before_they_are_served);
    RUN(the_first_look_is_no_spin);
    return checks_done();
}
