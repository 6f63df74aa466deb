/* placeholder: what a name is served with until it has a certificate: self-signed, for a day, by the name of "Portico
 * placeholder", so that nobody takes it for anything else. Never stored, never trusted. Pure. Any thread. */
#ifndef CERTS_PLACEHOLDER_H
#define CERTS_PLACEHOLDER_H

#include "certs/x509_make.h"

#define PLACEHOLDER_COMMON_NAME "Portico placeholder"

enum { PLACEHOLDER_LIFETIME_S = 24 * 3600 };

/* For 1 to X509_MAKE_NAMES names, valid for a day around now_s (wall clock), an hour of it in the past. ERR_INPUT, ERR_TLS;
 * *out_made is written on success alone. */
MUST_CHECK struct err placeholder_make(const struct slice *names, size_t num_names, int64_t now_s,
                                       struct x509_made *out_made);

#endif
