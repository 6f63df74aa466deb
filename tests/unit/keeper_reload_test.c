/* The keeper through reloads: names that come and go, with their certificates, orders and back-off. */
#include "acme/pem.h"
#include "check.h"
#include "keeper_world.h"
#include "test_cert.h"

#include <openssl/pool.h>

#include <stdlib.h>

static const int64_t minute_ms = INT64_C(60000), hour_ms = INT64_C(3600000), day_ms = INT64_C(86400000);

static bool serves(const struct side *side, const char *name, enum cert_source source)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == source && cert_covers(cert, slice_str(name));
}

static const char *serial_of(const struct side *side, const char *name)
{
    const struct cert *cert = side_serves(side, name);
    return cert ? cert->serial : "none";
}

static void a_new_name_is_ordered_and_the_others_are_left_alone(void)
{
    struct kw world;
    char before[128];
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    snprintf(before, sizeof before, "%s", serial_of(side, "a.example"));
    CHECK(kw_reload_domains(side, "b.example,a.example"));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "b.example", CERT_ISSUED));
    CHECK_STR(serial_of(side, "a.example"), before);
    CHECK_INT(world.ca.num_orders, 2);
    CHECK_STR(side->served->default_name, "b.example");
    CHECK_INT(keeper_state(side->keeper).num_names, 2);
    kw_cleanup(&world);
}

/* A placeholder would be shown in the moment in which the store is read. */
static void a_name_that_is_stored_gets_no_placeholder(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, minute_ms);
    unsigned placeholders = kw_logged(&world, "\"placeholder_served\"", "b.example");
    CHECK(kw_reload_domains(side, "a.example"));
    kw_pass(&world, minute_ms);
    CHECK(!side_serves(side, "b.example"));
    CHECK(kw_reload_domains(side, "a.example,b.example"));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "b.example", CERT_ISSUED));
    CHECK_INT(kw_logged(&world, "\"placeholder_served\"", "b.example"), placeholders);
    CHECK_INT(world.ca.num_orders, 2);
    kw_cleanup(&world);
}

static void a_name_that_is_gone_is_neither_served_nor_renewed(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, minute_ms);
    CHECK(kw_reload_domains(side, "a.example"));
    kw_rest(&world);
    CHECK(!side_serves(side, "b.example"));
    CHECK(list_empty(&side->keeper->leaving));
    kw_pass(&world, 80 * day_ms);
    CHECK(world.ca.num_orders == 3); /* one renewal, of a.example */
    CHECK(memory_store_value(&world.disk.memory, "certificate/b.example").ptr != NULL);
    kw_cleanup(&world);
}

static void an_order_in_flight_is_abandoned_and_taken_up_again(void)
{
    const char *nothing[] = {NULL};
    struct kw world;
    kw_init(&world);
    world.ca.validation_polls = 1000;
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, 10000);
    CHECK(side_view(side, "a.example").step != NULL);
    CHECK(side->served->pending.num == 1);
    CHECK(kw_reload(side, nothing));
    kw_pass(&world, 10000);
    CHECK_INT(side->served->pending.num, 0);
    CHECK_INT(kw_logged(&world, "\"order_failed\"", NULL), 0);
    unsigned asked = world.ca.num_requests;
    kw_pass(&world, hour_ms);
    CHECK_INT(world.ca.num_requests, asked);
    for (size_t i = 0; i < world.ca.num_orders; i++)
        world.ca.orders[i].authz_polls_left[0] = 0;
    CHECK(kw_reload_domains(side, "a.example"));
    kw_pass(&world, 10 * minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK_INT(world.ca.num_orders, 1);
    kw_cleanup(&world);
}

/* Or a name could be tried at every reload, against the CA's limits. */
static void back_off_outlives_a_removal(void)
{
    struct kw world;
    kw_init(&world);
    struct ca_script *script = scripted_ca_script(&world.ca, CA_NEW_ORDER);
    *script = (struct ca_script){.place = CA_NEW_ORDER, .status = 403, .type = "rejectedIdentifier", .body = "no"};
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, minute_ms);
    CHECK_INT(side_view(side, "b.example").num_failures, 1);
    unsigned asked = world.ca.num_at[CA_NEW_ORDER];
    for (int i = 0; i < 5; i++) {
        CHECK(kw_reload_domains(side, "a.example"));
        if (i % 2) /* with and without time for it to be stored */
            kw_pass(&world, minute_ms);
        CHECK(kw_reload_domains(side, "a.example,b.example"));
        kw_pass(&world, minute_ms);
        CHECK_INT(side_view(side, "b.example").num_failures, 1);
    }
    CHECK_INT(world.ca.num_at[CA_NEW_ORDER], asked);
    kw_cleanup(&world);
}

static void a_certificate_that_comes_while_its_name_goes_is_stored(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example,b.example");
    kw_until(&world, &side->keeper->names[1]->save.busy);
    CHECK(kw_reload_domains(side, "a.example"));
    CHECK(!list_empty(&side->keeper->leaving));
    kw_pass(&world, minute_ms);
    CHECK(list_empty(&side->keeper->leaving));
    CHECK(!side_serves(side, "b.example"));
    CHECK(memory_store_value(&world.disk.memory, "certificate/b.example").ptr != NULL);
    kw_cleanup(&world);
}

/* Whoever accepts the terms does not wait for the back-off of not having done so. */
static void terms_apply_at_once(void)
{
    struct kw world;
    const char *without[] = {"PORTICO_DOMAINS=a.example", "PORTICO_ACME_ACCEPT_TERMS=false", NULL};
    kw_init(&world);
    struct side *side = kw_start(&world, without);
    kw_pass(&world, 5 * minute_ms);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
    CHECK(kw_reload_domains(side, "a.example"));
    kw_pass(&world, 10000);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    kw_cleanup(&world);
}

static void names_of_the_local_ca_come_to_a_keeper_without_root(void)
{
    struct kw world;
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    const char *internal[] = {"PORTICO_DOMAINS=a.internal", "PORTICO_ACME_DIRECTORY=internal", NULL};
    CHECK(kw_reload(side, internal));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.internal", CERT_INTERNAL));
    CHECK(!side_serves(side, "a.example"));
    kw_cleanup(&world);
}

/* ---- TLS_CERT ---- */

struct own {
    char cert[8192], key[4096];
};

static void own_make(struct own *own, const char *const *names)
{
    struct cert *cert = test_cert_new(names, false, 90L * 24 * 3600);
    struct buf chain = {0}, key = {0};
    pem_write(&chain, "CERTIFICATE", slice_make(CRYPTO_BUFFER_data(cert->chain[0]), CRYPTO_BUFFER_len(cert->chain[0])));
    pem_write(&key, "PRIVATE KEY", slice_make(cert->key_der, cert->key_len));
    snprintf(own->cert, sizeof own->cert, "PORTICO_TLS_CERT=%s", buf_cstr(&chain));
    snprintf(own->key, sizeof own->key, "PORTICO_TLS_KEY=%s", buf_cstr(&key));
    buf_cleanup(&chain);
    buf_cleanup_secret(&key);
    cert_unref(cert);
}

static void hash_of_key(const struct cert *cert, uint8_t hash[KEY_SHA256_BYTES])
{
    struct evp_pkey_st *key = NULL;
    struct buf spki = {0};
    CHECK(!err_is(key_read_pkcs8(slice_make(cert->key_der, cert->key_len), &key)));
    key_write_public(key, &spki);
    key_sha256(buf_slice(&spki), hash);
    key_free(key);
    buf_cleanup(&spki);
}

static void a_certificate_of_ones_own_is_replaced(void)
{
    static const char *const names[] = {"a.example", NULL};
    struct kw world;
    struct own first, second;
    char before[128];
    kw_init(&world);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    own_make(&first, names);
    own_make(&second, names);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", first.cert, first.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    snprintf(before, sizeof before, "%s", serial_of(side, "a.example"));
    unsigned publications = side->num_publications;
    CHECK(kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK_STR(serial_of(side, "a.example"), before); /* the same files: not even loaded again */
    CHECK_INT(kw_logged(&world, "\"certificate_loaded\"", NULL), 1);
    const char *changed[] = {"PORTICO_DOMAINS=a.example", second.cert, second.key, NULL};
    CHECK(kw_reload(side, changed));
    kw_pass(&world, minute_ms);
    CHECK(strcmp(serial_of(side, "a.example"), before) != 0);
    CHECK(side->num_publications > publications);
    kw_cleanup(&world);
}

static void a_pair_that_does_not_match_changes_nothing(void)
{
    static const char *const names[] = {"a.example", NULL};
    struct kw world;
    struct own first, second;
    char before[128];
    kw_init(&world);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    own_make(&first, names);
    own_make(&second, names);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", first.cert, first.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    snprintf(before, sizeof before, "%s", serial_of(side, "a.example"));
    const char *torn[] = {"PORTICO_DOMAINS=a.example,b.example", second.cert, first.key, NULL};
    CHECK(!kw_reload(side, torn));
    kw_pass(&world, minute_ms);
    CHECK_STR(serial_of(side, "a.example"), before);
    CHECK_INT(keeper_state(side->keeper).num_names, 1);
    kw_cleanup(&world);
}

/* It is taken away: the name is ordered, and served with what there was until that has come. */
static void a_name_changes_hands(void)
{
    static const char *const names[] = {"a.example", NULL};
    struct kw world;
    struct own own;
    kw_init(&world);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    own_make(&own, names);
    const char *with[] = {"PORTICO_DOMAINS=a.example", own.cert, own.key, NULL};
    struct side *side = kw_start(&world, with);
    kw_pass(&world, minute_ms);
    CHECK(!certset_find(side->served, SLICE_LIT("a.example"))->managed);
    CHECK(kw_reload_domains(side, "a.example"));
    kw_rest(&world);
    CHECK(certset_find(side->served, SLICE_LIT("a.example"))->managed);
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_ISSUED));
    CHECK(kw_reload(side, with));
    kw_pass(&world, minute_ms);
    CHECK(serves(side, "a.example", CERT_OWN));
    CHECK(!certset_find(side->served, SLICE_LIT("a.example"))->managed);
    CHECK_INT(kw_logged(&world, "\"placeholder_served\"", NULL), 0);
    kw_cleanup(&world);
}

static void a_standby_reloads_and_orders_nothing(void)
{
    struct kw world;
    kw_init(&world);
    struct side *writer = kw_start_domains(&world, "a.example,b.example");
    kw_pass(&world, minute_ms);
    struct side *standby = kw_start_domains(&world, "a.example");
    kw_pass(&world, minute_ms);
    unsigned orders = world.ca.num_orders;
    CHECK(kw_reload_domains(standby, "b.example,c.example"));
    kw_pass(&world, minute_ms);
    CHECK(serves(standby, "b.example", CERT_ISSUED)); /* the writer's */
    CHECK(serves(standby, "c.example", CERT_PLACEHOLDER));
    CHECK(list_empty(&standby->keeper->leaving));
    CHECK_INT(world.ca.num_orders, orders);
    CHECK(serves(writer, "a.example", CERT_ISSUED));
    kw_cleanup(&world);
}

static void tickets_are_switched_off_and_on(void)
{
    struct kw world;
    const char *off[] = {"PORTICO_DOMAINS=a.internal", "PORTICO_TLS_TICKET_ROTATE=0", NULL};
    kw_init(&world);
    struct side *side = kw_start_domains(&world, "a.internal");
    kw_pass(&world, minute_ms);
    CHECK_INT(side->served->tickets.num, 1);
    CHECK(kw_reload(side, off));
    kw_pass(&world, minute_ms);
    CHECK_INT(side->served->tickets.num, 0);
    CHECK(kw_reload_domains(side, "a.internal"));
    kw_pass(&world, minute_ms);
    CHECK_INT(side->served->tickets.num, 1);
    kw_cleanup(&world);
}

/* ACME-120, reason 1. */
static void a_disclosed_key_of_ones_own_is_not_served(void)
{
    static const char *const names[] = {"a.example", NULL};
    struct kw world;
    struct own own, next;
    uint8_t hash[KEY_SHA256_BYTES];
    kw_init(&world);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    own_make(&own, names);
    own_make(&next, names);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", own.cert, own.key, NULL};
    const char *next_entries[] = {"PORTICO_DOMAINS=a.example", next.cert, next.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK(serves(side, "a.example", CERT_OWN));
    hash_of_key(side_serves(side, "a.example"), hash);
    keeper_ban_key(side->keeper, hash);
    kw_rest(&world);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER));
    CHECK_INT(kw_logged(&world, "\"own_certificate_disclosed\"", "a.example"), 1);
    kw_stop(side);
    side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK(serves(side, "a.example", CERT_PLACEHOLDER)); /* the next process knows it too */
    CHECK(kw_reload(side, next_entries));
    kw_rest(&world);
    CHECK(serves(side, "a.example", CERT_OWN));
    kw_cleanup(&world);
}

int main(void)
{
    RUN(a_new_name_is_ordered_and_the_others_are_left_alone);
    RUN(a_name_that_is_stored_gets_no_placeholder);
    RUN(a_name_that_is_gone_is_neither_served_nor_renewed);
    RUN(an_order_in_flight_is_abandoned_and_taken_up_again);
    RUN(back_off_outlives_a_removal);
    RUN(a_certificate_that_comes_while_its_name_goes_is_stored);
    RUN(terms_apply_at_once);
    RUN(names_of_the_local_ca_come_to_a_keeper_without_root);
    RUN(a_certificate_of_ones_own_is_replaced);
    RUN(a_disclosed_key_of_ones_own_is_not_served);
    RUN(a_pair_that_does_not_match_changes_nothing);
    RUN(a_name_changes_hands);
    RUN(a_standby_reloads_and_orders_nothing);
    RUN(tickets_are_switched_off_and_on);
    return checks_done();
}
