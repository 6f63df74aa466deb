#include "config/domain_name.h"

#include "base/url.h"
#include "config/idna.h"

#include <arpa/inet.h>

static bool slice_has(struct slice text, char c)
{
    return text.len && memchr(text.ptr, c, text.len);
}

static bool fold_ipv6(struct slice host, char out[DOMAIN_NAME_BYTES], struct slice *out_text)
{
    struct in6_addr address;
    char text[INET6_ADDRSTRLEN];
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (strlen(text) != host.len || inet_pton(AF_INET6, text, &address) != 1)
        return false;
    if (!inet_ntop(AF_INET6, &address, out, DOMAIN_NAME_BYTES))
        return false;
    *out_text = slice_str(out);
    return true;
}

bool domain_name_fold(struct slice host, char out[DOMAIN_NAME_BYTES], struct slice *out_text)
{
    bool brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (brackets)
        host = slice_make(host.ptr + 1, host.len - 2);
    if (slice_has(host, ':'))
        return fold_ipv6(host, out, out_text);
    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    if (brackets || host.len == 0 || host.len >= DOMAIN_NAME_BYTES)
        return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    out[host.len] = '\0';
    *out_text = slice_make(out, host.len);
    return true;
}

/* The most helpful reason for a text that is no name; the order goes from what says most. */
static const char *refusal(struct slice text)
{
    if (memmem(text.ptr, text.len, "://", 3))
        return "is a URL where a name belongs (the backends of one name are separated by spaces)";
    if (slice_has(text, '/'))
        return "has a path or a prefix length: a name or a single address belongs here";
    if (slice_has(text, ':') || slice_has(text, '['))
        return "is neither a name nor an address; ports belong to HTTPS_LISTEN and HTTPS_PUBLIC";
    if (slice_has(text, '*'))
        return "has a `*` that is not the whole first label in front of two or more others";
    if (slice_has(text, '_'))
        return "has an underscore, which no certificate may hold";
    if (slice_has(text, '@'))
        return "looks like a mail address; a name belongs here";
    return "is neither a name (labels of letters, digits and inner hyphens, 63 bytes each, 253 in all) nor an address";
}

/* Of ASCII, and in no name of any script: refusal says more about it than IDNA. */
static bool has_foreign(struct slice text)
{
    for (size_t i = slice_starts(text, SLICE_LIT("*.")) ? 2 : 0; i < text.len; i++)
        if (text.ptr[i] && strchr("/:[]*_@", text.ptr[i]))
            return true;
    return false;
}

static bool is_unspecified(struct slice ip)
{
    return slice_eq(ip, SLICE_LIT("0.0.0.0")) || slice_eq(ip, SLICE_LIT("::"));
}

const char *domain_name_parse(struct arena *arena, struct slice text, struct config_name *out_name)
{
    char folded[DOMAIN_NAME_BYTES];
    struct slice name, ascii, unicode;
    const char *why = idna_to_ascii(arena, text, &ascii);
    if (why)
        return has_foreign(text) ? refusal(text) : why;
    if (!domain_name_fold(ascii, folded, &name))
        return refusal(text);
    bool ip = name_is_ip(name);
    if (!ip && !name_is_dns(name, true))
        return refusal(text);
    if (ip && is_unspecified(name))
        return "is the unspecified address, which nobody can connect to";
    why = idna_to_unicode(arena, name, &unicode);
    if (!why)
        *out_name = (struct config_name){.text = arena_copy(arena, name),
                                         .unicode = unicode,
                                         .wildcard = name.ptr[0] == '*',
                                         .ip = ip,
                                         .local = name_is_local(name)};
    return why;
}
