/* Values whose form belongs to somebody else: the HSTS field and PEM armour. */
#include "config/parse.h"

enum { PRELOAD_MIN_S = 365 * 24 * 60 * 60 }; /* what hstspreload.org asks for */

struct hsts {
    int64_t max_age_s;
    bool include_subdomains, preload;
};

static const char *hsts_read(struct slice text, struct hsts *out_hsts)
{
    struct hsts hsts = {0};
    struct slice rest = text;
    const char *why = parse_age_s(parse_trim(slice_split(&rest, ';')), &hsts.max_age_s);
    if (why)
        return why;
    while (rest.len) {
        struct slice word = parse_trim(slice_split(&rest, ';'));
        if (slice_ieq(word, SLICE_LIT("includeSubDomains")))
            hsts.include_subdomains = true;
        else if (slice_ieq(word, SLICE_LIT("preload")))
            hsts.preload = true;
        else
            return "has something other than includeSubDomains and preload behind its age";
    }
    if (hsts.preload && (hsts.max_age_s < PRELOAD_MIN_S || !hsts.include_subdomains))
        return "asks for preload, which needs an age of 1y or more and includeSubDomains";
    *out_hsts = hsts;
    return NULL;
}

const char *parse_hsts(struct arena *arena, struct slice text, struct slice *out_value)
{
    struct hsts hsts;
    if (slice_ieq(text, SLICE_LIT("off"))) {
        *out_value = SLICE_LIT("");
        return NULL;
    }
    const char *why = hsts_read(text, &hsts);
    if (!why)
        *out_value =
            arena_printf(arena, "max-age=%lld%s%s", (long long)hsts.max_age_s,
                         hsts.include_subdomains ? "; includeSubDomains" : "", hsts.preload ? "; preload" : "");
    return why;
}

/* The label of the next "-----BEGIN LABEL-----" line, or false. */
static bool pem_label_next(struct slice *rest, struct slice *out_label)
{
    static const char begin[] = "-----BEGIN ";
    const char *at = rest->len ? memmem(rest->ptr, rest->len, begin, sizeof begin - 1) : NULL;
    if (!at)
        return false;
    *rest = slice_skip(*rest, (size_t)(at - rest->ptr) + sizeof begin - 1);
    const char *end = memmem(rest->ptr, rest->len, "-----", 5);
    if (!end)
        return false;
    *out_label = slice_first(*rest, (size_t)(end - rest->ptr));
    *rest = slice_skip(*rest, out_label->len);
    return true;
}

const char *parse_pem(struct slice text, const char *label)
{
    struct slice rest = text, found;
    if (text.len && text.ptr[0] == '/')
        return "is a path, not PEM text: give it to the variable that ends in _FILE";
    while (pem_label_next(&rest, &found))
        if (slice_ends(found, slice_str(label)))
            return NULL;
    return strcmp(label, "CERTIFICATE") == 0 ? "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
                                             : "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)";
}
