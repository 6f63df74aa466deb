/* Certificates for tests: self-signed, P-256 or RSA-2048, made on the spot. */
#ifndef SUPPORT_TEST_CERT_H
#define SUPPORT_TEST_CERT_H

#include "tls/cert.h"

#include <stdbool.h>

/* For the DNS names given (NULL at the end); valid from an hour ago for valid_s. Aborts where it cannot be made. */
struct cert *test_cert_new(const char *const *names, bool rsa, long valid_s);
struct cert *test_cert_for(const char *name);
/* With a P-384 key. */
struct cert *test_cert_p384(const char *name);

#endif
