#include "config/env_dir.h"

#include "base/limits.h"
#include "base/mem.h"
#include "config/environment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- one file ---- */

/* Reads all of fd; false with errno on failure, EFBIG over the limit. */
static bool read_all(int fd, struct buf *out)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(out, 4096), 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        out->len += (size_t)n;
        if (out->len > CONFIG_FILE_MAX_BYTES) {
            errno = EFBIG;
            return false;
        }
    }
}

/* A FIFO or terminal would hold the start for ever: only regular files are read. */
bool env_file_read(const char *path, struct buf *out)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &status) == 0;
    if (ok && !S_ISREG(status.st_mode)) {
        errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
        ok = false;
    }
    if (ok && status.st_size > 0 && status.st_size <= CONFIG_FILE_MAX_BYTES)
        buf_reserve(out, (size_t)status.st_size + 4097); /* at once, so that no copy of a secret stays behind */
    ok = ok && read_all(fd, out);
    int saved = errno;
    close(fd);
    errno = saved;
    return ok;
}

const char *env_file_failure(int error, char *out, size_t size)
{
    switch (error) {
    case EINVAL: return "it is not a regular file";
    case EFBIG: return "it is over 16 MiB";
    default: return strerror_r(error, out, size);
    }
}

void env_file_strip(struct buf *text)
{
    if (text->len == 0 || text->ptr[text->len - 1] != '\n')
        return;
    text->len--;
    if (text->len && text->ptr[text->len - 1] == '\r')
        text->len--;
}

/* ---- the directory ---- */

static bool name_fits(const char *name)
{
    static const char prefix[] = "PORTICO_", letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 && name[sizeof prefix - 1] &&
           strspn(name, letters) == strlen(name);
}

static int files_compare(const void *a, const void *b)
{
    return strcmp(((const struct env_dir_file *)a)->name, ((const struct env_dir_file *)b)->name);
}

static void file_add(struct env_dir_file **files, size_t *num, const char *dir, const char *name)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, name);
    *files = mem_realloc(*files, (*num + 1) * sizeof **files);
    (*files)[(*num)++] = (struct env_dir_file){.name = mem_strdup(name), .path = buf_take(&path)};
}

bool env_dir_list(const char *dir, struct env_dir_file **out_files, size_t *out_num)
{
    struct env_dir_file *files = NULL;
    struct dirent *entry;
    size_t num = 0;
    DIR *open_dir = opendir(dir);
    if (!open_dir)
        return false;
    while (num <= LIMIT_ENV_DIR_FILES && (entry = readdir(open_dir)))
        if (name_fits(entry->d_name))
            file_add(&files, &num, dir, entry->d_name);
    closedir(open_dir);
    if (num > LIMIT_ENV_DIR_FILES) {
        env_dir_free(files, num);
        errno = ENFILE;
        return false;
    }
    if (num)
        qsort(files, num, sizeof *files, files_compare);
    *out_files = files;
    *out_num = num;
    return true;
}

void env_dir_free(struct env_dir_file *files, size_t num)
{
    for (size_t i = 0; i < num; i++) {
        mem_free(files[i].name);
        mem_free(files[i].path);
        mem_free(files[i].text);
    }
    mem_free(files);
}
