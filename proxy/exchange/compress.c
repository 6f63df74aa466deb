#include "exchange/compress.h"

#include "exchange/encoder.h"

/* ---- what the client takes ---- */

enum { WEIGHT_ONE = 1000, WEIGHT_UNSAID = -1 }; /* a weight is in thousandths */

struct accepted {
    int codings[NUM_CONFIG_ENCODINGS], identity, any;
};

/* "0", "0.", "0.125", "1", "1.000" (RFC 9110 §12.4.2); anything else is 0. */
static int weight_parse(struct slice text)
{
    static const int places[] = {100, 10, 1};
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.ptr[1] != '.') ||
        (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return 0;
    int weight = text.ptr[0] == '1' ? WEIGHT_ONE : 0;
    for (size_t i = 2; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return 0;
        weight += (text.ptr[i] - '0') * places[i - 2];
    }
    return weight > WEIGHT_ONE ? 0 : weight;
}

/* Of what follows the coding's name: nothing, or one parameter q. */
static int weight_of(struct slice parameters)
{
    struct slice value = slice_trim(parameters), name = slice_trim(slice_split(&value, '='));
    if (parameters.len == 0)
        return WEIGHT_ONE;
    return slice_ieq(name, SLICE_LIT("q")) ? weight_parse(slice_trim(value)) : 0;
}

static int *accepted_slot(struct accepted *accepted, struct slice coding)
{
    if (slice_eq(coding, SLICE_LIT("*")))
        return &accepted->any;
    if (slice_ieq(coding, SLICE_LIT("identity")))
        return &accepted->identity;
    if (slice_ieq(coding, SLICE_LIT("x-gzip"))) /* RFC 9110 §8.4.1.3 */
        return &accepted->codings[CONFIG_ENCODING_GZIP];
    for (size_t i = 0; i < NUM_CONFIG_ENCODINGS; i++)
        if (slice_ieq(coding, encoder_name((enum config_encoding)i)))
            return &accepted->codings[i];
    return NULL;
}

static void accepted_add(struct accepted *accepted, struct slice element)
{
    struct slice coding = slice_trim(slice_split(&element, ';'));
    int weight = weight_of(element), *slot = accepted_slot(accepted, coding);
    if (slot && (*slot == WEIGHT_UNSAID || weight < *slot))
        *slot = weight;
}

static struct accepted accepted_of(const struct head *request)
{
    struct accepted accepted = {.identity = WEIGHT_UNSAID, .any = WEIGHT_UNSAID};
    for (size_t i = 0; i < NUM_CONFIG_ENCODINGS; i++)
        accepted.codings[i] = WEIGHT_UNSAID;
    FIELDS_EACH(&request->fields, field)
    {
        struct slice list = field->value, element;
        while (field->id == FIELD_ACCEPT_ENCODING && field_list_next(&list, &element))
            accepted_add(&accepted, element);
    }
    return accepted;
}

bool compress_negotiate(const struct config *config, const struct head *request, enum config_encoding *out_encoding)
{
    struct accepted accepted = accepted_of(request);
    int best = 0;
    for (size_t i = 0; i < config->policy.num_compress; i++) {
        enum config_encoding encoding = config->policy.compress[i];
        int weight = accepted.codings[encoding];
        if (weight == WEIGHT_UNSAID)
            weight = accepted.any;
        if (weight > best) {
            best = weight;
            *out_encoding = encoding;
        }
    }
    return best > 0 && best >= accepted.identity;
}

/* ---- what gains by it ---- */

static bool type_starts(struct slice type, struct slice prefix)
{
    return slice_ieq(slice_first(type, prefix.len), prefix);
}

static bool type_ends(struct slice type, struct slice suffix)
{
    return type.len > suffix.len && slice_ieq(slice_skip(type, type.len - suffix.len), suffix);
}

bool compress_type_gains(struct slice content_type)
{
    static const char *const types[] = {
        "application/json",
        "application/javascript",
        "application/x-javascript",
        "application/ecmascript",
        "application/xml",
        "application/wasm",
        "application/x-ndjson",
        "application/jsonl",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/rtf",
        "application/graphql",
        "application/sql",
        "application/vnd.ms-fontobject",
        "application/x-font-ttf",
        "application/x-font-otf",
        "font/ttf",
        "font/otf",
        "font/collection",
        "image/bmp",
        "image/x-icon",
        "image/vnd.microsoft.icon",
    };
    struct slice type = slice_trim(slice_split(&content_type, ';'));
    /* gRPC has a compression of its own; events are small, and each must come at once, through browsers' decoders too */
    if (type_starts(type, SLICE_LIT("application/grpc")) || slice_ieq(type, SLICE_LIT("text/event-stream")))
        return false;
    if (type_starts(type, SLICE_LIT("text/")) || type_ends(type, SLICE_LIT("+json")) ||
        type_ends(type, SLICE_LIT("+xml")))
        return true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_ieq(type, slice_str(types[i])))
            return true;
    return false;
}

/* ---- the decision ---- */

/* Names of fields that hold for the bytes as they are. Signatures may cover any field that we would change. */
static bool name_binds_content(struct slice name)
{
    static const char *const names[] = {"content-md5", "digest", "content-digest", "repr-digest", "signature-input"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_ieq(name, slice_str(names[i])))
            return true;
    return false;
}

static bool field_forbids(const struct field *field)
{
    struct slice list = field->value, name;
    if (field->id == FIELD_CONTENT_ENCODING || field->id == FIELD_CONTENT_RANGE)
        return true;
    if (field->id == FIELD_CACHE_CONTROL)
        return field_list_has(list, SLICE_LIT("no-transform"));
    while (field->id == FIELD_TRAILER && field_list_next(&list, &name))
        if (name_binds_content(name))
            return true;
    return field->id == FIELD_OTHER && name_binds_content(field->name);
}

static bool answer_forbids(const struct head *answer)
{
    FIELDS_EACH(&answer->fields, field)
    {
        if (field_forbids(field))
            return true;
    }
    return false;
}

static bool answer_is_long(const struct head *request, const struct head *answer)
{
    if (answer->body == BODY_NONE && request->method != METHOD_HEAD)
        return false;
    return !answer->length_given || answer->length >= COMPRESS_LEAST_BYTES;
}

static bool answer_may_be_compressed(const struct head *request, const struct head *answer)
{
    bool status = answer->status >= 200 && answer->status < 300 && answer->status != 204 && answer->status != 205 &&
                  answer->status != 206;
    return status && answer_is_long(request, answer) && compress_type_gains(head_get(answer, FIELD_CONTENT_TYPE)) &&
           !answer_forbids(answer);
}

static bool tag_is_strong(struct slice tag)
{
    return tag.len > 1 && tag.ptr[0] == '"';
}

/* Whether a client asks with the weak form of a 304's tag: it has that from us. Tags with a comma are not found. */
static bool request_names_weak(const struct head *request, struct slice tag)
{
    FIELDS_EACH(&request->fields, field)
    {
        struct slice list = field->value, known;
        while (field->id == FIELD_IF_NONE_MATCH && field_list_next(&list, &known))
            if (slice_starts(known, SLICE_LIT("W/")) && slice_eq(slice_skip(known, 2), tag))
                return true;
    }
    return false;
}

struct compress_plan compress_decide(const struct config *config, const struct head *request, const struct head *answer)
{
    struct compress_plan plan = {.verdict = COMPRESS_NOT};
    if (config->policy.num_compress == 0)
        return plan;
    struct slice tag = head_get(answer, FIELD_ETAG);
    if (answer->status == 304 && tag_is_strong(tag) && request_names_weak(request, tag))
        plan.verdict = COMPRESS_WEAKER;
    if (!answer_may_be_compressed(request, answer))
        return plan;
    bool refused = request->version < 11 || head_has_token(request, FIELD_CACHE_CONTROL, SLICE_LIT("no-transform"));
    bool taken = !refused && compress_negotiate(config, request, &plan.encoding);
    plan.verdict = taken ? COMPRESS_NOW : COMPRESS_VARIES;
    return plan;
}

/* ---- the head ---- */

static void fields_vary(struct fields *fields, struct arena *arena)
{
    struct field *first = NULL;
    for (uint32_t i = 0; i < fields->num; i++) {
        struct field *field = &fields->at[i];
        if (field->id != FIELD_VARY || field->value.len == 0)
            continue;
        if (field_list_has(field->value, SLICE_LIT("*")) || field_list_has(field->value, SLICE_LIT("Accept-Encoding")))
            return;
        first = first ? first : field;
    }
    if (first)
        first->value = arena_printf(arena, "%.*s, Accept-Encoding", (int)first->value.len, first->value.ptr);
    else
        fields_put(fields, arena, (struct field){SLICE_LIT("Vary"), SLICE_LIT("Accept-Encoding"), FIELD_VARY});
}

static bool slice_is_weak(struct slice tag)
{
    return slice_starts(tag, SLICE_LIT("W/\""));
}

/* A tag that is neither strong nor weak goes: it would pass for a strong one. */
static void fields_weaken(struct fields *fields, struct arena *arena)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->num; i++) {
        struct field field = fields->at[i];
        if (field.id == FIELD_ETAG && tag_is_strong(field.value))
            field.value = arena_printf(arena, "W/%.*s", (int)field.value.len, field.value.ptr);
        if (field.id != FIELD_ETAG || slice_is_weak(field.value))
            fields->at[kept++] = field;
    }
    fields->num = kept;
}

static void fields_drop_ranges(struct fields *fields)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < fields->num; i++)
        if (fields->at[i].id != FIELD_OTHER || !slice_ieq(fields->at[i].name, SLICE_LIT("Accept-Ranges")))
            fields->at[kept++] = fields->at[i];
    fields->num = kept;
}

void compress_fields(const struct compress_plan *plan, struct fields *fields, struct arena *arena)
{
    if (plan->verdict == COMPRESS_NOT)
        return;
    fields_vary(fields, arena);
    if (plan->verdict == COMPRESS_VARIES)
        return;
    fields_weaken(fields, arena);
    if (plan->verdict != COMPRESS_NOW)
        return;
    fields_drop_ranges(fields);
    fields_put(fields, arena,
               (struct field){SLICE_LIT("Content-Encoding"), encoder_name(plan->encoding), FIELD_CONTENT_ENCODING});
}
