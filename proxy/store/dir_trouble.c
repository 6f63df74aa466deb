#include "store/dir_trouble.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static enum store_result result_of_errno(int code)
{
    switch (code) {
    case ENOENT: return STORE_NOT_FOUND;
    case ENOSPC:
    case EDQUOT: return STORE_FULL;
    case EACCES:
    case EPERM:
    case EROFS:
    case ELOOP: return STORE_DENIED;
    case EFBIG:
    case ENAMETOOLONG: return STORE_TOO_BIG;
    case EISDIR:
    case ENOTDIR: return STORE_CORRUPT;
    default: return STORE_UNAVAILABLE;
    }
}

enum store_result dir_trouble_note(struct dir_trouble *trouble, struct err err, const char *name)
{
    *trouble = (struct dir_trouble){.err = err};
    if (!err_is(err))
        return STORE_OK;
    snprintf(trouble->name, sizeof trouble->name, "%s", name);
    return result_of_errno(err.code);
}

enum store_result dir_trouble_say(struct dir_trouble *trouble, enum store_result result, const char *why,
                                  const char *name)
{
    *trouble = (struct dir_trouble){.why = why};
    snprintf(trouble->name, sizeof trouble->name, "%s", name);
    return result;
}

void dir_trouble_write(struct buf *out, const struct dir_trouble *trouble, const char *path)
{
    char text[256];
    if (!trouble->why && !err_is(trouble->err))
        return;
    buf_append_str(out, path);
    if (trouble->name[0])
        buf_printf(out, "/%s", trouble->name);
    buf_printf(out, ": %s", trouble->why ? trouble->why : err_text(trouble->err, text, sizeof text));
    if (trouble->err.code == EACCES || trouble->err.code == EPERM)
        buf_printf(out, " (as user %u, group %u)", (unsigned)geteuid(), (unsigned)getegid());
}
