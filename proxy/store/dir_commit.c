#include "store/dir_commit.h"

#include "base/mem.h"
#include "store/dir_journal.h"
#include "store/dir_lock.h"

#include <stdio.h>

/* A commit that is being prepared. */
struct commit {
    struct dir_disk *disk;
    const struct dir_write *writes;
    size_t num_writes;
    struct dir_plan plan;
    struct dir_trouble *trouble;
};

void dir_write_cleanup(struct dir_write *write)
{
    buf_cleanup_secret(&write->value);
}

static enum store_result write_check(const struct dir_write *write, struct dir_trouble *trouble)
{
    if (!store_key_writable(slice_str(write->key)))
        return dir_trouble_say(trouble, STORE_DENIED, "no record may have this key", "");
    if (write->remove)
        return STORE_OK;
    if (write->value.len > LIMIT_STORE_VALUE_BYTES)
        return dir_trouble_say(trouble, STORE_TOO_BIG, "the value is larger than any record", write->key);
    if (write->value.len == 0 || memchr(write->value.ptr, 0, write->value.len))
        return dir_trouble_say(trouble, STORE_DENIED, "a value is text: not empty, without NUL bytes", write->key);
    return STORE_OK;
}

static enum store_result writes_check(const struct dir_write *writes, size_t num, struct dir_trouble *trouble)
{
    enum store_result result = STORE_OK;
    if (num > LIMIT_STORE_WRITES)
        return dir_trouble_say(trouble, STORE_TOO_BIG, "too many writes in one commit", "");
    for (size_t i = 0; i < num && result == STORE_OK; i++) {
        result = write_check(&writes[i], trouble);
        for (size_t j = 0; j < i && result == STORE_OK; j++)
            if (strcmp(writes[i].key, writes[j].key) == 0) // NOLINT(clang-analyzer-core.NonNullParamChecker): checked
                result = dir_trouble_say(trouble, STORE_DENIED, "one record twice in one commit", writes[i].key);
    }
    return result;
}

/* --- Preparing: temporary files and steps --- */

static void plan_discard(struct commit *commit)
{
    for (size_t i = 0; i < commit->plan.num; i++)
        if (commit->plan.steps[i].from[0]) {
            struct err ignored = dir_io_remove(&commit->disk->io, commit->plan.steps[i].from);
            (void)ignored; /* the next holder of the lock sweeps up */
        }
    commit->plan.num = 0;
}

static enum store_result plan_add_value(struct commit *commit, const char *path, struct slice value)
{
    struct dir_step *step = &commit->plan.steps[commit->plan.num++];
    *step = (struct dir_step){0};
    snprintf(step->to.text, sizeof step->to.text, "%s", path);
    dir_temp_name(commit->disk, step->from);
    struct err err = dir_io_make_dirs(&commit->disk->io, store_path_dir(path).text);
    if (!err_is(err))
        err = dir_io_write(&commit->disk->io, step->from, value);
    enum store_result result = dir_trouble_note(commit->trouble, err, path);
    return result == STORE_NOT_FOUND ? STORE_UNAVAILABLE : result;
}

static void plan_add_removal(struct commit *commit, const char *path)
{
    struct dir_step *step = &commit->plan.steps[commit->plan.num++];
    *step = (struct dir_step){0};
    snprintf(step->to.text, sizeof step->to.text, "%s", path);
}

static bool commit_writes(const struct commit *commit, const char *key)
{
    for (size_t i = 0; i < commit->num_writes; i++)
        if (strcmp(commit->writes[i].key, key) == 0)
            return true;
    return false;
}

static enum store_result plan_keep_previous(struct commit *commit, const char *path, struct slice value)
{
    char kept[STORE_PATH_BYTES + sizeof "previous/"], key[STORE_PATH_BYTES];
    snprintf(kept, sizeof kept, "previous/%s", path);
    if (!store_key_of_path(kept, key) || commit_writes(commit, key))
        return STORE_OK;
    return plan_add_value(commit, kept, value);
}

static bool condition_holds(const struct dir_write *write, const struct dir_record *current)
{
    switch (write->condition) {
    case STORE_ANY: return true;
    case STORE_ABSENT: return !current;
    case STORE_VERSION: return current && current->version == write->version;
    }
    return false;
}

/* current: what is there, or NULL. */
static enum store_result plan_add_write(struct commit *commit, const struct dir_write *write, const char *path,
                                        const struct dir_record *current)
{
    if (!condition_holds(write, current)) {
        *commit->trouble = (struct dir_trouble){0};
        return STORE_CONFLICT;
    }
    struct slice value = buf_slice(&write->value);
    if (!write->remove && current && slice_eq(buf_slice(&current->value), value))
        return STORE_OK; /* or the same bytes would push a real previous certificate out */
    enum store_result result = STORE_OK;
    if (current && slice_starts(slice_str(path), SLICE_LIT("certificate/")))
        result = plan_keep_previous(commit, path, buf_slice(&current->value));
    if (result == STORE_OK && !write->remove)
        result = plan_add_value(commit, path, value);
    else if (result == STORE_OK)
        plan_add_removal(commit, path);
    return result;
}

/* Beyond repair, and not only out of reach for now. */
static bool record_is_damaged(enum store_result result)
{
    return result == STORE_CORRUPT || result == STORE_TOO_BIG;
}

static enum store_result plan_write(struct commit *commit, const struct dir_write *write)
{
    struct dir_record current = {0};
    struct store_path path = store_key_path(slice_str(write->key));
    enum store_result result = dir_disk_get(commit->disk, path.text, &current, commit->trouble);
    if (result == STORE_OK)
        result = plan_add_write(commit, write, path.text, &current);
    else if (result == STORE_NOT_FOUND && write->remove && write->condition != STORE_VERSION)
        result = STORE_OK;
    else if (result == STORE_NOT_FOUND || (write->condition == STORE_ANY && record_is_damaged(result)))
        result = plan_add_write(commit, write, path.text, NULL);
    dir_record_cleanup(&current);
    return result;
}

/* --- Carrying out --- */

static enum store_result commit_one(struct commit *commit)
{
    bool begun;
    struct err err = dir_plan_apply(commit->disk, &commit->plan, false, &begun);
    enum store_result result = dir_trouble_note(commit->trouble, err, commit->plan.steps[0].to.text);
    if (result == STORE_OK)
        return STORE_OK;
    if (begun)
        return STORE_UNKNOWN; /* seen by all, but perhaps not after a power cut */
    plan_discard(commit);
    return result == STORE_NOT_FOUND ? STORE_UNAVAILABLE : result;
}

static enum store_result commit_several(struct commit *commit)
{
    bool visible, begun;
    struct err err = dir_journal_write(commit->disk, &commit->plan, &visible);
    if (!visible) {
        enum store_result result = dir_trouble_note(commit->trouble, err, STORE_DIR_JOURNAL);
        plan_discard(commit);
        return result == STORE_NOT_FOUND ? STORE_UNAVAILABLE : result;
    }
    commit->disk->recovery_due = true;
    if (!err_is(err))
        err = dir_plan_apply(commit->disk, &commit->plan, false, &begun);
    if (err_is(err)) {
        (void)dir_trouble_note(commit->trouble, err, STORE_DIR_JOURNAL);
        return STORE_UNKNOWN;
    }
    err = dir_journal_remove(commit->disk); /* failing here takes nothing back: the next call tries again */
    commit->disk->recovery_due = err_is(err);
    return STORE_OK;
}

static enum store_result commit_run(struct commit *commit)
{
    enum store_result result = STORE_OK;
    for (size_t i = 0; i < commit->num_writes && result == STORE_OK; i++)
        result = plan_write(commit, &commit->writes[i]);
    if (result != STORE_OK) {
        plan_discard(commit);
        return result;
    }
    if (commit->plan.num == 0)
        return STORE_OK;
    return commit->plan.num == 1 ? commit_one(commit) : commit_several(commit);
}

enum store_result dir_commit(struct dir_disk *disk, const struct dir_write *writes, size_t num_writes,
                             struct dir_trouble *trouble)
{
    enum store_result result = dir_lock_check(disk, trouble);
    if (result == STORE_OK)
        result = writes_check(writes, num_writes, trouble);
    if (result == STORE_OK && disk->recovery_due)
        result = dir_journal_recover(disk, trouble);
    if (result != STORE_OK)
        return result;
    struct commit *commit = MEM_NEW(struct commit);
    commit->disk = disk;
    commit->writes = writes;
    commit->num_writes = num_writes;
    commit->trouble = trouble;
    result = commit_run(commit);
    mem_free(commit);
    if (result == STORE_OK)
        *trouble = (struct dir_trouble){0};
    return result;
}
