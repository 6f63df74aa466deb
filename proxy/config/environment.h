/* environment: the raw text of each variable and where it came from.
 *
 * Takes NAME=value entries apart, reads what a _FILE variable names and what ENV_DIR holds, and reports unknown names of
 * ours with the nearest known one. Knows names alone, not what values mean. Owns the texts until environment_cleanup, which
 * overwrites them: some are secrets. Blocks on files. One thread at a time. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "config/config.h"

enum { CONFIG_FILE_MAX_BYTES = 16 * 1024 * 1024 }; /* 100,000 names take some 3 MiB */

struct environment_entry {
    struct buf text;   /* without a file's trailing newline; len 0: unset */
    struct slice path; /* of the file that it came from, a view into the entries or owned by them; len 0: none */
    bool given;        /* by a _FILE variable, so that an empty file is a mistake */
    bool failed;       /* a mistake of it was reported: its default must not stand in for it */
};

struct environment {
    struct environment_entry *entries; /* one per name, in their order */
    size_t num;
    struct env_dir_file *files; /* of ENV_DIR */
    size_t num_files;
};

/* entries: NAME=value, NULL-terminated. names: each with its prefix, "PORTICO_DOMAINS". only: some of them, NULL-terminated:
 * all others are passed over; NULL: none is. Mistakes are appended. */
void environment_read(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names, const char *const *only, struct config_mistakes *mistakes);
/* The same without reading what the variables' files hold: entries[i].path is where the text would come from, files is
 * whatever ENV_DIR holds. */
void environment_look(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names);
void environment_cleanup(struct environment *environment);

/* Of the entries: the value of ENV_DIR, or NULL. */
const char *environment_dir(const char *const *entries);

/* Whether Kubernetes makes such a variable for a service whose name begins with "portico" (PRODUCT.md). */
bool environment_is_service_link(const char *name);

#endif
