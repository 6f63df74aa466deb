/* env_dir: a directory with a file per variable, as ConfigMap and Secret volumes lay it out.
 *
 * Lists the files whose names could be a variable's (PORTICO_ and then capitals, digits and _), and reads small text out
 * of a file. What else lies there (`..data`, an editor's copies) is nobody's. Blocks on files. Any thread. */
#ifndef CONFIG_ENV_DIR_H
#define CONFIG_ENV_DIR_H

#include "base/buf.h"

#include <stdbool.h>

struct env_dir_file {
    char *name; /* "PORTICO_DOMAINS"; owned, as are the others */
    char *path; /* of the file */
    char *text; /* of one that names another file: that path; else NULL. Terminated, without the newline at its end */
};

/* Sorted by name. False: errno says why it cannot be read; ENFILE: over LIMIT_ENV_DIR_FILES. */
bool env_dir_list(const char *dir, struct env_dir_file **out_files, size_t *out_num);
void env_dir_free(struct env_dir_file *files, size_t num);

/* Appends a regular file's bytes, at most CONFIG_FILE_MAX_BYTES. False: errno says why (EINVAL: it is none, EFBIG). */
bool env_file_read(const char *path, struct buf *out);
/* errno of env_file_read in words. */
const char *env_file_failure(int error, char *out, size_t size);
/* Drops one newline at the end. */
void env_file_strip(struct buf *text);

#endif
