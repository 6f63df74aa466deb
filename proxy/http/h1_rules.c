#include "http/h1_rules.h"

#include "base/limits.h"

enum { VERSION_BYTES = 8, PORT_HTTP = 80, PORT_HTTPS = 443 };

static struct err bad(int status, const char *what)
{
    return err_make(ERR_INPUT, status, what);
}

/* --- start lines --- */

size_t h1_rules_line_max(size_t target_max)
{
    return LIMIT_METHOD_BYTES + 1 + target_max + 1 + VERSION_BYTES;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* HTTP/1.0 or HTTP/1.1. Another minor version is refused too: nobody sends one but to see who reads it how. */
static struct err version_parse(struct slice text, uint8_t *out_version)
{
    if (text.len != VERSION_BYTES || !slice_starts(text, SLICE_LIT("HTTP/")) || !is_digit(text.ptr[5]) ||
        text.ptr[6] != '.' || !is_digit(text.ptr[7]))
        return bad(400, "start line: no HTTP version");
    if (text.ptr[5] != '1')
        return bad(505, "start line: another HTTP version");
    if (text.ptr[7] > '1')
        return bad(400, "start line: another HTTP version");
    *out_version = text.ptr[7] == '1' ? 11 : 10;
    return ERR_OK;
}

struct err h1_rules_request_line(struct head *head, struct slice line, size_t target_max)
{
    struct slice rest = line;
    struct slice method = slice_split(&rest, ' ');
    if (method.len > LIMIT_METHOD_BYTES || !field_is_token(method))
        return bad(400, "request line: bad method");
    struct slice target = slice_split(&rest, ' ');
    head->method_name = method;
    head->method = method_lookup(method);
    if (target.len > target_max)
        return err_make(ERR_LIMIT, 414, "request line: target too long");
    head->target = target;
    struct err err = version_parse(rest, &head->version);
    if (err_is(err))
        return err;
    if (head->method == METHOD_CONNECT)
        return bad(501, "request line: CONNECT");
    if (slice_eq(method, SLICE_LIT("PRI"))) /* the preface of HTTP/2, whatever a backend would make of it */
        return bad(501, "request line: PRI");
    if (head->method == METHOD_TRACE)
        return bad(405, "request line: TRACE");
    return target.len ? ERR_OK : bad(400, "request line: no target");
}

struct err h1_rules_status_line(struct head *head, struct slice line)
{
    struct err err = version_parse(slice_first(line, VERSION_BYTES), &head->version);
    if (err_is(err))
        return err;
    struct slice rest = slice_skip(line, VERSION_BYTES);
    if (rest.len < 4 || rest.ptr[0] != ' ' || !is_digit(rest.ptr[1]) || !is_digit(rest.ptr[2]) ||
        !is_digit(rest.ptr[3]))
        return bad(502, "status line: no status");
    head->status = (uint16_t)((rest.ptr[1] - '0') * 100 + (rest.ptr[2] - '0') * 10 + (rest.ptr[3] - '0'));
    if (head->status < 100 || head->status > 599)
        return bad(502, "status line: status out of range");
    rest = slice_skip(rest, 4);
    if (rest.len && rest.ptr[0] != ' ')
        return bad(502, "status line: no blank behind the status");
    head->reason = rest.len ? slice_skip(rest, 1) : rest;
    return field_value_is_valid(head->reason) ? ERR_OK : bad(502, "status line: control byte");
}

/* --- framing --- */

/* chunked behind another coding is valid HTTP that we do not speak; anything else is an attempt to be misread. */
static struct err coding_refuse(struct slice value)
{
    struct slice element, last = SLICE_NONE;
    unsigned num_chunked = 0;
    while (field_list_next(&value, &element)) {
        if (!field_is_token(element))
            return bad(400, "Transfer-Encoding: bad value");
        num_chunked += slice_ieq(element, SLICE_LIT("chunked"));
        last = element;
    }
    if (num_chunked == 1 && slice_ieq(last, SLICE_LIT("chunked")))
        return bad(501, "Transfer-Encoding: only chunked is spoken");
    return bad(400, "Transfer-Encoding: bad value");
}

static struct err coding_read(struct head *head, struct slice value)
{
    if (head->version < 11)
        return bad(400, "Transfer-Encoding in HTTP/1.0");
    if (!slice_ieq(value, SLICE_LIT("chunked")))
        return coding_refuse(value);
    if (head->body == BODY_CHUNKED)
        return bad(400, "Transfer-Encoding repeated");
    head->body = BODY_CHUNKED;
    return ERR_OK;
}

static struct err length_read(struct head *head, struct slice value)
{
    if (head->length_given)
        return bad(400, "Content-Length repeated");
    if (!slice_decimal(value, INT64_MAX, &head->length))
        return bad(400, "Content-Length: not a length");
    head->length_given = true;
    return ERR_OK;
}

struct connection {
    bool close, keep_alive;
    unsigned num_tokens;
};

static void connection_read(struct connection *connection, struct slice value)
{
    struct slice token;
    while (field_list_next(&value, &token)) {
        connection->num_tokens++;
        connection->close |= slice_ieq(token, SLICE_LIT("close"));
        connection->keep_alive |= slice_ieq(token, SLICE_LIT("keep-alive"));
    }
}

static struct err framing_read(struct head *head, struct connection *connection)
{
    FIELDS_EACH(&head->fields, field)
    {
        struct err err = ERR_OK;
        if (field->id == FIELD_CONTENT_LENGTH)
            err = length_read(head, field->value);
        else if (field->id == FIELD_TRANSFER_ENCODING)
            err = coding_read(head, field->value);
        else if (field->id == FIELD_CONNECTION)
            connection_read(connection, field->value);
        if (err_is(err))
            return err;
    }
    return ERR_OK;
}

struct err h1_rules_framing(struct head *head)
{
    struct connection connection = {0};
    struct err err = framing_read(head, &connection);
    if (err_is(err))
        return err;
    if (head->length_given && head->body == BODY_CHUNKED)
        return bad(400, "Content-Length together with Transfer-Encoding");
    if (connection.num_tokens > LIMIT_CONNECTION_TOKENS)
        return bad(400, "Connection: too many options");
    if (head->length_given)
        head->body = BODY_LENGTH;
    head->keep_alive = !connection.close && (head->version >= 11 || connection.keep_alive);
    return ERR_OK;
}

/* --- requests --- */

static bool target_is_clean(struct slice target)
{
    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return true;
}

static uint16_t port_of(const struct head *head, bool https)
{
    return head->port ? head->port : https ? PORT_HTTPS : PORT_HTTP;
}

/* The authority in an absolute-form target must be the one in Host (RFC 9112 §3.2.2 lets it win; R6 refuses the two
 * that differ). HTTP/1.0 may leave Host out: then it is the authority. */
static struct err authority_agree(struct head *head, struct arena *arena, struct slice authority)
{
    struct head named = {0};
    bool https = head->scheme.len == 5;
    struct err err = head_set_authority(&named, arena, authority);
    if (err_is(err))
        return err;
    if (head->authority.len == 0)
        return head_set_authority(head, arena, authority);
    bool same = slice_eq(named.host, head->host) && named.host_is_ipv6 == head->host_is_ipv6 &&
                port_of(&named, https) == port_of(head, https);
    return same ? ERR_OK : bad(400, "request line: another authority than Host");
}

static bool starts_nocase(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_ieq(slice_first(s, prefix.len), prefix);
}

static struct err target_absolute(struct head *head, struct arena *arena)
{
    struct slice rest = head->target;
    if (starts_nocase(rest, SLICE_LIT("http://")))
        head->scheme = SLICE_LIT("http");
    else if (starts_nocase(rest, SLICE_LIT("https://")))
        head->scheme = SLICE_LIT("https");
    else
        return bad(400, "request line: target of no known form");
    rest = slice_skip(rest, head->scheme.len + 3);
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/' && rest.ptr[len] != '?')
        len++;
    struct slice path = slice_skip(rest, len);
    if (path.len == 0)
        path = head->method == METHOD_OPTIONS ? SLICE_LIT("*") : SLICE_LIT("/"); /* RFC 9112 §3.2.4 */
    else if (path.ptr[0] == '?')
        return bad(400, "request line: query without a path"); /* would have to be rewritten: nobody sends it */
    head->target = path;
    return authority_agree(head, arena, slice_first(rest, len));
}

static struct err target_check(struct head *head, struct arena *arena)
{
    if (!target_is_clean(head->target))
        return bad(400, "request line: forbidden byte in the target");
    if (head->target.ptr[0] == '/')
        return ERR_OK;
    if (slice_eq(head->target, SLICE_LIT("*")))
        return head->method == METHOD_OPTIONS ? ERR_OK : bad(400, "request line: target * is for OPTIONS");
    return target_absolute(head, arena);
}

static struct err host_check(struct head *head, struct arena *arena)
{
    const struct field *host = NULL;
    FIELDS_EACH(&head->fields, field)
    {
        if (field->id != FIELD_HOST)
            continue;
        if (host)
            return bad(400, "Host repeated");
        host = field;
    }
    if (host)
        return head_set_authority(head, arena, host->value);
    return head->version < 11 ? ERR_OK : bad(400, "Host missing");
}

static struct err expect_check(struct head *head)
{
    if (head->version < 11) /* RFC 9110 §10.1.1: ignored */
        return ERR_OK;
    FIELDS_EACH(&head->fields, field)
    {
        if (field->id != FIELD_EXPECT)
            continue;
        if (!slice_ieq(field->value, SLICE_LIT("100-continue")) || head->expect_continue)
            return bad(417, "Expect: only 100-continue");
        head->expect_continue = true;
    }
    if (head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0))
        head->expect_continue = false;
    return ERR_OK;
}

/* The one Upgrade field says websocket and nothing else, and Connection names it. */
static bool upgrade_is_websocket(const struct head *head)
{
    bool websocket = false;
    FIELDS_EACH(&head->fields, field)
    {
        if (field->id != FIELD_UPGRADE)
            continue;
        if (websocket || !slice_ieq(field->value, SLICE_LIT("websocket")))
            return false;
        websocket = true;
    }
    return websocket && head_has_token(head, FIELD_CONNECTION, SLICE_LIT("upgrade"));
}

struct err h1_rules_request(struct head *head, struct arena *arena)
{
    struct err err = host_check(head, arena);
    if (!err_is(err))
        err = target_check(head, arena);
    if (!err_is(err))
        err = expect_check(head);
    if (err_is(err))
        return err;
    bool empty = head->body == BODY_NONE || (head->body == BODY_LENGTH && head->length == 0);
    if (head->version == 11 && head->method == METHOD_GET && empty && upgrade_is_websocket(head))
        head->upgrade = UPGRADE_WEBSOCKET;
    return ERR_OK;
}

/* --- responses --- */

static struct err switching_check(struct head *head, bool upgrade_asked)
{
    if (!upgrade_asked)
        return bad(502, "101 that nobody asked for");
    if (head->version < 11 || !upgrade_is_websocket(head))
        return bad(502, "101 that is not for websocket");
    head->upgrade = UPGRADE_WEBSOCKET;
    return ERR_OK;
}

struct err h1_rules_response(struct head *head, enum method asked, bool upgrade_asked)
{
    bool interim = head->status < 200;
    if (interim || head->status == 204 || head->status == 304 || asked == METHOD_HEAD)
        head->body = BODY_NONE;
    else if (head->body == BODY_NONE)
        head->body = BODY_UNTIL_CLOSE;
    if (head->body == BODY_UNTIL_CLOSE)
        head->keep_alive = false;
    return head->status == 101 ? switching_check(head, upgrade_asked) : ERR_OK;
}
