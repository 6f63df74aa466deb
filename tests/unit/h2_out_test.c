#include "front/h2_out.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "check.h"

/* A stream that keeps what it is given, and answers false above a mark. */
struct taker {
    struct stream base;
    struct buf bytes;
    size_t num_writes, num_parts, mark;
};

static bool taker_writev(struct stream *stream, const struct slice *parts, size_t num_parts)
{
    struct taker *taker = container_of(stream, struct taker, base);
    taker->num_writes++;
    taker->num_parts += num_parts;
    for (size_t i = 0; i < num_parts; i++)
        buf_append_slice(&taker->bytes, parts[i]);
    return taker->bytes.len <= taker->mark;
}

static const struct stream_ops taker_ops = {.writev = taker_writev};

static void small_frames_become_one_part(void)
{
    struct taker taker = {.base = {.ops = &taker_ops}, .mark = SIZE_MAX};
    struct h2_out out;
    h2_out_init(&out, &taker.base);
    h2_out_copy(&out, SLICE_LIT("one "));
    h2_out_refer(&out, SLICE_LIT("two "));
    h2_out_copy(&out, SLICE_LIT("three"));
    CHECK_INT(taker.num_writes, 0);
    h2_out_flush(&out);
    h2_out_flush(&out);
    CHECK_INT(taker.num_writes, 1);
    CHECK_INT(taker.num_parts, 1);
    CHECK_SLICE(buf_slice(&taker.bytes), "one two three");
    CHECK_INT(out.total_bytes, 13);
    CHECK(!out.full);
    buf_cleanup(&taker.bytes);
}

/* Every mixture of small and large arrives in order, whatever the buffers hold. */
static void order_is_kept_across_every_limit(void)
{
    struct taker taker = {.base = {.ops = &taker_ops}, .mark = SIZE_MAX};
    struct h2_out out;
    struct buf source = {0};
    size_t at = 0;
    for (size_t i = 0; i < 400000; i++)
        buf_append_char(&source, (char)(i % 251));
    h2_out_init(&out, &taker.base);
    for (size_t i = 0; at < source.len; i++) {
        static const size_t lens[] = {9, 1024, 1025, 9, 16384, 1, 9000, 500};
        struct slice piece = slice_first(slice_skip(buf_slice(&source), at), lens[i % 8]);
        if (i % 2)
            h2_out_refer(&out, piece);
        else
            h2_out_copy(&out, piece);
        at += piece.len;
        CHECK(out.bytes <= FLOW_HIGH_BYTES + 2 * H2_OUT_SMALL_BYTES);
    }
    h2_out_flush(&out);
    CHECK_MEM(taker.bytes.ptr, taker.bytes.len, source.ptr, source.len);
    CHECK_INT(out.total_bytes, source.len);
    buf_cleanup(&source);
    buf_cleanup(&taker.bytes);
}

static void a_full_stream_is_remembered(void)
{
    struct taker taker = {.base = {.ops = &taker_ops}, .mark = 3};
    struct h2_out out;
    h2_out_init(&out, &taker.base);
    h2_out_copy(&out, SLICE_LIT("four"));
    h2_out_flush(&out);
    CHECK(out.full);
    buf_cleanup(&taker.bytes);
}

int main(void)
{
    RUN(small_frames_become_one_part);
    RUN(order_is_kept_across_every_limit);
    RUN(a_full_stream_is_remembered);
    return checks_done();
}
