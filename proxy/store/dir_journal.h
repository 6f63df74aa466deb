/* dir_journal: several files changed as one, even across kill -9 and a power cut.
 *
 * The new contents lie durably in files of their own before the journal is written; the journal names the renames and
 * removals that make them the truth. Its own rename to `.journal` is the moment at which the commit has happened: before
 * it nothing has, after it whoever holds the lock carries the rest out, as often as need be, since a rename whose source
 * is gone has been done. It is removed, durably, before anything else is written.
 *
 *   portico-journal 1
 *   rename .new-0123456789abcdef-1 previous/certificate/a.example
 *   rename .new-0123456789abcdef-2 certificate/a.example
 *   remove order/a.example
 *   end
 *
 * Under the lock alone. Blocks. */
#ifndef STORE_DIR_JOURNAL_H
#define STORE_DIR_JOURNAL_H

#include "base/limits.h"
#include "store/dir_disk.h"

#define STORE_DIR_JOURNAL ".journal"
#define STORE_DIR_TEMP_PREFIX ".new-"

enum { DIR_TEMP_BYTES = 48, DIR_PLAN_STEPS = 2 * LIMIT_STORE_WRITES };

struct dir_step {
    char from[DIR_TEMP_BYTES]; /* renamed to `to`; empty: `to` is removed */
    struct store_path to;
};

struct dir_plan {
    size_t num;
    struct dir_step steps[DIR_PLAN_STEPS];
};

/* A name that no file has. */
void dir_temp_name(struct dir_disk *disk, char out[DIR_TEMP_BYTES]);

/* Text of a plan, and back; ERR_INPUT for whatever dir_journal_print does not write. */
void dir_journal_print(const struct dir_plan *plan, struct buf *out);
MUST_CHECK struct err dir_journal_parse(struct slice text, struct dir_plan *out_plan);

/* Makes the plan the truth. *out_visible: the journal has its name, so the commit may have happened whatever the result. */
MUST_CHECK struct err dir_journal_write(struct dir_disk *disk, const struct dir_plan *plan, bool *out_visible);
/* Carries the steps out and waits until their names are on the disk. again: some may have been done. *out_begun: a step
 * has been done. */
MUST_CHECK struct err dir_plan_apply(const struct dir_disk *disk, const struct dir_plan *plan, bool again,
                                     bool *out_begun);
MUST_CHECK struct err dir_journal_remove(const struct dir_disk *disk);

/* Applies and removes a journal that lies there, if any. CORRUPT for one that cannot be read: then nothing may be written. */
enum store_result dir_journal_recover(struct dir_disk *disk, struct dir_trouble *trouble);

#endif
