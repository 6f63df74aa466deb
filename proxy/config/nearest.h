/* nearest: which known word did somebody mean? Any thread; owns nothing. */
#ifndef CONFIG_NEAREST_H
#define CONFIG_NEAREST_H

#include "base/slice.h"

/* The number of insertions, deletions, replacements and swaps of neighbours that make b of a, without regard to ASCII
 * case. Texts over NEAREST_MAX_BYTES are as far as can be. */
enum { NEAREST_MAX_BYTES = 64 };
size_t nearest_distance(struct slice a, struct slice b);

/* Walks the candidates: *best becomes this one where it is nearer than what is there and near enough to be meant
 * (a third of the word's length, or all of it in front of an underscore; never where no letter stays). Begin with an empty struct nearest. */
struct nearest {
    struct slice best; /* ptr NULL: none yet */
    size_t distance;
};
void nearest_offer(struct nearest *nearest, struct slice word, struct slice candidate);

#endif
