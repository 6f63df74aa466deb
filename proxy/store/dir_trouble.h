/* dir_trouble: why a call of the directory store did not end in STORE_OK, and the sentence for it. Any thread. */
#ifndef STORE_DIR_TROUBLE_H
#define STORE_DIR_TROUBLE_H

#include "acme/store.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/store_key.h"

struct dir_trouble {
    struct err err;                  /* of the system call, where one failed */
    const char *why;                 /* a literal clause for a person, or NULL */
    char name[STORE_PATH_BYTES + 1]; /* the file; empty for the directory itself */
};

/* Sorts the errors of system calls into results and notes them: no space is FULL, permission, links and read-only DENIED,
 * ENOENT NOT_FOUND, the wrong kind of file CORRUPT, all others UNAVAILABLE. */
enum store_result dir_trouble_note(struct dir_trouble *trouble, struct err err, const char *name);
/* A result of our own with its clause. */
enum store_result dir_trouble_say(struct dir_trouble *trouble, enum store_result result, const char *why,
                                  const char *name);

/* "/var/lib/portico/.lock: open: Permission denied (as user 1000, group 1000)". Nothing where there is no trouble. */
void dir_trouble_write(struct buf *out, const struct dir_trouble *trouble, const char *path);

#endif
