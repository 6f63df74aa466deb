#include "acme/renewal.h"

enum { RENEWAL_SHORT_LIFETIME_S = 10 * 24 * 3600, RENEWAL_JITTER_PERMILLE = 20 };

int64_t renewal_due_s(int64_t not_before_s, int64_t not_after_s, unsigned at_permille, uint32_t random)
{
    int64_t lifetime_s = not_after_s - not_before_s;
    if (lifetime_s <= 0)
        return not_before_s;
    int64_t due_s = lifetime_s * 2 / 3;
    if (at_permille > 0)
        due_s = lifetime_s / 1000 * at_permille + lifetime_s % 1000 * at_permille / 1000;
    else if (lifetime_s < RENEWAL_SHORT_LIFETIME_S)
        due_s = lifetime_s / 2;
    int64_t jitter_s = lifetime_s * RENEWAL_JITTER_PERMILLE / 1000;
    due_s += (int64_t)(random % (uint64_t)(2 * jitter_s + 1)) - jitter_s;
    int64_t latest_s = lifetime_s - lifetime_s / 20;
    return not_before_s + (due_s < latest_s ? due_s : latest_s);
}

bool renewal_is_emergency(int64_t not_before_s, int64_t not_after_s, int64_t now_s)
{
    return not_after_s - now_s < (not_after_s - not_before_s) / 20 || now_s >= not_after_s;
}
