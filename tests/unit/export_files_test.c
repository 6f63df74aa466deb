/* EXPORT_DIR on the disk: a pair is replaced as one, modes stay, what is the same is left alone, links in the way are not
 * followed. */
#include "certs/export_files.h"
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/export_files_test.XXXXXX";

static const char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", base, name);
    return path;
}

static int entry_remove(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat, (void)kind, (void)walk;
    return remove(path);
}

static void world_make(void)
{
    snprintf(base, sizeof base, "/tmp/export_files_test.XXXXXX");
    CHECK(mkdtemp(base) != NULL);
}

static void world_remove(void)
{
    nftw(base, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

static struct export_done put(const char *name, const char *chain, const char *key)
{
    struct export_done done;
    CHECK(!err_is(export_files_put(base, name, slice_str(chain), slice_str(key), &done)));
    return done;
}

static const char *text_of(const char *path)
{
    static char text[64];
    int fd = open(at(path), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    if (fd >= 0)
        close(fd);
    return n < 0 ? "(not there)" : text;
}

static unsigned mode_of(const char *path)
{
    struct stat status = {0};
    CHECK(stat(at(path), &status) == 0);
    return status.st_mode & 07777;
}

static size_t num_entries(const char *path)
{
    size_t num = 0;
    DIR *dir = opendir(at(path));
    while (dir && readdir(dir))
        num++;
    if (dir)
        closedir(dir);
    return num - 2;
}

static void the_first_time(void)
{
    world_make();
    mode_t before = umask(077); /* it has no say */
    CHECK(put("a.example", "chain 1", "key 1").changed);
    umask(before);
    CHECK_STR(text_of("a.example/fullchain.pem"), "chain 1");
    CHECK_STR(text_of("a.example/privkey.pem"), "key 1");
    CHECK_INT(mode_of("a.example"), 0750);
    CHECK_INT(mode_of("a.example/fullchain.pem"), 0644);
    CHECK_INT(mode_of("a.example/privkey.pem"), 0640);
    CHECK_INT(mode_of(".data/a.example"), 0755);
    world_remove();
}

static void what_is_the_same_is_left_alone(void)
{
    char before[PATH_MAX], after[PATH_MAX];
    world_make();
    put("a.example", "chain", "key");
    CHECK(realpath(at("a.example"), before) != NULL);
    CHECK(!put("a.example", "chain", "key").changed);
    CHECK(realpath(at("a.example"), after) != NULL);
    CHECK_STR(after, before);
    CHECK(put("a.example", "chain", "key and more").changed);
    CHECK(put("a.example", "chain", "key").changed); /* a beginning of what is there is not the same */
    world_remove();
}

/* Whoever has followed the link before it was swapped has a pair still. */
static void a_reader_has_a_pair(void)
{
    char held[PATH_MAX], file[PATH_MAX + 16];
    world_make();
    put("a.example", "chain 1", "key 1");
    CHECK(realpath(at("a.example"), held) != NULL);
    put("a.example", "chain 2", "key 2");
    CHECK_STR(text_of("a.example/privkey.pem"), "key 2");
    snprintf(file, sizeof file, "%s/privkey.pem", held + strlen(base) + 1);
    CHECK_STR(text_of(file), "key 1");
    put("a.example", "chain 3", "key 3");
    CHECK_STR(text_of(file), "(not there)");
    CHECK_INT(num_entries(".data/a.example"), 2); /* it does not grow */
    CHECK_INT(num_entries(""), 2);
    world_remove();
}

static void modes_stay(void)
{
    world_make();
    put("a.example", "chain 1", "key 1");
    CHECK(chmod(at("a.example"), 0711) == 0 && chmod(at("a.example/privkey.pem"), 0600) == 0 &&
          chmod(at("a.example/fullchain.pem"), 0664) == 0);
    struct export_done done = put("a.example", "chain 2", "key 2");
    CHECK(done.changed && !done.owner_lost);
    CHECK_INT(mode_of("a.example"), 0711);
    CHECK_INT(mode_of("a.example/privkey.pem"), 0600);
    CHECK_INT(mode_of("a.example/fullchain.pem"), 0664);
    world_remove();
}

/* As root alone can it be shown that they are kept. */
static void owners_stay(void)
{
    struct stat key, dir;
    if (geteuid() != 0)
        return;
    world_make();
    put("a.example", "chain 1", "key 1");
    CHECK(chown(at("a.example/privkey.pem"), 12345, 23456) == 0 && chown(at("a.example"), 0, 23456) == 0);
    CHECK(!put("a.example", "chain 2", "key 2").owner_lost);
    CHECK(stat(at("a.example/privkey.pem"), &key) == 0 && stat(at("a.example"), &dir) == 0);
    CHECK_INT(key.st_uid, 12345);
    CHECK_INT(key.st_gid, 23456);
    CHECK_INT(dir.st_gid, 23456);
    world_remove();
}

static void a_directory_of_ones_own_stays_one(void)
{
    struct stat status;
    world_make();
    CHECK(mkdir(at("a.example"), 0755) == 0);
    FILE *file = fopen(at("a.example/dhparam.pem"), "w");
    CHECK(file && fputs("mine", file) >= 0 && fclose(file) == 0);
    CHECK(put("a.example", "chain 1", "key 1").changed);
    CHECK(put("a.example", "chain 2", "key 2").changed);
    CHECK(!put("a.example", "chain 2", "key 2").changed);
    CHECK(lstat(at("a.example"), &status) == 0 && S_ISDIR(status.st_mode));
    CHECK_STR(text_of("a.example/fullchain.pem"), "chain 2");
    CHECK_STR(text_of("a.example/privkey.pem"), "key 2");
    CHECK_STR(text_of("a.example/dhparam.pem"), "mine");
    CHECK_INT(num_entries("a.example"), 3);
    world_remove();
}

/* Somebody else's link is replaced, and nothing is written where it leads. */
static void foreign_links_are_not_followed(void)
{
    struct export_done done;
    world_make();
    CHECK(mkdir(at("elsewhere"), 0755) == 0);
    CHECK(symlink("elsewhere", at("a.example")) == 0);
    CHECK(put("a.example", "chain", "key").changed);
    CHECK_STR(text_of("a.example/privkey.pem"), "key");
    CHECK_INT(num_entries("elsewhere"), 0);
    CHECK(symlink("../elsewhere", at(".data/b.example")) == 0);
    CHECK(err_is(export_files_put(base, "b.example", SLICE_LIT("chain"), SLICE_LIT("key"), &done)));
    CHECK(!done.changed);
    CHECK_INT(num_entries("elsewhere"), 0);
    world_remove();
}

static void what_cannot_be_written_is_an_error(void)
{
    struct export_done done;
    world_make();
    FILE *file = fopen(at("a.example"), "w");
    CHECK(file && fclose(file) == 0);
    CHECK(err_is(export_files_put(base, "a.example", SLICE_LIT("c"), SLICE_LIT("k"), &done)));
    CHECK(err_is(export_files_put(at("nowhere"), "b.example", SLICE_LIT("c"), SLICE_LIT("k"), &done)));
    CHECK(!done.changed);
    world_remove();
}

/* Remains of a process that was killed between any two steps. */
static void remains_do_not_matter(void)
{
    world_make();
    put("a.example", "chain 1", "key 1");
    CHECK(mkdir(at(".data/a.example/0123456789abcdef"), 0700) == 0);
    CHECK(symlink("x", at(".data/a.example/.link")) == 0);
    CHECK(put("a.example", "chain 2", "key 2").changed);
    CHECK_INT(num_entries(".data/a.example"), 2);
    CHECK_STR(text_of("a.example/fullchain.pem"), "chain 2");
    world_remove();
}

static void check_name(const char *name, bool second, const char *want)
{
    struct buf out = {0};
    export_files_name(slice_str(name), second, &out);
    CHECK_STR(buf_cstr(&out), want);
    buf_cleanup(&out);
}

static void names_of_directories(void)
{
    check_name("a.example", false, "a.example");
    check_name("*.a.example", false, "_wildcard.a.example");
    check_name("a.example", true, "_rsa.a.example");
    check_name("*.a.example", true, "_rsa._wildcard.a.example");
    check_name("2001:db8::1", false, "2001:db8::1");
}

int main(void)
{
    RUN(the_first_time);
    RUN(what_is_the_same_is_left_alone);
    RUN(a_reader_has_a_pair);
    RUN(modes_stay);
    RUN(owners_stay);
    RUN(a_directory_of_ones_own_stays_one);
    RUN(foreign_links_are_not_followed);
    RUN(what_cannot_be_written_is_an_error);
    RUN(remains_do_not_matter);
    RUN(names_of_directories);
    return checks_done();
}
