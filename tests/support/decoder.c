#include "decoder.h"

#include "base/mem.h"

#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { ROOM = 4096 };

struct decoder {
    enum config_encoding encoding;
    bool ended;
    z_stream gzip;
    BrotliDecoderState *brotli;
    ZSTD_DCtx *zstd;
};

struct decoder *decoder_new(enum config_encoding encoding)
{
    struct decoder *decoder = MEM_NEW(struct decoder);
    decoder->encoding = encoding;
    if (encoding == CONFIG_ENCODING_GZIP && inflateInit2(&decoder->gzip, 15 + 16) != Z_OK)
        abort();
    if (encoding == CONFIG_ENCODING_BR)
        decoder->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    if (encoding == CONFIG_ENCODING_ZSTD)
        decoder->zstd = ZSTD_createDCtx();
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    inflateEnd(&decoder->gzip);
    if (decoder->brotli)
        BrotliDecoderDestroyInstance(decoder->brotli);
    ZSTD_freeDCtx(decoder->zstd);
    mem_free(decoder);
}

static bool gzip_feed(struct decoder *decoder, struct slice in, struct buf *out)
{
    z_stream *z = &decoder->gzip;
    int result = Z_OK;
    z->next_in = (z_const Bytef *)in.ptr;
    z->avail_in = (uInt)in.len;
    do {
        z->next_out = (Bytef *)buf_reserve(out, ROOM);
        z->avail_out = ROOM;
        result = inflate(z, Z_NO_FLUSH);
        out->len += ROOM - z->avail_out;
    } while (result == Z_OK && z->avail_out == 0);
    decoder->ended = result == Z_STREAM_END;
    return (result == Z_OK || result == Z_BUF_ERROR || decoder->ended) && z->avail_in == 0;
}

static bool brotli_feed(struct decoder *decoder, struct slice in, struct buf *out)
{
    BrotliDecoderResult result = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
    const uint8_t *next = (const uint8_t *)in.ptr;
    size_t left = in.len;
    while (result == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT || BrotliDecoderHasMoreOutput(decoder->brotli)) {
        uint8_t *to = (uint8_t *)buf_reserve(out, ROOM);
        size_t room = ROOM;
        result = BrotliDecoderDecompressStream(decoder->brotli, &left, &next, &room, &to, NULL);
        out->len += ROOM - room;
    }
    decoder->ended = result == BROTLI_DECODER_RESULT_SUCCESS;
    return result != BROTLI_DECODER_RESULT_ERROR && left == 0;
}

static bool zstd_feed(struct decoder *decoder, struct slice in, struct buf *out)
{
    ZSTD_inBuffer from = {in.ptr, in.len, 0};
    size_t result, produced;
    do {
        ZSTD_outBuffer to = {buf_reserve(out, ROOM), ROOM, 0};
        result = ZSTD_decompressStream(decoder->zstd, &to, &from);
        if (ZSTD_isError(result))
            return false;
        out->len += produced = to.pos;
    } while (result != 0 && (from.pos < from.size || produced == ROOM));
    decoder->ended = result == 0;
    return from.pos == from.size;
}

bool decoder_feed(struct decoder *decoder, struct slice in, struct buf *out)
{
    if (in.len == 0)
        return true;
    if (decoder->ended)
        return false;
    switch (decoder->encoding) {
    case CONFIG_ENCODING_GZIP: return gzip_feed(decoder, in, out);
    case CONFIG_ENCODING_BR: return brotli_feed(decoder, in, out);
    case CONFIG_ENCODING_ZSTD: return zstd_feed(decoder, in, out);
    case NUM_CONFIG_ENCODINGS: break;
    }
    return false;
}

bool decoder_ended(const struct decoder *decoder)
{
    return decoder->ended;
}

bool decode(enum config_encoding encoding, struct slice in, struct buf *out)
{
    struct decoder *decoder = decoder_new(encoding);
    bool whole = decoder_feed(decoder, in, out) && decoder->ended;
    decoder_free(decoder);
    return whole;
}
