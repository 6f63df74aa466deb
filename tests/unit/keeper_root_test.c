/* INTERNAL_CA in the keeper: a root that is given is used in the place of the store's, never stored, and may come and go by
 * a reload. And TLS_CERT_DIR: what a change of its files does to the names that they cover. */
#include "base/mem.h"
#include "cert_files.h"
#include "certs/internal_ca.h"
#include "check.h"
#include "keeper_world.h"
#include "test_cert.h"

static const int64_t minute_ms = INT64_C(60000), day_ms = INT64_C(86400000);

/* ---- INTERNAL_CA ---- */

#define LOCAL "PORTICO_ACME_DIRECTORY=internal"

struct given {
    struct internal_ca *ca;
    char *cert, *key; /* entries */
};

/* From the record, which has the key first. */
static void given_init(struct given *given, int64_t now_ms)
{
    struct buf record = {0}, entry = {0};
    CHECK(!err_is(internal_ca_new(now_ms / 1000, &given->ca)));
    internal_ca_write(given->ca, &record);
    const char *key = strstr(buf_cstr(&record), "-----BEGIN PRIVATE KEY"),
               *cert = strstr(key, "-----BEGIN CERTIFICATE");
    buf_printf(&entry, "PORTICO_INTERNAL_CA=%s", cert);
    given->cert = buf_take(&entry);
    buf_printf(&entry, "PORTICO_INTERNAL_CA_KEY=%.*s", (int)(cert - key), key);
    given->key = buf_take(&entry);
    buf_cleanup_secret(&record);
}

static void given_cleanup(struct given *given)
{
    internal_ca_free(given->ca);
    mem_free(given->cert);
    mem_free(given->key);
}

static bool signed_by(const struct side *side, const char *name, struct slice issuer)
{
    const struct cert *cert = side_serves(side, name);
    return cert && cert->source == CERT_INTERNAL && slice_eq(slice_str(cert->issuer), issuer);
}

static void a_given_root_signs_and_is_not_stored(void)
{
    struct kw world;
    struct given given;
    kw_init(&world);
    given_init(&given, world.wall_ms);
    const char *entries[] = {"PORTICO_DOMAINS=localhost", LOCAL, given.cert, given.key, NULL};
    struct side *side = kw_start(&world, entries);
    kw_rest(&world);
    CHECK(signed_by(side, "localhost", internal_ca_name(given.ca)));
    CHECK(memory_store_value(&world.disk.memory, "internal-ca").ptr == NULL);
    CHECK_INT(kw_logged(&world, "\"local_root_loaded\"", "PORTICO_INTERNAL_CA"), 1);
    CHECK_INT(kw_logged(&world, "\"local_root_made\"", NULL), 0);
    kw_cleanup(&world);
    given_cleanup(&given);
}

static void it_comes_and_goes_by_a_reload(void)
{
    static const char *const without[] = {"PORTICO_DOMAINS=localhost", LOCAL, NULL};
    struct kw world;
    struct given given;
    kw_init(&world);
    given_init(&given, world.wall_ms);
    const char *with[] = {"PORTICO_DOMAINS=localhost", LOCAL, given.cert, given.key, NULL};
    struct side *side = kw_start(&world, without);
    kw_rest(&world);
    char *of_store = mem_strdup(side_serves(side, "localhost")->issuer);
    CHECK(!slice_eq(slice_str(of_store), internal_ca_name(given.ca)));
    CHECK(kw_reload(side, with));
    kw_rest(&world);
    CHECK(signed_by(side, "localhost", internal_ca_name(given.ca))); /* at once, not when its leaf is due */
    CHECK(kw_reload(side, without));
    kw_rest(&world);
    CHECK(signed_by(side, "localhost", slice_str(of_store)));
    CHECK_INT(kw_logged(&world, "\"local_root_made\"", NULL), 1);
    mem_free(of_store);
    kw_cleanup(&world);
    given_cleanup(&given);
}

static void the_store_gets_its_root_when_the_given_one_goes(void)
{
    static const char *const without[] = {"PORTICO_DOMAINS=localhost", LOCAL, NULL};
    struct kw world;
    struct given given;
    kw_init(&world);
    given_init(&given, world.wall_ms);
    const char *with[] = {"PORTICO_DOMAINS=localhost", LOCAL, given.cert, given.key, NULL};
    struct side *side = kw_start(&world, with);
    kw_rest(&world);
    CHECK(kw_reload(side, without));
    kw_pass(&world, minute_ms);
    CHECK(!signed_by(side, "localhost", internal_ca_name(given.ca)));
    CHECK(side_serves(side, "localhost")->source == CERT_INTERNAL);
    CHECK(memory_store_value(&world.disk.memory, "internal-ca").ptr != NULL);
    kw_cleanup(&world);
    given_cleanup(&given);
}

static const char *refusal(struct side *side, const char *cert, const char *key, struct buf *out)
{
    struct config *config = NULL;
    struct config_mistakes mistakes = {0};
    struct keeper_change change;
    out->len = 0;
    CHECK(config_load((const char *const[]){"PORTICO_DOMAINS=localhost", LOCAL, cert, key, NULL}, &config, &mistakes));
    CHECK(err_is(keeper_prepare(side->keeper, config, side->keeper->world.transport, &change, out)));
    config_unref(config);
    return buf_cstr(out);
}

static void a_root_that_cannot_work_is_refused(void)
{
    struct kw world;
    struct given given, other, old;
    struct buf text = {0};
    kw_init(&world);
    given_init(&given, world.wall_ms);
    given_init(&other, world.wall_ms);
    given_init(&old, world.wall_ms - (INTERNAL_CA_ROOT_DAYS + 1) * day_ms);
    struct cert *leaf = test_cert_for("localhost");
    char *leaf_cert = cert_files_chain("PORTICO_INTERNAL_CA=", leaf),
         *leaf_key = cert_files_key("PORTICO_INTERNAL_CA_KEY=", leaf);
    struct side *side = kw_start(&world, (const char *const[]){"PORTICO_DOMAINS=localhost", LOCAL, NULL});
    kw_rest(&world);
    CHECK(slice_starts(slice_str(refusal(side, given.cert, other.key, &text)),
                       SLICE_LIT("PORTICO_INTERNAL_CA: local CA: the key is for another certificate; ")));
    CHECK(slice_starts(slice_str(refusal(side, old.cert, old.key, &text)),
                       SLICE_LIT("PORTICO_INTERNAL_CA: the certificate has expired; ")));
    CHECK(slice_starts(slice_str(refusal(side, leaf_cert, leaf_key, &text)),
                       SLICE_LIT("PORTICO_INTERNAL_CA: local CA: the certificate is not a CA's; ")));
    buf_cleanup(&text);
    kw_cleanup(&world);
    cert_unref(leaf);
    mem_free(leaf_cert);
    mem_free(leaf_key);
    given_cleanup(&given);
    given_cleanup(&other);
    given_cleanup(&old);
}

/* ---- TLS_CERT_DIR ---- */

static void put(const struct cert_files *files, const char *file, const char *name, bool rsa)
{
    struct cert *cert = test_cert_new((const char *const[]){name, NULL}, rsa, 90L * 24 * 3600);
    cert_files_put(files, file, cert, cert);
    cert_unref(cert);
}

static void files_that_change_are_swapped(void)
{
    struct kw world;
    struct cert_files files;
    kw_init(&world);
    cert_files_init(&files);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    put(&files, "a", "a.example", false);
    put(&files, "b", "b.example", false);
    const char *entries[] = {"PORTICO_DOMAINS=a.example,b.example,c.example", files.entry, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    char *a = mem_strdup(side_serves(side, "a.example")->serial),
         *b = mem_strdup(side_serves(side, "b.example")->serial);
    CHECK_INT(side_serves(side, "a.example")->source, CERT_OWN);
    CHECK_INT(side_serves(side, "c.example")->source, CERT_ISSUED);
    CHECK_INT(world.ca.num_orders, 1); /* what they cover is never ordered */
    put(&files, "a", "a.example", false);
    put(&files, "a-rsa", "a.example", true);
    CHECK(kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, a) != 0);
    CHECK(certset_find(side->served, SLICE_LIT("a.example"))->rsa != NULL);
    CHECK_STR(side_serves(side, "b.example")->serial, b);
    cert_files_remove(&files, "a-rsa");
    CHECK(kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK(certset_find(side->served, SLICE_LIT("a.example"))->rsa == NULL);
    CHECK_INT(world.ca.num_orders, 1);
    mem_free(a);
    mem_free(b);
    cert_files_cleanup(&files);
    kw_cleanup(&world);
}

/* One ends while the other goes on: clients are not shown the first for a day more. */
static void one_that_ends_makes_way(void)
{
    struct kw world;
    struct cert_files files;
    kw_init(&world);
    cert_files_init(&files);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    struct cert *brief = test_cert_new((const char *const[]){"a.example", NULL}, false, 2L * 3600);
    cert_files_put(&files, "a", brief, brief);
    put(&files, "a-rsa", "a.example", true);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", files.entry, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    CHECK_STR(side_serves(side, "a.example")->serial, brief->serial);
    kw_pass(&world, brief->not_after_s * 1000 - world.wall_ms + 1000);
    CHECK(side_serves(side, "a.example")->key_is_rsa);
    cert_unref(brief);
    cert_files_cleanup(&files);
    kw_cleanup(&world);
}

/* A name whose certificate is taken away is ordered, as one that never had any. */
static void files_that_go_leave_the_name_to_the_ca(void)
{
    struct kw world;
    struct cert_files files;
    kw_init(&world);
    cert_files_init(&files);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    put(&files, "a", "a.example", false);
    const char *entries[] = {"PORTICO_DOMAINS=a.example", files.entry, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    cert_files_remove(&files, "a");
    CHECK(kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK_INT(side_serves(side, "a.example")->source, CERT_ISSUED);
    cert_files_cleanup(&files);
    kw_cleanup(&world);
}

static void a_broken_pair_leaves_all_as_it_was(void)
{
    struct kw world;
    struct cert_files files;
    struct cert *other = test_cert_for("other.example");
    kw_init(&world);
    cert_files_init(&files);
    world.wall_ms = clock_system.wall_ms(&clock_system);
    put(&files, "a", "a.example", false);
    const char *entries[] = {files.entry, NULL};
    struct side *side = kw_start(&world, entries);
    kw_pass(&world, minute_ms);
    char *serial = mem_strdup(side_serves(side, "a.example")->serial);
    put(&files, "a", "a.example", false);
    struct cert *b = test_cert_for("b.example");
    cert_files_put(&files, "b", b, other);
    CHECK(!kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK_STR(side_serves(side, "a.example")->serial, serial);
    CHECK(!side_serves(side, "b.example"));
    cert_files_put(&files, "b", b, b);
    CHECK(kw_reload(side, entries));
    kw_pass(&world, minute_ms);
    CHECK(strcmp(side_serves(side, "a.example")->serial, serial) != 0);
    CHECK_INT(side_serves(side, "b.example")->source, CERT_OWN); /* without names, its own are served */
    mem_free(serial);
    cert_unref(b);
    cert_unref(other);
    cert_files_cleanup(&files);
    kw_cleanup(&world);
}

int main(void)
{
    RUN(a_given_root_signs_and_is_not_stored);
    RUN(it_comes_and_goes_by_a_reload);
    RUN(the_store_gets_its_root_when_the_given_one_goes);
    RUN(a_root_that_cannot_work_is_refused);
    RUN(files_that_change_are_swapped);
    RUN(one_that_ends_makes_way);
    RUN(files_that_go_leave_the_name_to_the_ca);
    RUN(a_broken_pair_leaves_all_as_it_was);
    return checks_done();
}
