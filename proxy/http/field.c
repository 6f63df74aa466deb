#include "http/field.h"

/* The factors are such that no two names share a slot (the compiler says so: an initializer would be overridden). */
#define SLOT(len, first, last_but_one, last) \
    (((len)*15u + (unsigned)(first)*9u + (unsigned)(last_but_one)*6u + (unsigned)(last)*5u) & 255u)

static const uint8_t slots[256] = {
    [SLOT(6, 'a', 'p', 't')] = FIELD_ACCEPT,
    [SLOT(15, 'a', 'n', 'g')] = FIELD_ACCEPT_ENCODING,
    [SLOT(3, 'a', 'g', 'e')] = FIELD_AGE,
    [SLOT(13, 'a', 'o', 'n')] = FIELD_AUTHORIZATION,
    [SLOT(13, 'c', 'o', 'l')] = FIELD_CACHE_CONTROL,
    [SLOT(10, 'c', 'o', 'n')] = FIELD_CONNECTION,
    [SLOT(16, 'c', 'n', 'g')] = FIELD_CONTENT_ENCODING,
    [SLOT(14, 'c', 't', 'h')] = FIELD_CONTENT_LENGTH,
    [SLOT(13, 'c', 'g', 'e')] = FIELD_CONTENT_RANGE,
    [SLOT(12, 'c', 'p', 'e')] = FIELD_CONTENT_TYPE,
    [SLOT(6, 'c', 'i', 'e')] = FIELD_COOKIE,
    [SLOT(4, 'd', 't', 'e')] = FIELD_DATE,
    [SLOT(4, 'e', 'a', 'g')] = FIELD_ETAG,
    [SLOT(6, 'e', 'c', 't')] = FIELD_EXPECT,
    [SLOT(7, 'e', 'e', 's')] = FIELD_EXPIRES,
    [SLOT(9, 'f', 'e', 'd')] = FIELD_FORWARDED,
    [SLOT(4, 'h', 's', 't')] = FIELD_HOST,
    [SLOT(14, 'h', 'g', 's')] = FIELD_HTTP2_SETTINGS,
    [SLOT(8, 'i', 'c', 'h')] = FIELD_IF_MATCH,
    [SLOT(17, 'i', 'c', 'e')] = FIELD_IF_MODIFIED_SINCE,
    [SLOT(13, 'i', 'c', 'h')] = FIELD_IF_NONE_MATCH,
    [SLOT(8, 'i', 'g', 'e')] = FIELD_IF_RANGE,
    [SLOT(19, 'i', 'c', 'e')] = FIELD_IF_UNMODIFIED_SINCE,
    [SLOT(10, 'k', 'v', 'e')] = FIELD_KEEP_ALIVE,
    [SLOT(4, 'l', 'n', 'k')] = FIELD_LINK,
    [SLOT(8, 'l', 'o', 'n')] = FIELD_LOCATION,
    [SLOT(12, 'm', 'd', 's')] = FIELD_MAX_FORWARDS,
    [SLOT(6, 'o', 'i', 'n')] = FIELD_ORIGIN,
    [SLOT(6, 'p', 'm', 'a')] = FIELD_PRAGMA,
    [SLOT(5, 'p', 'x', 'y')] = FIELD_PROXY,
    [SLOT(18, 'p', 't', 'e')] = FIELD_PROXY_AUTHENTICATE,
    [SLOT(19, 'p', 'o', 'n')] = FIELD_PROXY_AUTHORIZATION,
    [SLOT(16, 'p', 'o', 'n')] = FIELD_PROXY_CONNECTION,
    [SLOT(5, 'r', 'g', 'e')] = FIELD_RANGE,
    [SLOT(7, 'r', 'e', 'r')] = FIELD_REFERER,
    [SLOT(12, 'r', 'c', 'e')] = FIELD_REPLAY_NONCE,
    [SLOT(11, 'r', 'e', 'r')] = FIELD_RETRY_AFTER,
    [SLOT(20, 's', 'p', 't')] = FIELD_SEC_WEBSOCKET_ACCEPT,
    [SLOT(17, 's', 'e', 'y')] = FIELD_SEC_WEBSOCKET_KEY,
    [SLOT(6, 's', 'e', 'r')] = FIELD_SERVER,
    [SLOT(10, 's', 'i', 'e')] = FIELD_SET_COOKIE,
    [SLOT(25, 's', 't', 'y')] = FIELD_STRICT_TRANSPORT_SECURITY,
    [SLOT(2, 't', 't', 'e')] = FIELD_TE,
    [SLOT(11, 't', 'n', 't')] = FIELD_TRACEPARENT,
    [SLOT(10, 't', 't', 'e')] = FIELD_TRACESTATE,
    [SLOT(7, 't', 'e', 'r')] = FIELD_TRAILER,
    [SLOT(17, 't', 'n', 'g')] = FIELD_TRANSFER_ENCODING,
    [SLOT(7, 'u', 'd', 'e')] = FIELD_UPGRADE,
    [SLOT(10, 'u', 'n', 't')] = FIELD_USER_AGENT,
    [SLOT(4, 'v', 'r', 'y')] = FIELD_VARY,
    [SLOT(3, 'v', 'i', 'a')] = FIELD_VIA,
    [SLOT(16, 'w', 't', 'e')] = FIELD_WWW_AUTHENTICATE,
    [SLOT(15, 'x', 'o', 'r')] = FIELD_X_FORWARDED_FOR,
    [SLOT(16, 'x', 's', 't')] = FIELD_X_FORWARDED_HOST,
    [SLOT(16, 'x', 'r', 't')] = FIELD_X_FORWARDED_PORT,
    [SLOT(17, 'x', 't', 'o')] = FIELD_X_FORWARDED_PROTO,
    [SLOT(9, 'x', 'i', 'p')] = FIELD_X_REAL_IP,
    [SLOT(12, 'x', 'i', 'd')] = FIELD_X_REQUEST_ID,
};

static const struct slice names[NUM_FIELD_IDS] = {[FIELD_OTHER] = {"", 0},
#define X(id, name) [FIELD_##id] = {name, sizeof(name) - 1},
                                                  FIELDS(X)
#undef X
};

/* tchar of RFC 9110 §5.6.2. */
static const bool token_chars[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true,         ['&'] = true,         ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,         ['^'] = true,         ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static unsigned char ascii_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* `name` in any case, `lower` of the same length in lower case. Eight bytes at a time: two bytes may differ in the bit of
 * case alone, and only where the lower one is a letter (of what names hold, letters alone have 0x40). */
static bool equals_lower(struct slice name, const char *lower)
{
    const uint64_t letter = 0x4040404040404040u;
    uint64_t diff = 0, a, b;
    size_t i = 0;
    for (; i + sizeof a <= name.len; i += sizeof a) {
        memcpy(&a, name.ptr + i, sizeof a);
        memcpy(&b, lower + i, sizeof b);
        diff |= (a ^ b) & ~((b & letter) >> 1);
    }
    for (; i < name.len; i++) {
        a = (unsigned char)name.ptr[i];
        b = (unsigned char)lower[i];
        diff |= (a ^ b) & ~((b & letter) >> 1);
    }
    return diff == 0;
}

enum field_id field_lookup(struct slice name)
{
    if (name.len < 2)
        return FIELD_OTHER;
    unsigned slot = SLOT((unsigned)name.len, ascii_lower(name.ptr[0]), ascii_lower(name.ptr[name.len - 2]),
                         ascii_lower(name.ptr[name.len - 1]));
    uint8_t id = slots[slot];
    return names[id].len == name.len && equals_lower(name, names[id].ptr) ? (enum field_id)id : FIELD_OTHER;
}

struct slice field_name(enum field_id id)
{
    return names[id];
}

bool field_is_token(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!token_chars[(unsigned char)s.ptr[i]])
            return false;
    return s.len > 0;
}

bool field_value_is_valid(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool field_list_next(struct slice *rest, struct slice *out_element)
{
    while (rest->len) {
        struct slice element = slice_trim(slice_split(rest, ','));
        if (element.len) {
            *out_element = element;
            return true;
        }
    }
    return false;
}

bool field_list_has(struct slice list, struct slice token)
{
    struct slice element;
    while (field_list_next(&list, &element))
        if (slice_ieq(element, token))
            return true;
    return false;
}
