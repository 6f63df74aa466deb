/* cert_files: a directory of certificates for tests, in a place of its own, as TLS_CERT_DIR takes it. */
#ifndef SUPPORT_CERT_FILES_H
#define SUPPORT_CERT_FILES_H

#include "tls/cert.h"

struct cert_files {
    char path[64];   /* of the directory */
    char entry[128]; /* "PORTICO_TLS_CERT_DIR=..." */
};

void cert_files_init(struct cert_files *files);
/* Removes the directory with all that is in it. */
void cert_files_cleanup(struct cert_files *files);
/* NAME.crt of the certificate, NAME.key of that one's key; replaced where they are there. */
void cert_files_put(const struct cert_files *files, const char *name, const struct cert *cert, const struct cert *key);
void cert_files_remove(const struct cert_files *files, const char *name);

/* "PREFIX" and the PEM of the certificate's chain or key, as an entry of an environment; mem_free by the caller. */
char *cert_files_chain(const char *prefix, const struct cert *cert);
char *cert_files_key(const char *prefix, const struct cert *cert);

#endif
