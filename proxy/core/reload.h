/* reload: when the configuration is read again, and what is said of it.
 *
 * On SIGHUP, and when a file that it comes from has changed (core/watch), the environment's files are read on a thread of
 * their own; whether and how the result comes into service is the owner's (core/replace). A mistake refuses the whole: what
 * runs goes on. Reloads come one after another, never one within another. The process's environment itself cannot
 * change. Control thread; frees itself. */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include "config/config.h"
#include "net/net_loop.h"
#include "net/offload.h"

struct reload;

struct reload_options {
    struct net_loop *loop;
    struct log_ring *log;
    struct offload_pool *disk;
    struct offload_port *port;
    uint64_t poll_ms;               /* of core/watch; 0: its own */
    const char *const *environment; /* outlives the reload, reads in flight too */
    void *ctx;
    const struct config *(*current)(void *ctx);
    /* Puts it into service, whole or not at all; false: mistakes have at least one. It holds what it needs of `next`. */
    bool (*put)(void *ctx, const struct config *next, struct config_mistakes *mistakes);
    /* Whatever is known beyond the mistakes' own words of why they are. May be NULL. */
    void (*explain)(void *ctx, struct config_mistakes *mistakes);
    /* Around each reload that was asked for, and each that finds another configuration: for whoever has to be told. May be
     * NULL. */
    void (*begun)(void *ctx);
    void (*ended)(void *ctx, bool replaced);
};

struct reload *reload_new(const struct reload_options *options);
/* From here on files are watched; what was asked for before is done now. */
void reload_start(struct reload *reload);
/* SIGHUP: reads again even where no file seems to have changed, and answers in the log in any case. */
void reload_ask(struct reload *reload);
/* Reads nothing any more; a read in flight comes to nothing. Frees. NULL is fine. */
void reload_close(struct reload *reload);

#endif
