/* Whole exchanges over simulated streams: a front on one side, scripted backends on the other. Each scenario is run with
 * everything at once, a byte and seven bytes per read, a queue that is full after each write, and with either peer
 * leaving at every byte. Whatever the cut, the client gets the same bytes, or sees that the answer was cut. */
#include "proxy_world.h"

static const struct scenario scenarios[] = {
    {.name = "keep-alive",
     .sent = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"},
     .got = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo",
     .upstream = "GET /1 HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n" FORWARDED "\r\n",
     .num_connects = 1},
    {.name = "chunked both ways, with trailers",
     .sent = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-R: 2\r\n\r\n"},
     .got = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-R: 2\r\n\r\n",
     .upstream = "POST / HTTP/1.1\r\nHost: a.test\r\n" FORWARDED
                 "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
     .num_connects = 1},
    {.name = "HEAD",
     .sent = "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"},
     .got = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
     .num_connects = 1},
    {.name = "204 and 304",
     .sent = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
     .answers = {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
     .got = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
     .num_connects = 1},
    {.name = "interim answers",
     .sent = "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
     .answers = {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
     .got = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     .num_connects = 1},
    {.name = "an answer until close",
     .sent = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\n\r\nuntil the end"},
     .got = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            "d\r\nuntil the end\r\n0\r\n\r\n",
     .closes = true,
     .backend_closes = true,
     .num_connects = 1},
    {.name = "a websocket",
     .sent = "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\nraw bytes",
     .answers = {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
     .got = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes",
     .tunnel = true,
     .num_connects = 1},
    {.name = "an upgrade that the backend declines",
     .sent = "GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
             "GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"},
     .got = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo",
     .num_connects = 1},
    {.name = "a connection that died before its answer is tried again",
     .sent = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
     .got = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
     .drop_first = true,
     .num_connects = 2},
    {.name = "a request that may not be sent twice is not",
     .sent = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
     .drop_first = true,
     .num_connects = 1},
    {.name = "bad request behind a good one",
     .sent = "GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
     .answers = {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"},
     .closes = true,
     .num_connects = 1},
};

/* ---- what must hold ---- */

/* The whole answers that stand at the beginning of bytes; *out_rest is what is no whole answer. */
static unsigned answers_whole(struct slice bytes, bool to_head, bool ended, struct slice *out_rest)
{
    unsigned num = 0;
    for (; bytes.len; num++) {
        struct h1_reader reader;
        struct arena arena = {0};
        struct slice in = bytes;
        enum h1_event event;
        size_t consumed;
        h1_reader_init(&reader, H1_RESPONSE, &H1_RESPONSE_LIMITS);
        h1_reader_begin_response(&reader, &arena, to_head ? METHOD_HEAD : METHOD_GET, true);
        do {
            event = h1_reader_feed(&reader, in, &consumed);
            in = slice_skip(in, consumed);
        } while (event == H1_HEAD || event == H1_BODY);
        if (event == H1_NEED_MORE && ended)
            event = h1_reader_eof(&reader);
        arena_cleanup(&arena);
        if (event == H1_UPGRADE)
            in = SLICE_NONE;
        else if (event != H1_END)
            break;
        bytes = in;
    }
    *out_rest = bytes;
    return num;
}

struct golden {
    struct buf got, upstream;
    bool closed;
};

static void world_check_same(const struct world *world, const struct golden *golden)
{
    CHECK_MEM(world->stream.output.ptr, world->stream.output.len, golden->got.ptr, golden->got.len);
    CHECK_MEM(world->upstream.ptr, world->upstream.len, golden->upstream.ptr, golden->upstream.len);
    CHECK_INT(world->num_backends, world->scenario->num_connects);
    CHECK_INT(world->stream.end, golden->closed ? SIM_CLOSED : SIM_OPEN);
}

static void run_same(const struct scenario *scenario, const struct run *run, const struct golden *golden,
                     const struct config *config, struct certset *set)
{
    struct world world;
    world_start(&world, scenario, run, config, set);
    world_settle(&world);
    /* Chunks are cut where reads are: what they carry is compared, not where they end. */
    bool rechunked = memmem(golden->got.ptr, golden->got.len, "chunked", 7) || strstr(scenario->sent, "chunked");
    if (!(rechunked && run->read_bytes))
        world_check_same(&world, golden);
    world_end(&world);
}

/* A cut answer must look cut: never a clean end behind a part of it. */
static void run_cut(const struct scenario *scenario, const struct run *run, const struct golden *golden,
                    const struct config *config, struct certset *set)
{
    struct world world;
    struct slice rest;
    world_start(&world, scenario, run, config, set);
    world_settle(&world);
    bool closed = world.stream.end == SIM_CLOSED;
    if (!scenario->tunnel)
        answers_whole(buf_slice(&world.stream.output), strncmp(scenario->sent, "HEAD", 4) == 0, closed, &rest);
    if (closed && !scenario->tunnel && run->cut_client_at == FOREVER)
        CHECK_INT(rest.len, 0);
    CHECK(world.stream.output.len <= golden->got.len + 1024); /* an error page at the most */
    world_end(&world);
}

static void golden_make(const struct scenario *scenario, struct golden *golden, const struct config *config,
                        struct certset *set)
{
    struct run run = {.cut_client_at = FOREVER, .cut_backend_at = FOREVER};
    struct world world;
    world_start(&world, scenario, &run, config, set);
    world_settle(&world);
    buf_append_slice(&golden->got, buf_slice(&world.stream.output));
    buf_append_slice(&golden->upstream, buf_slice(&world.upstream));
    golden->closed = world.stream.end == SIM_CLOSED;
    if (scenario->got)
        CHECK_MEM(golden->got.ptr, golden->got.len, scenario->got, strlen(scenario->got));
    if (scenario->upstream)
        CHECK_MEM(golden->upstream.ptr, golden->upstream.len, scenario->upstream, strlen(scenario->upstream));
    if (scenario->closes)
        CHECK(golden->closed);
    world_check_same(&world, golden);
    world_end(&world);
}

static void run_scenario(const struct scenario *scenario, const struct config *config, struct certset *set)
{
    struct golden golden = {0};
    checks_test = scenario->name;
    golden_make(scenario, &golden, config, set);
    const struct run wholes[] = {{.read_bytes = 1, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
                                 {.read_bytes = 7, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
                                 {.full = true, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
                                 {.full = true, .read_bytes = 1, .cut_client_at = FOREVER, .cut_backend_at = FOREVER}};
    for (size_t i = 0; i < sizeof wholes / sizeof wholes[0]; i++)
        run_same(scenario, &wholes[i], &golden, config, set);
    for (long at = 0; at < (long)strlen(scenario->sent); at++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++) {
            struct run run = {.cut_client_at = at, .cut_backend_at = FOREVER, .read_bytes = read_bytes};
            run_cut(scenario, &run, &golden, config, set);
        }
    for (long at = 0; at < (long)strlen(scenario->answers[0]); at++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++) {
            struct run run = {.cut_client_at = FOREVER, .cut_backend_at = at, .read_bytes = read_bytes};
            run_cut(scenario, &run, &golden, config, set);
        }
    buf_cleanup(&golden.got);
    buf_cleanup(&golden.upstream);
}

int main(int argc, char **argv)
{
    const struct config *config = world_config();
    struct certset *set = certset_new();
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (argc < 2 || strstr(scenarios[i].name, argv[1]))
            run_scenario(&scenarios[i], config, set);
    certset_unref(set);
    config_unref(config);
    return checks_done();
}
