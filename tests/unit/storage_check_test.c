#include "store/storage_check.h"

#include "check.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[] = "/tmp/storage_check_test.XXXXXX";

static const char *below(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", base, name);
    return path;
}

static int num_entries(const char *path)
{
    int num = 0;
    DIR *dir = opendir(path);
    while (readdir(dir))
        num++;
    closedir(dir);
    return num - 2;
}

static void what_can_serve(void)
{
    CHECK_INT(storage_check(base).verdict, STORAGE_FINE);
    CHECK_INT(num_entries(base), 0); /* nothing is left behind */
    CHECK_INT(storage_check(below("new")).verdict, STORAGE_ABSENT);
    CHECK_INT(storage_check(below("new/and/deeper")).verdict, STORAGE_ABSENT);
    CHECK_INT(num_entries(base), 0); /* and none is made */
}

static void what_cannot(void)
{
    FILE *file = fopen(below("file"), "w");
    fclose(file);
    struct storage_check check = storage_check(below("file"));
    CHECK_INT(check.verdict, STORAGE_NO_DIRECTORY);
    CHECK_INT(check.error, ENOTDIR);
    check = storage_check(below("file/below"));
    CHECK_INT(check.verdict, STORAGE_NO_DIRECTORY);
    check = storage_check("/proc/nowhere"); /* even root cannot */
    CHECK(check.verdict == STORAGE_ABSENT || check.verdict == STORAGE_CANNOT_BE_MADE);
    check = storage_check("/proc/self");
    CHECK(check.verdict == STORAGE_NOT_WRITABLE || check.verdict == STORAGE_READ_ONLY);
    CHECK(check.error != 0);
    unlink(below("file"));
}

int main(void)
{
    if (!mkdtemp(base))
        abort();
    RUN(what_can_serve);
    RUN(what_cannot);
    rmdir(base);
    return checks_done();
}
