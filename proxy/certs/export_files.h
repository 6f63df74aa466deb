/* export_files: EXPORT_DIR on the disk: chain and key of a name as PEM files for other programs.
 *
 *   DIR/NAME -> .data/NAME/GENERATION      a link, replaced in one step
 *   DIR/.data/NAME/GENERATION/fullchain.pem, privkey.pem
 *
 * Both files of a generation belong together and never change. Whoever follows the link once and opens both below what it
 * leads to has a pair: the generation before is kept for those who are at it. Where NAME is a directory of somebody's own,
 * the files in it are replaced one after the other instead. Modes and owners of files and directory are those of what was
 * there; at first 0640, 0644 and 0750, and ours.
 *
 * Blocks; any thread that may; one at a time for a name. Links in the way that it does not expect are not followed. */
#ifndef CERTS_EXPORT_FILES_H
#define CERTS_EXPORT_FILES_H

#include "base/buf.h"
#include "base/err.h"

/* What the directory of a name is called: "a.example", "_wildcard.a.example"; "_rsa.a.example" for the RSA certificate of a
 * name that has two. Appends to out. */
void export_files_name(struct slice name, bool second, struct buf *out);

struct export_done {
    bool changed;    /* false: the pair was there already */
    bool owner_lost; /* we have no right to give the files to whom they belonged: they are ours */
};

/* Puts the pair there, durably, unless it is there already. DIR must exist. *out_done is written in any case. */
MUST_CHECK struct err export_files_put(const char *dir, const char *name, struct slice chain, struct slice key,
                                       struct export_done *out_done);

#endif
