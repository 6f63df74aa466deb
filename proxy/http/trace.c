#include "http/trace.h"

#include "base/limits.h"

enum { PARENT_ID_BYTES = 16, FLAGS_BYTES = 2, VERSION_BYTES = 2 };

/* --- request ids --- */

bool request_id_is_valid(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] >= 0x7f) /* a byte above 0x7f is negative, or too large */
            return false;
    return id.len > 0 && id.len <= LIMIT_REQUEST_ID_BYTES;
}

void request_id_make(struct random_batch *random, char out[REQUEST_ID_BYTES])
{
    random_hex(random, out, REQUEST_ID_BYTES / 2);
}

/* --- traceparent --- */

static bool text_is_lower_hex(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') || (text.ptr[i] >= 'a' && text.ptr[i] <= 'f')))
            return false;
    return true;
}

static bool text_is_zeros(struct slice text)
{
    size_t i = 0;
    while (i < text.len && text.ptr[i] == '0')
        i++;
    return i == text.len;
}

/* Cuts a part of that length and the `-` behind it. */
static bool cut_hex(struct slice *rest, size_t len, bool last, struct slice *out_part)
{
    if (rest->len < len || (rest->len == len) != last || (!last && rest->ptr[len] != '-'))
        return false;
    *out_part = slice_first(*rest, len);
    *rest = slice_skip(*rest, last ? len : len + 1);
    return text_is_lower_hex(*out_part);
}

bool traceparent_parse(struct slice text, struct traceparent *out_parent)
{
    struct traceparent parent;
    struct slice rest = text, version;
    if (!cut_hex(&rest, VERSION_BYTES, false, &version) || slice_eq(version, SLICE_LIT("ff")))
        return false;
    bool later = !text_is_zeros(version);
    if (!cut_hex(&rest, TRACE_ID_BYTES, false, &parent.trace_id) || text_is_zeros(parent.trace_id) ||
        !cut_hex(&rest, PARENT_ID_BYTES, false, &parent.parent_id) || text_is_zeros(parent.parent_id))
        return false;
    bool goes_on = later && rest.len > FLAGS_BYTES;
    if (!cut_hex(&rest, FLAGS_BYTES, !goes_on, &parent.flags))
        return false;
    *out_parent = parent;
    return true;
}

/* All zeros means no id: once in 2^64. */
static void put_parent_id(struct random_batch *random, char *out)
{
    do
        random_hex(random, out, PARENT_ID_BYTES / 2);
    while (text_is_zeros(slice_make(out, PARENT_ID_BYTES)));
}

void traceparent_make(struct random_batch *random, const struct traceparent *from, char out[TRACEPARENT_BYTES])
{
    char *trace_id = out + VERSION_BYTES + 1, *parent_id = trace_id + TRACE_ID_BYTES + 1;
    char *flags = parent_id + PARENT_ID_BYTES + 1;
    out[0] = out[1] = '0';
    out[2] = '-';
    if (from)
        memcpy(trace_id, from->trace_id.ptr, TRACE_ID_BYTES);
    else
        random_hex(random, trace_id, TRACE_ID_BYTES / 2);
    parent_id[-1] = '-';
    put_parent_id(random, parent_id);
    flags[-1] = '-';
    memcpy(flags, from ? from->flags.ptr : "01", FLAGS_BYTES);
}
