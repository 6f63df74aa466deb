/* tls_figures: which counters a handshake moves: how it ended, by a bounded set of suites and reasons. Worker's thread;
 * the names may be asked for from any. */
#ifndef TLS_TLS_FIGURES_H
#define TLS_TLS_FIGURES_H

#include "base/counters.h"
#include "base/err.h"

/* One that was established. cipher: the RFC's name (tls_server_cipher). */
void tls_count_handshake(struct counters *counters, const char *cipher, bool resumed);
/* One that was not. err: what ended the connection; timed_out: we did, as it took too long. */
void tls_count_failure(struct counters *counters, struct err err, bool timed_out);

struct tls_suite {
    const char *version, *cipher; /* "TLSv1.3", the RFC's name; "other" where it is none of those that we offer */
};

/* i < NUM_TLS_SUITES: that of COUNTER_SUITES + i (full) and COUNTER_SUITES + NUM_TLS_SUITES + i (resumed). */
struct tls_suite tls_suite_at(unsigned i);
/* i < NUM_TLS_FAILURES: the reason of COUNTER_TLS_FAILURES + i, "unknown_name". */
const char *tls_failure_text(unsigned i);

#endif
