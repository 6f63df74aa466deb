/* What the parts of the preflight share: preflight.c (questions, DNS, CAA), preflight_fetch.c (one address and where it
 * redirects to), preflight_words.c (what is said of it). One loop's thread. */
#ifndef CERTS_PREFLIGHT_INTERNAL_H
#define CERTS_PREFLIGHT_INTERNAL_H

#include "base/list.h"
#include "base/random.h"
#include "base/url.h"
#include "certs/caa.h"
#include "certs/preflight.h"
#include "client/probe.h"

struct preflight {
    struct preflight_options options;
    struct buf user_agent;
    struct probe_client *client;
    struct random_batch random;
    struct list waiting, running; /* of struct preflight_job */
    size_t num_running;
    struct deferred advance;
    struct grave grave;
};

/* What an address says in the end. */
enum fetch_verdict {
    FETCH_OURS,
    FETCH_ANY_ACCOUNT, /* well-formed, and our thumbprint is not known */
    FETCH_FOREIGN,     /* another account's thumbprint */
    FETCH_OTHER,       /* whatever else */
    FETCH_UNREACHABLE,
    FETCH_NO_ROUTE, /* this machine cannot get there, which says little of the CA */
    FETCH_REDIRECT_LOOP,
    FETCH_REDIRECT_REFUSED, /* to a place where no CA goes */
    FETCH_REDIRECT_LOST     /* to a name that has no address that we may contact */
};

/* One address of the name. */
struct preflight_fetch {
    struct preflight_job *job;
    struct address address; /* of the name; port 80 */
    struct address at;      /* asked now */
    struct buf url;         /* asked now */
    unsigned num_redirects;
    struct probe probe;
    struct dns_query query; /* of another host */
    enum dns_type asked;
};

struct preflight_job {
    struct preflight *preflight;
    struct list node;
    struct preflight_run *run;
    struct preflight_question question; /* its texts in the arena of findings */
    bool wildcard;
    struct findings findings;
    char token[PREFLIGHT_TOKEN_BYTES + 1];
    size_t num_pending; /* questions and fetches that run */
    struct dns_query query_a, query_aaaa, query_caa;
    enum dns_status status_a, status_aaaa;
    struct buf addresses; /* all of them, for a person */
    struct preflight_fetch fetches[PREFLIGHT_ADDRESSES];
    size_t num_fetches;
    struct slice caa_name; /* asked now: the name, or one above it */
};

/* preflight.c: one of those that run has ended. */
void preflight_job_ended_one(struct preflight_job *job);
bool preflight_may_contact(const struct preflight *preflight, const struct address *address);

/* preflight_fetch.c */
void preflight_fetch_start(struct preflight_fetch *fetch, struct preflight_job *job, const struct address *address);
void preflight_fetch_stop(struct preflight_fetch *fetch);

/* preflight_words.c: each adds a finding. */
void preflight_say_resolved(struct preflight_job *job);
void preflight_say_local(struct preflight_job *job, const struct address *address);
void preflight_say_fetched(const struct preflight_fetch *fetch, enum fetch_verdict verdict,
                           const struct probe_answer *answer);
/* answer: of job->caa_name; FOUND, or a failure. NULL: there is none up the tree. */
void preflight_say_caa(struct preflight_job *job, const struct dns_answer *answer);

#endif
