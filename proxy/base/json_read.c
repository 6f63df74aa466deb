#include "base/json_read.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <yajl/yajl_parse.h>

/* Objects of up to so many members are searched for a duplicate key from end to end, larger ones by a map. */
enum { SMALL_OBJECT = 8 };

struct level {
    struct json *node;
    struct json **tail; /* where the next child is linked */
    struct map keys;
};

struct reader {
    struct arena *arena;
    struct json *root;
    struct level levels[LIMIT_JSON_DEPTH];
    size_t depth, num_nodes;
    struct slice key; /* of the member whose value comes next */
    struct err err;   /* why a callback ended the parse; without the place */
};

enum { GO_ON = 1, STOP = 0 }; /* what yajl's callbacks return */

static int stop(struct reader *r, enum err_kind kind, const char *what)
{
    r->err = err_make(kind, 0, what);
    return STOP;
}

static struct level *level_top(struct reader *r)
{
    return r->depth ? &r->levels[r->depth - 1] : NULL;
}

/* Links a new value below the innermost open one; NULL where there are too many. */
static struct json *add_node(struct reader *r, enum json_kind kind)
{
    if (r->num_nodes++ >= LIMIT_JSON_NODES)
        return NULL;
    struct json *node = arena_calloc(r->arena, 1, sizeof *node);
    struct level *top = level_top(r);
    node->kind = kind;
    if (!top) {
        r->root = node;
        return node;
    }
    if (top->node->kind == JSON_OBJECT)
        node->key = r->key;
    *top->tail = node;
    top->tail = &node->next;
    top->node->num++;
    return node;
}

static int stop_nodes(struct reader *r)
{
    return stop(r, ERR_LIMIT, "JSON: too many values");
}

static int on_null(void *ctx)
{
    struct reader *r = ctx;
    return add_node(r, JSON_NULL) ? GO_ON : stop_nodes(r);
}

static int on_bool(void *ctx, int value)
{
    struct reader *r = ctx;
    struct json *node = add_node(r, JSON_BOOL);
    if (!node)
        return stop_nodes(r);
    node->boolean = value != 0;
    return GO_ON;
}

static int add_text(struct reader *r, enum json_kind kind, struct slice text)
{
    struct json *node = add_node(r, kind);
    if (!node)
        return stop_nodes(r);
    node->string = arena_copy(r->arena, text);
    return GO_ON;
}

static int on_number(void *ctx, const char *text, size_t len)
{
    return add_text(ctx, JSON_NUMBER, slice_make(text, len));
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    return add_text(ctx, JSON_STRING, slice_make(text, len));
}

static int open_level(struct reader *r, enum json_kind kind)
{
    if (r->depth == LIMIT_JSON_DEPTH)
        return stop(r, ERR_LIMIT, "JSON: nested too deep");
    struct json *node = add_node(r, kind);
    if (!node)
        return stop_nodes(r);
    r->levels[r->depth++] = (struct level){.node = node, .tail = &node->first};
    return GO_ON;
}

static int close_level(void *ctx)
{
    struct reader *r = ctx;
    map_cleanup(&level_top(r)->keys);
    r->depth--;
    return GO_ON;
}

static int on_object(void *ctx)
{
    return open_level(ctx, JSON_OBJECT);
}

static int on_array(void *ctx)
{
    return open_level(ctx, JSON_ARRAY);
}

static bool level_has_key(struct level *level, struct slice key)
{
    if (level->node->num > SMALL_OBJECT)
        return map_get(&level->keys, key) != NULL;
    for (const struct json *member = level->node->first; member; member = member->next)
        if (slice_eq(member->key, key))
            return true;
    return false;
}

/* Before the member of this key is linked: fills the map at the moment when searching will begin to use it. */
static void level_note_key(struct level *level, struct slice key)
{
    if (level->node->num < SMALL_OBJECT)
        return;
    if (level->node->num == SMALL_OBJECT)
        for (struct json *member = level->node->first; member; member = member->next)
            map_put(&level->keys, member->key, level->node);
    map_put(&level->keys, key, level->node);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    struct reader *r = ctx;
    struct level *top = level_top(r);
    struct slice key = slice_make(text, len);
    if (level_has_key(top, key))
        return stop(r, ERR_INPUT, "JSON: duplicate key");
    level_note_key(top, key);
    r->key = arena_copy(r->arena, key);
    return GO_ON;
}

/* The four hexadecimal digits of \uXXXX; -1 where there are none (yajl says so with the place). */
static int escape_value(struct slice text)
{
    if (text.len < 6 || text.ptr[0] != '\\' || text.ptr[1] != 'u')
        return -1;
    int value = 0;
    for (size_t i = 2; i < 6; i++) {
        static const char digits[] = "0123456789abcdef";
        char c = text.ptr[i];
        const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;
        if (!digit)
            return -1;
        value = value << 4 | (int)(digit - digits);
    }
    return value;
}

/* How many bytes the escape at the text's start takes, or 0 where it stands for no character or for NUL. */
static size_t escape_len(struct slice text)
{
    int value = escape_value(text);
    if (value < 0)
        return text.len < 2 ? text.len : 2;
    if (value == 0 || (value >= 0xdc00 && value <= 0xdfff))
        return 0;
    if (value < 0xd800 || value > 0xdbff)
        return 6;
    int low = escape_value(slice_skip(text, 6));
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' && c != '\t' && c != '\n' && c != '\r';
}

/* What yajl lets pass or turns into something else: malformed UTF-8, \u0000, halves of surrogate pairs, vertical tabs
 * and form feeds as white space. Escapes exist within strings only; a backslash elsewhere is an error anyway. */
static struct err check_characters(struct slice text)
{
    for (size_t at = 0; at < text.len;) {
        struct slice rest = slice_skip(text, at);
        bool escape = rest.ptr[0] == '\\';
        size_t len = escape ? escape_len(rest) : utf8_char_len(rest);
        if (len == 0)
            return err_make(ERR_INPUT, (int)at, escape ? "JSON: bad escape" : "JSON: not UTF-8");
        if (is_control(rest.ptr[0]))
            return err_make(ERR_INPUT, (int)at, "JSON: control character");
        at += len;
    }
    return ERR_OK;
}

static void *yajl_mem_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return mem_alloc(size);
}

static void *yajl_mem_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return mem_realloc(ptr, size);
}

static void yajl_mem_free(void *ctx, void *ptr)
{
    (void)ctx;
    mem_free(ptr);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_bool,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_object,
    .yajl_map_key = on_key,
    .yajl_end_map = close_level,
    .yajl_start_array = on_array,
    .yajl_end_array = close_level,
};

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* yajl is told to leave alone what is behind the value, because it takes the beginning of a token there for its end. */
static struct err check_rest(struct slice text, size_t at)
{
    while (at < text.len && is_white(text.ptr[at]))
        at++;
    return at < text.len ? err_make(ERR_INPUT, (int)at, "JSON: text behind the value") : ERR_OK;
}

static struct err run_yajl(struct reader *r, struct slice text)
{
    yajl_alloc_funcs memory = {yajl_mem_alloc, yajl_mem_realloc, yajl_mem_free, NULL};
    yajl_handle yajl = yajl_alloc(&callbacks, &memory, r);
    yajl_config(yajl, yajl_allow_trailing_garbage, 1);
    yajl_status status = yajl_parse(yajl, (const unsigned char *)text.ptr, text.len);
    size_t place = yajl_get_bytes_consumed(yajl);
    if (status == yajl_status_ok)
        status = yajl_complete_parse(yajl); /* a number may end with the text */
    yajl_free(yajl);
    switch (status) {
    case yajl_status_ok: return check_rest(text, place);
    case yajl_status_client_canceled: return err_make((enum err_kind)r->err.kind, (int)place, r->err.what);
    case yajl_status_error: break;
    }
    return err_make(ERR_INPUT, (int)place, "JSON: malformed");
}

struct err json_parse(struct arena *arena, struct slice text, size_t max_bytes, struct json **out_json)
{
    struct reader reader = {.arena = arena};
    size_t max = max_bytes ? max_bytes : LIMIT_JSON_BYTES;
    if (text.len > max || text.len > INT32_MAX)
        return err_make(ERR_LIMIT, max > INT32_MAX ? INT32_MAX : (int)max, "JSON: too long");
    struct err err = check_characters(text);
    if (!err_is(err))
        err = run_yajl(&reader, text);
    while (reader.depth) /* levels that an error left open */
        close_level(&reader);
    if (!err_is(err))
        *out_json = reader.root;
    return err;
}

const struct json *json_get(const struct json *object, const char *key)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    const struct json *member = object->first;
    while (member && !slice_eq(member->key, slice_str(key)))
        member = member->next;
    return member;
}

struct slice json_get_string(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);
    return member && member->kind == JSON_STRING ? member->string : SLICE_NONE;
}

bool json_get_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *out_value)
{
    const struct json *member = json_get(object, key);
    uint64_t magnitude;
    if (!member || member->kind != JSON_NUMBER)
        return false;
    bool negative = slice_starts(member->string, SLICE_LIT("-"));
    uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    if (!slice_decimal(slice_skip(member->string, negative), most, &magnitude))
        return false;
    int64_t value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    if (value < min || value > max)
        return false;
    *out_value = value;
    return true;
}

bool json_get_bool(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);
    return member && member->kind == JSON_BOOL && member->boolean;
}

const struct json *json_get_array(const struct json *object, const char *key)
{
    const struct json *member = json_get(object, key);
    return member && member->kind == JSON_ARRAY ? member->first : NULL;
}
