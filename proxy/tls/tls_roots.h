/* tls_roots: trusted certificates from PEM text, for either side of TLS. Pure. Any thread. */
#ifndef TLS_TLS_ROOTS_H
#define TLS_TLS_ROOTS_H

#include "base/err.h"
#include "base/slice.h"

#include <openssl/base.h>

/* Adds every certificate of the text to the store; other kinds of PEM blocks are skipped. ERR_INPUT where one cannot be
 * parsed or there is none at all: what was meant to be trusted is never left out silently. */
MUST_CHECK struct err tls_roots_add(X509_STORE *store, struct slice pem);

#endif
