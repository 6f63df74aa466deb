/* environment: the raw text of each variable and where it came from.
 *
 * Takes NAME=value entries apart, reads what a _FILE variable names, and reports unknown names of ours with the nearest
 * known one. Knows names alone, not what values mean. Owns the texts until environment_cleanup, which overwrites
 * them: some are secrets. Blocks on files. One thread at a time. */
#ifndef CONFIG_ENVIRONMENT_H
#define CONFIG_ENVIRONMENT_H

#include "config/config.h"

enum { CONFIG_FILE_MAX_BYTES = 16 * 1024 * 1024 }; /* 100,000 names take some 3 MiB */

struct environment_entry {
    struct buf text;   /* without a file's trailing newline; len 0: unset */
    struct slice path; /* of the _FILE variant, a view into the entries; len 0: none */
    bool failed;       /* a mistake of it was reported: its default must not stand in for it */
};

struct environment {
    struct environment_entry *entries; /* one per name, in their order */
    size_t num;
};

/* entries: NAME=value, NULL-terminated. names: each with its prefix, "PORTICO_DOMAINS". Mistakes are appended. */
void environment_read(struct environment *environment, const char *const *entries, const char *const *names,
                      size_t num_names, struct config_mistakes *mistakes);
void environment_cleanup(struct environment *environment);

/* Whether Kubernetes makes such a variable for a service whose name begins with "portico" (PRODUCT.md). */
bool environment_is_service_link(const char *name);

#endif
