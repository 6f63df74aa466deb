#include "certs/export.h"

#include "acme/pem.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "certs/export_files.h"

#include "store/dir_disk.h"

#include <openssl/pool.h>

#include <sys/stat.h>

enum { EXPORT_BUSY_MS = 1000 }; /* the disk's threads have too much to do */

/* A name with something to be written: waiting -> (tick) -> due -> running -> gone, or waiting. */
struct export_entry {
    struct list node;  /* in due or waiting */
    char *name;        /* of its directory; the key in by_name */
    struct cert *cert; /* held; the latest */
};

/* Owns its input; the export is NULL where it was closed meanwhile. */
struct export_job {
    struct offload_job base;
    struct export *export;
    char *dir, *name;
    struct cert *cert; /* held */
    struct err err;
    struct export_done done;
};

struct export
{
    struct export_options options;
    char *dir;
    struct map by_name; /* struct export_entry: due and waiting */
    struct list due, waiting;
    struct export_job *job; /* runs */
    struct tick again;
    bool failure_said, owner_said;
    struct grave grave;
};

static void export_next(struct export *export);

/* ---- on the disk's thread ---- */

static void chain_write(const struct cert *cert, struct buf *out)
{
    for (size_t i = 0; i < cert->num_chain; i++)
        pem_write(out, "CERTIFICATE",
                  slice_make(CRYPTO_BUFFER_data(cert->chain[i]), CRYPTO_BUFFER_len(cert->chain[i])));
}

static void job_work(struct offload_job *base)
{
    struct export_job *job = container_of(base, struct export_job, base);
    struct buf chain = {0}, key = {0};
    chain_write(job->cert, &chain);
    buf_reserve(&key, 2 * job->cert->key_len + 128); /* at once: no copy of the key stays */
    pem_write(&key, "PRIVATE KEY", slice_make(job->cert->key_der, job->cert->key_len));
    job->err = export_files_put(job->dir, job->name, buf_slice(&chain), buf_slice(&key), &job->done);
    buf_cleanup(&chain);
    buf_cleanup_secret(&key);
}

/* ---- the queue ---- */

static void entry_free(struct export *export, struct export_entry *entry)
{
    list_remove(&entry->node);
    map_remove(&export->by_name, slice_str(entry->name));
    cert_unref(entry->cert);
    mem_free(entry->name);
    mem_free(entry);
}

static struct export_entry *entry_of(struct export *export, struct slice name)
{
    struct export_entry *entry = map_get(&export->by_name, name);
    if (entry)
        return entry;
    entry = MEM_NEW(struct export_entry);
    entry->name = mem_dup(name.ptr, name.len);
    list_init(&entry->node);
    map_put(&export->by_name, slice_str(entry->name), entry);
    return entry;
}

/* Takes the place of what is queued for that name. */
static void queue_put(struct export *export, struct list *queue, struct slice name, struct cert *cert)
{
    struct export_entry *entry = entry_of(export, name);
    cert_ref(cert);
    cert_unref(entry->cert);
    entry->cert = cert;
    list_remove(&entry->node);
    list_append(queue, &entry->node);
}

static void job_free(struct export_job *job)
{
    cert_unref(job->cert);
    mem_free(job->dir);
    mem_free(job->name);
    mem_free(job);
}

/* ---- results ---- */

static void say_exported(struct export *export, const struct export_job *job)
{
    export->failure_said = false;
    if (job->done.changed)
        LOG_INFO_EVENT(export->options.log, "certificate_exported", LOG_STR("directory", job->name),
                       LOG_STR("serial", job->cert->serial));
    if (job->done.owner_lost && !export->owner_said)
        LOG_WARN_EVENT(
            export->options.log, "export_owner_lost", LOG_STR("directory", job->name),
            LOG_STR("msg", "the files belong to Portico now, which has no right to give them to whom they belonged: "
                           "let it run in the group that reads them, and give PORTICO_EXPORT_DIR that group and "
                           "the setgid bit"));
    export->owner_said = export->owner_said || job->done.owner_lost;
}

static void say_failed(struct export *export, const struct export_job *job)
{
    if (!export->failure_said)
        LOG_ERROR_EVENT(
            export->options.log, "export_failed", LOG_STR("directory", job->name), LOG_ERR("error", job->err),
            LOG_STR("msg", "the certificate is served, but other programs do not get it: see to the rights and the "
                           "space of PORTICO_EXPORT_DIR; it is tried again every minute"));
    export->failure_said = true;
}

static void job_done(struct offload_job *base)
{
    struct export_job *job = container_of(base, struct export_job, base);
    struct export *export = job->export;
    if (export) {
        export->job = NULL;
        if (!err_is(job->err)) {
            say_exported(export, job);
        } else {
            say_failed(export, job);
            if (!map_get(&export->by_name, slice_str(job->name))) /* else a newer one is queued already */
                queue_put(export, &export->waiting, slice_str(job->name), job->cert);
        }
        export_next(export);
    }
    job_free(job);
}

static void export_wait(struct export *export, uint64_t ms)
{
    if (!tick_armed(&export->again))
        tick_start(&export->options.loop->ticker, &export->again, ms);
}

/* One at a time: another certificate of the same name must not overtake. */
static void export_next(struct export *export)
{
    if (!list_empty(&export->waiting))
        export_wait(export, export->options.retry_ms);
    if (export->job || list_empty(&export->due))
        return;
    struct export_entry *entry = container_of(list_first(&export->due), struct export_entry, node);
    struct export_job *job = MEM_NEW(struct export_job);
    *job = (struct export_job){.base = {.work = job_work, .done = job_done},
                               .export = export,
                               .dir = mem_strdup(export->dir),
                               .name = mem_strdup(entry->name),
                               .cert = cert_ref(entry->cert)};
    if (offload_submit(export->options.disk, export->options.port, &job->base)) {
        export->job = job;
        entry_free(export, entry);
    } else {
        job_free(job);
        export_wait(export, EXPORT_BUSY_MS);
    }
}

static void export_again(struct tick *tick)
{
    struct export *export = container_of(tick, struct export, again);
    LIST_EACH(&export->waiting, node)
    {
        list_remove(node);
        list_append(&export->due, node);
    }
    export_next(export);
}

void export_put(struct export *export, struct slice name, bool second, struct cert *cert)
{
    struct buf directory = {0};
    if (!export || cert->source == CERT_PLACEHOLDER || cert->source == CERT_CHALLENGE)
        return;
    export_files_name(name, second, &directory);
    queue_put(export, &export->due, buf_slice(&directory), cert);
    buf_cleanup(&directory);
    export_next(export);
}

/* ---- life ---- */

struct err export_make_dir(const char *dir)
{
    struct stat at;
    if (stat(dir, &at) == 0)
        return ERR_OK;
    struct err err = dir_disk_make_path(dir);
    if (!err_is(err) && chmod(dir, EXPORT_DIR_MODE) != 0)
        err = err_errno("set the mode of PORTICO_EXPORT_DIR");
    return err;
}

struct export *export_new(const struct export_options *options)
{
    struct export *export = MEM_NEW(struct export);
    export->options = *options;
    export->dir = mem_strdup(options->dir);
    if (export->options.retry_ms == 0)
        export->options.retry_ms = EXPORT_RETRY_MS;
    list_init(&export->due);
    list_init(&export->waiting);
    tick_init(&export->again, export_again);
    return export;
}

static void export_free(struct grave *grave)
{
    struct export *export = container_of(grave, struct export, grave);
    mem_free(export->dir);
    mem_free(export);
}

void export_close(struct export *export)
{
    if (!export)
        return;
    if (export->job)
        export->job->export = NULL;
    tick_stop(&export->again);
    LIST_EACH(&export->due, node)
    entry_free(export, container_of(node, struct export_entry, node));
    LIST_EACH(&export->waiting, node)
    entry_free(export, container_of(node, struct export_entry, node));
    map_cleanup(&export->by_name);
    graveyard_bury(&export->options.loop->graveyard, &export->grave, export_free);
}
