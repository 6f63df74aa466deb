#include "store/dir_journal.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define JOURNAL_FIRST_LINE "portico-journal 1"

enum { JOURNAL_MAX_BYTES = DIR_PLAN_STEPS * (STORE_PATH_BYTES + DIR_TEMP_BYTES + 16) };

void dir_temp_name(struct dir_disk *disk, char out[DIR_TEMP_BYTES])
{
    snprintf(out, DIR_TEMP_BYTES, STORE_DIR_TEMP_PREFIX "%016" PRIx64 "-%" PRIu64, disk->temp_id, ++disk->num_temps);
}

/* --- Text --- */

void dir_journal_print(const struct dir_plan *plan, struct buf *out)
{
    buf_append_str(out, JOURNAL_FIRST_LINE "\n");
    for (size_t i = 0; i < plan->num; i++) {
        const struct dir_step *step = &plan->steps[i];
        if (step->from[0])
            buf_printf(out, "rename %s %s\n", step->from, step->to.text);
        else
            buf_printf(out, "remove %s\n", step->to.text);
    }
    buf_append_str(out, "end\n");
}

static bool step_parse_from(struct slice from, struct dir_step *step)
{
    if (!slice_starts(from, SLICE_LIT(STORE_DIR_TEMP_PREFIX)) || from.len >= DIR_TEMP_BYTES ||
        memchr(from.ptr, '/', from.len) || memchr(from.ptr, 0, from.len))
        return false;
    memcpy(step->from, from.ptr, from.len);
    return true;
}

static bool step_parse_to(struct slice to, struct dir_step *step)
{
    char key[STORE_PATH_BYTES];
    if (to.len == 0 || to.len >= STORE_PATH_BYTES || memchr(to.ptr, 0, to.len))
        return false;
    memcpy(step->to.text, to.ptr, to.len);
    return store_key_of_path(step->to.text, key);
}

static bool step_parse(struct slice line, struct dir_step *step)
{
    *step = (struct dir_step){0};
    struct slice word = slice_split(&line, ' ');
    if (slice_eq(word, SLICE_LIT("rename")))
        return step_parse_from(slice_split(&line, ' '), step) && step_parse_to(line, step);
    return slice_eq(word, SLICE_LIT("remove")) && step_parse_to(line, step);
}

struct err dir_journal_parse(struct slice text, struct dir_plan *out_plan)
{
    struct err broken = err_make(ERR_INPUT, 0, "journal");
    out_plan->num = 0;
    if (!slice_ends(text, SLICE_LIT("\nend\n")) || !slice_eq(slice_split(&text, '\n'), SLICE_LIT(JOURNAL_FIRST_LINE)))
        return broken;
    while (text.len) {
        struct slice line = slice_split(&text, '\n');
        if (slice_eq(line, SLICE_LIT("end")))
            return text.len ? broken : ERR_OK;
        if (out_plan->num == DIR_PLAN_STEPS || !step_parse(line, &out_plan->steps[out_plan->num]))
            return broken;
        out_plan->num++;
    }
    return broken; /* without its end */
}

/* --- Files --- */

struct err dir_journal_write(struct dir_disk *disk, const struct dir_plan *plan, bool *out_visible)
{
    char temp[DIR_TEMP_BYTES];
    struct buf text = {0};
    *out_visible = false;
    dir_temp_name(disk, temp);
    dir_journal_print(plan, &text);
    struct err err = dir_io_write(&disk->io, temp, buf_slice(&text));
    buf_cleanup(&text);
    if (!err_is(err))
        err = dir_io_sync_dir(&disk->io, "."); /* the names that the journal speaks of, before the journal */
    if (!err_is(err)) {
        err = dir_io_rename(&disk->io, temp, STORE_DIR_JOURNAL);
        *out_visible = !err_is(err);
    }
    if (!*out_visible) {
        struct err ignored = dir_io_remove(&disk->io, temp); /* the next holder of the lock would do it, too */
        (void)ignored;
        return err;
    }
    return dir_io_sync_dir(&disk->io, ".");
}

static struct err step_apply(const struct dir_disk *disk, const struct dir_step *step, bool again)
{
    if (!step->from[0])
        return dir_io_remove(&disk->io, step->to.text);
    struct err err = dir_io_rename(&disk->io, step->from, step->to.text);
    return again && err.code == ENOENT ? ERR_OK : err;
}

static struct err plan_sync_dirs(const struct dir_disk *disk, const struct dir_plan *plan)
{
    struct err err = ERR_OK;
    for (size_t i = 0; i < plan->num && !err_is(err); i++) {
        struct store_path dir = store_path_dir(plan->steps[i].to.text);
        bool seen = strcmp(dir.text, ".") == 0;
        for (size_t j = 0; j < i && !seen; j++)
            seen = strcmp(store_path_dir(plan->steps[j].to.text).text, dir.text) == 0;
        if (!seen)
            err = dir_io_sync_dir(&disk->io, dir.text);
        if (err.code == ENOENT) /* a removal where there never was a directory */
            err = ERR_OK;
    }
    return err_is(err) ? err : dir_io_sync_dir(&disk->io, ".");
}

struct err dir_plan_apply(const struct dir_disk *disk, const struct dir_plan *plan, bool again, bool *out_begun)
{
    struct err err = ERR_OK;
    *out_begun = false;
    for (size_t i = 0; i < plan->num && !err_is(err); i++) {
        err = step_apply(disk, &plan->steps[i], again);
        *out_begun = *out_begun || !err_is(err);
    }
    return err_is(err) ? err : plan_sync_dirs(disk, plan);
}

struct err dir_journal_remove(const struct dir_disk *disk)
{
    struct err err = dir_io_remove(&disk->io, STORE_DIR_JOURNAL);
    return err_is(err) ? err : dir_io_sync_dir(&disk->io, ".");
}

static struct err journal_carry_out(struct dir_disk *disk, const struct dir_plan *plan)
{
    bool begun;
    struct err err = dir_io_sync_dir(&disk->io, "."); /* the journal may have been seen before it was durable */
    if (!err_is(err))
        err = dir_plan_apply(disk, plan, true, &begun);
    return err_is(err) ? err : dir_journal_remove(disk);
}

enum store_result dir_journal_recover(struct dir_disk *disk, struct dir_trouble *trouble)
{
    struct buf text = {0};
    struct dir_plan *plan = MEM_NEW(struct dir_plan);
    disk->recovery_due = true;
    enum store_result result = dir_trouble_note(
        trouble, dir_io_read(&disk->io, STORE_DIR_JOURNAL, JOURNAL_MAX_BYTES, &text), STORE_DIR_JOURNAL);
    if (result == STORE_OK && err_is(dir_journal_parse(buf_slice(&text), plan)))
        result =
            dir_trouble_say(trouble, STORE_CORRUPT, "the journal of a commit is damaged: look at it, then move it away",
                            STORE_DIR_JOURNAL);
    else if (result == STORE_OK)
        result = dir_trouble_note(trouble, journal_carry_out(disk, plan), STORE_DIR_JOURNAL);
    else if (result == STORE_NOT_FOUND)
        result = dir_trouble_note(trouble, dir_io_sync_dir(&disk->io, "."), ""); /* its removal may not be durable */
    disk->recovery_due = result != STORE_OK;
    buf_cleanup(&text);
    mem_free(plan);
    return result;
}
