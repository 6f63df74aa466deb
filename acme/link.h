/* link: the Link fields of an answer (RFC 8288), as far as a CA uses them. Pure: views into the field. Any thread. */
#ifndef ACME_LINK_H
#define ACME_LINK_H

#include "base/slice.h"

/* The next link of a field whose relation types include `rel`; *field is moved behind it. ptr NULL: there is none. What
 * cannot be read ends the field. */
struct slice link_next(struct slice *field, const char *rel);

#endif
