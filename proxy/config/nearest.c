#include "config/nearest.h"

static char folded(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, with three rows of the table. */
size_t nearest_distance(struct slice a, struct slice b)
{
    size_t rows[3][NEAREST_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    if (a.len > NEAREST_MAX_BYTES || b.len > NEAREST_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = folded(a.ptr[i - 1]), y = folded(b.ptr[j - 1]);
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == folded(b.ptr[j - 2]) && y == folded(a.ptr[i - 2]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b.len];
}

/* "ACME_EAB_HMAC" means ACME_EAB_HMAC_KEY, whatever is nearer by letters. */
static bool is_beginning(struct slice word, struct slice candidate)
{
    return word.len > 0 && candidate.len > word.len && candidate.ptr[word.len] == '_' &&
           slice_ieq(word, slice_first(candidate, word.len));
}

void nearest_offer(struct nearest *nearest, struct slice word, struct slice candidate)
{
    size_t distance = is_beginning(word, candidate) ? 1 : nearest_distance(word, candidate);
    size_t enough = word.len < 6 ? 2 : word.len / 3;
    if (distance > enough || distance >= word.len || (nearest->best.ptr && distance >= nearest->distance))
        return;
    nearest->best = candidate;
    nearest->distance = distance;
}
