#include "http/hop.h"

enum hop_rule {
    BY_HOP = 1,     /* of one connection, or written anew by us: never copied (RFC 9110 §7.6.1) */
    FORWARDING = 2, /* says who the client is: believed from trusted peers alone */
    KEPT = 4,       /* Connection cannot nominate it */
    NO_TRAILER = 8  /* RFC 9110 §6.5.1: decides on framing, routing, access or content before the body is read */
};

static const uint8_t rules[NUM_FIELD_IDS] = {
    [FIELD_CONNECTION] = BY_HOP | NO_TRAILER,
    [FIELD_KEEP_ALIVE] = BY_HOP | NO_TRAILER,
    [FIELD_PROXY_CONNECTION] = BY_HOP | NO_TRAILER,
    [FIELD_PROXY_AUTHENTICATE] = BY_HOP | NO_TRAILER,
    [FIELD_PROXY_AUTHORIZATION] = BY_HOP | NO_TRAILER,
    [FIELD_HTTP2_SETTINGS] = BY_HOP | NO_TRAILER,
    [FIELD_TE] = BY_HOP | NO_TRAILER,
    [FIELD_TRANSFER_ENCODING] = BY_HOP | NO_TRAILER,
    [FIELD_UPGRADE] = BY_HOP | NO_TRAILER,
    [FIELD_CONTENT_LENGTH] = BY_HOP | KEPT | NO_TRAILER,
    [FIELD_HOST] = KEPT | NO_TRAILER,
    [FIELD_FORWARDED] = FORWARDING | NO_TRAILER,
    [FIELD_X_FORWARDED_FOR] = FORWARDING | KEPT | NO_TRAILER,
    [FIELD_X_FORWARDED_HOST] = FORWARDING | KEPT | NO_TRAILER,
    [FIELD_X_FORWARDED_PORT] = FORWARDING | KEPT | NO_TRAILER,
    [FIELD_X_FORWARDED_PROTO] = FORWARDING | KEPT | NO_TRAILER,
    [FIELD_X_REAL_IP] = FORWARDING | KEPT | NO_TRAILER,
    [FIELD_PROXY] = NO_TRAILER,
    [FIELD_TRAILER] = NO_TRAILER,
    [FIELD_EXPECT] = NO_TRAILER,
    [FIELD_MAX_FORWARDS] = NO_TRAILER,
    [FIELD_AUTHORIZATION] = NO_TRAILER,
    [FIELD_WWW_AUTHENTICATE] = NO_TRAILER,
    [FIELD_COOKIE] = NO_TRAILER,
    [FIELD_SET_COOKIE] = NO_TRAILER,
    [FIELD_CACHE_CONTROL] = NO_TRAILER,
    [FIELD_PRAGMA] = NO_TRAILER,
    [FIELD_EXPIRES] = NO_TRAILER,
    [FIELD_AGE] = NO_TRAILER,
    [FIELD_DATE] = NO_TRAILER,
    [FIELD_VARY] = NO_TRAILER,
    [FIELD_LOCATION] = NO_TRAILER,
    [FIELD_RETRY_AFTER] = NO_TRAILER,
    [FIELD_RANGE] = NO_TRAILER,
    [FIELD_IF_MATCH] = NO_TRAILER,
    [FIELD_IF_NONE_MATCH] = NO_TRAILER,
    [FIELD_IF_MODIFIED_SINCE] = NO_TRAILER,
    [FIELD_IF_UNMODIFIED_SINCE] = NO_TRAILER,
    [FIELD_IF_RANGE] = NO_TRAILER,
    [FIELD_CONTENT_ENCODING] = NO_TRAILER,
    [FIELD_CONTENT_TYPE] = NO_TRAILER,
    [FIELD_CONTENT_RANGE] = NO_TRAILER,
    [FIELD_STRICT_TRANSPORT_SECURITY] = NO_TRAILER,
    [FIELD_X_REQUEST_ID] = NO_TRAILER,
    [FIELD_TRACEPARENT] = NO_TRAILER,
    [FIELD_TRACESTATE] = NO_TRAILER,
    [FIELD_SEC_WEBSOCKET_KEY] = NO_TRAILER,
    [FIELD_SEC_WEBSOCKET_ACCEPT] = NO_TRAILER,
};

/* X-Forwarded-* in the widest sense, also the names that no table knows (X-Forwarded-User, X-Forwarded-Prefix). */
static bool field_is_forwarding(const struct field *field)
{
    static const struct slice prefix = {"x-forwarded-", 12};
    if (field->id != FIELD_OTHER)
        return rules[field->id] & FORWARDING;
    return field->name.len > prefix.len && slice_ieq(slice_first(field->name, prefix.len), prefix);
}

/* Backends turn `-` into `_`: X_Forwarded_For would become X-Forwarded-For behind our back. */
static bool field_is_ambiguous(const struct field *field)
{
    return field->id == FIELD_OTHER && memchr(field->name.ptr, '_', field->name.len);
}

/* --- nominations --- */

/* Options that name no field to strip beyond those that go anyway. */
static bool option_is_usual(struct slice option)
{
    return slice_ieq(option, SLICE_LIT("keep-alive")) || slice_ieq(option, SLICE_LIT("close")) ||
           slice_ieq(option, SLICE_LIT("upgrade"));
}

/* Whether Connection nominates any field at all: nearly never, and then nothing needs to be compared. */
static bool head_nominates(const struct head *head)
{
    FIELDS_EACH(&head->fields, field)
    {
        struct slice list = field->value, option;
        while (field->id == FIELD_CONNECTION && field_list_next(&list, &option))
            if (!option_is_usual(option))
                return true;
    }
    return false;
}

static bool field_is_nominated(const struct head *head, const struct field *field)
{
    bool kept = (rules[field->id] & KEPT) || field_is_forwarding(field);
    return !kept && head_has_token(head, FIELD_CONNECTION, field->name);
}

/* --- framing --- */

struct h1_framing hop_request_framing(const struct head *head)
{
    return (struct h1_framing){
        .body = head->body,
        .length = head->length,
        .connection = head->upgrade ? H1_CONNECTION_UPGRADE : H1_CONNECTION_UNSAID,
    };
}

static enum h1_connection answer_connection(unsigned client_version, bool keep_alive)
{
    if (!keep_alive)
        return H1_CONNECTION_CLOSE;
    return client_version < 11 ? H1_CONNECTION_KEEP_ALIVE : H1_CONNECTION_UNSAID;
}

struct h1_framing hop_response_framing(const struct head *head, unsigned client_version, bool keep_alive)
{
    struct h1_framing framing = {.body = head->body, .length = head->length};
    if (head->status < 200) {
        framing.body = BODY_NONE;
        framing.connection = head->upgrade ? H1_CONNECTION_UPGRADE : H1_CONNECTION_UNSAID;
        return framing;
    }
    bool unknown = head->body == BODY_CHUNKED || head->body == BODY_UNTIL_CLOSE;
    if (unknown)
        framing.body = client_version < 11 ? BODY_UNTIL_CLOSE : BODY_CHUNKED;
    framing.length_given = head->length_given && head->status != 204; /* RFC 9110 §8.6 */
    framing.connection = answer_connection(client_version, keep_alive && framing.body != BODY_UNTIL_CLOSE);
    return framing;
}

/* --- requests --- */

enum verdict { PASS, DROP, DROP_COUNTED };

void hop_drop_forwarding(struct hop_client *client)
{
    static const enum field_id ids[] = {FIELD_FORWARDED,        FIELD_X_FORWARDED_FOR,   FIELD_X_FORWARDED_HOST,
                                        FIELD_X_FORWARDED_PORT, FIELD_X_FORWARDED_PROTO, FIELD_X_REAL_IP};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        client->drops[ids[i]] = true;
}

static enum verdict request_field(const struct head *head, const struct field *field, const struct hop_client *client,
                                  bool nominates)
{
    if ((rules[field->id] & BY_HOP) || field->id == FIELD_HOST)
        return DROP;
    if (field->id == FIELD_EXPECT)
        return head->expect_continue ? PASS : DROP;
    if (field->id == FIELD_PROXY || field_is_ambiguous(field) || (!client->trusted && field_is_forwarding(field)))
        return DROP_COUNTED;
    if ((client->cert || !client->trusted) && cert_fields_has(field))
        return DROP_COUNTED;
    if (client->drops[field->id])
        return DROP;
    return nominates && field_is_nominated(head, field) ? DROP : PASS;
}

unsigned hop_request_fields(const struct head *head, const struct hop_client *client, struct arena *arena,
                            struct fields *out)
{
    unsigned num_dropped = 0;
    bool nominates = head_nominates(head);
    FIELDS_EACH(&head->fields, field)
    {
        enum verdict verdict = request_field(head, field, client, nominates);
        if (verdict == PASS)
            fields_put(out, arena, *field);
        num_dropped += verdict == DROP_COUNTED;
    }
    if (head_has_token(head, FIELD_TE, SLICE_LIT("trailers")))
        fields_put(out, arena, (struct field){SLICE_LIT("TE"), SLICE_LIT("trailers"), FIELD_TE});
    if (client->cert)
        cert_fields_put(client->cert, out, arena);
    return num_dropped;
}

/* --- responses --- */

static enum verdict response_field(const struct head *head, const struct field *field, bool nominates)
{
    if (rules[field->id] & BY_HOP)
        return DROP;
    if (field->id == FIELD_PROXY)
        return DROP_COUNTED;
    return nominates && field_is_nominated(head, field) ? DROP : PASS;
}

unsigned hop_response_fields(const struct head *head, struct arena *arena, struct fields *out)
{
    unsigned num_dropped = 0;
    bool nominates = head_nominates(head);
    FIELDS_EACH(&head->fields, field)
    {
        enum verdict verdict = response_field(head, field, nominates);
        if (verdict == PASS)
            fields_put(out, arena, *field);
        num_dropped += verdict == DROP_COUNTED;
    }
    return num_dropped;
}

/* --- trailers --- */

bool hop_may_trail(const struct field *field)
{
    return !(rules[field->id] & NO_TRAILER) && !field_is_forwarding(field) && !field_is_ambiguous(field) &&
           !cert_fields_has(field);
}

unsigned hop_write_trailers(struct buf *out, const struct fields *trailers)
{
    unsigned num_dropped = 0;
    buf_append_slice(out, SLICE_LIT("0\r\n"));
    FIELDS_EACH(trailers, field)
    {
        if (hop_may_trail(field))
            h1_write_field(out, field->name, field->value);
        else
            num_dropped++;
    }
    h1_write_end(out);
    return num_dropped;
}
