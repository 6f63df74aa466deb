#include "base/limits.h"
#include "store_fixture.h"

#include <sys/mount.h>
#include <sys/wait.h>

static char dir[64];
static struct fixture f;

static void set_up(void)
{
    scratch_make(dir);
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
}

static void tear_down(void)
{
    fixture_close(&f);
    scratch_remove(dir);
}

/* --- What lies in the directory --- */

static void check_modes_under_umask(mode_t mask)
{
    char path[96], text[4096];
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/new/store", dir);
    mode_t before = umask(mask == 0777 ? 0077 : mask); /* nobody makes the parents with 0777, root aside */
    fixture_open(&f, path, NULL);
    FIXTURE_UNTIL(&f, f.num_reports == 1);
    umask(mask);
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "certificate/a.example", "text\n"), STORE_OK);
    umask(before);
    CHECK_INT(file_mode(path, "."), 0700);
    CHECK_INT(file_mode(path, "certificate"), 0700);
    CHECK_INT(file_mode(path, "certificate/a.example"), 0600);
    CHECK_INT(file_mode(path, "portico-store"), 0600);
    CHECK_INT(file_mode(path, ".lock"), 0600);
    CHECK(strncmp(file_get(path, "portico-store", text), "portico-store 1\n", 16) == 0);
    tear_down();
}

static void test_a_new_directory_is_private_whatever_the_umask(void)
{
    check_modes_under_umask(0);
    check_modes_under_umask(0022);
    check_modes_under_umask(0777);
}

static void test_a_record_is_a_file_with_the_value(void)
{
    char text[4096];
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/a.example", "name: a.example\n\xff\xfe end"), STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/*.a.example", "wild"), STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/2001:db8::1", "address"), STORE_OK);
    CHECK_INT(fixture_put(&f, "internal-ca", "root"), STORE_OK);
    CHECK_STR(file_get(dir, "certificate/a.example", text), "name: a.example\n\xff\xfe end");
    CHECK_STR(file_get(dir, "certificate/@.a.example", text), "wild");
    CHECK_STR(file_get(dir, "internal-ca", text), "root");
    struct answer a = fixture_get(&f, "certificate/*.a.example");
    CHECK_INT(a.result, STORE_OK);
    CHECK_STR(a.keys, "certificate/*.a.example ");
    CHECK_STR(a.value, "wild");
    a = fixture_list(&f, "certificate/");
    CHECK_STR(a.keys, "certificate/*.a.example certificate/2001:db8::1 certificate/a.example ");
    CHECK_STR(a.value, "wild");
    CHECK_STR(fixture_list(&f, "certificate/a").keys, "certificate/a.example ");
    CHECK_STR(fixture_list(&f, "cert").keys, "certificate/*.a.example certificate/2001:db8::1 certificate/a.example ");
    CHECK_STR(fixture_list(&f, "internal-ca").keys, "internal-ca ");
    a = fixture_list(&f, "order/");
    CHECK_INT(a.result, STORE_OK);
    CHECK_INT(a.num, 0);
    CHECK_INT(fixture_get(&f, "certificate/none").result, STORE_NOT_FOUND);
    CHECK_INT(fixture_get(&f, "order/none").result, STORE_NOT_FOUND);
    tear_down();
}

static void test_keys_are_validated(void)
{
    static const char *const bad[] = {
        "",    "/",   "a/",        "/a",  "a//b", "../a",     "a/../b",        ".hidden",    "a/.b",     "A",
        "a b", "a\n", "a/b/c/d/e", "a@b", "a\\b", "\xc3\xa4", "portico-store", "previous/a", "previous", "lost+found"};
    char longest[300] = "state/";
    set_up();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_INT(fixture_put(&f, bad[i], "x"), STORE_DENIED);
        if (strncmp(bad[i], "previous", 8) != 0)
            CHECK_INT(fixture_get(&f, bad[i]).result, STORE_DENIED);
    }
    memset(longest + 6, 'a', 255);
    CHECK_INT(fixture_put(&f, longest, "x"), STORE_OK);
    CHECK_STR(fixture_get(&f, longest).value, "x");
    longest[6 + 255] = 'a';
    CHECK_INT(fixture_put(&f, longest, "x"), STORE_DENIED);
    CHECK_INT(fixture_put(&f, "a/b/c/d", "deep"), STORE_OK);
    CHECK_STR(fixture_list(&f, "a").keys, "a/b/c/d ");
    tear_down();
}

static void test_values_are_text_within_limits(void)
{
    char *large = mem_alloc(LIMIT_STORE_VALUE_BYTES + 1);
    memset(large, 'x', LIMIT_STORE_VALUE_BYTES + 1);
    struct store_write write = {.key = SLICE_LIT("state/a"), .value = slice_make(large, LIMIT_STORE_VALUE_BYTES)};
    set_up();
    CHECK_INT(fixture_commit(&f, &write, 1), STORE_OK);
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_OK);
    write.value.len++;
    CHECK_INT(fixture_commit(&f, &write, 1), STORE_TOO_BIG);
    write.value = SLICE_LIT("");
    CHECK_INT(fixture_commit(&f, &write, 1), STORE_DENIED);
    write.value = SLICE_LIT("a\0b");
    CHECK_INT(fixture_commit(&f, &write, 1), STORE_DENIED);
    struct store_write many[LIMIT_STORE_WRITES + 1];
    char keys[LIMIT_STORE_WRITES + 1][24];
    for (int i = 0; i <= LIMIT_STORE_WRITES; i++) {
        snprintf(keys[i], sizeof keys[i], "state/n%d", i);
        many[i] = write_any(keys[i], "x");
    }
    CHECK_INT(fixture_commit(&f, many, LIMIT_STORE_WRITES + 1), STORE_TOO_BIG);
    CHECK_INT(fixture_commit(&f, many, LIMIT_STORE_WRITES), STORE_OK);
    CHECK_INT(fixture_list(&f, "state/n").num, LIMIT_STORE_WRITES);
    many[1] = many[0];
    CHECK_INT(fixture_commit(&f, many, 2), STORE_DENIED);
    mem_free(large);
    tear_down();
}

/* --- Conditions, several writes, previous generations --- */

static enum store_result put_if(const char *key, const char *value, enum store_condition condition, uint64_t version)
{
    struct store_write write = {slice_str(key), slice_str(value), condition, version};
    return fixture_commit(&f, &write, 1);
}

static void test_conditions(void)
{
    set_up();
    CHECK_INT(put_if("state/a", "1", STORE_VERSION, 7), STORE_CONFLICT);
    CHECK_INT(put_if("state/a", "1", STORE_ABSENT, 0), STORE_OK);
    CHECK_INT(put_if("state/a", "2", STORE_ABSENT, 0), STORE_CONFLICT);
    struct answer first = fixture_get(&f, "state/a");
    CHECK_STR(first.value, "1");
    CHECK(first.version != 0);
    CHECK_INT(put_if("state/a", "2", STORE_VERSION, first.version), STORE_OK);
    struct answer second = fixture_get(&f, "state/a");
    CHECK(second.version != first.version);
    CHECK_INT(put_if("state/a", "3", STORE_VERSION, first.version), STORE_CONFLICT);
    CHECK_INT(put_if("state/a", NULL, STORE_VERSION, first.version), STORE_CONFLICT);
    CHECK_STR(fixture_get(&f, "state/a").value, "2");
    CHECK_INT(put_if("state/a", NULL, STORE_VERSION, second.version), STORE_OK);
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_NOT_FOUND);
    CHECK_INT(put_if("state/a", NULL, STORE_ANY, 0), STORE_OK); /* removing nothing */
    tear_down();
}

static void test_several_writes_are_all_or_none(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "order/a", "journal"), STORE_OK);
    struct store_write writes[] = {write_any("certificate/a", "bundle"), write_any("state/a", "{}"),
                                   write_any("order/a", NULL), write_any("internal-ca", "root")};
    writes[3].condition = STORE_VERSION;
    CHECK_INT(fixture_commit(&f, writes, 4), STORE_CONFLICT);
    CHECK_STR(fixture_list(&f, "").keys, "order/a ");
    writes[3].condition = STORE_ABSENT;
    CHECK_INT(fixture_commit(&f, writes, 4), STORE_OK);
    CHECK_STR(fixture_list(&f, "").keys, "certificate/a internal-ca state/a ");
    CHECK_INT(fixture_commit(&f, writes, 0), STORE_OK);
    CHECK_INT(file_mode(dir, ".journal"), 0);
    tear_down();
}

static void test_the_previous_certificate_is_kept(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/a", "one"), STORE_OK);
    CHECK_INT(fixture_get(&f, "previous/certificate/a").result, STORE_NOT_FOUND);
    CHECK_INT(fixture_put(&f, "certificate/a", "two"), STORE_OK);
    CHECK_STR(fixture_get(&f, "previous/certificate/a").value, "one");
    CHECK_INT(fixture_put(&f, "certificate/a", "two"), STORE_OK); /* the same again pushes nothing out */
    CHECK_STR(fixture_get(&f, "previous/certificate/a").value, "one");
    CHECK_INT(fixture_put(&f, "certificate/a", NULL), STORE_OK);
    CHECK_STR(fixture_get(&f, "previous/certificate/a").value, "two");
    CHECK_INT(fixture_get(&f, "certificate/a").result, STORE_NOT_FOUND);
    CHECK_INT(fixture_put(&f, "state/a", "1"), STORE_OK);
    CHECK_INT(fixture_put(&f, "state/a", "2"), STORE_OK);
    CHECK_INT(fixture_get(&f, "previous/state/a").result, STORE_NOT_FOUND);
    CHECK_STR(fixture_list(&f, "previous/").keys, "previous/certificate/a ");
    CHECK_STR(fixture_list(&f, "").keys, "state/a ");
    tear_down();
}

/* A commit that says itself what is to be kept: the same record in another form replaces nothing. */
static void test_what_is_kept_can_be_written(void)
{
    struct store_write both[] = {write_any("certificate/a", "two, sealed"),
                                 write_any("previous/certificate/a", "one, sealed")};
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/a", "one"), STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/a", "two"), STORE_OK);
    CHECK_INT(fixture_commit(&f, both, 2), STORE_OK);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "two, sealed");
    CHECK_STR(fixture_get(&f, "previous/certificate/a").value, "one, sealed");
    both[0] = write_any("certificate/a", "two again");
    CHECK_INT(fixture_commit(&f, both, 2), STORE_OK); /* the second is there already, and counts all the same */
    CHECK_STR(fixture_get(&f, "previous/certificate/a").value, "one, sealed");
    struct store_write without[] = {write_any("certificate/b", "two"), write_any("previous/certificate/b", NULL)};
    CHECK_INT(fixture_put(&f, "certificate/b", "one"), STORE_OK);
    CHECK_INT(fixture_commit(&f, without, 2), STORE_OK);
    CHECK_INT(fixture_get(&f, "previous/certificate/b").result, STORE_NOT_FOUND);
    tear_down();
}

/* --- Damage --- */

static void test_damage_is_never_absence(void)
{
    char path[512], out[4096];
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/fine", "text"), STORE_OK);
    file_put(dir, "certificate/empty", "");
    CHECK_INT(fixture_get(&f, "certificate/empty").result, STORE_CORRUPT);
    snprintf(path, sizeof path, "%s/certificate/zeros", dir);
    FILE *zeros = fopen(path, "w");
    fwrite("key\0\0\0", 1, 6, zeros);
    fclose(zeros);
    CHECK_INT(fixture_get(&f, "certificate/zeros").result, STORE_CORRUPT);
    snprintf(path, sizeof path, "%s/certificate/link", dir);
    CHECK_INT(symlink("fine", path), 0);
    CHECK_INT(fixture_get(&f, "certificate/link").result, STORE_DENIED);
    snprintf(path, sizeof path, "%s/certificate/folder", dir);
    CHECK_INT(mkdir(path, 0700), 0);
    CHECK_INT(fixture_get(&f, "certificate/folder").result, STORE_CORRUPT);
    file_put(dir, "state", "a file where a directory belongs");
    CHECK_INT(fixture_get(&f, "state/a").result, STORE_CORRUPT);
    CHECK(fixture_put(&f, "state/a", "x") != STORE_OK);
    struct answer a = fixture_list(&f, "certificate/");
    CHECK(a.result == STORE_CORRUPT || a.result == STORE_DENIED);
    CHECK_STR(a.keys, "certificate/fine ");
    CHECK_INT(put_if("certificate/empty", "x", STORE_ABSENT, 0), STORE_CORRUPT);
    CHECK_STR(file_get(dir, "certificate/empty", out), "");
    CHECK_INT(fixture_put(&f, "certificate/empty", "repaired"), STORE_OK); /* asked for, whatever is there */
    CHECK_STR(fixture_get(&f, "certificate/empty").value, "repaired");
    tear_down();
}

static void test_a_removed_directory_is_not_an_empty_one(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "certificate/a", "text"), STORE_OK);
    scratch_remove(dir);
    CHECK_INT(fixture_get(&f, "certificate/a").result, STORE_UNAVAILABLE);
    CHECK(fixture_list(&f, "certificate/").result != STORE_OK);
    CHECK(fixture_put(&f, "certificate/a", "text") != STORE_OK);
    tear_down();
}

/* --- Whose directory --- */

static void check_refused(enum store_result want, const char *clause)
{
    fixture_open(&f, dir, NULL);
    CHECK_INT(fixture_get(&f, "certificate/a").result, want);
    CHECK_INT(f.report.reading, want);
    CHECK_INT(f.report.writing, want);
    CHECK(strstr(f.sentence, clause) != NULL);
    f.store->ops->lock(f.store, &f.lock);
    CHECK_INT(fixture_put(&f, "certificate/a", "x"), want);
    fixture_polls(&f, 4);
    CHECK_INT(f.num_granted, 0);
    CHECK_INT(f.num_reports, 1);           /* the same again is not told again */
    CHECK_INT(file_mode(dir, ".lock"), 0); /* and nothing is written into it */
}

static void test_foreign_directories_are_refused(void)
{
    scratch_make(dir);
    file_put(dir, "thesis.tex", "\\section{}");
    check_refused(STORE_DENIED, "thesis.tex: the directory is not empty");
    char path[128];
    snprintf(path, sizeof path, "%s/thesis.tex", dir);
    CHECK_INT(unlink(path), 0); /* it is looked at again: the operator may put it right */
    FIXTURE_UNTIL(&f, f.num_granted == 1);
    CHECK_INT(f.report.reading, STORE_OK);
    CHECK_INT(f.report.writing, STORE_OK);
    CHECK_STR(f.sentence, "");
    tear_down();
}

static void test_newer_and_damaged_formats_are_refused(void)
{
    scratch_make(dir);
    file_put(dir, "portico-store", "portico-store 2\n");
    check_refused(STORE_DENIED, "newer Portico");
    tear_down();
    scratch_make(dir);
    file_put(dir, "portico-store", "");
    check_refused(STORE_CORRUPT, "format marker is damaged");
    tear_down();
}

static void test_lost_and_found_and_dot_files_are_no_content(void)
{
    char path[128];
    scratch_make(dir);
    snprintf(path, sizeof path, "%s/lost+found", dir);
    CHECK_INT(mkdir(path, 0700), 0);
    file_put(dir, ".snapshot", "");
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "state/a", "x"), STORE_OK);
    CHECK_STR(fixture_list(&f, "").keys, "state/a ");
    tear_down();
}

static void check_wide(mode_t root, mode_t file, size_t want)
{
    struct dir_disk disk;
    struct dir_found found;
    struct dir_trouble trouble;
    char path[128];
    snprintf(path, sizeof path, "%s/internal-ca", dir);
    CHECK_INT(chmod(path, file), 0);
    CHECK_INT(chmod(dir, root), 0);
    dir_disk_init(&disk, dir, NULL);
    CHECK_INT(dir_disk_open(&disk, &found, &trouble), STORE_OK);
    CHECK_INT(found.num_wide, want);
    dir_disk_cleanup(&disk);
}

static void test_wide_modes_are_found_but_no_error(void)
{
    set_up();
    CHECK_INT(fixture_put(&f, "internal-ca", "root"), STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/a", "1"), STORE_OK);
    CHECK_INT(fixture_put(&f, "certificate/a", "2"), STORE_OK);
    check_wide(0700, 0600, 0);
    check_wide(0770, 0600, 0);  /* an image's group 0 and a random user id */
    check_wide(02770, 0660, 0); /* fsGroup */
    check_wide(0770, 0640, 1);
    check_wide(02775, 0664, 2);
    file_put(dir, "previous/certificate/a", "x");
    char path[128];
    snprintf(path, sizeof path, "%s/previous/certificate/a", dir);
    CHECK_INT(chmod(path, 0604), 0);
    check_wide(0700, 0600, 1);
    tear_down();
}

static void test_durability_of_the_file_system(void)
{
    char path[] = "/dev/shm/portico-store-XXXXXX";
    if (!mkdtemp(path))
        return;
    fixture_open(&f, path, NULL);
    FIXTURE_UNTIL(&f, f.num_reports == 1);
    CHECK_INT(store_dir_durability(f.store), STORE_DIR_IN_MEMORY);
    CHECK_INT(f.report.durability, STORE_DIR_IN_MEMORY);
    CHECK_STR(store_dir_durability_text(f.report.durability), "kept in memory");
    fixture_close(&f);
    scratch_remove(path);
}

/* --- Another user, where we may become one --- */

static void as_user_4242(void (*work)(void))
{
    if (geteuid() != 0)
        return;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (setgid(0) != 0 || setuid(4242) != 0)
            _exit(2);
        work();
        _exit(checks_failed != 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void work_refused(void)
{
    fixture_open(&f, dir, NULL);
    CHECK_INT(fixture_get(&f, "certificate/a").result, STORE_DENIED);
    CHECK_INT(f.report.reading, STORE_DENIED);
    CHECK(strstr(f.sentence, "open: Permission denied (as user 4242, group 0)") != NULL);
    fixture_close(&f);
}

static void work_welcome(void)
{
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "certificate/a", "text"), STORE_OK);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "text");
    fixture_close(&f);
}

static void work_unreadable_record(void)
{
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(fixture_get(&f, "internal-ca").result, STORE_DENIED); /* not "not there" */
    CHECK_INT(fixture_put(&f, "internal-ca", "another root"), STORE_DENIED);
    struct answer a = fixture_list(&f, "");
    CHECK_INT(a.result, STORE_DENIED);
    CHECK_STR(a.keys, "certificate/a ");
    fixture_close(&f);
}

static void test_a_random_user_id_with_the_images_group(void)
{
    scratch_make(dir);
    as_user_4242(work_refused);
    CHECK_INT(chmod(dir, 0770), 0); /* group 0, as in the image */
    as_user_4242(work_welcome);
    file_put(dir, "internal-ca", "of root's making");
    char path[128];
    snprintf(path, sizeof path, "%s/internal-ca", dir);
    CHECK_INT(chmod(path, 0600), 0);
    as_user_4242(work_unreadable_record);
    scratch_remove(dir);
}

/* --- Full disk, for real where we may mount --- */

static void test_a_full_disk_keeps_what_is_there(void)
{
    static char large[128 * 1024];
    scratch_make(dir);
    if (mount("none", dir, "tmpfs", 0, "size=256k") != 0) {
        fprintf(stderr, "cannot mount: the injected ENOSPC of store_dir_crash_test stands alone\n");
        scratch_remove(dir);
        return;
    }
    memset(large, 'x', sizeof large - 1);
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "certificate/a", "small"), STORE_OK);
    CHECK_INT(fixture_put(&f, "state/large", large), STORE_OK);
    struct store_write writes[] = {write_any("certificate/a", "new"), write_any("state/more", large)};
    CHECK_INT(fixture_commit(&f, writes, 2), STORE_FULL);
    CHECK_INT(f.report.writing, STORE_FULL);
    CHECK(strstr(f.sentence, "No space left on device") != NULL);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "small");
    CHECK_INT(fixture_get(&f, "state/more").result, STORE_NOT_FOUND);
    CHECK_INT(fixture_put(&f, "state/large", NULL), STORE_OK);
    CHECK_INT(f.report.writing, STORE_OK);
    CHECK_STR(f.sentence, "");
    CHECK_INT(fixture_commit(&f, writes, 2), STORE_OK); /* no temporary file was left to take the room */
    fixture_close(&f);
    CHECK_INT(umount(dir), 0);
    scratch_remove(dir);
}

static void test_a_read_only_disk_is_read(void)
{
    scratch_make(dir);
    if (mount("none", dir, "tmpfs", 0, "size=256k") != 0) {
        scratch_remove(dir);
        return;
    }
    fixture_open(&f, dir, NULL);
    fixture_take_lock(&f);
    CHECK_INT(fixture_put(&f, "certificate/a", "text"), STORE_OK);
    fixture_close(&f);
    CHECK_INT(mount("none", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
    fixture_open(&f, dir, NULL);
    f.store->ops->lock(f.store, &f.lock);
    CHECK_STR(fixture_get(&f, "certificate/a").value, "text");
    FIXTURE_UNTIL(&f, f.report.writing == STORE_DENIED);
    CHECK_INT(f.report.reading, STORE_OK);
    CHECK(strstr(f.sentence, "/.lock: open: Read-only file system") != NULL);
    CHECK_INT(fixture_put(&f, "certificate/a", "new"), STORE_FENCED);
    CHECK_INT(mount("none", dir, "tmpfs", MS_REMOUNT, ""), 0);
    FIXTURE_UNTIL(&f, f.num_granted == 1); /* the operator has put it right */
    fixture_close(&f);
    CHECK_INT(umount(dir), 0);
    scratch_remove(dir);
}

int main(void)
{
    RUN(test_a_random_user_id_with_the_images_group); /* forks: before there are threads */
    RUN(test_a_new_directory_is_private_whatever_the_umask);
    RUN(test_a_record_is_a_file_with_the_value);
    RUN(test_keys_are_validated);
    RUN(test_values_are_text_within_limits);
    RUN(test_conditions);
    RUN(test_several_writes_are_all_or_none);
    RUN(test_the_previous_certificate_is_kept);
    RUN(test_what_is_kept_can_be_written);
    RUN(test_damage_is_never_absence);
    RUN(test_a_removed_directory_is_not_an_empty_one);
    RUN(test_foreign_directories_are_refused);
    RUN(test_newer_and_damaged_formats_are_refused);
    RUN(test_lost_and_found_and_dot_files_are_no_content);
    RUN(test_wide_modes_are_found_but_no_error);
    RUN(test_durability_of_the_file_system);
    RUN(test_a_full_disk_keeps_what_is_there);
    RUN(test_a_read_only_disk_is_read);
    return checks_done();
}
