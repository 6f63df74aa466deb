/* problem: what went wrong, in the CA's words and in ours (RFC 7807, RFC 8555 §6.7), and what it means for the next
 * attempt. One table sorts every type into six classes.
 *
 * A struct problem is a value whose slices live in an arena that its maker names. Any thread. It never decides when to
 * try again: that is backoff. */
#ifndef ACME_PROBLEM_H
#define ACME_PROBLEM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum problem_class {
    PROBLEM_TRANSIENT,  /* network, 5xx, badNonce, an unknown type: try again soon */
    PROBLEM_LATER,      /* rateLimited, 503, Retry-After: try again when the CA says */
    PROBLEM_PERMANENT,  /* this name as it stands: try daily, or when its configuration changes */
    PROBLEM_VALIDATION, /* the CA could not validate the name: counts against its five per hour */
    PROBLEM_ACCOUNT,    /* concerns every name of the account: terms, EAB, deactivated */
    PROBLEM_LOCAL       /* here: storage, clock, a chain that we refuse */
};

/* What was being asked when the answer came: `unauthorized` means another thing in each. */
enum problem_place { PROBLEM_AT_ACCOUNT, PROBLEM_AT_ORDER, PROBLEM_AT_VALIDATION };

struct problem_sub {
    struct slice identifier; /* empty where the CA names none */
    struct slice type, detail;
};

enum { PROBLEM_MAX_SUBS = 100, PROBLEM_MAX_ALGORITHMS = 16, PROBLEM_MAX_DETAIL_BYTES = 2048 };

struct problem {
    enum problem_class class;
    int status;          /* HTTP status of the answer; 0 where there was none */
    struct slice type;   /* "rateLimited": without urn:ietf:params:acme:error:; another URI in whole; empty for none */
    struct slice detail; /* the CA's words, or ours; cut at PROBLEM_MAX_DETAIL_BYTES */
    struct slice instance;   /* a URL to visit (userActionRequired, a paused name), or empty */
    struct slice terms_url;  /* Link rel="terms-of-service" of the answer, or empty */
    struct slice algorithms; /* of badSignatureAlgorithm: joined by ", " (ACME-10), or empty */
    bool paused;             /* the CA takes no order for the name until somebody has visited `instance` (ACME-108) */
    struct problem_sub *subs;
    size_t num_subs;
    int64_t retry_after_ms; /* how long the CA asks us to wait from its answer on; 0: it does not say */
    struct err err;         /* with no answer, or a failure of our own */
};

struct acme_reply;

/* The problem of an answer that is not the one hoped for: a problem document, another error status, no answer at all,
 * or (reply->status below 400) one that makes no sense there. Never fails: what cannot be read is TRANSIENT with its
 * status (ACME-22). now_s: wall clock, for a Retry-After that is a date. */
struct problem problem_of_reply(struct arena *arena, const struct acme_reply *reply, enum problem_place place,
                                int64_t now_s);

struct json;
/* The problem within a document: the `error` of an order or a challenge. NULL gives one that says that no reason was given. */
struct problem problem_of_json(struct arena *arena, const struct json *json, enum problem_place place);

/* A failure of our own: `detail` is a sentence without its full stop. */
struct problem problem_local(struct arena *arena, enum problem_class class, struct err err, struct slice detail);

/* A deep copy. */
struct problem problem_copy(struct arena *arena, const struct problem *problem);

/* The table: a type (without its prefix) and a status to a class. */
enum problem_class problem_classify(struct slice type, int status, enum problem_place place);
const char *problem_class_name(enum problem_class class);
/* "transient", ... back to the class; unknown words are TRANSIENT. */
enum problem_class problem_class_from_name(struct slice name);

bool problem_is(const struct problem *problem, const char *type);

/* What happened, each subproblem with its identifier (ACME-21), and what to do where we know it; without a full stop. */
void problem_write_sentence(struct buf *out, const struct problem *problem);

#endif
