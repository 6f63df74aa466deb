#include "front/h2_request.h"

#include "base/limits.h"
#include "http/h1_reader.h"
#include "http/h1_rules.h"

enum { FIELD_OVERHEAD_BYTES = 32 }; /* RFC 9113 §6.5.2 */

enum pseudo { PSEUDO_METHOD, PSEUDO_SCHEME, PSEUDO_AUTHORITY, PSEUDO_PATH, PSEUDO_PROTOCOL, NUM_PSEUDOS };

static const struct slice pseudo_names[NUM_PSEUDOS] = {
    [PSEUDO_METHOD] = {":method", 7}, [PSEUDO_SCHEME] = {":scheme", 7},     [PSEUDO_AUTHORITY] = {":authority", 10},
    [PSEUDO_PATH] = {":path", 5},     [PSEUDO_PROTOCOL] = {":protocol", 9},
};

static struct err bad(unsigned status, const char *what)
{
    return err_make(ERR_INPUT, (int)status, what);
}

/* ---- one field ---- */

static bool name_is_lower(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            return false;
    return true;
}

/* RFC 9113 §8.2.1: no control byte, no blank at either end. */
static bool value_is_good(struct slice value)
{
    return field_value_is_valid(value) && slice_trim(value).len == value.len;
}

/* RFC 9113 §8.2.2. */
static bool field_is_of_connection(enum field_id id, struct slice value)
{
    if (id == FIELD_TE)
        return !slice_ieq(value, SLICE_LIT("trailers"));
    return id == FIELD_CONNECTION || id == FIELD_KEEP_ALIVE || id == FIELD_PROXY_CONNECTION ||
           id == FIELD_TRANSFER_ENCODING || id == FIELD_UPGRADE;
}

static void put_copy(struct fields *fields, struct arena *arena, enum field_id id, struct slice name,
                     struct slice value)
{
    struct slice kept = id == FIELD_OTHER ? arena_copy(arena, name) : field_name(id);
    fields_put(fields, arena, (struct field){kept, arena_copy(arena, value), id});
}

static bool take_pseudo(struct h2_request *request, struct slice name, struct slice value)
{
    unsigned which = 0;
    while (which < NUM_PSEUDOS && !slice_eq(name, pseudo_names[which]))
        which++;
    if (which == NUM_PSEUDOS || request->regular_seen || (request->pseudo_seen & 1u << which))
        return false;
    request->pseudo_seen |= 1u << which;
    if (request->too_large)
        return true;
    value = arena_copy(request->arena, value);
    switch ((enum pseudo)which) {
    case PSEUDO_METHOD: request->head->method_name = value; break;
    case PSEUDO_SCHEME: request->scheme = value; break;
    case PSEUDO_AUTHORITY: request->authority = value; break;
    case PSEUDO_PATH: request->path = value; break;
    case PSEUDO_PROTOCOL: request->protocol = value; break;
    case NUM_PSEUDOS: break;
    }
    return true;
}

static bool take_regular(struct h2_request *request, struct slice name, struct slice value)
{
    enum field_id id = field_lookup(name);
    struct fields *fields = &request->head->fields;
    request->regular_seen = true;
    if (!field_is_token(name) || !name_is_lower(name) || field_is_of_connection(id, value))
        return false;
    if (id != FIELD_COOKIE && fields->num - request->num_cookies >= LIMIT_HEAD_FIELDS)
        request->too_large = true;
    if (request->too_large)
        return true;
    put_copy(fields, request->arena, id, name, value);
    request->num_cookies += id == FIELD_COOKIE;
    return true;
}

void h2_request_begin(struct h2_request *request, struct arena *arena, size_t max_bytes)
{
    *request = (struct h2_request){
        .arena = arena, .head = arena_calloc(arena, 1, sizeof *request->head), .max_bytes = max_bytes};
    request->head->version = 20;
}

enum h2_verdict h2_request_field(struct h2_request *request, struct slice name, struct slice value)
{
    request->bytes += name.len + value.len + FIELD_OVERHEAD_BYTES;
    if (request->bytes > LIMIT_H2_REFUSED_HEAD_BYTES && request->bytes > 2 * request->max_bytes)
        return H2_FIELD_BOMB;
    request->too_large = request->too_large || request->bytes > request->max_bytes;
    bool pseudo = name.len && name.ptr[0] == ':';
    bool good =
        value_is_good(value) && (pseudo ? take_pseudo(request, name, value) : take_regular(request, name, value));
    return good ? H2_FIELD_TAKEN : H2_FIELD_MALFORMED;
}

/* ---- trailers: they come once, behind the head, whose count they take over ---- */

enum h2_verdict h2_request_trailer(struct h2_request *request, struct slice name, struct slice value)
{
    struct fields *trailers = &request->head->trailers;
    if (trailers->num == 0 && !request->too_large)
        request->bytes = 0;
    request->bytes += name.len + value.len + FIELD_OVERHEAD_BYTES;
    if (request->bytes > LIMIT_H2_REFUSED_HEAD_BYTES)
        return H2_FIELD_BOMB;
    request->too_large =
        request->too_large || request->bytes > LIMIT_TRAILER_BYTES || trailers->num >= LIMIT_HEAD_FIELDS;
    enum field_id id = field_lookup(name);
    if (!value_is_good(value) || !field_is_token(name) || !name_is_lower(name) || field_is_of_connection(id, value))
        return H2_FIELD_MALFORMED;
    if (!request->too_large)
        put_copy(trailers, request->arena, id, name, value);
    return H2_FIELD_TAKEN;
}

bool h2_request_trailers_refused(const struct h2_request *request)
{
    return request->too_large;
}

/* ---- the whole ---- */

/* RFC 9113 §8.2.3: crumbs become one field again, for a backend that expects one. */
static void join_cookies(struct h2_request *request)
{
    struct fields *fields = &request->head->fields;
    struct field *first = NULL;
    size_t len = 0, at = 0;
    if (request->num_cookies < 2)
        return;
    FIELDS_EACH(fields, field)
    len += field->id == FIELD_COOKIE ? field->value.len + 2 : 0;
    char *joined = arena_alloc(request->arena, len);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->num; i++) {
        struct field field = fields->at[i];
        if (field.id != FIELD_COOKIE || !first)
            fields->at[kept++] = field;
        if (field.id != FIELD_COOKIE)
            continue;
        if (first) {
            joined[at++] = ';';
            joined[at++] = ' ';
        } else {
            first = &fields->at[kept - 1];
        }
        if (field.value.len)
            memcpy(joined + at, field.value.ptr, field.value.len);
        at += field.value.len;
    }
    fields->num = kept;
    if (first)
        first->value = slice_make(joined, at);
}

/* H3: one name for the request, whichever field it came in. What follows reads Host. */
static struct err agree_on_host(struct h2_request *request)
{
    const struct field *host = fields_find(&request->head->fields, FIELD_HOST);
    bool named = request->pseudo_seen & 1u << PSEUDO_AUTHORITY;
    if (host && named && !slice_ieq(host->value, request->authority))
        return bad(400, "Host: another than :authority");
    if (!host && named)
        fields_put(&request->head->fields, request->arena,
                   (struct field){field_name(FIELD_HOST), request->authority, FIELD_HOST});
    return ERR_OK;
}

/* Extended CONNECT for websocket goes on as the GET that it stands for (RFC 8441 §5); no other CONNECT is served (R12). */
static struct err take_method(struct h2_request *request)
{
    struct head *head = request->head;
    bool extended = request->pseudo_seen & 1u << PSEUDO_PROTOCOL;
    head->method = method_lookup(head->method_name);
    if (head->method_name.len > LIMIT_METHOD_BYTES || !field_is_token(head->method_name))
        return bad(400, ":method is bad");
    if (head->method == METHOD_TRACE)
        return bad(405, ":method is TRACE");
    bool known = head->method != METHOD_OTHER || h1_reader_knows_method(head->method_name);
    if (!known || slice_eq(head->method_name, SLICE_LIT("PRI")) || (head->method == METHOD_CONNECT && !extended))
        return bad(501, ":method is not served");
    if (!extended)
        return ERR_OK;
    if (head->method != METHOD_CONNECT)
        return bad(400, ":protocol without CONNECT");
    if (!slice_eq(request->protocol, SLICE_LIT("websocket")))
        return bad(501, ":protocol is not served");
    head->method = METHOD_GET;
    head->method_name = SLICE_LIT("GET");
    head->upgrade = UPGRADE_WEBSOCKET;
    head_remove(head, FIELD_SEC_WEBSOCKET_KEY);
    return ERR_OK;
}

static struct err take_target(struct h2_request *request, bool secure)
{
    struct head *head = request->head;
    if (request->path.len > LIMIT_TARGET_BYTES)
        return err_make(ERR_LIMIT, 414, ":path is too long");
    bool origin = request->path.len && (request->path.ptr[0] == '/' || slice_eq(request->path, SLICE_LIT("*")));
    if (!origin)
        return bad(400, ":path is no path");
    if (!slice_eq(request->scheme, secure ? SLICE_LIT("https") : SLICE_LIT("http")))
        return bad(400, ":scheme is not this connection's");
    head->target = request->path;
    head->scheme = request->scheme;
    return agree_on_host(request);
}

static bool body_is_usual(enum method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static struct err take_framing(struct head *head, bool ended)
{
    struct err err = h1_rules_framing(head);
    if (err_is(err))
        return err;
    if (head->upgrade != UPGRADE_NONE) {
        head->body = BODY_NONE;
        return head->length_given ? bad(400, "Content-Length in CONNECT") : ERR_OK;
    }
    if (ended && head->length_given && head->length > 0)
        return bad(400, "Content-Length without a body");
    if (!ended)
        head->body = head->length_given ? BODY_LENGTH : BODY_CHUNKED;
    else if (body_is_usual(head->method)) /* END_STREAM says what Content-Length: 0 says (RFC 9110 §8.6) */
        head->body = BODY_LENGTH;
    return ERR_OK;
}

struct err h2_request_finish(struct h2_request *request, bool ended, bool secure)
{
    if (request->too_large)
        return err_make(ERR_LIMIT, 431, "the header list is too large");
    struct err err = take_method(request);
    if (!err_is(err))
        err = take_target(request, secure);
    if (!err_is(err))
        err = take_framing(request->head, ended);
    if (err_is(err))
        return err;
    join_cookies(request);
    return h1_rules_request(request->head, request->arena);
}
