/* store_dir: the store of acme/store.h in a directory (its layout: dir_disk.h; atomicity: dir_journal.h).
 *
 * Control thread; all work on files is done on the pool that it is handed, and comes home over the port. It owns the
 * directory while it holds the lock, and never writes without it. What it adds to the contract:
 *
 * - Opening is asynchronous and is tried again every poll_ms until it succeeds; calls wait for the first attempt and end
 *   with its result while there is no success.
 * - The lock is the kernel's (dir_lock.h), asked for every poll_ms until granted: a standby takes over within that time.
 *   Records may have changed until then: whoever is granted reads again. `lost` comes when somebody replaces the lock's
 *   file (found out before each commit and every poll_ms); it is final until lock is called again.
 * - get and list run beside each other and beside commits; commits run one after another, in order. A get that follows a
 *   commit's `done` sees it. A list is no snapshot.
 * - Versions are hashes of the value. A value is text: neither empty nor with NUL bytes (DENIED), at most
 *   LIMIT_STORE_VALUE_BYTES; such bytes in a file are damage (CORRUPT). Writing what is there already writes nothing.
 * - What a commit replaces or removes below certificate/ is kept below previous/certificate/ and read by that key, unless
 *   the same commit says itself what is to be there (seal.h does: the same record in another form replaces nothing).
 * - watch (one at a time; NULL ends it) looks every poll_ms while we do not hold the lock. Ask for it before reading. */
#ifndef STORE_STORE_DIR_H
#define STORE_STORE_DIR_H

#include "acme/store.h"
#include "net/offload.h"
#include "store/dir_disk.h"

struct log_ring;

enum { STORE_DIR_POLL_MS = 1000 };

/* How it stands, for status, readiness and the choice not to order. */
struct store_dir_report {
    enum store_result reading; /* OK: open */
    enum store_result writing; /* OK: we hold the lock, and the last commit was no failure of the disk. FENCED: another
                                * process does, or nobody asked. Else: why not */
    enum store_dir_durability durability;
    const char *sentence; /* what is wrong, for a person; empty where nothing is */
};

struct store_dir_config {
    const char *path; /* copied */
    uv_loop_t *loop;
    struct offload_pool *disk;
    struct offload_port *port; /* of that loop; both must outlive the store's end */
    struct log_ring *log;      /* NULL: no log */
    unsigned poll_ms;          /* 0: STORE_DIR_POLL_MS */
    /* Called when the report changes, first after the first attempt to open; may be NULL. Valid during the call. */
    void (*reported)(void *ctx, const struct store_dir_report *report);
    void *ctx;
    struct dir_hook *hook; /* tests only: NULL */
};

/* store->ops->free: calls that wait are forgotten without `done`; a commit that runs is finished, then the lock is given
 * back, and the store frees itself on the loop. */
struct store *store_dir_new(const struct store_dir_config *config);

/* The last report; its sentence is valid until the next. */
struct store_dir_report store_dir_report(const struct store *store);
/* Of the file system below the directory; DURABLE until it is known. */
enum store_dir_durability store_dir_durability(const struct store *store);
/* "kept in memory", ... for the warning. */
const char *store_dir_durability_text(enum store_dir_durability durability);

#endif
