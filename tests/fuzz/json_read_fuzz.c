/* json_read: what is accepted is a tree within the limits, and says the same when it is written and read again. */
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static size_t num_nodes(const struct json *json)
{
    size_t num = 1, num_children = 0;
    for (const struct json *child = json->first; child; child = child->next, num_children++)
        num += num_nodes(child); /* recursion is as deep as LIMIT_JSON_DEPTH */
    require(num_children == json->num);
    return num;
}

static void write_value(struct json_writer *w, const struct json *json)
{
    switch (json->kind) {
    case JSON_NULL: json_null(w); break;
    case JSON_BOOL: json_bool(w, json->boolean); break;
    case JSON_NUMBER: json_raw(w, json->string); break;
    case JSON_STRING: json_string(w, json->string); break;
    case JSON_ARRAY:
        json_array(w);
        for (const struct json *child = json->first; child; child = child->next)
            write_value(w, child);
        json_end_array(w);
        break;
    case JSON_OBJECT:
        json_object(w);
        for (const struct json *child = json->first; child; child = child->next) {
            json_key(w, child->key.ptr); /* terminated, and without a NUL within */
            write_value(w, child);
        }
        json_end_object(w);
        break;
    }
}

static void require_same(const struct json *a, const struct json *b)
{
    require(a->kind == b->kind && a->num == b->num && a->boolean == b->boolean);
    require(slice_eq(a->key, b->key) && slice_eq(a->string, b->string));
    const struct json *in_a = a->first, *in_b = b->first;
    for (; in_a && in_b; in_a = in_a->next, in_b = in_b->next)
        require_same(in_a, in_b);
    require(!in_a && !in_b);
}

static void use_getters(const struct json *json)
{
    int64_t value = 5;
    for (const struct json *child = json->first; json->kind == JSON_OBJECT && child; child = child->next) {
        require(json_get(json, child->key.ptr) == child);
        if (json_get_int(json, child->key.ptr, -10, 10, &value))
            require(value >= -10 && value <= 10 && child->kind == JSON_NUMBER);
        require(json_get_bool(json, child->key.ptr) == (child->kind == JSON_BOOL && child->boolean));
        require(json_get_array(json, child->key.ptr) == (child->kind == JSON_ARRAY ? child->first : NULL));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct arena arena = {0};
    struct buf text = {0};
    struct json *json = NULL, *again = NULL;
    struct err err = json_parse(&arena, slice_make(data, len), 0, &json);
    if (err_is(err)) {
        require(!json && err.code >= 0 && (size_t)err.code <= len);
    } else {
        require(len <= LIMIT_JSON_BYTES && num_nodes(json) <= LIMIT_JSON_NODES);
        use_getters(json);
        struct json_writer w = json_writer_on(&text);
        write_value(&w, json);
        require(!err_is(json_parse(&arena, buf_slice(&text), text.len, &again)));
        require_same(json, again);
    }
    buf_cleanup(&text);
    arena_cleanup(&arena);
    return 0;
}
