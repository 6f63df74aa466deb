/* h2_session: nghttp2's server session for an h2_front: its options, its settings, and its callbacks, which count what a
 * client costs and hand the rest to the streams. */
#ifndef FRONT_H2_SESSION_H
#define FRONT_H2_SESSION_H

#include "front/h2_internal.h"

/* With our SETTINGS submitted. Freed with nghttp2_session_del. */
nghttp2_session *h2_session_new(struct h2_front *front);
/* What to tell a client whose bytes made nghttp2 give up. */
uint32_t h2_session_error_code(int nghttp2_err);

#endif
