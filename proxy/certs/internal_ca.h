/* internal_ca: the built-in CA for names that no public CA signs: a root of ten years, made once per store, and leaves of
 * seven days. Both are ECDSA P-256; a root of the user's own may have any key that acme/key.h knows.
 *
 * Pure: no store, no clock of its own. Any thread; a struct internal_ca is immutable. The root's record (`internal-ca`)
 * is the keeper's to read and to write, with STORE_ABSENT. A record that cannot be read is an error and never leads to a
 * new root: people have told their machines to trust the old one. */
#ifndef CERTS_INTERNAL_CA_H
#define CERTS_INTERNAL_CA_H

#include "certs/x509_make.h"

enum {
    INTERNAL_CA_VERSION = 1,
    INTERNAL_CA_ROOT_DAYS = 3652, /* ten years */
    INTERNAL_CA_LEAF_S = 7 * 24 * 3600
};

struct internal_ca;

/* A new root with a name of its own ("Portico local CA 3f9c2b71"), from an hour before now_s (wall clock) on. */
MUST_CHECK struct err internal_ca_new(int64_t now_s, struct internal_ca **out_ca);
/* The value of the record: readable lines, key, certificate. SECRET. */
void internal_ca_write(const struct internal_ca *ca, struct buf *out);
/* ERR_INPUT for anything that internal_ca_write does not write; lines that it does not know are passed over. */
MUST_CHECK struct err internal_ca_read(struct slice record, struct internal_ca **out_ca);
/* INTERNAL_CA and INTERNAL_CA_KEY: a root of the user's own. ERR_INPUT: not one certificate, not self-signed, not a CA, or
 * the key is another's; err.what says which. */
MUST_CHECK struct err internal_ca_of_pem(struct slice certificate_pem, struct slice key_pem,
                                         struct internal_ca **out_ca);
void internal_ca_free(struct internal_ca *ca);

/* A leaf for 1 to X509_MAKE_NAMES names with a new key: an hour before now_s to seven days after the beginning, but never
 * beyond the root's own dates. ERR_STATE where the root is not valid at now_s; ERR_INPUT for names that are none. */
MUST_CHECK struct err internal_ca_issue(const struct internal_ca *ca, const struct slice *names, size_t num_names,
                                        int64_t now_s, struct x509_made *out_made);

/* For `portico ca`. Views that live as long as the CA. */
struct slice internal_ca_root_der(const struct internal_ca *ca);
struct slice internal_ca_name(const struct internal_ca *ca);        /* common name */
struct slice internal_ca_fingerprint(const struct internal_ca *ca); /* SHA-256 of the DER, lower-case hexadecimal */
int64_t internal_ca_not_after_s(const struct internal_ca *ca);

#endif
