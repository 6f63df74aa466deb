/* csr: the certificate request of an order (RFC 2986, RFC 8555 §7.4). Pure but for the signature. Any thread. */
#ifndef ACME_CSR_H
#define ACME_CSR_H

#include "base/buf.h"
#include "base/err.h"

struct evp_pkey_st;

/* PKCS#10 in DER, appended: every name in the SAN (ACME-53, ACME-54), DNS names as dNSName, addresses as iPAddress (ACME-85).
 * The subject is empty, which the CA/Browser rules recommend; with_cn puts the first name there, where it is a DNS name of
 * at most 64 bytes (ACME-55): the amended request for a CA that insists (ACME-59). ERR_TLS. */
MUST_CHECK struct err csr_write(const struct evp_pkey_st *key, const struct slice *names, size_t num_names,
                                bool with_cn, struct buf *out);

#endif
