/* trace: identifiers that follow a request through systems: X-Request-ID, and traceparent of W3C Trace Context.
 *
 * Pure but for the random bytes that it is handed; knows neither configuration nor heads. Any thread. */
#ifndef HTTP_TRACE_H
#define HTTP_TRACE_H

#include "base/random.h"
#include "base/slice.h"

enum {
    REQUEST_ID_BYTES = 32,  /* of those made here: 128 random bits as hex, the length of a trace id */
    TRACE_ID_BYTES = 32,    /* of a trace id in text */
    TRACEPARENT_BYTES = 55, /* of version 00 */
};

/* Visible ASCII, 1 to LIMIT_REQUEST_ID_BYTES of it: what may stand in a log, a field and a URL of a search unescaped. */
bool request_id_is_valid(struct slice id);
void request_id_make(struct random_batch *random, char out[REQUEST_ID_BYTES]);

/* W3C Trace Context §3.2.2: version-trace-parent-flags in lower-case hex, neither id all zeros, no version ff; a later
 * version may go on behind one more `-`. Views of the text. */
struct traceparent {
    struct slice trace_id, parent_id, flags;
};

bool traceparent_parse(struct slice text, struct traceparent *out_parent);
/* A parent id of our own in the trace that `from` names (§3.4: flags stay, the version becomes ours). NULL: in a new
 * trace, sampled: the backends' usual samplers take the flag for the decision, and one that nobody made must not silence
 * them. */
void traceparent_make(struct random_batch *random, const struct traceparent *from, char out[TRACEPARENT_BYTES]);

#endif
