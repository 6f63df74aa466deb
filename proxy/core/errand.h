/* errand: what a command needs that looks at the world by itself, beside a running process or without one: a loop of its own
 * with DNS, the way to the CA, and what is stored, to be read. One thread and those of two small pools.
 *
 * It takes no lock, writes no record and makes no directory: a storage that is not there stays away. */
#ifndef CORE_ERRAND_H
#define CORE_ERRAND_H

#include "acme/store.h"
#include "acme/transport.h"
#include "base/buf.h"
#include "config/config.h"
#include "net/dns.h"

struct errand;

/* Holds a reference of config. On failure (ACME_CA, HTTPS_PROXY cannot work) *out_mistake gets a sentence. */
MUST_CHECK struct err errand_new(const struct config *config, const char *version, struct errand **out_errand,
                                 struct buf *out_mistake);
struct net_loop *errand_loop(struct errand *errand);
struct dns *errand_dns(struct errand *errand);
/* NULL: there is no such directory. */
struct store *errand_store(struct errand *errand);
/* NULL: the configuration has no ACME directory. */
struct transport *errand_transport(struct errand *errand);
/* Until *done, or nothing is left that could set it. */
void errand_run(struct errand *errand, const bool *done);
/* Whatever the caller made on the loop has ended or been freed; its handles may still be closing. */
void errand_free(struct errand *errand);

#endif
