/* domain_name: one name of DOMAINS. Any thread. */
#ifndef CONFIG_DOMAIN_NAME_H
#define CONFIG_DOMAIN_NAME_H

#include "base/arena.h"
#include "config/config.h"

enum { DOMAIN_NAME_BYTES = 256 }; /* the longest DNS name is 253 */

/* A name, a wildcard or an address as an operator writes it: in any case, in Unicode or in A-labels, with or without a
 * trailing dot or brackets. Sets text (canonical), unicode, wildcard, ip and local. Returns NULL, or why it is refused.
 * All texts are in the arena. */
MUST_CHECK const char *domain_name_parse(struct arena *arena, struct slice text, struct config_name *out_name);

/* A host as clients send it into the same canonical text. False: it cannot be a name of ours (length, brackets). */
MUST_CHECK bool domain_name_fold(struct slice host, char out[DOMAIN_NAME_BYTES], struct slice *out_text);

#endif
