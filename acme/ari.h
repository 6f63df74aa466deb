/* ari: when the CA would like a certificate to be renewed (RFC 9773): the document, and the question.
 *
 * The question is an unauthenticated GET, asked only where the directory has renewalInfo (ACME-91); for it the directory is
 * read, but never an account made. It never decides when to renew or to ask again: that is renewal. One thread; the document's
 * functions are pure. */
#ifndef ACME_ARI_H
#define ACME_ARI_H

#include "acme/call.h"

enum {
    ARI_ASK_MIN_MS = 60 * 1000, /* ACME-95: how soon the CA may have us ask again, and how late */
    ARI_ASK_MAX_MS = 24 * 3600 * 1000,
    ARI_ASK_DEFAULT_MS = 6 * 3600 * 1000,
    ARI_MAX_URL_BYTES = 1024
};

struct ari_window {
    int64_t start_ms, end_ms;     /* wall clock; the end is not within */
    struct slice explanation_url; /* https or http, for a person to read; empty: none. Lives in the arena */
};

/* The RenewalInfo document (§4.2). ERR_INPUT where it is none, or ends before it begins (ACME-94). */
MUST_CHECK struct err ari_read(struct arena *arena, struct slice body, struct ari_window *out_window);
/* How long to wait before asking again: the answer's Retry-After within its limits, else six hours. */
int64_t ari_ask_again_ms(const struct acme_reply *reply, int64_t now_s);

enum ari_answer_kind {
    ARI_NONE, /* the CA has no renewalInfo: ask again when the directory may be another, after retry_after_ms */
    ARI_WINDOW,
    ARI_FAILED /* no answer, or none that makes sense: the problem says why */
};

/* Views, valid while `done` runs. */
struct acme_ari_answer {
    enum ari_answer_kind kind;
    struct ari_window window;
    int64_t retry_after_ms; /* of ARI_NONE and ARI_WINDOW: wait so long before asking again */
    const struct problem *problem;
};

/* Embedded by who asks; see call.h. */
struct acme_ari_query {
    struct acme_call call;
    struct buf id;
    struct acme_ari_answer answer;
    void (*done)(struct acme_ari_query *query, const struct acme_ari_answer *answer);
};

/* id: of the certificate, from chain_ari_id; copied. */
void acme_ari_ask(struct acme *acme, struct acme_ari_query *query, struct slice id,
                  void (*done)(struct acme_ari_query *query, const struct acme_ari_answer *answer));
/* No `done` after this. Harmless for a query that is idle (zeroed). */
void acme_ari_cancel(struct acme_ari_query *query);

#endif
