/* idna: names in the world's scripts, as the DNS and certificates write them (IDNA2008, RFC 5890 and 5891, with the
 * mapping of UTS #46, non-transitional: case, width and composition do not matter, and `ß` stays itself).
 *
 * The one file that knows libidn2. Texts are in the arena. Any thread. */
#ifndef CONFIG_IDNA_H
#define CONFIG_IDNA_H

#include "base/arena.h"
#include "base/err.h"

/* A name as it was written, "*.Bücher.example", in A-labels: "*.xn--bcher-kva.example". ASCII passes as it is, in its own
 * case; whether the result is a name is not looked at. Returns NULL, or why it has none: which label, and what is wrong
 * with it. */
MUST_CHECK const char *idna_to_ascii(struct arena *arena, struct slice text, struct slice *out_ascii);
/* The other way, for people: empty where no label is encoded. Refuses labels that begin with xn-- and are no encoding
 * (RFC 3492), which no CA signs. Names that were encoded by older rules pass. */
MUST_CHECK const char *idna_to_unicode(struct arena *arena, struct slice name, struct slice *out_unicode);

#endif
