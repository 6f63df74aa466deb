/* sources: the files that a configuration comes from, for whoever watches them.
 *
 * Owns its texts. Blocks on files (it looks at each, and reads none but ENV_DIR's names of files). Any thread. */
#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_sources {
    char **places; /* each once: the files, and the directories in which they may be replaced, ENV_DIR among them */
    size_t num_places;
    uint64_t stamp; /* of every file behind its links: what it is, its size, its times */
    bool emptied;   /* one has just become empty: whoever writes in place empties first, and may be at it */
    bool fresh;     /* one of them changed so lately that a further change may not show in the stamp */
};

/* entries: an environment, as for config_load. */
void config_sources_look(const char *const *entries, struct config_sources *out_sources);
void config_sources_cleanup(struct config_sources *sources);

#endif
