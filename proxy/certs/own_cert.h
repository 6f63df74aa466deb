/* own_cert: TLS_CERT and TLS_KEY, a certificate of the user's own, as a struct cert. Pure. Any thread. */
#ifndef CERTS_OWN_CERT_H
#define CERTS_OWN_CERT_H

#include "base/buf.h"
#include "config/config.h"
#include "tls/cert.h"

/* Both are given. The PEM of the key may hold certificates too and the other way round: files of both kinds exist. On
 * failure *out_mistake gets a sentence that names the variable. An expired certificate is none. */
MUST_CHECK struct err own_cert_new(const struct config *config, struct cert **out_cert, struct buf *out_mistake);

#endif
