#include "http/head.h"

#include "base/cidr.h"

#include <arpa/inet.h>

enum { HOST_MAX_BYTES = 255, FIELDS_FIRST = 16 };

enum method method_lookup(struct slice name)
{
    static const struct {
        struct slice name;
        enum method method;
    } methods[] = {
        {{"GET", 3}, METHOD_GET},     {{"POST", 4}, METHOD_POST},       {{"HEAD", 4}, METHOD_HEAD},
        {{"PUT", 3}, METHOD_PUT},     {{"DELETE", 6}, METHOD_DELETE},   {{"OPTIONS", 7}, METHOD_OPTIONS},
        {{"PATCH", 5}, METHOD_PATCH}, {{"CONNECT", 7}, METHOD_CONNECT}, {{"TRACE", 5}, METHOD_TRACE},
    };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (slice_eq(name, methods[i].name))
            return methods[i].method;
    return METHOD_OTHER;
}

bool method_is_idempotent(enum method method)
{
    switch (method) {
    case METHOD_GET:
    case METHOD_HEAD:
    case METHOD_PUT:
    case METHOD_DELETE:
    case METHOD_OPTIONS:
    case METHOD_TRACE: return true;
    case METHOD_OTHER: /* some are, but nobody promised it to us */
    case METHOD_POST:
    case METHOD_PATCH:
    case METHOD_CONNECT: return false;
    }
    return false;
}

static struct err authority_bad(const char *what)
{
    return err_make(ERR_INPUT, 400, what);
}

/* Letters, digits, `-` `.` `_`: the names that certificates and configurations can hold. Everything else that RFC 3986
 * would allow (percent signs, commas, quotes) has only ever been a way to be read differently by two parsers. */
static bool host_is_name(struct slice host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                    c == '_' || (c == '.' && i > 0 && host.ptr[i - 1] != '.');
        if (!good)
            return false;
    }
    return host.len > 0 && host.len <= HOST_MAX_BYTES;
}

static bool host_is_ipv6(struct slice host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (host.len == 0 || host.len >= sizeof text || memchr(host.ptr, '\0', host.len))
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, &address) == 1;
}

/* A view where nothing changes, else a copy. */
static struct slice host_lower(struct arena *arena, struct slice host)
{
    size_t i = 0;
    while (i < host.len && !(host.ptr[i] >= 'A' && host.ptr[i] <= 'Z'))
        i++;
    if (i == host.len)
        return host;
    char *copy = arena_alloc(arena, host.len);
    for (i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        copy[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return slice_make(copy, host.len);
}

/* As names of ours are written (RFC 5952); a mapped address stays as it is, which none of ours is. */
static struct slice host_canonical_ipv6(struct arena *arena, struct slice host)
{
    char text[IP_TEXT_BYTES];
    struct ip ip;
    if (!ip_parse(host, &ip) || ip_is_v4(&ip))
        return host_lower(arena, host);
    struct slice canonical = slice_str(ip_text(&ip, text));
    return slice_eq(canonical, host) ? host : arena_copy(arena, canonical);
}

/* Cuts the brackets and what is behind the host: *out_tail is empty or begins with a colon. */
static bool authority_split(struct slice authority, bool brackets, struct slice *out_host, struct slice *out_tail)
{
    if (brackets) {
        *out_tail = slice_skip(authority, 1);
        *out_host = slice_split(out_tail, ']');
        return out_host->len + 2 + out_tail->len == authority.len; /* there was a closing one */
    }
    const char *colon = authority.len ? memchr(authority.ptr, ':', authority.len) : NULL;
    *out_host = slice_first(authority, colon ? (size_t)(colon - authority.ptr) : authority.len);
    *out_tail = slice_skip(authority, out_host->len);
    return true;
}

struct err head_set_authority(struct head *head, struct arena *arena, struct slice authority)
{
    bool brackets = authority.len && authority.ptr[0] == '[';
    struct slice host, tail;
    uint64_t port = 0;
    if (!authority_split(authority, brackets, &host, &tail))
        return authority_bad("Host: no closing bracket");
    if (!(brackets ? host_is_ipv6(host) : host_is_name(host)))
        return authority_bad("Host: not a name or address");
    if (tail.len &&
        (tail.ptr[0] != ':' || tail.len > 6 || !slice_decimal(slice_skip(tail, 1), 65535, &port) || port == 0))
        return authority_bad("Host: bad port");
    if (!brackets && host.ptr[host.len - 1] == '.' && --host.len == 0)
        return authority_bad("Host: not a name or address");
    head->authority = authority;
    head->host = brackets ? host_canonical_ipv6(arena, host) : host_lower(arena, host);
    head->port = (uint16_t)port;
    head->host_is_ipv6 = brackets;
    return ERR_OK;
}

const struct field *fields_find(const struct fields *fields, enum field_id id)
{
    FIELDS_EACH(fields, field)
    if (field->id == id)
        return field;
    return NULL;
}

static void fields_grow(struct fields *fields, struct arena *arena)
{
    uint32_t cap = fields->cap < FIELDS_FIRST ? FIELDS_FIRST : fields->cap * 2;
    struct field *at = arena_alloc(arena, cap * sizeof *at);
    if (fields->num)
        memcpy(at, fields->at, fields->num * sizeof *at);
    fields->at = at;
    fields->cap = cap;
}

void fields_put(struct fields *fields, struct arena *arena, struct field field)
{
    if (fields->num == fields->cap)
        fields_grow(fields, arena);
    fields->at[fields->num++] = field;
}

void fields_add(struct fields *fields, struct arena *arena, struct slice name, struct slice value)
{
    fields_put(fields, arena, (struct field){name, value, field_lookup(name)});
}

unsigned fields_remove(struct fields *fields, enum field_id id)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->num; i++)
        if (fields->at[i].id != id)
            fields->at[kept++] = fields->at[i];
    unsigned removed = fields->num - kept;
    fields->num = kept;
    return removed;
}

struct slice head_get(const struct head *head, enum field_id id)
{
    const struct field *field = fields_find(&head->fields, id);
    return field ? field->value : SLICE_NONE;
}

struct slice head_get_named(const struct head *head, struct slice name)
{
    FIELDS_EACH(&head->fields, field)
    if (slice_ieq(field->name, name))
        return field->value;
    return SLICE_NONE;
}

bool head_has_token(const struct head *head, enum field_id id, struct slice token)
{
    FIELDS_EACH(&head->fields, field)
    if (field->id == id && field_list_has(field->value, token))
        return true;
    return false;
}
