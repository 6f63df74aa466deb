/* portico ca: the root of the storage, plain or sealed, or of INTERNAL_CA; and what is said where there is none. */
#include "certs/internal_ca.h"
#include "check.h"
#include "cli/cli.h"
#include "store/sealed_value.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

struct world {
    char dir[64], entry[96];
    struct internal_ca *ca;
    struct buf record;
    char *out, *err;
    size_t out_len, err_len;
};

static void world_make(struct world *world)
{
    *world = (struct world){.dir = "/tmp/cli_ca_test.XXXXXX"};
    CHECK(mkdtemp(world->dir) != NULL);
    snprintf(world->entry, sizeof world->entry, "PORTICO_STORAGE=%s", world->dir);
    CHECK(!err_is(internal_ca_new(1800000000, &world->ca)));
    internal_ca_write(world->ca, &world->record);
}

static int entry_remove(const char *path, const struct stat *at, int kind, struct FTW *walk)
{
    (void)at, (void)kind, (void)walk;
    return remove(path);
}

static void world_remove(struct world *world)
{
    nftw(world->dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
    internal_ca_free(world->ca);
    buf_cleanup_secret(&world->record);
    free(world->out);
    free(world->err);
}

static void store(const struct world *world, struct slice value)
{
    char path[96];
    snprintf(path, sizeof path, "%s/internal-ca", world->dir);
    FILE *file = fopen(path, "w");
    CHECK(file && fwrite(value.ptr, 1, value.len, file) == value.len && fclose(file) == 0);
}

static int run(struct world *world, const char *more, const char *and_more)
{
    free(world->out);
    free(world->err);
    const char *const environment[] = {world->entry, more, and_more, NULL};
    struct cli_call call = {.args = (const char *const[]){"ca"},
                            .num_args = 1,
                            .environment = environment,
                            .out = open_memstream(&world->out, &world->out_len),
                            .err = open_memstream(&world->err, &world->err_len)};
    int code = cli_dispatch(&call);
    fclose(call.out);
    fclose(call.err);
    return code;
}

/* The certificate alone: standard output goes into a file. */
static void check_shown(const struct world *world, const char *from)
{
    const char *cert = strstr(buf_cstr((struct buf *)&world->record), "-----BEGIN CERTIFICATE-----");
    CHECK_STR(world->out, cert);
    CHECK(strstr(world->err, from) != NULL);
    CHECK(strncmp(world->err, internal_ca_name(world->ca).ptr, internal_ca_name(world->ca).len) == 0);
    CHECK(strstr(world->err, "  until   2037-01-") != NULL);
    CHECK(strstr(world->err, "update-ca-certificates") != NULL);
    char first[3] = {internal_ca_fingerprint(world->ca).ptr[0], internal_ca_fingerprint(world->ca).ptr[1], '\0'};
    for (int i = 0; i < 2; i++)
        first[i] = (char)(first[i] >= 'a' ? first[i] - 'a' + 'A' : first[i]);
    const char *shown = strstr(world->err, "SHA-256 ") + strlen("SHA-256 ");
    CHECK(strncmp(shown, first, 2) == 0 && shown[2] == ':' && strcspn(shown, "\n") == 95);
}

static void that_of_the_storage(void)
{
    struct world world;
    world_make(&world);
    store(&world, buf_slice(&world.record));
    CHECK_INT(run(&world, NULL, NULL), 0);
    check_shown(&world, "/internal-ca\n");
    world_remove(&world);
}

static void a_sealed_one_needs_its_key(void)
{
    struct world world;
    struct seal_key key;
    struct buf sealed = {0};
    char secret[SEAL_SECRET_BYTES];
    for (int i = 0; i < SEAL_SECRET_BYTES; i++)
        secret[i] = (char)i;
    world_make(&world);
    seal_key_make(slice_make(secret, sizeof secret), &key);
    sealed_value_write(&key, SLICE_LIT("internal-ca"), buf_slice(&world.record), &sealed);
    store(&world, buf_slice(&sealed));
    CHECK_INT(run(&world, "PORTICO_STORAGE_KEY=" KEY_HEX, NULL), 0);
    check_shown(&world, "/internal-ca\n");
    CHECK_INT(run(&world, NULL, NULL), CLI_EXIT_FATAL);
    CHECK_STR(world.out, "");
    CHECK(strstr(world.err, "it is sealed: give PORTICO_STORAGE_KEY\n") != NULL);
    CHECK_INT(run(&world, "PORTICO_STORAGE_KEY=ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", NULL),
              CLI_EXIT_FATAL);
    CHECK(strstr(world.err, "it is sealed with another key: ") != NULL);
    seal_key_wipe(&key);
    buf_cleanup(&sealed);
    world_remove(&world);
}

static void that_of_the_configuration_comes_first(void)
{
    struct world world;
    struct internal_ca *other;
    struct buf record = {0}, cert = {0}, key = {0};
    world_make(&world);
    CHECK(!err_is(internal_ca_new(1800000000, &other)));
    internal_ca_write(other, &record);
    store(&world, buf_slice(&record));
    const char *key_pem = strstr(buf_cstr(&world.record), "-----BEGIN PRIVATE KEY"),
               *cert_pem = strstr(key_pem, "-----BEGIN CERTIFICATE");
    buf_printf(&cert, "PORTICO_INTERNAL_CA=%s", cert_pem);
    buf_printf(&key, "PORTICO_INTERNAL_CA_KEY=%.*s", (int)(cert_pem - key_pem), key_pem);
    CHECK_INT(run(&world, buf_cstr(&cert), buf_cstr(&key)), 0);
    check_shown(&world, "  from    PORTICO_INTERNAL_CA\n");
    internal_ca_free(other);
    buf_cleanup_secret(&record);
    buf_cleanup(&cert);
    buf_cleanup_secret(&key);
    world_remove(&world);
}

static void none_yet_and_one_that_makes_no_sense(void)
{
    struct world world;
    world_make(&world);
    CHECK_INT(run(&world, NULL, NULL), CLI_EXIT_FATAL);
    CHECK(strstr(world.err, "portico ca: there is no local root yet in ") == world.err);
    store(&world, SLICE_LIT("rubbish\n"));
    CHECK_INT(run(&world, NULL, NULL), CLI_EXIT_FATAL);
    CHECK(strstr(world.err, "/internal-ca cannot be read: ") != NULL);
    CHECK_STR(world.out, "");
    CHECK_INT(run(&world, "PORTICO_WORKERS=many", NULL), CLI_EXIT_CONFIG);
    world_remove(&world);
    struct world gone = {.entry = "PORTICO_STORAGE=/no/such/place"};
    CHECK_INT(run(&gone, NULL, NULL), CLI_EXIT_FATAL);
    CHECK(strstr(gone.err, "portico ca: there is no local root yet in /no/such/place") == gone.err);
    free(gone.out);
    free(gone.err);
}

int main(void)
{
    RUN(that_of_the_storage);
    RUN(a_sealed_one_needs_its_key);
    RUN(that_of_the_configuration_comes_first);
    RUN(none_yet_and_one_that_makes_no_sense);
    return checks_done();
}
