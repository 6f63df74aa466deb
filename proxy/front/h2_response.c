#include "front/h2_response.h"

#include "http/hop.h"

static void put(struct h2_fields *out, struct slice name, struct slice value)
{
    out->at[out->num++] = (nghttp2_nv){
        .name = (uint8_t *)name.ptr, .value = (uint8_t *)value.ptr, .namelen = name.len, .valuelen = value.len};
}

static struct slice number_text(struct arena *arena, uint64_t number)
{
    char *text = arena_alloc(arena, 20), *at = text + 20;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    return slice_make(at, (size_t)(text + 20 - at));
}

struct h2_fields h2_response_head(struct arena *arena, const struct head *head, const struct fields *fields,
                                  bool tunnel)
{
    struct h2_fields out = {.at = arena_alloc(arena, (fields->num + 2) * sizeof *out.at)};
    unsigned status = tunnel ? 200 : head->status;
    put(&out, SLICE_LIT(":status"), number_text(arena, status));
    if (head->length_given && head->status >= 200 && head->status != 204) /* RFC 9110 §8.6 */
        put(&out, SLICE_LIT("content-length"), number_text(arena, head->length));
    FIELDS_EACH(fields, field)
    if (!(tunnel && field->id == FIELD_SEC_WEBSOCKET_ACCEPT))
        put(&out, field->name, field->value);
    return out;
}

struct h2_fields h2_response_trailers(struct arena *arena, const struct fields *trailers, unsigned *out_dropped)
{
    struct h2_fields out = {0};
    *out_dropped = 0;
    if (!trailers || trailers->num == 0)
        return out;
    out.at = arena_alloc(arena, trailers->num * sizeof *out.at);
    FIELDS_EACH(trailers, field)
    {
        if (hop_may_trail(field))
            put(&out, field->name, field->value);
        else
            ++*out_dropped;
    }
    return out;
}
