#include "config/sources.h"

#include "base/mem.h"
#include "config/build.h"
#include "config/cert_dir.h"
#include "config/env_dir.h"

#include <sys/stat.h>
#include <time.h>

enum { SOURCES_FRESH_S = 2 }; /* above the grain of the file systems that people use: FAT's */

static void place_add(struct config_sources *sources, struct slice path)
{
    for (size_t i = 0; i < sources->num_places; i++)
        if (slice_eq(slice_str(sources->places[i]), path))
            return;
    sources->places = mem_realloc(sources->places, (sources->num_places + 1) * sizeof *sources->places);
    sources->places[sources->num_places++] = mem_dup(path.ptr, path.len);
}

static struct slice directory_of(struct slice path)
{
    const char *slash = memrchr(path.ptr, '/', path.len);
    if (!slash)
        return SLICE_LIT(".");
    return slash == path.ptr ? SLICE_LIT("/") : slice_first(path, (size_t)(slash - path.ptr));
}

/* A file that is not there has a stamp too: its coming is a change. */
static void stamp_add(struct config_sources *sources, const char *path, int64_t now_s)
{
    struct stat at = {0};
    uint64_t seen[8] = {sources->stamp};
    if (stat(path, &at) == 0) {
        const uint64_t what[] = {at.st_dev,
                                 at.st_ino,
                                 (uint64_t)at.st_size,
                                 (uint64_t)at.st_mtim.tv_sec,
                                 (uint64_t)at.st_mtim.tv_nsec,
                                 (uint64_t)at.st_ctim.tv_sec,
                                 (uint64_t)at.st_ctim.tv_nsec};
        memcpy(&seen[1], what, sizeof what);
        sources->emptied = sources->emptied ||
                           (S_ISREG(at.st_mode) && at.st_size == 0 && at.st_mtim.tv_sec >= now_s - SOURCES_FRESH_S);
        sources->fresh = sources->fresh || at.st_mtim.tv_sec >= now_s - SOURCES_FRESH_S ||
                         at.st_ctim.tv_sec >= now_s - SOURCES_FRESH_S;
    }
    sources->stamp = map_hash(slice_make((const char *)seen, sizeof seen), 0);
    sources->stamp = map_hash(slice_str(path), sources->stamp);
}

static void source_add(struct config_sources *sources, const char *path, int64_t now_s)
{
    struct slice text = slice_str(path);
    stamp_add(sources, path, now_s);
    place_add(sources, directory_of(text));
    place_add(sources, text);
}

/* The directories themselves have no stamp: what comes or goes in them counts where it is a file of theirs. */
static void cert_dir_add(struct config_sources *sources, const char *const *entries, const char *const *names,
                         int64_t now_s)
{
    const char *const only[] = {names[ROW_TLS_CERT_DIR], NULL};
    struct config_mistakes mistakes = {0};
    struct environment environment;
    struct cert_dir dir = {0};
    environment_read(&environment, entries, names, NUM_ROWS, only, &mistakes);
    struct slice path = parse_trim(buf_slice(&environment.entries[ROW_TLS_CERT_DIR].text));
    if (path.len && !cert_dir_list(path, &dir))
        place_add(sources, path); /* it may come yet */
    for (size_t i = 0; i < dir.num; i++) {
        if (dir.files[i].is_dir)
            place_add(sources, slice_str(dir.files[i].path));
        else
            source_add(sources, dir.files[i].path, now_s);
    }
    cert_dir_cleanup(&dir);
    environment_cleanup(&environment);
    config_mistakes_cleanup(&mistakes);
}

void config_sources_look(const char *const *entries, struct config_sources *out_sources)
{
    struct environment environment;
    const char *names[NUM_ROWS], *dir = environment_dir(entries);
    int64_t now_s = (int64_t)time(NULL);
    *out_sources = (struct config_sources){0};
    rows_name(names);
    environment_look(&environment, entries, names, NUM_ROWS);
    if (dir)
        place_add(out_sources, slice_str(dir));
    for (size_t i = 0; i < environment.num_files; i++)
        source_add(out_sources, environment.files[i].path, now_s);
    for (size_t i = 0; i < environment.num; i++)
        if (environment.entries[i].path.len)
            source_add(out_sources, environment.entries[i].path.ptr, now_s);
    environment_cleanup(&environment);
    cert_dir_add(out_sources, entries, names, now_s);
}

void config_sources_cleanup(struct config_sources *sources)
{
    for (size_t i = 0; i < sources->num_places; i++)
        mem_free(sources->places[i]);
    mem_free(sources->places);
    *sources = (struct config_sources){0};
}
