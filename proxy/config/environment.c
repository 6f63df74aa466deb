#include "config/environment.h"

#include "base/mem.h"
#include "config/env_dir.h"
#include "config/mistakes.h"
#include "config/nearest.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>

#define PREFIX "PORTICO_"
#define ENV_DIR PREFIX "ENV_DIR"
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

struct reader {
    struct environment *environment;
    const char *const *names;
    const char *const *only; /* NULL: all */
    struct config_mistakes *mistakes;
    const char **values, **paths; /* what the entries have for each name and its _FILE; views */
    const char **dir_paths;       /* the same, of ENV_DIR: the variable's own file */
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

static bool is_passed_over(const struct reader *reader, const char *known)
{
    if (!reader->only || strcmp(known, ENV_DIR) == 0)
        return false;
    for (const char *const *name = reader->only; *name; name++)
        if (strcmp(known, *name) == 0)
            return false;
    return true;
}

/* The row that the name means, alone or with _FILE; the number of rows where it is none, which is reported. */
static size_t find_row(struct reader *reader, const char *name, bool *out_is_file)
{
    size_t num = reader->environment->num;
    for (size_t i = 0; i < num; i++)
        if (name_matches(slice_str(name), reader->names[i], out_is_file))
            return is_passed_over(reader, reader->names[i]) ? num : i;
    if (!reader->only && !environment_is_service_link(name))
        report_unknown(reader, name);
    return num;
}

static void take_entry(struct reader *reader, const char *name, const char *value)
{
    bool is_file = false;
    size_t i = find_row(reader, name, &is_file);
    if (i == reader->environment->num)
        return;
    const char **slot = is_file ? &reader->paths[i] : &reader->values[i];
    if (!*slot) /* the first of two entries counts, as with getenv */
        *slot = value;
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

/* ---- ENV_DIR ---- */

static void report_unreadable(struct reader *reader, const char *name, const char *path)
{
    char text[128];
    mistakes_add(reader->mistakes, name, slice_str(path), NULL, "cannot be read: %s",
                 env_file_failure(errno, text, sizeof text));
}

/* The path that a PORTICO_X_FILE of the directory holds; NULL: it is empty, or cannot be read. */
static const char *read_path(struct reader *reader, struct env_dir_file *file, bool *out_failed)
{
    struct buf text = {0};
    *out_failed = !env_file_read(file->path, &text);
    if (*out_failed)
        report_unreadable(reader, file->name, file->path);
    env_file_strip(&text);
    if (text.len && !*out_failed)
        file->text = buf_take(&text);
    buf_cleanup(&text);
    return file->text;
}

static void take_file(struct reader *reader, struct env_dir_file *file)
{
    bool is_file = false;
    size_t i = find_row(reader, file->name, &is_file);
    if (i == reader->environment->num)
        return;
    if (reader->values[i] || reader->paths[i] || reader->dir_paths[i] || strcmp(reader->names[i], ENV_DIR) == 0) {
        mistakes_add(reader->mistakes, file->name, SLICE_NONE, NULL,
                     "is a file of " ENV_DIR " (%s) and is given elsewhere too: one of them must go", file->path);
        reader->environment->entries[i].failed = true;
    } else if (is_file) {
        reader->paths[i] = read_path(reader, file, &reader->environment->entries[i].failed);
    } else {
        reader->dir_paths[i] = file->path;
    }
}

static void take_dir(struct reader *reader, const char *dir)
{
    struct environment *environment = reader->environment;
    if (!env_dir_list(dir, &environment->files, &environment->num_files)) {
        report_unreadable(reader, ENV_DIR, dir);
        return;
    }
    for (size_t i = 0; i < environment->num_files; i++)
        take_file(reader, &environment->files[i]);
}

/* ---- texts ---- */

/* Without quoting the file's contents anywhere. */
static void load_file(struct reader *reader, size_t i)
{
    struct environment_entry *entry = &reader->environment->entries[i];
    struct buf name = {0};
    buf_printf(&name, "%s%s", reader->names[i], entry->given ? FILE_SUFFIX : "");
    if (!env_file_read(entry->path.ptr, &entry->text)) {
        report_unreadable(reader, buf_cstr(&name), entry->path.ptr);
        entry->failed = true;
    } else if (entry->text.len && memchr(entry->text.ptr, '\0', entry->text.len)) {
        mistakes_add(reader->mistakes, buf_cstr(&name), entry->path, NULL, "is a file with a NUL byte in it, not text");
        entry->failed = true;
    }
    env_file_strip(&entry->text);
    buf_cleanup(&name);
}

static void choose_source(struct reader *reader, size_t i)
{
    struct environment_entry *entry = &reader->environment->entries[i];
    const char *path = reader->paths[i] ? reader->paths[i] : reader->dir_paths[i];
    entry->given = reader->paths[i] != NULL;
    if (path)
        entry->path = slice_str(path);
    if (reader->values[i] && reader->paths[i]) {
        mistakes_add(reader->mistakes, reader->names[i], SLICE_NONE, NULL,
                     "is set and %s%s is set too: one of them must go", reader->names[i], FILE_SUFFIX);
        entry->failed = true;
    }
}

static void load_entry(struct reader *reader, size_t i)
{
    struct environment_entry *entry = &reader->environment->entries[i];
    if (entry->failed)
        return;
    if (entry->path.len)
        load_file(reader, i);
    else if (reader->values[i])
        buf_append_str(&entry->text, reader->values[i]);
}

static void reader_begin(struct reader *reader, struct environment *environment, const char *const *entries,
                         size_t num_names)
{
    const char *dir = environment_dir(entries);
    *environment =
        (struct environment){.entries = mem_calloc(num_names, sizeof *environment->entries), .num = num_names};
    reader->environment = environment;
    reader->values = mem_calloc(num_names, sizeof *reader->values);
    reader->paths = mem_calloc(num_names, sizeof *reader->paths);
    reader->dir_paths = mem_calloc(num_names, sizeof *reader->dir_paths);
    take_entries(reader, entries);
    if (dir)
        take_dir(reader, dir);
    for (size_t i = 0; i < num_names; i++)
        choose_source(reader, i);
}

static void reader_end(struct reader *reader)
{
    mem_free(reader->values);
    mem_free(reader->paths);
    mem_free(reader->dir_paths);
}

void environment_read(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names, const char *const *only, struct config_mistakes *mistakes)
{
    struct reader reader = {.names = names, .only = only, .mistakes = mistakes};
    reader_begin(&reader, environment, entries, num_names);
    for (size_t i = 0; i < num_names; i++)
        load_entry(&reader, i);
    reader_end(&reader);
}

void environment_look(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names)
{
    struct config_mistakes mistakes = {0};
    struct reader reader = {.names = names, .mistakes = &mistakes};
    reader_begin(&reader, environment, entries, num_names);
    reader_end(&reader);
    config_mistakes_cleanup(&mistakes);
}

void environment_cleanup(struct environment *environment)
{
    for (size_t i = 0; i < environment->num; i++)
        buf_cleanup_secret(&environment->entries[i].text);
    mem_free(environment->entries);
    env_dir_free(environment->files, environment->num_files);
    *environment = (struct environment){0};
}

const char *environment_dir(const char *const *entries)
{
    for (; *entries; entries++)
        if (strncmp(*entries, ENV_DIR "=", sizeof ENV_DIR) == 0 && (*entries)[sizeof ENV_DIR])
            return *entries + sizeof ENV_DIR;
    return NULL;
}
