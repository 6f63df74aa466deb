/* utf8: what is well-formed UTF-8 (RFC 3629: nothing overlong, no surrogate, nothing above U+10FFFF). Any thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/slice.h"

/* Length of the character that the text begins with, 1 to 4; 0 where there is none or it is malformed. */
size_t utf8_char_len(struct slice text);
/* The same, and 0 for what a terminal does not show as a character of its own: controls, and what turns or hides text
 * (marks of direction, zero width, private use, tags). */
size_t utf8_visible_len(struct slice text);
/* The longest beginning of the text of at most max bytes that cuts no character. */
struct slice utf8_first(struct slice text, size_t max);

#endif
