/* cert_fields: how a backend is told of its client's certificate, and that nobody else tells it (HARDENING T8).
 *
 * X-SSL-Client-Verify, X-SSL-Client-S-DN and X-SSL-Client-Fingerprint as NGINX is usually set up to send them, and
 * Client-Cert (RFC 9440). Pure. Any thread. */
#ifndef HTTP_CERT_FIELDS_H
#define HTTP_CERT_FIELDS_H

#include "http/head.h"

/* Of a connection whose client was asked. Borrowed; texts without control bytes, all empty where it sent none. */
struct cert_fields {
    bool verified;
    struct slice subject;     /* RFC 4514; may be empty */
    struct slice fingerprint; /* SHA-256, hex */
    struct slice client_cert; /* RFC 9440 §2.2 */
};

/* Whether a field of that name would be taken for one of these: X-SSL-Client and all that begins so, Client-Cert,
 * Client-Cert-Chain, in any case. */
bool cert_fields_has(const struct field *field);
/* Appends them: SUCCESS with what there is, or NONE alone. */
void cert_fields_put(const struct cert_fields *cert, struct fields *out, struct arena *arena);

#endif
