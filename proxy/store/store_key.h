/* store_key: the keys of acme/store.h and the file names that stand for them. Pure. Any thread.
 *
 * A key becomes a path below the store's directory, part by part. Only the star of a wildcard is written otherwise: as
 * `@`, which no key holds, so that each file name stands for one key and no shell expands it: the certificate of
 * *.a.example is the file certificate/@.a.example.
 * A part never begins with a dot: names that do are the store's own files (temporary ones, the journal, the lock). */
#ifndef STORE_STORE_KEY_H
#define STORE_STORE_KEY_H

#include "base/slice.h"

enum {
    STORE_KEY_PARTS = 4,
    STORE_KEY_PART_BYTES = 255, /* what a file name may have */
    STORE_PATH_BYTES = STORE_KEY_PARTS * (STORE_KEY_PART_BYTES + 1)
};

/* A terminated path relative to the store's directory. */
struct store_path {
    char text[STORE_PATH_BYTES];
};

/* Lower-case letters, digits, `.` `-` `_` `:` `*` in 1 to 4 parts of 1 to 255 bytes. `portico-store` and `lost+found`
 * are no keys. */
bool store_key_valid(struct slice key);
/* A key that may be written: valid, and below `previous/` only where commits keep certificates. */
bool store_key_writable(struct slice key);

/* The file of a valid key. */
struct store_path store_key_path(struct slice key);
/* The key of a file: writes at most STORE_PATH_BYTES, terminated. false for a file that no key names. */
bool store_key_of_path(const char *path, char out[STORE_PATH_BYTES]);

/* The directory part of a path; "." for a file in the root. */
struct store_path store_path_dir(const char *path);

#endif
