/* self_test: does a certificate work before anybody is served with it? A whole TLS handshake in memory, both sides
 * BoringSSL, over a pair of BIOs. Takes about half a millisecond (2 with an RSA key). Pure. Any thread. */
#ifndef CERTS_SELF_TEST_H
#define CERTS_SELF_TEST_H

#include "tls/cert.h"

/* ERR_OK where a client that asks for `name` by SNI completes a handshake, is shown exactly this leaf, and the leaf
 * covers the name. It does not look at dates or trust. */
MUST_CHECK struct err self_test(const struct cert *cert, struct slice name);

#endif
