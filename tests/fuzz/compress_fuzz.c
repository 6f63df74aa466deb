/* compress: any request and answer head, as lines of "name:value" with an empty line between the two. What is chosen was
 * offered; a coding whose name never came is chosen for `*` alone; the head that goes out keeps its promises. */
#include "exchange/compress.h"
#include "exchange/encoder.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void take_fields(struct slice *rest, struct fields *fields, struct arena *arena)
{
    struct slice line;
    while (rest->len && fields->num < 100 && (line = slice_split(rest, '\n')).len) {
        struct slice name = slice_split(&line, ':');
        if (field_is_token(name) && field_value_is_valid(line))
            fields_add(fields, arena, name, slice_trim(line));
    }
}

static bool fields_name(const struct fields *fields, enum field_id id, struct slice token)
{
    FIELDS_EACH(fields, field)
    {
        for (size_t i = 0; field->id == id && i + token.len <= field->value.len; i++)
            if (slice_ieq(slice_first(slice_skip(field->value, i), token.len), token))
                return true;
    }
    return false;
}

static void check_plan(const struct compress_plan *plan, const struct head *request, struct fields *fields,
                       struct arena *arena)
{
    struct slice name = encoder_name(plan->encoding);
    uint32_t before = fields->num;
    compress_fields(plan, fields, arena);
    require(fields->num <= before + 2);
    require(plan->verdict == COMPRESS_NOT || fields_name(fields, FIELD_VARY, SLICE_LIT("Accept-Encoding")) ||
            fields_name(fields, FIELD_VARY, SLICE_LIT("*")));
    if (plan->verdict != COMPRESS_NOW)
        return;
    require(fields_name(&request->fields, FIELD_ACCEPT_ENCODING, name) ||
            fields_name(&request->fields, FIELD_ACCEPT_ENCODING, SLICE_LIT("*")));
    require(slice_eq(fields_find(fields, FIELD_CONTENT_ENCODING)->value, name));
    FIELDS_EACH(fields, field)
    {
        require(field->id != FIELD_ETAG || slice_starts(field->value, SLICE_LIT("W/")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum config_encoding order[] = {CONFIG_ENCODING_ZSTD, CONFIG_ENCODING_BR, CONFIG_ENCODING_GZIP};
    static struct config config;
    struct arena arena = {0};
    struct slice rest = slice_make(data, len);
    struct head request = {.method = METHOD_GET, .version = 11}, answer = {.status = 200, .body = BODY_CHUNKED};
    memcpy(config.policy.compress, order, sizeof order);
    config.policy.num_compress = NUM_CONFIG_ENCODINGS;
    take_fields(&rest, &request.fields, &arena);
    take_fields(&rest, &answer.fields, &arena);
    for (unsigned status = 200; status <= 304; status += 104) {
        struct fields sent = {0};
        answer.status = (uint16_t)status;
        FIELDS_EACH(&answer.fields, field)
        {
            fields_put(&sent, &arena, *field);
        }
        struct compress_plan plan = compress_decide(&config, &request, &answer);
        check_plan(&plan, &request, &sent, &arena);
    }
    arena_cleanup(&arena);
    return 0;
}
