#include "config/cert_dir.h"

#include "base/limits.h"
#include "base/mem.h"
#include "config/apply.h"
#include "config/env_dir.h"
#include "config/mistakes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* ---- what there is ---- */

static bool is_dir(const char *path)
{
    struct stat at;
    return stat(path, &at) == 0 && S_ISDIR(at.st_mode);
}

static bool ends(struct slice name, const char *suffix)
{
    return slice_ends(name, slice_str(suffix)) && name.len > strlen(suffix);
}

static bool is_file_of_ours(struct slice name)
{
    static const char *const others[] = {"ca.crt", "ca.pem", "chain.pem"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (slice_eq(name, slice_str(others[i])))
            return false;
    return ends(name, ".crt") || ends(name, ".pem") || ends(name, ".key");
}

/* Takes the path over. NOLINTNEXTLINE(readability-non-const-parameter) */
static void file_add(struct cert_dir *dir, char *path, bool directory)
{
    dir->files = mem_realloc(dir->files, (dir->num + 1) * sizeof *dir->files);
    dir->files[dir->num++] = (struct cert_dir_file){path, directory};
}

static char *path_join(const char *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    return buf_take(&path);
}

/* The files of one directory, and, with `down`, those of the directories in it. */
static bool dir_add(struct cert_dir *dir, const char *path, bool down)
{
    struct dirent *entry;
    DIR *stream = opendir(path);
    if (!stream)
        return false;
    while (dir->num <= LIMIT_CERT_DIR_FILES && (entry = readdir(stream))) {
        if (entry->d_name[0] == '.')
            continue;
        char *found = path_join(path, entry->d_name);
        if (down && is_dir(found)) {
            file_add(dir, found, true);
            (void)dir_add(dir, found, false); /* what cannot be read there is said when it is asked for */
        } else if (is_file_of_ours(slice_str(entry->d_name))) {
            file_add(dir, found, false);
        } else {
            mem_free(found);
        }
    }
    closedir(stream);
    return true;
}

static int files_compare(const void *a, const void *b)
{
    return strcmp(((const struct cert_dir_file *)a)->path, ((const struct cert_dir_file *)b)->path);
}

bool cert_dir_list(struct slice path, struct cert_dir *out_dir)
{
    struct cert_dir dir = {0};
    file_add(&dir, mem_dup(path.ptr, path.len), true);
    bool listed = dir_add(&dir, dir.files[0].path, true);
    if (listed && dir.num > LIMIT_CERT_DIR_FILES) {
        errno = ENFILE;
        listed = false;
    }
    int saved = errno;
    if (!listed)
        cert_dir_cleanup(&dir);
    else
        qsort(dir.files, dir.num, sizeof *dir.files, files_compare);
    *out_dir = dir;
    errno = saved;
    return listed;
}

void cert_dir_cleanup(struct cert_dir *dir)
{
    for (size_t i = 0; i < dir->num; i++)
        mem_free(dir->files[i].path);
    mem_free(dir->files);
    *dir = (struct cert_dir){0};
}

/* ---- pairs ---- */

struct pairing {
    struct build *build;
    const struct cert_dir *dir;
    bool *used; /* by file: of keys */
};

static struct slice stem_of(const char *path, size_t suffix_len)
{
    struct slice text = slice_str(path);
    return slice_first(text, text.len - suffix_len);
}

/* Index of the file, or their number. */
static size_t file_find(const struct cert_dir *dir, struct slice stem, const char *suffix)
{
    size_t i = 0;
    for (; i < dir->num; i++) {
        struct slice path = slice_str(dir->files[i].path);
        if (path.len == stem.len + strlen(suffix) && slice_starts(path, stem) && slice_ends(path, slice_str(suffix)))
            break;
    }
    return i;
}

static struct slice name_of(const char *path)
{
    return slice_str(strrchr(path, '/') + 1);
}

static bool is_key(const char *path)
{
    struct slice name = name_of(path);
    return ends(name, ".key") || ends(name, "-key.pem") || slice_eq(name, SLICE_LIT("privkey.pem"));
}

/* certbot's cert.pem is the first certificate of the fullchain.pem beside it. */
static bool is_passed_over(const struct cert_dir *dir, const char *path)
{
    struct slice name = name_of(path);
    return slice_eq(name, SLICE_LIT("cert.pem")) && file_find(dir, stem_of(path, name.len), "fullchain.pem") < dir->num;
}

/* Index of the key's file, or their number: it is in the certificate's own. */
static size_t key_find(const struct cert_dir *dir, const char *path)
{
    struct slice name = name_of(path), stem = stem_of(path, strlen(".crt"));
    if (slice_eq(name, SLICE_LIT("fullchain.pem")))
        return file_find(dir, stem_of(path, name.len), "privkey.pem");
    size_t key = file_find(dir, stem, ".key");
    return key < dir->num ? key : file_find(dir, stem, "-key.pem");
}

static void refuse(const struct pairing *pairing, const char *path, const char *why)
{
    mistakes_add(pairing->build->mistakes, row_name(ROW_TLS_CERT_DIR), slice_str(path), NULL, "%s", why);
    pairing->build->environment.entries[ROW_TLS_CERT_DIR].failed = true;
}

/* False: a mistake has been added. */
static bool pem_read(const struct pairing *pairing, const char *path, const char *label, struct config_pem *out_pem)
{
    struct buf text = {0};
    char failure[128], why[160];
    const char *refusal = why;
    if (!env_file_read(path, &text))
        snprintf(why, sizeof why, "cannot be read: %s", env_file_failure(errno, failure, sizeof failure));
    else
        refusal = text.len ? parse_pem(buf_slice(&text), label) : "is empty";
    if (refusal)
        refuse(pairing, path, refusal);
    else
        *out_pem = (struct config_pem){.text = slice_make(mem_dup(text.ptr, text.len), text.len),
                                       .path = arena_copy(&pairing->build->config->arena, slice_str(path))};
    buf_cleanup_secret(&text);
    return !refusal;
}

static void pair_add(const struct pairing *pairing, const char *path)
{
    struct config *config = pairing->build->config;
    struct config_pair *pair =
        &config->tls.pairs[config->tls.num_pairs++]; /* also where it fails: what it has is freed */
    struct config_value *value = &config->values[ROW_TLS_CERT_DIR];
    size_t key = key_find(pairing->dir, path);
    if (key < pairing->dir->num)
        pairing->used[key] = true;
    if (!pem_read(pairing, path, "CERTIFICATE", &pair->cert))
        return;
    if (key == pairing->dir->num && parse_pem(pair->cert.text, "PRIVATE KEY"))
        refuse(pairing, path, "has no private key in it, nor beside it in a file of the same name that ends in .key");
    else if (pem_read(pairing, key < pairing->dir->num ? pairing->dir->files[key].path : path, "PRIVATE KEY",
                      &pair->key))
        value->digest = map_hash(pair->key.text, map_hash(pair->cert.text, value->digest));
}

static void keys_check(const struct pairing *pairing)
{
    for (size_t i = 0; i < pairing->dir->num; i++)
        if (!pairing->dir->files[i].is_dir && is_key(pairing->dir->files[i].path) && !pairing->used[i])
            refuse(pairing, pairing->dir->files[i].path,
                   "is a key without its certificate, a file of the same name that ends in .crt or .pem");
}

static void pairs_read(struct build *build, const struct cert_dir *dir)
{
    struct config *config = build->config;
    struct pairing pairing = {.build = build, .dir = dir, .used = mem_calloc(dir->num, sizeof(bool))};
    config->tls.pairs = arena_calloc(&config->arena, dir->num, sizeof *config->tls.pairs);
    for (size_t i = 0; i < dir->num; i++) {
        const char *path = dir->files[i].path;
        if (!dir->files[i].is_dir && !is_key(path) && !is_passed_over(dir, path))
            pair_add(&pairing, path);
    }
    keys_check(&pairing);
    mem_free(pairing.used);
}

void cert_dir_apply(struct build *build, enum row row, struct slice text)
{
    struct cert_dir dir;
    char failure[128], why[160];
    apply_path(build, row, text);
    if (build_failed(build, row))
        return;
    if (cert_dir_list(build->config->tls.cert_dir, &dir)) {
        pairs_read(build, &dir);
        cert_dir_cleanup(&dir);
        return;
    }
    snprintf(why, sizeof why, "cannot be read: %s",
             errno == ENFILE ? "it holds more than 2048 files" : strerror_r(errno, failure, sizeof failure));
    build_mistake(build, row, build->config->tls.cert_dir, why);
}
