#include "store/dir_lock.h"

#include "store/dir_journal.h"

#include <errno.h>
#include <unistd.h>

static const char lock_replaced[] = "the lock's file was removed or replaced by somebody else";

void dir_lock_release(struct dir_disk *disk)
{
    if (disk->lock_fd >= 0)
        close(disk->lock_fd);
    disk->lock_fd = -1;
    disk->recovery_due = false; /* whoever holds it next looks for itself */
}

enum store_result dir_lock_check(struct dir_disk *disk, struct dir_trouble *trouble)
{
    bool same = false;
    *trouble = (struct dir_trouble){0};
    if (disk->lock_fd < 0)
        return STORE_FENCED;
    struct err err = dir_io_is_file(&disk->io, STORE_DIR_LOCK, disk->lock_fd, &same);
    if (err_is(err))
        return dir_trouble_note(trouble, err, STORE_DIR_LOCK);
    if (same)
        return STORE_OK;
    dir_lock_release(disk);
    return dir_trouble_say(trouble, STORE_FENCED, lock_replaced, STORE_DIR_LOCK);
}

static struct err temp_remove(void *ctx, const struct dir_entry *entry)
{
    const struct dir_disk *disk = ctx;
    if (!slice_starts(slice_str(entry->path), SLICE_LIT(STORE_DIR_TEMP_PREFIX)))
        return ERR_OK;
    return dir_io_remove(&disk->io, entry->path);
}

static struct err marker_write(struct dir_disk *disk)
{
    static const char text[] =
        "portico-store 1\n"
        "\n"
        "This directory holds Portico's account key, its certificates with their private keys, and\n"
        "the state of its orders. Keep it on durable storage and to yourself. Losing it means new\n"
        "orders, and public CAs limit how many.\n";
    char temp[DIR_TEMP_BYTES];
    dir_temp_name(disk, temp);
    struct err err = dir_io_write(&disk->io, temp, slice_make(text, sizeof text - 1));
    if (!err_is(err))
        err = dir_io_rename(&disk->io, temp, STORE_DIR_MARKER);
    return err_is(err) ? err : dir_io_sync_dir(&disk->io, ".");
}

/* With the lock in hand: is it still ours, and in order? */
static enum store_result holder_settle(struct dir_disk *disk, struct dir_trouble *trouble)
{
    bool marked;
    enum store_result result = dir_disk_identify(disk, &marked, trouble);
    if (result == STORE_OK)
        result = dir_journal_recover(disk, trouble);
    if (result == STORE_OK)
        result = dir_trouble_note(trouble, dir_io_scan(&disk->io, ".", temp_remove, disk), "");
    if (result == STORE_OK && !marked)
        result = dir_trouble_note(trouble, marker_write(disk), STORE_DIR_MARKER);
    return result;
}

enum store_result dir_lock_take(struct dir_disk *disk, struct dir_trouble *trouble)
{
    if (disk->lock_fd >= 0)
        return dir_lock_check(disk, trouble);
    struct err err = dir_io_lock(&disk->io, STORE_DIR_LOCK, &disk->lock_fd);
    if (err.code == EWOULDBLOCK) {
        *trouble = (struct dir_trouble){0};
        return STORE_FENCED;
    }
    if (err.code == ENOSYS || err.code == EOPNOTSUPP || err.code == ENOLCK)
        return dir_trouble_say(trouble, STORE_DENIED,
                               "this file system cannot lock files, so that two processes could write at once",
                               STORE_DIR_LOCK);
    enum store_result result = dir_trouble_note(trouble, err, STORE_DIR_LOCK);
    if (result == STORE_OK)
        result = dir_lock_check(disk, trouble); /* somebody may have replaced it between open and lock */
    if (result == STORE_OK)
        result = holder_settle(disk, trouble);
    if (result != STORE_OK)
        dir_lock_release(disk);
    return result == STORE_NOT_FOUND ? STORE_UNAVAILABLE : result;
}
