#include "certs/placeholder.h"

enum { BACKDATED_S = 3600 }; /* clients' clocks differ */

struct err placeholder_make(const struct slice *names, size_t num_names, int64_t now_s, struct x509_made *out_made)
{
    struct x509_spec spec = {
        .common_name = SLICE_LIT(PLACEHOLDER_COMMON_NAME),
        .names = names,
        .num_names = num_names,
        .not_before_s = now_s - BACKDATED_S,
        .not_after_s = now_s - BACKDATED_S + PLACEHOLDER_LIFETIME_S,
    };
    return x509_make_with_key(&spec, out_made);
}
