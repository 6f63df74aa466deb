/* json_read: bounded reading of JSON that strangers send.
 *
 * yajl's SAX parser feeds a tree of ours that lives in an arena, so that nothing recurses and one call frees all.
 * Refused with the place: input over the given size, depth over LIMIT_JSON_DEPTH, more than LIMIT_JSON_NODES values
 * (ERR_LIMIT), duplicate keys in an object, \u0000, half a surrogate pair, bytes that are not UTF-8, anything behind
 * the value and whatever else RFC 8259 does not know (ERR_INPUT).
 * yajl.h is included by json_read.c alone. Any thread. */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

#include "base/arena.h"
#include "base/err.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    struct slice key;    /* of a member of an object */
    struct slice string; /* JSON_STRING: unescaped, a NUL behind it is not counted; JSON_NUMBER: its text */
    bool boolean;
    struct json *first; /* of an array or an object */
    struct json *next;  /* sibling */
    size_t num;         /* elements or members */
};

/* The tree lives in `arena` and holds no view of `text`. max_bytes of 0 is LIMIT_JSON_BYTES. On failure err.code is the
 * offset of the place or just behind it, and *out_json is untouched; the arena may hold a part of the tree. */
MUST_CHECK struct err json_parse(struct arena *arena, struct slice text, size_t max_bytes, struct json **out_json);

/* All of these take NULL and values of another kind, and then answer "not there". */
const struct json *json_get(const struct json *object, const char *key);
/* The string member's value, or SLICE_NONE (ptr NULL). */
struct slice json_get_string(const struct json *object, const char *key);
/* An integer member in the given range; false where it is absent, no integer, or out of range. */
bool json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out_value);
/* false where it is absent or not a boolean. */
bool json_get_bool(const struct json *object, const char *key);
/* First element of an array member (walk ->next), or NULL. */
const struct json *json_get_array(const struct json *object, const char *key);

#endif
