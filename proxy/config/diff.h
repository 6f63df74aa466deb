/* diff: what one configuration has that another has not. Pure: reads two whole configurations. Any thread. */
#ifndef CONFIG_DIFF_H
#define CONFIG_DIFF_H

#include "config/config.h"

/* Whether the row's text, given or by default, is another. Where it came from does not matter. */
bool config_row_differs(const struct config *a, const struct config *b, size_t row);
/* Whether any row differs. */
bool config_differs(const struct config *a, const struct config *b);
/* Whether both listen at the same place, or nowhere. */
bool config_listen_same(const struct config_listen *a, const struct config_listen *b);

/* Names of DOMAINS that only the one or only the other has. */
struct config_names_diff {
    size_t num_added, num_removed;
};

struct config_names_diff config_names_diff(const struct config *before, const struct config *after);

/* Adds a mistake for each row that differs and that only a restart can change (config_reload). */
void config_refuse_restarts(const struct config *before, const struct config *after, struct config_mistakes *mistakes);

#endif
