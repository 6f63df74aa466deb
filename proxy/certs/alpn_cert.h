/* alpn_cert: what TLS-ALPN-01 (RFC 8737, RFC 8738 §6 for addresses) asks a server to show: by which name, and which
 * certificate. Pure. Any thread. A key and a signature take some 0.1 ms. */
#ifndef CERTS_ALPN_CERT_H
#define CERTS_ALPN_CERT_H

#include "base/buf.h"
#include "tls/cert.h"

/* Appends the SNI by which a CA asks: the name itself, or an address in in-addr.arpa or ip6.arpa (ACME-87). */
void alpn_cert_write_sni(struct slice name, struct buf *out);

/* A new key and its certificate: self-signed, the subject its issuer, one subjectAltName that is `name`, and the critical
 * acmeIdentifier with the SHA-256 of the key authorization (ACME-77, ACME-78, ACME-80). It is good for a week around now_s
 * (wall clock): nobody is known to look. name: an identifier as it was ordered, in lower case, no wildcard: ERR_INPUT. */
MUST_CHECK struct err alpn_cert_make(struct slice name, struct slice key_authorization, int64_t now_s,
                                     struct cert **out_cert);

#endif
