/* doctor: why certificates will not come, or did not: what is stored of the account and the names, the CA's directory with its
 * terms, its wish for an external account and its clock, and a preflight of each name (preflight.h). It asks and reads; it
 * orders nothing and writes nothing. The only thread of `portico doctor`, or control.
 *
 * What a process that runs knows of its names is handed in; without one, what is stored counts. */
#ifndef CERTS_DOCTOR_H
#define CERTS_DOCTOR_H

#include "acme/store.h"
#include "acme/transport.h"
#include "base/clock.h"
#include "certs/finding.h"
#include "certs/preflight.h"
#include "config/config.h"

struct doctor;

enum {
    DOCTOR_SKEW_MS = 5 * 60 * 1000,    /* of our clock against the CA's: odd */
    DOCTOR_INVALID_MS = 60 * 60 * 1000 /* CAs date certificates back by so much: beyond, new ones are not valid yet */
};

/* How a name stands, as a process that runs tells it. */
struct doctor_known {
    struct slice source, issuer;                  /* of the certificate served; empty: none is */
    int64_t not_after_s, next_s;                  /* next_s: of the next attempt; 0: none is planned */
    struct slice problem_class, problem_sentence; /* of the last failure; empty: none */
};

/* Copied; what it points at outlives the doctor. */
struct doctor_options {
    struct net_loop *loop;
    const struct config *config;
    const struct clock *clock;
    struct dns *dns;
    struct preflight *preflight;
    struct store *store;         /* NULL: there is no storage yet */
    struct transport *transport; /* NULL: the configuration has no ACME directory */
    struct slice name;           /* this one alone; empty: all */
    bool running;                /* a process does; `known` tells what it knows */
    void *ctx;
    /* False: it does not know the name. Views, valid until the doctor is freed. */
    bool (*known)(void *ctx, struct slice name, struct doctor_known *out_known);
    /* Once, never from within doctor_start. findings are the doctor's. */
    void (*done)(void *ctx, const struct findings *findings);
};

struct doctor *doctor_start(const struct doctor_options *options);
/* Behind `done`, not from within. */
void doctor_free(struct doctor *doctor);

#endif
