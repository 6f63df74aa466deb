/* tls_figures: which counters a handshake moves: how it ended, by a bounded set of suites and reasons. Worker's thread;
 * the names may be asked for from any. */
#ifndef TLS_TLS_FIGURES_H
#define TLS_TLS_FIGURES_H

#include "base/counters.h"
#include "base/err.h"

/* One that was established. cipher: the RFC's name (tls_server_cipher). */
void tls_count_handshake(struct counters *counters, const char *cipher, bool resumed);
enum tls_ending {
    TLS_ENDED_BY_ERR, /* of TLS, or of the connection; ERR_OK: the client left */
    TLS_ENDED_BY_TIME,
    TLS_ENDED_AS_OTHER_PROTOCOL /* it never began */
};

/* One that was not. */
void tls_count_failure(struct counters *counters, struct err err, enum tls_ending ending);

struct tls_suite {
    const char *version, *cipher; /* "TLSv1.3", the RFC's name; "other" where it is none of those that we offer */
};

/* i < NUM_TLS_SUITES: that of COUNTER_SUITES + i (full) and COUNTER_SUITES + NUM_TLS_SUITES + i (resumed). */
struct tls_suite tls_suite_at(unsigned i);
/* i < NUM_TLS_FAILURES: the reason of COUNTER_TLS_FAILURES + i, "unknown_name". */
const char *tls_failure_text(unsigned i);

#endif
