/* export: EXPORT_DIR: hands certificates that are served to export_files, one after the other, on the disk's threads.
 *
 * Control thread. It owns its queue, in which a name stands once: the latest certificate wins. It never blocks the loop and
 * never ends: what fails is logged once, until something succeeds, and tried again every minute. */
#ifndef CERTS_EXPORT_H
#define CERTS_EXPORT_H

#include "base/log.h"
#include "net/net_loop.h"
#include "net/offload.h"
#include "tls/cert.h"

struct export;

struct export_options {
    const char *dir; /* copied */
    struct net_loop *loop;
    struct log_ring *log; /* NULL: no log */
    struct offload_pool *disk;
    struct offload_port *port;
    uint64_t retry_ms; /* 0: EXPORT_RETRY_MS */
};

enum { EXPORT_RETRY_MS = 60000, EXPORT_DIR_MODE = 0750 };

/* Makes the directory and those above it where there is none. Blocks; before the process confines itself. */
MUST_CHECK struct err export_make_dir(const char *dir);

struct export *export_new(const struct export_options *options);
/* The certificate is served for the name from now on. `second`: it is the RSA one beside another. Placeholders and
 * certificates for challenges are passed over. NULL is fine. */
void export_put(struct export *export, struct slice name, bool second, struct cert *cert);
/* What is queued is dropped, what runs is finished by itself. NULL is fine. */
void export_close(struct export *export);

#endif
