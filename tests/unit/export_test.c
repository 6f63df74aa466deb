/* The queue of EXPORT_DIR: the latest certificate of a name wins, failures are said once and tried again, and nothing is
 * left behind when it is closed. */
#include "base/mem.h"
#include "cert_files.h"
#include "certs/export.h"
#include "check.h"
#include "keeper_world.h"
#include "test_cert.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct world {
    struct kw kw;
    struct cert_files dir; /* a place that is removed with all in it */
    struct offload_pool *disk;
    struct offload_port *port;
    struct export *export;
};

static void world_make(struct world *world)
{
    kw_init(&world->kw);
    cert_files_init(&world->dir);
    world->disk = offload_pool_new("disk", 1, 0, 4);
    world->port = offload_port_new(&world->kw.uv);
    struct export_options options = {.dir = world->dir.path,
                                     .loop = world->kw.loop,
                                     .log = world->kw.ring,
                                     .disk = world->disk,
                                     .port = world->port,
                                     .retry_ms = 20};
    world->export = export_new(&options);
}

static void world_remove(struct world *world)
{
    export_close(world->export);
    offload_port_close(world->port);
    kw_cleanup(&world->kw);
    offload_pool_free(world->disk);
    cert_files_cleanup(&world->dir);
}

/* Whether what is exported for the name is that certificate. */
static bool has(const struct world *world, const char *name, const struct cert *cert)
{
    char path[PATH_MAX];
    struct buf found = {0};
    char *want = cert_files_chain("", cert);
    snprintf(path, sizeof path, "%s/%s/fullchain.pem", world->dir.path, name);
    FILE *file = fopen(path, "r");
    if (file) {
        found.len = fread(buf_reserve(&found, 16384), 1, 16384, file);
        fclose(file);
    }
    bool same = slice_eq(buf_slice(&found), slice_str(want));
    buf_cleanup(&found);
    mem_free(want);
    return same;
}

static void wait_for(struct world *world, const char *name, const struct cert *cert)
{
    while (!has(world, name, cert))
        uv_run(&world->kw.uv, UV_RUN_ONCE);
}

static void the_latest_wins(void)
{
    struct world world;
    struct cert *first = test_cert_for("a.example"), *second = test_cert_for("a.example"),
                *third = test_cert_for("a.example"), *other = test_cert_for("b.example");
    world_make(&world);
    export_put(world.export, SLICE_LIT("a.example"), false, first);
    export_put(world.export, SLICE_LIT("a.example"), false, second);
    export_put(world.export, SLICE_LIT("*.b.example"), true, other);
    export_put(world.export, SLICE_LIT("a.example"), false, third);
    wait_for(&world, "_rsa._wildcard.b.example", other);
    wait_for(&world, "a.example", third);
    while (kw_logged(&world.kw, "\"certificate_exported\"", third->serial) == 0)
        uv_run(&world.kw.uv, UV_RUN_ONCE);
    CHECK_INT(kw_logged(&world.kw, "\"certificate_exported\"", second->serial), 0); /* it was overtaken in the queue */
    CHECK(has(&world, "a.example", third));
    world_remove(&world);
    cert_unref(first);
    cert_unref(second);
    cert_unref(third);
    cert_unref(other);
}

static void placeholders_are_not_exported(void)
{
    struct world world;
    struct cert *placeholder = test_cert_for("a.example"), *issued = test_cert_for("b.example");
    placeholder->source = CERT_PLACEHOLDER;
    world_make(&world);
    export_put(world.export, SLICE_LIT("a.example"), false, placeholder);
    export_put(world.export, SLICE_LIT("b.example"), false, issued);
    wait_for(&world, "b.example", issued);
    CHECK(!has(&world, "a.example", placeholder));
    world_remove(&world);
    cert_unref(placeholder);
    cert_unref(issued);
}

static void what_fails_is_said_once_and_tried_again(void)
{
    struct world world;
    struct cert *a = test_cert_for("a.example"), *b = test_cert_for("b.example"), *newer = test_cert_for("a.example");
    char path[PATH_MAX];
    world_make(&world);
    snprintf(path, sizeof path, "%s/a.example", world.dir.path);
    FILE *file = fopen(path, "w"); /* in the way */
    CHECK(file && fclose(file) == 0);
    export_put(world.export, SLICE_LIT("a.example"), false, a);
    while (kw_logged(&world.kw, "\"export_failed\"", "a.example") == 0)
        uv_run(&world.kw.uv, UV_RUN_ONCE);
    uint64_t until = uv_hrtime() + 100 * UINT64_C(1000000); /* some more attempts */
    while (uv_hrtime() < until)
        uv_run(&world.kw.uv, UV_RUN_ONCE);
    CHECK_INT(kw_logged(&world.kw, "\"export_failed\"", NULL), 1);
    export_put(world.export, SLICE_LIT("b.example"), false, b); /* it does not wait for the other */
    wait_for(&world, "b.example", b);
    export_put(world.export, SLICE_LIT("a.example"), false, newer);
    CHECK(unlink(path) == 0);
    wait_for(&world, "a.example", newer);
    world_remove(&world);
    cert_unref(a);
    cert_unref(b);
    cert_unref(newer);
}

static void closed_with_work_under_way(void)
{
    struct world world;
    struct cert *cert = test_cert_for("a.example");
    world_make(&world);
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%d.example", i);
        export_put(world.export, slice_str(name), false, cert);
    }
    world_remove(&world);
    export_put(NULL, SLICE_LIT("a.example"), false, cert);
    export_close(NULL);
    cert_unref(cert);
}

int main(void)
{
    RUN(the_latest_wins);
    RUN(placeholders_are_not_exported);
    RUN(what_fails_is_said_once_and_tried_again);
    RUN(closed_with_work_under_way);
    return checks_done();
}
