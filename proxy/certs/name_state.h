/* name_state: what is remembered of a name between two attempts and over restarts: the instant chosen for its renewal, its
 * back-off and its last problem. As JSON it is the record state/NAME. Owns its texts. Pure; one thread.
 *
 * A state that cannot be read is no state: at worst a name is tried once too soon. It never holds a secret. */
#ifndef CERTS_NAME_STATE_H
#define CERTS_NAME_STATE_H

#include "acme/backoff.h"
#include "acme/ledger.h"
#include "acme/renewal.h"

/* Whether the order of the last renewal came within the window that the CA had suggested. */
enum name_window { NAME_WINDOW_NONE, NAME_WINDOW_MET, NAME_WINDOW_MISSED, NUM_NAME_WINDOWS };

/* "none", "met", "missed" */
const char *name_window_text(enum name_window window);

struct name_state {
    struct backoff backoff;       /* at the first directory */
    struct backoff fallback;      /* at the one behind it */
    bool held;                    /* not renewed until somebody asks for it */
    int64_t num_ca_failures;      /* at the first, in a row, that are the CA's doing */
    int64_t renew_at_ms;          /* wall clock; 0: not chosen */
    int64_t renew_permille;       /* the setting by which it was chosen */
    struct buf serial;            /* of the certificate that it was chosen for, as were the next four */
    struct renewal_window window; /* in which the CA wants it to be renewed */
    struct buf explanation;       /* URL of why; empty: none */
    int64_t ask_at_ms;            /* wall clock: when to ask for the window again; 0: at once */
    int64_t num_ask_failures;     /* in a row */
    enum name_window window_met;
    bool after_past;                            /* the window of the certificate before was past from the first */
    struct ledger_name ledger, fallback_ledger; /* what is used of the limits of both CAs */
    struct buf directory_url, fallback_url;     /* where the failures happened; another directory starts afresh */
    struct buf setup;                           /* what was ordered, and how, when it failed last: name_setup_write */
    struct buf failed_challenge; /* the type that failed last: orders prefer the others from then on (ACME-47) */
    struct buf ordered_by;       /* the wishes by which the certificate of `serial` was ordered: name_wishes_write */
    struct buf challenge;        /* the type that was answered last, for people */
    struct buf problem_class, problem_type, problem_detail, problem_sentence; /* empty: none */
    struct buf hint; /* what the last preflight found wrong, beside the CA's own words; empty: nothing */
};

void name_state_cleanup(struct name_state *state);
/* As if it had never failed; what is remembered of its certificate stays, and which challenge failed last: what works is
 * kept to. */
void name_state_forgive(struct name_state *state);
/* What a CA said of another certificate. */
void name_state_forget_window(struct name_state *state);
void name_state_write(const struct name_state *state, struct buf *out);
/* Replaces *state. False where the text makes no sense: it is empty then. */
bool name_state_read(struct name_state *state, struct slice text);
void name_state_set_problem(struct name_state *state, const struct problem *problem, struct slice sentence);
void name_state_clear_problem(struct name_state *state);
/* Replaces what a buf holds. */
void name_state_keep(struct buf *kept, struct slice text);

#endif
