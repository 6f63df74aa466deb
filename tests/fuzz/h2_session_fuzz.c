/* What a client can send over HTTP/2, against the whole way to a backend: the front, nghttp2, the exchange, the pool. The
 * first byte says how the bytes are cut, whether the client takes what it gets and whether the preface is sent for it; each
 * backend answers what is whole. Invariants: what h2_peer.h asserts of held bytes in every turn, streams within their limit,
 * and a clean end. */
#define WORLD_MAX_BACKENDS 16
#include "h2_peer.h"

#include <stdlib.h>

enum { MAX_CUT_BYTES = 2048 }; /* the scripted backends read from the beginning at every byte */

static const struct scenario answers_all = {
    .name = "fuzz",
    .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff"}};

static const struct config *config;
static struct certset *certs;

static void fuzz_run(struct slice input, size_t read_bytes, bool stalled, bool preface, bool leaves)
{
    const struct run run = {.read_bytes = read_bytes, .cut_client_at = FOREVER, .cut_backend_at = FOREVER};
    struct h2_world w;
    struct buf bytes = {0};
    h2_world_open(&w, &answers_all, &run, config, certs, 0);
    w.world.stream.stalled = stalled;
    if (preface)
        raw_begin(&bytes);
    buf_append_slice(&bytes, input);
    raw_send(&w, &bytes);
    if (leaves) {
        sim_stream_send_eof(&w.world.stream);
        world_settle(&w.world);
    }
    w.world.stream.stalled = false;
    h2_world_close(&w);
    if (checks_failed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!config) { /* once: nothing of it changes */
        config = world_config();
        certs = certset_new();
    }
    if (len < 1)
        return 0;
    struct slice input = slice_make((const char *)data + 1, len - 1);
    bool preface = !(data[0] & 4), leaves = data[0] & 8;
    fuzz_run(input, READ_BUFFER_BYTES, data[0] & 2, preface, leaves);
    if (data[0] & 1 && len <= MAX_CUT_BYTES)
        fuzz_run(input, 1 + (data[0] >> 4), data[0] & 2, preface, leaves);
    return 0;
}
