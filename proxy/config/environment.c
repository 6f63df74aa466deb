#include "config/environment.h"

#include "base/mem.h"
#include "config/mistakes.h"
#include "config/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "PORTICO_"
#define FILE_SUFFIX "_FILE"

static const char service_link[] = "^PORTICO(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?"
                                   "|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$";

bool environment_is_service_link(const char *name)
{
    regex_t pattern;
    if (regcomp(&pattern, service_link, REG_EXTENDED | REG_NOSUB) != 0)
        abort(); /* out of memory: the pattern is ours */
    bool matches = regexec(&pattern, name, 0, NULL, 0) == 0;
    regfree(&pattern);
    return matches;
}

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
static bool read_file(const char *path, struct buf *out)
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

static const char *read_failure_text(int error, char *out, size_t size)
{
    switch (error) {
    case EINVAL: return "it is not a regular file";
    case EFBIG: return "it is over 16 MiB";
    default: return strerror_r(error, out, size);
    }
}

static void strip_newline(struct buf *text)
{
    if (text->len == 0 || text->ptr[text->len - 1] != '\n')
        return;
    text->len--;
    if (text->len && text->ptr[text->len - 1] == '\r')
        text->len--;
}

struct reader {
    struct environment *environment;
    const char *const *names;
    struct config_mistakes *mistakes;
    const char **values, **paths; /* what the entries have for each name and its _FILE; views */
};

static bool name_matches(struct slice name, const char *known, bool *out_is_file)
{
    struct slice base = slice_str(known), suffix = SLICE_LIT(FILE_SUFFIX);
    if (!slice_starts(name, base))
        return false;
    struct slice rest = slice_skip(name, base.len);
    *out_is_file = rest.len > 0;
    return rest.len == 0 || slice_eq(rest, suffix);
}

static void report_unknown(struct reader *reader, const char *name)
{
    struct nearest nearest = {0};
    struct slice word = slice_str(name), suffix = SLICE_LIT(FILE_SUFFIX);
    bool is_file = slice_ends(word, suffix);
    if (is_file)
        word.len -= suffix.len;
    word = slice_skip(word, sizeof PREFIX - 1); /* the prefix is right, and must not make all names look alike */
    for (size_t i = 0; i < reader->environment->num; i++)
        nearest_offer(&nearest, word, slice_str(reader->names[i] + sizeof PREFIX - 1));
    /* Its value is not shown: it may be a secret with a misspelt name. */
    if (nearest.best.ptr)
        mistakes_add(reader->mistakes, name, SLICE_NONE, NULL, "is no variable of this version; did you mean %s%s%s?",
                     PREFIX, nearest.best.ptr, is_file ? FILE_SUFFIX : "");
    else
        mistakes_add(reader->mistakes, name, SLICE_NONE, NULL,
                     "is no variable of this version; `portico help` lists them");
}

static void take_entry(struct reader *reader, const char *name, const char *value)
{
    bool is_file = false;
    for (size_t i = 0; i < reader->environment->num; i++)
        if (name_matches(slice_str(name), reader->names[i], &is_file)) {
            const char **slot = is_file ? &reader->paths[i] : &reader->values[i];
            if (!*slot) /* the first of two entries counts, as with getenv */
                *slot = value;
            return;
        }
    if (!environment_is_service_link(name))
        report_unknown(reader, name);
}

static void take_entries(struct reader *reader, const char *const *entries)
{
    for (; *entries; entries++) {
        const char *value = strchr(*entries, '=');
        if (strncmp(*entries, PREFIX, sizeof PREFIX - 1) != 0 || !value || !value[1])
            continue;
        char *name = mem_dup(*entries, (size_t)(value - *entries));
        take_entry(reader, name, value + 1);
        mem_free(name);
    }
}

/* Without quoting the file's contents anywhere. */
static void load_file(struct reader *reader, size_t i)
{
    struct environment_entry *entry = &reader->environment->entries[i];
    const char *path = reader->paths[i];
    struct buf name = {0};
    char text[128];
    buf_printf(&name, "%s%s", reader->names[i], FILE_SUFFIX);
    entry->path = slice_str(path);
    if (!read_file(path, &entry->text)) {
        mistakes_add(reader->mistakes, buf_cstr(&name), entry->path, NULL, "cannot be read: %s",
                     read_failure_text(errno, text, sizeof text));
        entry->failed = true;
    } else if (entry->text.len && memchr(entry->text.ptr, '\0', entry->text.len)) {
        mistakes_add(reader->mistakes, buf_cstr(&name), entry->path, NULL, "is a file with a NUL byte in it, not text");
        entry->failed = true;
    }
    strip_newline(&entry->text);
    buf_cleanup(&name);
}

static void load_entry(struct reader *reader, size_t i)
{
    struct environment_entry *entry = &reader->environment->entries[i];
    if (reader->values[i] && reader->paths[i]) {
        mistakes_add(reader->mistakes, reader->names[i], SLICE_NONE, NULL,
                     "is set and %s%s is set too: one of them must go", reader->names[i], FILE_SUFFIX);
        entry->failed = true;
    } else if (reader->paths[i]) {
        load_file(reader, i);
    } else if (reader->values[i]) {
        buf_append_str(&entry->text, reader->values[i]);
    }
}

void environment_read(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names, struct config_mistakes *mistakes)
{
    struct reader reader = {.environment = environment, .names = names, .mistakes = mistakes};
    environment->entries = mem_calloc(num_names, sizeof *environment->entries);
    environment->num = num_names;
    reader.values = mem_calloc(num_names, sizeof *reader.values);
    reader.paths = mem_calloc(num_names, sizeof *reader.paths);
    take_entries(&reader, entries);
    for (size_t i = 0; i < num_names; i++)
        load_entry(&reader, i);
    mem_free(reader.values);
    mem_free(reader.paths);
}

void environment_cleanup(struct environment *environment)
{
    for (size_t i = 0; i < environment->num; i++)
        buf_cleanup_secret(&environment->entries[i].text);
    mem_free(environment->entries);
    *environment = (struct environment){0};
}
