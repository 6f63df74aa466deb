/* Answers that are compressed on their way, over simulated streams: whatever the cuts of reads and writes the client
 * decodes what the backend said; what the backend has said is never held back; what is cut looks cut; what is held stays
 * bounded; and no encoder outlives its exchange. */
#include "proxy_world.h"

#include "decoder.h"

#include <stdlib.h>

enum { WORDS = 100 * 1000, BIG = 2 * 1024 * 1024 };

#define GET_WITH(coding) "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: " coding "\r\n\r\n"
#define HEAD_TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

static const struct config *configs[NUM_CONFIG_ENCODINGS]; /* each with one encoding */
static struct certset *certs;

struct answer {
    struct head head; /* borrowed from the arena */
    struct arena arena;
    struct buf body; /* without framing, still encoded */
    bool whole;
};

static void answer_read(struct answer *answer, struct slice bytes, bool ended)
{
    struct h1_reader reader;
    enum h1_event event;
    size_t consumed;
    *answer = (struct answer){.whole = false};
    h1_reader_init(&reader, H1_RESPONSE, &H1_RESPONSE_LIMITS);
    h1_reader_begin_response(&reader, &answer->arena, METHOD_GET, false);
    do {
        event = h1_reader_feed(&reader, bytes, &consumed);
        bytes = slice_skip(bytes, consumed);
        if (event == H1_BODY)
            buf_append_slice(&answer->body, reader.body);
    } while (event == H1_HEAD || event == H1_BODY);
    if (event == H1_NEED_MORE && ended)
        event = h1_reader_eof(&reader);
    if (reader.head)
        answer->head = *reader.head;
    answer->whole = event == H1_END;
}

static void answer_cleanup(struct answer *answer)
{
    buf_cleanup(&answer->body);
    arena_cleanup(&answer->arena);
}

static void begin(struct world *world, const struct scenario *scenario, const struct run *run,
                  enum config_encoding encoding)
{
    world_start(world, scenario, run, configs[encoding], certs);
    world_settle(world);
}

static void end(struct world *world)
{
    world_end(world);
    encoders_cleanup(&world->env.encoders);
    CHECK_INT(world->env.encoders.used_bytes, 0);
}

static void append_words(struct buf *buf, size_t len)
{
    static const char *const words[] = {"Portico ", "stands ", "in ", "front ", "of ", "any ", "backend, ", "\n"};
    size_t begin = buf->len;
    for (unsigned seed = 1; buf->len - begin < len; seed = seed * 1103515245 + 12345)
        buf_append_str(buf, words[seed >> 16 & 7]);
    buf->len = begin + len;
}

static void append_noise(struct buf *buf, size_t len)
{
    uint64_t state = 88172645463325252;
    for (size_t i = 0; i < len; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        buf_append_char(buf, (char)(state >> 32));
    }
}

/* ---- the same bytes, whatever the cuts ---- */

enum framing { BY_LENGTH, BY_CHUNKS, BY_CLOSE };

static void append_framed(struct buf *buf, enum framing framing, struct slice body)
{
    buf_append_str(buf, HEAD_TEXT "ETag: \"x\"\r\nAccept-Ranges: bytes\r\n");
    if (framing == BY_LENGTH)
        buf_printf(buf, "Content-Length: %zu\r\n", body.len);
    if (framing == BY_CHUNKS)
        buf_append_str(buf, "Transfer-Encoding: chunked\r\n");
    buf_append_str(buf, "\r\n");
    for (struct slice rest = body; rest.len && framing == BY_CHUNKS;) {
        struct slice chunk = slice_first(rest, 777);
        buf_printf(buf, "%zx\r\n", chunk.len);
        buf_append_slice(buf, chunk);
        buf_append_str(buf, "\r\n");
        rest = slice_skip(rest, chunk.len);
    }
    if (framing == BY_CHUNKS)
        buf_append_str(buf, "0\r\nX-T: 1\r\n\r\n");
    else
        buf_append_slice(buf, body);
}

static void check_answer(const struct world *world, enum config_encoding encoding, struct slice want, bool trailer)
{
    static const char *const names[] = {"gzip", "br", "zstd"};
    struct answer answer;
    struct buf back = {0};
    answer_read(&answer, buf_slice(&world->stream.output), false);
    CHECK(answer.whole);
    CHECK_SLICE(head_get(&answer.head, FIELD_CONTENT_ENCODING), names[encoding]);
    CHECK_SLICE(head_get(&answer.head, FIELD_VARY), "Accept-Encoding");
    CHECK_SLICE(head_get(&answer.head, FIELD_ETAG), "W/\"x\"");
    CHECK(!answer.head.length_given);
    CHECK(head_get_named(&answer.head, SLICE_LIT("Accept-Ranges")).ptr == NULL);
    CHECK_INT(answer.head.trailers.num, trailer);
    CHECK(decode(encoding, buf_slice(&answer.body), &back));
    CHECK(slice_eq(buf_slice(&back), want));
    CHECK(answer.body.len < want.len / 2 || world->run.read_bytes == 1); /* flushed behind each byte, it grows */
    CHECK_INT(counters_get(&world->counters, COUNTER_COMPRESSED_BYTES_IN), want.len);
    CHECK_INT(counters_get(&world->counters, COUNTER_COMPRESSED_BYTES_OUT), answer.body.len);
    buf_cleanup(&back);
    answer_cleanup(&answer);
}

static void run_framed(enum config_encoding encoding, enum framing framing, const struct run *run, size_t len)
{
    struct buf body = {0}, text = {0};
    struct world world;
    append_words(&body, len);
    append_framed(&text, framing, buf_slice(&body));
    struct scenario scenario = {.name = "compressed",
                                .sent = GET_WITH("gzip, br, zstd"),
                                .answers = {buf_cstr(&text)},
                                .backend_closes = framing == BY_CLOSE};
    begin(&world, &scenario, run, encoding);
    check_answer(&world, encoding, buf_slice(&body), framing == BY_CHUNKS);
    CHECK_INT(world.stream.end, SIM_OPEN); /* kept alive, though the length is not known */
    end(&world);
    buf_cleanup(&body);
    buf_cleanup(&text);
}

static void the_same_whatever_the_cuts(void)
{
    static const struct run runs[] = {
        {.cut_client_at = FOREVER, .cut_backend_at = FOREVER},
        {.read_bytes = READ_BUFFER_BYTES, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
        {.read_bytes = 777, .full = true, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
        {.read_bytes = 1, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
        {.read_bytes = 1, .full = true, .cut_client_at = FOREVER, .cut_backend_at = FOREVER},
    };
    for (int encoding = 0; encoding < NUM_CONFIG_ENCODINGS; encoding++)
        for (int framing = BY_LENGTH; framing <= BY_CLOSE; framing++)
            for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
                run_framed((enum config_encoding)encoding, (enum framing)framing, &runs[i],
                           runs[i].read_bytes == 1 ? 2000 : WORDS);
}

/* ---- what the backend has said is not held back ---- */

static const struct run plain_run = {
    .read_bytes = READ_BUFFER_BYTES, .cut_client_at = FOREVER, .cut_backend_at = FOREVER};
static const struct scenario by_hand = {.name = "by hand", .sent = GET_WITH("gzip, br, zstd"), .manual = true};

static void backend_says(struct world *world, struct slice bytes)
{
    CHECK_INT(world->num_backends, 1);
    sim_stream_send(&world->backends[0].stream, bytes);
    world_settle(world);
}

/* What the client could show of a body that goes on. */
static void check_shown(const struct world *world, enum config_encoding encoding, const char *want)
{
    struct decoder *decoder = decoder_new(encoding);
    struct answer answer;
    struct buf shown = {0};
    answer_read(&answer, buf_slice(&world->stream.output), false);
    CHECK(decoder_feed(decoder, buf_slice(&answer.body), &shown));
    CHECK(!decoder_ended(decoder) && !answer.whole);
    CHECK_SLICE(buf_slice(&shown), want);
    buf_cleanup(&shown);
    answer_cleanup(&answer);
    decoder_free(decoder);
}

static void a_stream_is_not_delayed(void)
{
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++) {
        enum config_encoding encoding = (enum config_encoding)i;
        struct world world;
        begin(&world, &by_hand, &plain_run, encoding);
        backend_says(&world, SLICE_LIT(HEAD_TEXT "Transfer-Encoding: chunked\r\n\r\n"));
        CHECK(world.stream.output.len > 0); /* the head by itself */
        check_shown(&world, encoding, "");
        backend_says(&world, SLICE_LIT("4\r\none\n\r\n"));
        check_shown(&world, encoding, "one\n");
        backend_says(&world, SLICE_LIT("4\r\ntwo\n\r\n2\r\nth"));
        check_shown(&world, encoding, "one\ntwo\nth");
        size_t before = world.stream.output.len;
        backend_says(&world, SLICE_LIT("\r\n"));
        CHECK_INT(world.stream.output.len, before); /* nothing new: nothing is written */
        end(&world);
    }
}

/* ---- what is cut looks cut (B4) ---- */

static void check_cut(const struct world *world, enum config_encoding encoding, struct slice body)
{
    struct decoder *decoder = decoder_new(encoding);
    struct answer answer;
    struct buf shown = {0};
    answer_read(&answer, buf_slice(&world->stream.output), world->stream.end == SIM_CLOSED);
    if (answer.head.status == 200) {
        CHECK(decoder_feed(decoder, buf_slice(&answer.body), &shown));
        CHECK(shown.len <= body.len && memcmp(body.ptr, shown.ptr ? shown.ptr : "", shown.len) == 0);
        CHECK(!answer.whole && !decoder_ended(decoder));
        CHECK_INT(world->stream.end, SIM_RESET);
    } else {
        CHECK_INT(answer.head.status, 502);
    }
    buf_cleanup(&shown);
    answer_cleanup(&answer);
    decoder_free(decoder);
}

static void what_is_cut_looks_cut(void)
{
    for (int framing = BY_LENGTH; framing <= BY_CHUNKS; framing++) {
        struct buf body = {0}, text = {0};
        append_words(&body, 1500);
        append_framed(&text, (enum framing)framing, buf_slice(&body));
        struct scenario scenario = {.name = "cut", .sent = GET_WITH("gzip, br, zstd"), .answers = {buf_cstr(&text)}};
        for (long at = 1; at < (long)text.len; at += 3) /* cut at 0 it is tried again */
            for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++) {
                struct run run = {.cut_client_at = FOREVER, .cut_backend_at = at, .read_bytes = at % 2 ? 7 : 0};
                struct world world;
                begin(&world, &scenario, &run, (enum config_encoding)i);
                check_cut(&world, (enum config_encoding)i, buf_slice(&body));
                end(&world);
            }
        buf_cleanup(&body);
        buf_cleanup(&text);
    }
}

static void a_client_that_leaves_takes_its_encoder_along(void)
{
    struct world world;
    begin(&world, &by_hand, &plain_run, CONFIG_ENCODING_BR);
    backend_says(&world, SLICE_LIT(HEAD_TEXT "Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n"));
    CHECK(world.env.encoders.used_bytes > 0);
    sim_stream_break(&world.stream);
    world_settle(&world);
    CHECK_INT(world.env.encoders.used_bytes, 0);
    end(&world);
}

/* ---- what is held stays bounded (X2) ---- */

static void a_slow_client_stops_the_backend(void)
{
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++) {
        struct buf body = {0}, back = {0};
        struct world world;
        struct answer answer;
        append_noise(&body, BIG); /* it does not shrink: the worst that an encoder can give */
        begin(&world, &by_hand, &plain_run, (enum config_encoding)i);
        world.stream.stalled = true;
        backend_says(&world, SLICE_LIT(HEAD_TEXT "Content-Length: 2097152\r\n\r\n"));
        backend_says(&world, buf_slice(&body));
        CHECK(!world.backends[0].stream.reading && world.backends[0].stream.input.len > BIG / 2);
        CHECK(world.env.encoders.used_bytes <= ENCODER_MOST_BYTES);
        for (int turn = 0; turn < MAX_TURNS && world.backends[0].stream.input.len; turn++) {
            sim_stream_release(&world.stream);
            world_settle(&world);
        }
        CHECK(world.stream.most_queued_bytes <= FLOW_HIGH_BYTES + READ_BUFFER_BYTES + 2 * ENCODER_OVERHEAD_BYTES);
        answer_read(&answer, buf_slice(&world.stream.output), false);
        CHECK(answer.whole && decode((enum config_encoding)i, buf_slice(&answer.body), &back));
        CHECK(slice_eq(buf_slice(&back), buf_slice(&body)));
        answer_cleanup(&answer);
        end(&world);
        buf_cleanup(&body);
        buf_cleanup(&back);
    }
}

static void without_memory_for_it_the_answer_goes_out_as_it_is(void)
{
    struct world world;
    begin(&world, &by_hand, &plain_run, CONFIG_ENCODING_GZIP);
    world.env.encoders.used_bytes = LIMIT_ENCODERS_BYTES;
    backend_says(&world, SLICE_LIT(HEAD_TEXT "ETag: \"x\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n"));
    CHECK_SLICE(buf_slice(&world.stream.output), HEAD_TEXT "ETag: \"x\"\r\nVary: Accept-Encoding\r\n"
                                                           "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    world.env.encoders.used_bytes -= LIMIT_ENCODERS_BYTES;
    end(&world);
}

/* ---- heads ---- */

static void expect(const char *sent, const char *answer, const char *want)
{
    struct scenario scenario = {.name = "head", .sent = sent, .answers = {answer}};
    struct world world;
    begin(&world, &scenario, &plain_run, CONFIG_ENCODING_GZIP);
    CHECK_SLICE(buf_slice(&world.stream.output), want);
    CHECK_INT(world.env.encoders.used_bytes, 0);
    end(&world);
}

static void answers_to_head_say_what_get_would(void)
{
    expect("HEAD / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\n\r\n",
           HEAD_TEXT "ETag: \"x\"\r\nContent-Length: 1000\r\n\r\n",
           HEAD_TEXT "ETag: W/\"x\"\r\nVary: Accept-Encoding\r\nContent-Encoding: gzip\r\n\r\n");
    expect("HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n", HEAD_TEXT "ETag: \"x\"\r\nContent-Length: 1000\r\n\r\n",
           HEAD_TEXT "ETag: \"x\"\r\nVary: Accept-Encoding\r\nContent-Length: 1000\r\n\r\n");
}

static void what_is_encoded_already_passes_byte_for_byte(void)
{
    static const char encoded[] = HEAD_TEXT "ETag: \"x\"\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc";
    expect(GET_WITH("gzip"), encoded, encoded);
}

static void a_304_keeps_the_weak_tag(void)
{
    expect("GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\nIf-None-Match: W/\"x\"\r\n\r\n",
           "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
           "HTTP/1.1 304 Not Modified\r\nETag: W/\"x\"\r\nVary: Accept-Encoding\r\n\r\n");
}

static void http_1_0_gets_it_plain_and_stays_connected(void)
{
    expect("GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n",
           HEAD_TEXT "Content-Length: 3\r\n\r\nabc",
           HEAD_TEXT "Content-Length: 3\r\nConnection: keep-alive\r\n\r\nabc");
}

int main(void)
{
    configs[CONFIG_ENCODING_GZIP] = world_config_with("PORTICO_COMPRESS=gzip");
    configs[CONFIG_ENCODING_BR] = world_config_with("PORTICO_COMPRESS=br");
    configs[CONFIG_ENCODING_ZSTD] = world_config_with("PORTICO_COMPRESS=zstd");
    certs = certset_new();
    RUN(the_same_whatever_the_cuts);
    RUN(a_stream_is_not_delayed);
    RUN(what_is_cut_looks_cut);
    RUN(a_client_that_leaves_takes_its_encoder_along);
    RUN(a_slow_client_stops_the_backend);
    RUN(without_memory_for_it_the_answer_goes_out_as_it_is);
    RUN(answers_to_head_say_what_get_would);
    RUN(what_is_encoded_already_passes_byte_for_byte);
    RUN(a_304_keeps_the_weak_tag);
    RUN(http_1_0_gets_it_plain_and_stays_connected);
    certset_unref(certs);
    for (int i = 0; i < NUM_CONFIG_ENCODINGS; i++)
        config_unref(configs[i]);
    return checks_done();
}
