#include "base/mem.h"
#include "store/dir_disk.h"

#include <errno.h>
#include <stdlib.h>

/* --- Walking --- */

/* Can keys with the prefix lie below this one? */
static bool walk_wants_dir(const struct dir_walk *walk, struct slice dir)
{
    if (slice_eq(dir, SLICE_LIT("previous")) && walk->prefix.len == 0)
        return walk->with_previous;
    if (!slice_eq(slice_first(dir, walk->prefix.len), slice_first(walk->prefix, dir.len)))
        return false;
    return walk->prefix.len <= dir.len || walk->prefix.ptr[dir.len] == '/';
}

static struct err walk_visit(void *ctx, const struct dir_entry *entry)
{
    struct dir_walk *walk = ctx;
    char key[STORE_PATH_BYTES];
    if (!store_key_of_path(entry->path, key))
        return ERR_OK;                                                /* somebody's own file */
    if (S_ISREG(entry->stat.st_mode) || S_ISLNK(entry->stat.st_mode)) /* reading will refuse a link, and say so */
        return slice_starts(slice_str(key), walk->prefix) ? walk->on_file(walk, key, entry) : ERR_OK;
    if (!S_ISDIR(entry->stat.st_mode) || walk->depth >= STORE_KEY_PARTS || !walk_wants_dir(walk, slice_str(key)))
        return ERR_OK;
    struct err err = walk->on_dir ? walk->on_dir(walk, entry) : ERR_OK;
    if (err_is(err))
        return err;
    walk->depth++;
    err = dir_io_scan(walk->io, entry->path, walk_visit, walk);
    walk->depth--;
    return err;
}

struct err dir_walk_run(struct dir_walk *walk)
{
    walk->depth = 1;
    return dir_io_scan(walk->io, ".", walk_visit, walk);
}

/* --- Listing --- */

struct list_walk {
    struct dir_walk walk;
    const struct dir_disk *disk;
    struct dir_list *list;
    enum store_result result; /* of the first record that could not be read */
    struct dir_trouble *trouble;
};

static struct dir_record *list_add(struct dir_list *list)
{
    if (list->num == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->records = mem_realloc(list->records, list->cap * sizeof *list->records);
    }
    return &list->records[list->num];
}

static struct err list_on_file(struct dir_walk *walk, const char *key, const struct dir_entry *entry)
{
    struct list_walk *own = container_of(walk, struct list_walk, walk);
    struct dir_trouble trouble;
    enum store_result result = dir_disk_get(own->disk, entry->path, list_add(own->list), &trouble);
    (void)key;
    if (result == STORE_OK)
        own->list->num++;
    else if (result != STORE_NOT_FOUND &&
             own->result == STORE_OK) { /* one that is removed meanwhile is simply not there */
        own->result = result;
        *own->trouble = trouble;
    }
    return ERR_OK;
}

static int record_compare(const void *a, const void *b)
{
    return strcmp(((const struct dir_record *)a)->key, ((const struct dir_record *)b)->key);
}

enum store_result dir_disk_list(const struct dir_disk *disk, struct slice prefix, struct dir_list *out_list,
                                struct dir_trouble *trouble)
{
    struct list_walk own = {
        .walk = {.on_file = list_on_file, .io = &disk->io, .prefix = prefix},
        .disk = disk,
        .list = out_list,
        .result = STORE_OK,
        .trouble = trouble,
    };
    *out_list = (struct dir_list){0};
    *trouble = (struct dir_trouble){0};
    struct err err = dir_walk_run(&own.walk);
    if (err_is(err))
        own.result = dir_trouble_note(trouble, err, prefix.len ? store_key_path(prefix).text : "");
    if (own.result == STORE_NOT_FOUND || dir_disk_is_gone(disk))
        own.result = dir_trouble_say(trouble, STORE_UNAVAILABLE, dir_disk_gone_text, "");
    if (out_list->num)
        qsort(out_list->records, out_list->num, sizeof *out_list->records, record_compare);
    return own.result;
}

void dir_list_cleanup(struct dir_list *list)
{
    for (size_t i = 0; i < list->num; i++)
        dir_record_cleanup(&list->records[i]);
    mem_free(list->records);
    *list = (struct dir_list){0};
}
