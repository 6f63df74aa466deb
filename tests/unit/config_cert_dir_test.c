/* TLS_CERT_DIR: which files make a pair, what is passed over, what is a mistake, and that a change of any is one. */
#include "check.h"

#include "base/mem.h"
#include "config/config.h"
#include "config/diff.h"
#include "config/sources.h"

#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CERT "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
#define KEY "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

/* A directory with the given files: name and text in turn, NULL at the end; a name that ends in a slash is a directory. */
static char *dir_make(const char *const *files)
{
    char *dir = mem_strdup("/tmp/cert_dir_test.XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    for (; files[0]; files += 2) {
        struct buf path = {0};
        buf_printf(&path, "%s/%s", dir, files[0]);
        if (slice_ends(buf_slice(&path), SLICE_LIT("/"))) {
            CHECK(mkdir(buf_cstr(&path), 0700) == 0);
        } else if (files[1][0] == '@') {
            CHECK(symlink(files[1] + 1, buf_cstr(&path)) == 0);
        } else {
            FILE *file = fopen(buf_cstr(&path), "w");
            CHECK(file && fputs(files[1], file) >= 0 && fclose(file) == 0);
        }
        buf_cleanup(&path);
    }
    return dir;
}

#define DIR_MAKE(...) dir_make((const char *const[]){__VA_ARGS__, NULL})

static int entry_remove(const char *path, const struct stat *at, int kind, struct FTW *walk)
{
    (void)at, (void)kind, (void)walk;
    return remove(path);
}

static void dir_free(char *dir)
{
    nftw(dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
    mem_free(dir);
}

static struct config *load(const char *dir, struct config_mistakes *mistakes)
{
    struct buf entry = {0};
    struct config *config = NULL;
    buf_printf(&entry, "PORTICO_TLS_CERT_DIR=%s/", dir);
    *mistakes = (struct config_mistakes){0};
    if (!config_load((const char *const[]){buf_cstr(&entry), NULL}, &config, mistakes))
        config = NULL;
    buf_cleanup(&entry);
    return config;
}

/* "a.crt+a.key b.pem+b.pem", or "! b.pem reason | c.key reason"; paths without the directory. The directory is removed. */
static void check_pairs(char *dir, const char *want)
{
    struct config_mistakes mistakes;
    struct config *config = load(dir, &mistakes);
    struct buf got = {0};
    size_t skip = strlen(dir) + 1;
    for (size_t i = 0; config && i < config->tls.num_pairs; i++)
        buf_printf(&got, "%s%s+%s", i ? " " : "", config->tls.pairs[i].cert.path.ptr + skip,
                   config->tls.pairs[i].key.path.ptr + skip);
    for (size_t i = 0; i < mistakes.num; i++)
        buf_printf(&got, "%s%s %s", i ? " | " : "! ", mistakes.items[i].value + skip, mistakes.items[i].reason);
    CHECK_STR(buf_cstr(&got), want);
    buf_cleanup(&got);
    config_mistakes_cleanup(&mistakes);
    config_unref(config);
    dir_free(dir);
}

static void names_make_pairs(void)
{
    check_pairs(DIR_MAKE("a.crt", CERT, "a.key", KEY, "b.pem", KEY CERT, "c.pem", CERT, "c-key.pem", KEY,
                         "d.example.pem", CERT, "d.example.key", KEY, "README", "x", "notes.txt", "x", ".a.crt.swp",
                         "x"),
                "a.crt+a.key b.pem+b.pem c.pem+c-key.pem d.example.pem+d.example.key");
}

static void kubernetes_and_certbot_keep_a_directory_each(void)
{
    check_pairs(DIR_MAKE("a/", "", "a/..2026/", "", "a/..data", "@..2026", "a/..2026/tls.crt", CERT, "a/..2026/tls.key",
                         KEY, "a/..2026/ca.crt", CERT, "a/tls.crt", "@..data/tls.crt", "a/tls.key", "@..data/tls.key",
                         "a/ca.crt", "@..data/ca.crt"),
                "a/tls.crt+a/tls.key");
    check_pairs(DIR_MAKE("b/", "", "b/cert.pem", CERT, "b/chain.pem", CERT, "b/fullchain.pem", CERT CERT,
                         "b/privkey.pem", KEY, "b/README", "x", "deep/", "", "deep/er/", "", "deep/er/a.crt", "x"),
                "b/fullchain.pem+b/privkey.pem");
}

static void nothing_in_it_is_no_mistake(void)
{
    check_pairs(DIR_MAKE("README", "x"), "");
}

static void what_is_broken_is_said_by_file(void)
{
#define NO_KEY "has no private key in it, nor beside it in a file of the same name that ends in .key"
#define NO_CERT "is a key without its certificate, a file of the same name that ends in .crt or .pem"
    check_pairs(DIR_MAKE("a.crt", CERT, "b.key", KEY, "cert.pem", CERT),
                "! a.crt " NO_KEY " | cert.pem " NO_KEY " | b.key " NO_CERT);
    check_pairs(DIR_MAKE("a.crt", "", "a.key", KEY, "b.crt", CERT, "b.key", CERT, "c.crt", KEY, "c.key", KEY, "d.crt",
                         CERT, "d.key", "@nowhere", "ok.pem", CERT KEY),
                "! a.crt is empty | b.key holds no private key in PEM (-----BEGIN PRIVATE KEY-----) | c.crt holds no "
                "certificate in PEM (-----BEGIN CERTIFICATE-----) | d.key cannot be read: No such file or directory");
}

static void a_directory_that_is_not_there(void)
{
    struct config_mistakes mistakes;
    CHECK(!load("/nonexistent/certs", &mistakes));
    CHECK_INT(mistakes.num, 1);
    CHECK_STR(mistakes.items[0].value, "/nonexistent/certs");
    CHECK_STR(mistakes.items[0].reason, "cannot be read: No such file or directory");
    config_mistakes_cleanup(&mistakes);
}

static void file_write(const char *dir, const char *name, const char *text)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    FILE *file = fopen(buf_cstr(&path), "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
    buf_cleanup(&path);
}

/* The variable is the same text, but what it leads to is not. */
static void other_contents_are_another_configuration(void)
{
    char *dir = DIR_MAKE("a.crt", CERT, "a.key", KEY);
    struct config_mistakes mistakes;
    struct config *before = load(dir, &mistakes), *same = load(dir, &mistakes);
    file_write(dir, "a.key", KEY "\n");
    struct config *after = load(dir, &mistakes);
    CHECK(before && same && after);
    if (before && same && after) {
        CHECK(!config_differs(before, same));
        CHECK(config_differs(before, after));
    }
    config_unref(before);
    config_unref(same);
    config_unref(after);
    dir_free(dir);
}

static bool has_place(const struct config_sources *sources, const char *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s%s", dir, name);
    bool found = false;
    for (size_t i = 0; i < sources->num_places; i++)
        found = found || strcmp(sources->places[i], buf_cstr(&path)) == 0;
    buf_cleanup(&path);
    return found;
}

static void its_files_are_watched(void)
{
    char *dir = DIR_MAKE("a.crt", CERT, "a.key", KEY, "b/", "", "b/tls.crt", CERT, "b/tls.key", KEY);
    struct config_sources before, after;
    struct buf entry = {0};
    buf_printf(&entry, "PORTICO_TLS_CERT_DIR=%s", dir);
    const char *const entries[] = {buf_cstr(&entry), NULL};
    config_sources_look(entries, &before);
    CHECK(has_place(&before, dir, "") && has_place(&before, dir, "/b") && has_place(&before, dir, "/b/tls.crt"));
    file_write(dir, "b/c.pem", CERT KEY);
    config_sources_look(entries, &after);
    CHECK(before.stamp != after.stamp);
    config_sources_cleanup(&before);
    config_sources_cleanup(&after);
    buf_cleanup(&entry);
    dir_free(dir);
}

int main(void)
{
    RUN(names_make_pairs);
    RUN(kubernetes_and_certbot_keep_a_directory_each);
    RUN(nothing_in_it_is_no_mistake);
    RUN(what_is_broken_is_said_by_file);
    RUN(a_directory_that_is_not_there);
    RUN(other_contents_are_another_configuration);
    RUN(its_files_are_watched);
    return checks_done();
}
