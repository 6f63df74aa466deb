/* mistakes: the list that a run of config_load gathers (struct config_mistakes of config.h). Any thread. */
#ifndef CONFIG_MISTAKES_H
#define CONFIG_MISTAKES_H

#include "config/config.h"

/* The longest piece of a value that is shown. */
enum { MISTAKE_VALUE_BYTES = 120 };

/* Appends one. variable: full name; value: as given, copied, escaped and cut here, ptr NULL where it must not or need
 * not be shown; example: what would do, behind the variable's "=", or NULL; the format is the reason, which follows
 * the value as its verb phrase ("has no port"). */
void mistakes_add(struct config_mistakes *mistakes, const char *variable, struct slice value, const char *example,
                  const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Appends text with what is no visible character of UTF-8 as \xNN, at most max_bytes of the input, then "...". */
void mistakes_escape(struct buf *out, struct slice text, size_t max_bytes);

#endif
