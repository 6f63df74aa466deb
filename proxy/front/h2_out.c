#include "front/h2_out.h"

#include "base/limits.h"

void h2_out_init(struct h2_out *out, struct stream *stream)
{
    out->stream = stream;
    out->num_parts = out->small_len = out->bytes = out->total_bytes = 0;
    out->full = false;
}

void h2_out_flush(struct h2_out *out)
{
    if (out->num_parts == 0)
        return;
    if (!stream_writev(out->stream, out->parts, out->num_parts))
        out->full = true;
    out->total_bytes += out->bytes;
    out->num_parts = out->small_len = out->bytes = 0;
}

static void out_add(struct h2_out *out, struct slice bytes)
{
    if (out->num_parts == H2_OUT_PARTS)
        h2_out_flush(out);
    out->parts[out->num_parts++] = bytes;
    out->bytes += bytes.len;
}

void h2_out_copy(struct h2_out *out, struct slice bytes)
{
    while (bytes.len) {
        if (out->small_len == sizeof out->small || out->num_parts == H2_OUT_PARTS)
            h2_out_flush(out);
        struct slice piece = slice_first(bytes, sizeof out->small - out->small_len);
        char *at = out->small + out->small_len;
        memcpy(at, piece.ptr, piece.len);
        out->small_len += piece.len;
        struct slice *last = out->num_parts ? &out->parts[out->num_parts - 1] : NULL;
        if (last && last->ptr + last->len == at) { /* one part of what lies side by side */
            last->len += piece.len;
            out->bytes += piece.len;
        } else {
            out_add(out, slice_make(at, piece.len));
        }
        bytes = slice_skip(bytes, piece.len);
    }
}

void h2_out_refer(struct h2_out *out, struct slice bytes)
{
    if (bytes.len <= H2_OUT_COPY_BYTES) {
        h2_out_copy(out, bytes);
        return;
    }
    out_add(out, bytes);
    if (out->bytes > FLOW_HIGH_BYTES)
        h2_out_flush(out);
}
