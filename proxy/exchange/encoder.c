/* A static zstd, whose allocator can be given: its interface for that is not one of the shared library. */
#define ZSTD_STATIC_LINKING_ONLY

#include "exchange/encoder.h"

#include "base/limits.h"
#include "base/mem.h"

#include <assert.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

enum {
    ENCODER_ROOM_BYTES = 4096, /* given to a library at a time */
    GZIP_LEVEL = 5,
    GZIP_WINDOW_BITS = 15,
    GZIP_LEAST_WINDOW_BITS = 9,
    GZIP_WRAPPER = 16, /* added to the window's: a gzip header and trailer, not zlib's */
    BROTLI_QUALITY = 4,
    BROTLI_WINDOW_BITS = 18,
    BROTLI_LARGE_BYTES = 1 << 20, /* a size hint from here on would choose a table of 4 MiB */
    ZSTD_LEVEL = 3,
    ZSTD_WINDOW_BITS = 17, /* browsers take up to 23 (RFC 9659) */
    ZSTD_HASH_BITS = 15,   /* the level's own tables of 17 and 16 bits cost 576 KiB more and gain half a percent */
    ZSTD_CHAIN_BITS = 14,
};

enum step { STEP_FEED, STEP_FLUSH, STEP_END };

struct encoder {
    enum config_encoding encoding;
    bool failed;              /* and fails on */
    size_t not_flushed_bytes; /* fed since the last flush */
    size_t memory_bytes;
    struct encoders *shared;
    union {
        z_stream gzip;
        BrotliEncoderState *brotli;
        ZSTD_CCtx *zstd;
    } in;
};

/* ---- memory ---- */

/* In front of each block of a library's, because two of them do not say the size when they free. */
struct encoder_block {
    _Alignas(max_align_t) size_t size;
};

static void *encoder_alloc(void *opaque, size_t size)
{
    struct encoder *encoder = opaque;
    struct encoder_block *block = mem_alloc(sizeof *block + size);
    block->size = size;
    encoder->memory_bytes += size;
    encoder->shared->used_bytes += size;
    return block + 1;
}

static void encoder_dealloc(void *opaque, void *ptr)
{
    struct encoder *encoder = opaque;
    if (!ptr)
        return;
    struct encoder_block *block = (struct encoder_block *)ptr - 1;
    encoder->memory_bytes -= block->size;
    encoder->shared->used_bytes -= block->size;
    mem_free(block);
}

/* ---- gzip ---- */

static void *gzip_alloc(void *opaque, uInt num, uInt size)
{
    return encoder_alloc(opaque, (size_t)num * size);
}

/* The least window that holds the whole of a short answer. */
static int gzip_window_bits(uint64_t length)
{
    int bits = GZIP_LEAST_WINDOW_BITS;
    while (bits < GZIP_WINDOW_BITS && length > UINT64_C(1) << bits)
        bits++;
    return bits;
}

static void gzip_begin(struct encoder *encoder, uint64_t length)
{
    z_stream *z = &encoder->in.gzip;
    int bits = gzip_window_bits(length);
    *z = (z_stream){.zalloc = gzip_alloc, .zfree = encoder_dealloc, .opaque = encoder};
    int result = deflateInit2(z, GZIP_LEVEL, Z_DEFLATED, bits + GZIP_WRAPPER, bits - 7, Z_DEFAULT_STRATEGY);
    assert(result == Z_OK); /* allocation does not fail, and the rest is ours */
    (void)result;
}

static bool gzip_run(struct encoder *encoder, enum step step, struct slice in, struct buf *out)
{
    static const int flushes[] = {[STEP_FEED] = Z_NO_FLUSH, [STEP_FLUSH] = Z_SYNC_FLUSH, [STEP_END] = Z_FINISH};
    z_stream *z = &encoder->in.gzip;
    int result;
    z->next_in = (z_const Bytef *)in.ptr;
    z->avail_in = (uInt)in.len;
    do {
        z->next_out = (Bytef *)buf_reserve(out, ENCODER_ROOM_BYTES);
        z->avail_out = ENCODER_ROOM_BYTES;
        result = deflate(z, flushes[step]);
        out->len += ENCODER_ROOM_BYTES - z->avail_out;
    } while (z->avail_out == 0);
    return step == STEP_END ? result == Z_STREAM_END
                            : result == Z_OK || result == Z_BUF_ERROR; /* the latter: no more to do */
}

/* ---- br ---- */

static void brotli_begin(struct encoder *encoder, uint64_t length)
{
    BrotliEncoderState *brotli = BrotliEncoderCreateInstance(encoder_alloc, encoder_dealloc, encoder);
    BrotliEncoderSetParameter(brotli, BROTLI_PARAM_QUALITY, BROTLI_QUALITY);
    BrotliEncoderSetParameter(brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
    if (length < BROTLI_LARGE_BYTES)
        BrotliEncoderSetParameter(brotli, BROTLI_PARAM_SIZE_HINT, (uint32_t)length);
    encoder->in.brotli = brotli;
}

static void brotli_take(BrotliEncoderState *brotli, struct buf *out)
{
    while (BrotliEncoderHasMoreOutput(brotli)) {
        size_t len = 0;
        const uint8_t *bytes = BrotliEncoderTakeOutput(brotli, &len);
        buf_append(out, bytes, len);
    }
}

static bool brotli_run(struct encoder *encoder, enum step step, struct slice in, struct buf *out)
{
    static const BrotliEncoderOperation operations[] = {[STEP_FEED] = BROTLI_OPERATION_PROCESS,
                                                        [STEP_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                        [STEP_END] = BROTLI_OPERATION_FINISH};
    const uint8_t *next = (const uint8_t *)in.ptr;
    size_t left = in.len, no_room = 0;
    do {
        if (!BrotliEncoderCompressStream(encoder->in.brotli, operations[step], &left, &next, &no_room, NULL, NULL))
            return false;
        brotli_take(encoder->in.brotli, out);
    } while (left);
    return step != STEP_END || BrotliEncoderIsFinished(encoder->in.brotli);
}

/* ---- zstd ---- */

static void zstd_begin(struct encoder *encoder, uint64_t length)
{
    ZSTD_customMem memory = {encoder_alloc, encoder_dealloc, encoder};
    if (!encoder->in.zstd)
        encoder->in.zstd = ZSTD_createCCtx_advanced(memory);
    ZSTD_CCtx *zstd = encoder->in.zstd;
    size_t refused = ZSTD_CCtx_reset(zstd, ZSTD_reset_session_and_parameters);
    refused |= ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
    refused |= ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, ZSTD_WINDOW_BITS);
    refused |= ZSTD_CCtx_setParameter(zstd, ZSTD_c_hashLog, ZSTD_HASH_BITS);
    refused |= ZSTD_CCtx_setParameter(zstd, ZSTD_c_chainLog, ZSTD_CHAIN_BITS);
    if (length != ENCODER_LENGTH_UNKNOWN)
        refused |= ZSTD_CCtx_setPledgedSrcSize(zstd, length);
    assert(!ZSTD_isError(refused));
    (void)refused;
}

static bool zstd_run(struct encoder *encoder, enum step step, struct slice in, struct buf *out)
{
    static const ZSTD_EndDirective directives[] = {
        [STEP_FEED] = ZSTD_e_continue, [STEP_FLUSH] = ZSTD_e_flush, [STEP_END] = ZSTD_e_end};
    ZSTD_inBuffer from = {in.ptr, in.len, 0};
    size_t left;
    do {
        ZSTD_outBuffer to = {buf_reserve(out, ENCODER_ROOM_BYTES), ENCODER_ROOM_BYTES, 0};
        left = ZSTD_compressStream2(encoder->in.zstd, &to, &from, directives[step]);
        if (ZSTD_isError(left))
            return false;
        out->len += to.pos;
    } while (from.pos < from.size || (step != STEP_FEED && left));
    return true;
}

/* ---- any ---- */

static const struct encoder_kind {
    struct slice name;
    void (*begin)(struct encoder *encoder, uint64_t length);
    bool (*run)(struct encoder *encoder, enum step step, struct slice in, struct buf *out);
} kinds[NUM_CONFIG_ENCODINGS] = {
    [CONFIG_ENCODING_GZIP] = {{"gzip", 4}, gzip_begin, gzip_run},
    [CONFIG_ENCODING_BR] = {{"br", 2}, brotli_begin, brotli_run},
    [CONFIG_ENCODING_ZSTD] = {{"zstd", 4}, zstd_begin, zstd_run},
};

static struct encoder *encoder_take_spare(enum config_encoding encoding, struct encoders *encoders)
{
    struct encoder *encoder = encoding == CONFIG_ENCODING_ZSTD ? encoders->spare : NULL;
    if (!encoder)
        return MEM_NEW(struct encoder);
    encoders->spare = NULL;
    encoder->failed = false;
    encoder->not_flushed_bytes = 0;
    return encoder;
}

struct encoder *encoder_new(enum config_encoding encoding, uint64_t length, struct encoders *encoders)
{
    if (encoders->used_bytes >= LIMIT_ENCODERS_BYTES)
        return NULL;
    struct encoder *encoder = encoder_take_spare(encoding, encoders);
    encoder->encoding = encoding;
    encoder->shared = encoders;
    kinds[encoding].begin(encoder, length);
    return encoder;
}

static void encoder_destroy(struct encoder *encoder)
{
    switch (encoder->encoding) {
    case CONFIG_ENCODING_GZIP: deflateEnd(&encoder->in.gzip); break;
    case CONFIG_ENCODING_BR: BrotliEncoderDestroyInstance(encoder->in.brotli); break;
    case CONFIG_ENCODING_ZSTD: ZSTD_freeCCtx(encoder->in.zstd); break;
    case NUM_CONFIG_ENCODINGS: break;
    }
    mem_free(encoder);
}

void encoder_free(struct encoder *encoder)
{
    if (!encoder)
        return;
    struct encoders *encoders = encoder->shared;
    if (encoder->encoding == CONFIG_ENCODING_ZSTD && !encoders->spare)
        encoders->spare = encoder;
    else
        encoder_destroy(encoder);
}

void encoders_cleanup(struct encoders *encoders)
{
    if (encoders->spare)
        encoder_destroy(encoders->spare);
    encoders->spare = NULL;
}

static struct err encoder_run(struct encoder *encoder, enum step step, struct slice in, struct buf *out)
{
    encoder->failed = encoder->failed || !kinds[encoder->encoding].run(encoder, step, in, out);
    return encoder->failed ? err_make(ERR_STATE, 0, "the encoder refused its input") : ERR_OK;
}

struct err encoder_flush(struct encoder *encoder, struct buf *out)
{
    if (encoder->not_flushed_bytes == 0)
        return ERR_OK;
    encoder->not_flushed_bytes = 0;
    return encoder_run(encoder, STEP_FLUSH, SLICE_NONE, out);
}

struct err encoder_feed(struct encoder *encoder, struct slice in, struct buf *out)
{
    struct err err = ERR_OK;
    while (in.len && !err_is(err)) {
        struct slice piece = slice_first(in, READ_BUFFER_BYTES - encoder->not_flushed_bytes);
        err = encoder_run(encoder, STEP_FEED, piece, out);
        encoder->not_flushed_bytes += piece.len;
        if (!err_is(err) && encoder->not_flushed_bytes == READ_BUFFER_BYTES) /* brotli's memory grows with it */
            err = encoder_flush(encoder, out);
        in = slice_skip(in, piece.len);
    }
    return err;
}

struct err encoder_end(struct encoder *encoder, struct buf *out)
{
    return encoder_run(encoder, STEP_END, SLICE_NONE, out);
}

size_t encoder_memory_bytes(const struct encoder *encoder)
{
    return encoder->memory_bytes;
}

struct slice encoder_name(enum config_encoding encoding)
{
    return kinds[encoding].name;
}
