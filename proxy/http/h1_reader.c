#include "http/h1_reader.h"

#include "base/limits.h"
#include "http/h1_rules.h"

#include <llhttp.h>

/* A head (and trailers) is collected whole, line by line, and parsed in one go over its copy in the arena: however the
 * bytes were cut into reads, the parser sees the same. Bodies of a known length are counted here; llhttp runs on in
 * chunked ones only.
 *
 *   IDLE --begin--> START -> START_LF -> AGAIN -> HEAD --+--> LENGTH ---+
 *    ^                |          (one empty line before  +--> CHUNKED --+--> TRAILERS --+
 *    |                +--------->  a request is skipped) +--> CLOSE                     |
 *    |                                                   +--> UPGRADE                   |
 *    +---- END <-------------------- no body, eof, refused upgrade ---------------------+     FAILED: for ever */
enum state {
    STATE_IDLE,
    STATE_START,
    STATE_START_LF,
    STATE_AGAIN,
    STATE_HEAD,
    STATE_LENGTH,
    STATE_CLOSE,
    STATE_CHUNKED, /* data and the CRLF behind it */
    STATE_SIZE,    /* the line before it */
    STATE_TRAILERS,
    STATE_UPGRADE,
    STATE_END,
    STATE_FAILED
};

enum {
    SIZE_LINE_BYTES = 16 + 2 + 16, /* of a chunk without extensions; a few leading zeros are harmless */
};

const struct h1_limits H1_REQUEST_LIMITS = {LIMIT_HEAD_BYTES, LIMIT_HEAD_FIELDS, LIMIT_TARGET_BYTES, 0};
const struct h1_limits H1_RESPONSE_LIMITS = {LIMIT_RESPONSE_HEAD_BYTES, LIMIT_RESPONSE_FIELDS, 0, 0};

/* What one step did: no event yet, or the event to return. */
enum step { STEP_ON = -1 };

static int fail(struct h1_reader *reader, struct err err)
{
    if (reader->kind == H1_RESPONSE)
        err.code = 502;
    reader->err = err;
    reader->state = STATE_FAILED;
    return H1_ERROR;
}

static int fail_input(struct h1_reader *reader, int status, const char *what)
{
    return fail(reader, err_make(ERR_INPUT, status, what));
}

static int fail_limit(struct h1_reader *reader, int status, const char *what)
{
    return fail(reader, err_make(ERR_LIMIT, status, what));
}

/* --- llhttp --- */

/* What llhttp's callbacks fill: the fields of a head or of trailers. */
static struct fields *parser_fields(llhttp_t *parser)
{
    struct h1_reader *reader = parser->data;
    return reader->state == STATE_HEAD ? &reader->head->fields : &reader->head->trailers;
}

/* A span may come in two parts; names of two fields never touch. */
static bool slice_extend(struct slice *s, const char *at, size_t len)
{
    if (!s->ptr || s->ptr + s->len != at)
        return false;
    s->len += len;
    return true;
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct fields *fields = parser_fields(parser);
    if (fields->num && slice_extend(&fields->at[fields->num - 1].name, at, len))
        return 0;
    if (fields->num == fields->cap) /* there is one place for each line */
        return -1;
    fields->at[fields->num++] = (struct field){.name = slice_make(at, len)};
    return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct fields *fields = parser_fields(parser);
    if (fields->num == 0)
        return -1;
    struct slice *value = &fields->at[fields->num - 1].value;
    if (value->ptr && !slice_extend(value, at, len))
        return -1;
    if (!value->ptr)
        *value = slice_make(at, len);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct h1_reader *reader = parser->data;
    reader->body = slice_make(at, len);
    return 0;
}

static int on_pause(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t parser_settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_pause,
    .on_body = on_body,
    .on_chunk_header = on_pause,
    .on_chunk_complete = on_pause,
    .on_message_complete = on_pause,
};

/* Runs to the next pause or the end of `in`. Returns false for anything that llhttp refuses. */
static bool parser_run(llhttp_t *parser, struct slice in, size_t *out_used, bool *out_paused)
{
    llhttp_errno_t code = llhttp_execute(parser, in.ptr, in.len);
    if (code != HPE_OK && code != HPE_PAUSED)
        return false;
    *out_paused = code == HPE_PAUSED;
    *out_used = *out_paused ? (size_t)(llhttp_get_error_pos(parser) - in.ptr) : in.len;
    if (*out_paused)
        llhttp_resume(parser);
    return true;
}

/* Parses a whole section: it must end where we say that it ends. */
static bool parser_run_all(llhttp_t *parser, struct slice text)
{
    size_t used;
    bool paused;
    return parser_run(parser, text, &used, &paused) && paused && used == text.len;
}

static void fields_finish(struct fields *fields)
{
    for (uint32_t i = 0; i < fields->num; i++) {
        struct field *field = &fields->at[i];
        field->value = slice_trim(field->value);
        field->id = field_lookup(field->name);
    }
}

static void fields_reserve(struct fields *fields, struct arena *arena, uint32_t num_lines)
{
    *fields = (struct fields){.at = arena_alloc(arena, (num_lines + 1) * sizeof(struct field)), .cap = num_lines};
}

/* A head or trailers that are not whole. */
static int section_event(struct h1_reader *reader, enum h1_section_result result, int too_large, struct slice line)
{
    switch (result) {
    case H1_SECTION_WHOLE: return STEP_ON;
    case H1_SECTION_MORE: return H1_NEED_MORE;
    case H1_SECTION_BAD_LINE: return fail_input(reader, 400, "line does not end in CRLF");
    case H1_SECTION_TOO_LARGE: return fail_limit(reader, too_large, "head or trailers over their limit");
    case H1_SECTION_LONG_LINE: break;
    }
    /* the part that came fails as the whole line would have failed */
    struct err err = h1_rules_request_line(reader->head, line, reader->limits.target_bytes);
    return err_is(err) ? fail(reader, err) : fail_input(reader, 400, "request line: too long");
}

/* --- heads --- */

static void head_begin(struct h1_reader *reader)
{
    reader->section = (struct h1_section){0};
    reader->head = arena_calloc(reader->arena, 1, sizeof *reader->head);
    reader->state = STATE_HEAD;
}

/* Before the first byte of a head: one empty line before a request is skipped (RFC 9112 §2.2), and what cannot be HTTP
 * is known by its first byte. */
static int start_step(struct h1_reader *reader, struct slice *rest)
{
    if (rest->len == 0)
        return H1_NEED_MORE;
    char first = rest->ptr[0];
    if (reader->state == STATE_START_LF && first != '\n')
        return fail_input(reader, 400, "bare CR");
    bool skip = reader->state == STATE_START_LF || (reader->state == STATE_START && first == '\r');
    if (skip && reader->kind == H1_REQUEST) {
        reader->state = reader->state == STATE_START ? STATE_START_LF : STATE_AGAIN;
        *rest = slice_skip(*rest, 1);
        return STEP_ON;
    }
    if (reader->kind == H1_REQUEST ? !field_is_token(slice_first(*rest, 1)) : first != 'H')
        return fail_input(reader, 400, "not HTTP");
    head_begin(reader);
    return STEP_ON;
}

/* llhttp and we must have read the same framing: where two parsers differ there is a way in. */
static bool framing_agrees(const llhttp_t *parser, const struct head *head)
{
    bool chunked = parser->flags & F_CHUNKED, length = parser->flags & F_CONTENT_LENGTH;
    return chunked == (head->body == BODY_CHUNKED) && length == head->length_given &&
           (!length || parser->content_length == head->length);
}

/* The request line was good before llhttp saw it: what it says of the method is that it does not know it, or not in
 * HTTP (its RTSP ones). The rest is bad syntax. */
static struct err head_refusal(const struct h1_reader *reader, const llhttp_t *parser)
{
    llhttp_errno_t code = llhttp_get_errno(parser);
    if (reader->kind == H1_REQUEST && (code == HPE_INVALID_METHOD || code == HPE_INVALID_CONSTANT))
        return err_make(ERR_INPUT, 501, "request line: unknown method");
    return err_make(ERR_INPUT, 400, "head: bad syntax");
}

static struct err head_check(struct h1_reader *reader, const llhttp_t *parser)
{
    struct head *head = reader->head;
    struct err err = h1_rules_framing(head);
    if (err_is(err))
        return err;
    if (!framing_agrees(parser, head))
        return err_make(ERR_INPUT, 400, "head: framing read in two ways");
    if (reader->kind == H1_REQUEST)
        return h1_rules_request(head, reader->arena);
    return h1_rules_response(head, (enum method)reader->request_method, reader->upgrade_asked);
}

static struct err head_parse(struct h1_reader *reader, llhttp_t *parser, struct slice text)
{
    struct head *head = reader->head;
    const char *cr = memchr(text.ptr, '\r', text.len);
    struct slice line = slice_first(text, (size_t)(cr - text.ptr));
    bool request = reader->kind == H1_REQUEST;
    struct err err =
        request ? h1_rules_request_line(head, line, reader->limits.target_bytes) : h1_rules_status_line(head, line);
    if (err_is(err))
        return err;
    fields_reserve(&head->fields, reader->arena, reader->section.num_lines - 1);
    llhttp_init(parser, request ? HTTP_REQUEST : HTTP_RESPONSE, &parser_settings);
    parser->data = reader;
    if (!parser_run_all(parser, text))
        return head_refusal(reader, parser);
    fields_finish(&head->fields);
    return head_check(reader, parser);
}

/* --- bodies --- */

static void chunked_begin(struct h1_reader *reader, const llhttp_t *parser)
{
    llhttp_t *chunked = arena_alloc(reader->arena, sizeof *chunked);
    *chunked = *parser;
    reader->chunked = chunked;
    reader->framing_bytes = reader->extension_bytes = 0;
}

static int body_begin(struct h1_reader *reader, const llhttp_t *parser)
{
    const struct head *head = reader->head;
    uint64_t limit = reader->limits.body_bytes ? reader->limits.body_bytes : UINT64_MAX;
    reader->body_left = limit;
    switch (head->body) {
    case BODY_NONE: reader->state = STATE_END; break;
    case BODY_LENGTH:
        if (head->length > limit)
            return fail_limit(reader, 413, "body: over its limit");
        reader->body_left = head->length;
        reader->state = head->length ? STATE_LENGTH : STATE_END;
        break;
    case BODY_CHUNKED:
        chunked_begin(reader, parser);
        reader->state = STATE_SIZE;
        break;
    case BODY_UNTIL_CLOSE: reader->state = STATE_CLOSE; break;
    }
    return H1_HEAD;
}

static int interim_pass(struct h1_reader *reader)
{
    if (++reader->num_interim > LIMIT_INTERIM_ANSWERS)
        return fail_limit(reader, 502, "too many interim answers");
    reader->state = STATE_START;
    return H1_HEAD;
}

static int head_step(struct h1_reader *reader, struct slice *rest)
{
    bool request = reader->kind == H1_REQUEST;
    const struct h1_section_limits limits = {
        .bytes = reader->limits.head_bytes - reader->heads_bytes,
        .lines = reader->limits.num_fields + 1,
        .first_line = request ? (uint32_t)h1_rules_line_max(reader->limits.target_bytes) : 0,
    };
    struct slice text = SLICE_NONE;
    enum h1_section_result result = h1_section_feed(&reader->section, &limits, reader->arena, rest, &text);
    int event = section_event(reader, result, 431, text);
    if (event != STEP_ON)
        return event;
    reader->heads_bytes += (uint32_t)text.len;
    llhttp_t parser;
    struct err err = head_parse(reader, &parser, text);
    if (err_is(err))
        return fail(reader, err);
    if (reader->head->upgrade) {
        reader->state = STATE_UPGRADE;
        return H1_HEAD;
    }
    return !request && reader->head->status < 200 ? interim_pass(reader) : body_begin(reader, &parser);
}

static int length_step(struct h1_reader *reader, struct slice *rest)
{
    if (rest->len == 0)
        return H1_NEED_MORE;
    reader->body = slice_first(*rest, reader->body_left < rest->len ? (size_t)reader->body_left : rest->len);
    *rest = slice_skip(*rest, reader->body.len);
    reader->body_left -= reader->body.len;
    if (reader->body_left == 0)
        reader->state = STATE_END;
    return H1_BODY;
}

static int close_step(struct h1_reader *reader, struct slice *rest)
{
    if (rest->len == 0)
        return H1_NEED_MORE;
    if (rest->len > reader->body_left)
        return fail_limit(reader, 413, "body: over its limit");
    reader->body = *rest;
    reader->body_left -= rest->len;
    *rest = slice_skip(*rest, rest->len);
    return H1_BODY;
}

static uint32_t hex_digits(uint64_t value)
{
    uint32_t num = 1;
    while (value >>= 4)
        num++;
    return num;
}

/* The size line of a chunk is complete. */
static int chunk_begin(struct h1_reader *reader, uint64_t size)
{
    uint32_t extension_bytes = reader->framing_bytes - hex_digits(size) - 2;
    reader->extension_bytes += extension_bytes;
    reader->framing_bytes = 0;
    if (extension_bytes > LIMIT_CHUNK_EXTENSION_BYTES || reader->extension_bytes > LIMIT_CHUNK_EXTENSIONS_BYTES)
        return fail_limit(reader, 400, "chunk: extensions over their limit");
    if (size > INT64_MAX)
        return fail_input(reader, 400, "chunk: impossible size");
    if (size > reader->body_left)
        return fail_limit(reader, 413, "body: over its limit");
    reader->body_left -= size;
    reader->state = size ? STATE_CHUNKED : STATE_TRAILERS;
    reader->section = (struct h1_section){0};
    return STEP_ON;
}

static int size_step(struct h1_reader *reader, struct slice *rest)
{
    llhttp_t *parser = reader->chunked;
    size_t used;
    bool paused;
    if (rest->len == 0)
        return H1_NEED_MORE;
    if (!parser_run(parser, *rest, &used, &paused))
        return fail_input(reader, 400, "chunk: bad size line");
    *rest = slice_skip(*rest, used);
    reader->framing_bytes += (uint32_t)used; /* at most a read buffer more than the limit */
    if (paused)
        return chunk_begin(reader, parser->content_length);
    if (reader->framing_bytes > SIZE_LINE_BYTES + LIMIT_CHUNK_EXTENSION_BYTES)
        return fail_limit(reader, 400, "chunk: extensions over their limit");
    return H1_NEED_MORE;
}

static int chunk_step(struct h1_reader *reader, struct slice *rest)
{
    size_t used;
    bool paused;
    if (rest->len == 0)
        return H1_NEED_MORE;
    reader->body = SLICE_NONE;
    if (!parser_run(reader->chunked, *rest, &used, &paused))
        return fail_input(reader, 400, "chunk: no CRLF behind the data");
    *rest = slice_skip(*rest, used);
    if (paused)
        reader->state = STATE_SIZE;
    if (reader->body.len)
        return H1_BODY;
    return STEP_ON;
}

static int trailers_step(struct h1_reader *reader, struct slice *rest)
{
    const struct h1_section_limits limits = {LIMIT_TRAILER_BYTES, reader->limits.num_fields, 0};
    struct slice text = SLICE_NONE;
    enum h1_section_result result = h1_section_feed(&reader->section, &limits, reader->arena, rest, &text);
    int event = section_event(reader, result, 400, text);
    if (event != STEP_ON)
        return event;
    if (reader->section.num_lines)
        fields_reserve(&reader->head->trailers, reader->arena, reader->section.num_lines);
    if (!parser_run_all(reader->chunked, text))
        return fail_input(reader, 400, "trailers: bad syntax");
    fields_finish(&reader->head->trailers);
    reader->state = STATE_END;
    return STEP_ON;
}

/* --- the reader --- */

void h1_reader_init(struct h1_reader *reader, enum h1_kind kind, const struct h1_limits *limits)
{
    *reader = (struct h1_reader){.kind = (uint8_t)kind, .limits = *limits, .state = STATE_IDLE};
}

void h1_reader_begin(struct h1_reader *reader, struct arena *arena)
{
    const struct h1_limits limits = reader->limits;
    h1_reader_init(reader, (enum h1_kind)reader->kind, &limits);
    reader->arena = arena;
    reader->state = STATE_START;
}

void h1_reader_begin_response(struct h1_reader *reader, struct arena *arena, enum method asked, bool upgrade_asked)
{
    h1_reader_begin(reader, arena);
    reader->request_method = (uint8_t)asked;
    reader->upgrade_asked = upgrade_asked;
}

static int reader_step(struct h1_reader *reader, struct slice *rest)
{
    switch ((enum state)reader->state) {
    case STATE_START:
    case STATE_START_LF:
    case STATE_AGAIN: return start_step(reader, rest);
    case STATE_HEAD: return head_step(reader, rest);
    case STATE_LENGTH: return length_step(reader, rest);
    case STATE_CLOSE: return close_step(reader, rest);
    case STATE_CHUNKED: return chunk_step(reader, rest);
    case STATE_SIZE: return size_step(reader, rest);
    case STATE_TRAILERS: return trailers_step(reader, rest);
    case STATE_UPGRADE: return H1_UPGRADE;
    case STATE_FAILED: return H1_ERROR;
    case STATE_IDLE:
    case STATE_END: break;
    }
    reader->state = STATE_IDLE;
    return H1_END;
}

enum h1_event h1_reader_feed(struct h1_reader *reader, struct slice in, size_t *out_consumed)
{
    struct slice rest = in;
    int event;
    do
        event = reader_step(reader, &rest);
    while (event == STEP_ON);
    *out_consumed = in.len - rest.len;
    return (enum h1_event)event;
}

enum h1_event h1_reader_eof(struct h1_reader *reader)
{
    switch ((enum state)reader->state) {
    case STATE_IDLE: return H1_NEED_MORE;
    case STATE_START:
    case STATE_START_LF:
    case STATE_AGAIN:
        if (reader->num_interim == 0)
            return H1_NEED_MORE;
        break; /* the answer itself is missing */
    case STATE_END:
    case STATE_CLOSE: reader->state = STATE_IDLE; return H1_END;
    case STATE_UPGRADE: return H1_UPGRADE;
    case STATE_FAILED: return H1_ERROR;
    case STATE_HEAD:
    case STATE_LENGTH:
    case STATE_CHUNKED:
    case STATE_SIZE:
    case STATE_TRAILERS: break;
    }
    return (enum h1_event)fail(reader, err_make(ERR_EOF, 400, "message cut short"));
}

void h1_reader_upgrade(struct h1_reader *reader, bool accepted)
{
    if (reader->state == STATE_UPGRADE && !accepted)
        reader->state = STATE_END;
}

bool h1_reader_in_head(const struct h1_reader *reader)
{
    return reader->state == STATE_HEAD;
}

bool h1_reader_knows_method(struct slice name)
{
    static const struct slice known[] = {
#define XX(num, symbol, text) {#text, sizeof #text - 1},
        HTTP_METHOD_MAP(XX)
#undef XX
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_eq(name, known[i]))
            return true;
    return false;
}
