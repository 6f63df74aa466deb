#include "cert_files.h"

#include "acme/pem.h"
#include "base/buf.h"
#include "base/mem.h"

#include <openssl/pool.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void cert_files_init(struct cert_files *files)
{
    snprintf(files->path, sizeof files->path, "/tmp/cert_files.XXXXXX");
    if (!mkdtemp(files->path))
        abort();
    snprintf(files->entry, sizeof files->entry, "PORTICO_TLS_CERT_DIR=%s", files->path);
}

static int entry_remove(const char *path, const struct stat *at, int kind, struct FTW *walk)
{
    (void)at, (void)kind, (void)walk;
    return remove(path);
}

void cert_files_cleanup(struct cert_files *files)
{
    nftw(files->path, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

char *cert_files_chain(const char *prefix, const struct cert *cert)
{
    struct buf text = {0};
    buf_append_str(&text, prefix);
    for (size_t i = 0; i < cert->num_chain; i++)
        pem_write(&text, "CERTIFICATE",
                  slice_make(CRYPTO_BUFFER_data(cert->chain[i]), CRYPTO_BUFFER_len(cert->chain[i])));
    return buf_take(&text);
}

char *cert_files_key(const char *prefix, const struct cert *cert)
{
    struct buf text = {0};
    buf_append_str(&text, prefix);
    pem_write(&text, "PRIVATE KEY", slice_make(cert->key_der, cert->key_len));
    return buf_take(&text);
}

static void path_of(const struct cert_files *files, const char *name, const char *suffix, char out[160])
{
    snprintf(out, 160, "%s/%s%s", files->path, name, suffix);
}

/* Takes the text over. */
static void file_put(const struct cert_files *files, const char *name, const char *suffix, char *text)
{
    char path[160];
    path_of(files, name, suffix, path);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
    mem_free(text);
}

void cert_files_put(const struct cert_files *files, const char *name, const struct cert *cert, const struct cert *key)
{
    file_put(files, name, ".crt", cert_files_chain("", cert));
    file_put(files, name, ".key", cert_files_key("", key));
}

void cert_files_remove(const struct cert_files *files, const char *name)
{
    char path[160];
    path_of(files, name, ".crt", path);
    unlink(path);
    path_of(files, name, ".key", path);
    unlink(path);
}
