/* cert_dir: TLS_CERT_DIR, a directory of certificates of one's own with their keys.
 *
 * Pairs are found by their files' names, in the directory itself and in those right below it:
 *
 *     NAME.crt or NAME.pem       the certificate, and what signed it behind it
 *     NAME.key, NAME-key.pem     its key; where neither is there, it is in the certificate's own file
 *     fullchain.pem, privkey.pem as certbot names them
 *
 * Names that begin with a dot (`..data`), ca.crt, ca.pem and chain.pem, and cert.pem beside a fullchain.pem, are passed over,
 * as are all other files. What the PEM holds is not looked at but for its labels. Blocks on files. Any thread. */
#ifndef CONFIG_CERT_DIR_H
#define CONFIG_CERT_DIR_H

#include "config/build.h"

struct cert_dir_file {
    char *path;
    bool is_dir; /* the directory itself, or one right below it */
};

struct cert_dir {
    struct cert_dir_file *files; /* sorted by path: each directory before what it holds */
    size_t num;
};

/* Certificates, keys and directories. False: errno says why the directory cannot be read; ENFILE: it holds over
 * LIMIT_CERT_DIR_FILES. One below it that cannot be read is listed, and found out later. */
bool cert_dir_list(struct slice path, struct cert_dir *out_dir);
void cert_dir_cleanup(struct cert_dir *dir);

/* The row: config->tls.cert_dir and pairs. */
void cert_dir_apply(struct build *build, enum row row, struct slice text);

#endif
