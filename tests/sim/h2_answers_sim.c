/* Answers of an HTTP/2 backend, good and bad (HARDENING B2, B4 to B6). Every scenario runs with everything at once, a byte
 * at a time, with a full queue behind each write, and with the server leaving at every byte: an answer is whole, or the user
 * hears that it failed. */
#include "h2_upstream_world.h"

static void raw_no_status(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, "x-a", "1");
}

static void raw_status_999(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "999");
}

static void raw_status_twice(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", ":status", "200");
}

static void raw_switching(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "101");
}

static void raw_connection_field(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "connection", "close");
}

static void raw_upper_case(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "X-Upper", "1");
}

static void raw_control_byte(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "x-a",
                "a\x01"
                "b");
}

static void raw_newline(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "x-a", "a\r\nx-b: 1");
}

static void raw_length_less(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "9");
    raw_data(server, id, true, "four");
}

static void raw_length_more(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "2");
    raw_data(server, id, true, "four");
}

static void raw_length_on_headers(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "9");
}

static void raw_length_twice(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "0", "content-length", "0");
}

static void raw_length_bad(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "200", "content-length", "+0");
}

static void raw_204_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "204");
    raw_data(server, id, true, "four");
}

static void raw_head_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200", "content-length", "4");
    raw_data(server, id, true, "four");
}

static void raw_17_interims(struct server *server, int32_t id)
{
    for (int i = 0; i < 17; i++)
        RAW_HEADERS(server, id, false, ":status", "103");
    RAW_HEADERS(server, id, true, ":status", "200");
}

static void raw_interim_end(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, true, ":status", "103");
}

static void raw_huge_head(struct server *server, int32_t id)
{
    raw_many_fields(server, id, 100, 900);
}

static void raw_201_fields(struct server *server, int32_t id)
{
    raw_many_fields(server, id, 201, 2);
}

static void raw_data_first(struct server *server, int32_t id)
{
    raw_data(server, id, true, "four");
}

static void raw_trailers_open(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "four");
    RAW_HEADERS(server, id, false, "x-t", "1");
}

static void raw_trailers_pseudo(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "four");
    RAW_HEADERS(server, id, true, ":status", "200");
}

static void raw_trailers_huge(struct server *server, int32_t id)
{
    struct buf block = {0};
    char value[100];
    memset(value, 'v', sizeof value);
    RAW_HEADERS(server, id, false, ":status", "200");
    for (int i = 0; i < 90; i++)
        hpack_put(&block, SLICE_LIT("x-t"), slice_make(value, sizeof value));
    raw_frame(server, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, buf_slice(&block));
    buf_cleanup(&block);
}

static void raw_reset_in_body(struct server *server, int32_t id)
{
    RAW_HEADERS(server, id, false, ":status", "200");
    raw_data(server, id, false, "half");
    raw_reset(server, id, NGHTTP2_INTERNAL_ERROR);
}

static void raw_reset_early(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_INTERNAL_ERROR);
}

static void raw_refused(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_REFUSED_STREAM);
}

static void raw_http11(struct server *server, int32_t id)
{
    raw_reset(server, id, NGHTTP2_HTTP_1_1_REQUIRED);
}

static void raw_goaway_0(struct server *server, int32_t id)
{
    (void)id;
    raw_goaway(server, 0);
}

static void raw_bad_frame(struct server *server, int32_t id)
{
    raw_frame(server, NGHTTP2_PING, 0, id, SLICE_LIT("short"));
}

static void raw_push(struct server *server, int32_t id)
{
    raw_frame(server, NGHTTP2_PUSH_PROMISE, NGHTTP2_FLAG_END_HEADERS, id, SLICE_LIT("\0\0\0\2"));
}

static const struct scenario scenarios[] = {
    {.name = "hello", .method = "GET", .target = "/hello", .status = 200, .got = "hello"},
    {.name = "an echo", .method = "POST", .target = "/echo", .body = "some bytes", .status = 200, .got = "some bytes"},
    {.name = "an echo with trailers",
     .method = "POST",
     .target = "/echo",
     .body = "some bytes",
     .trailers = "x-t: 1",
     .status = 200,
     .got = "some bytes",
     .got_trailers = "x-t: 1\n"},
    {.name = "trailers without a body",
     .method = "POST",
     .target = "/echo",
     .trailers = "x-t: 1",
     .status = 200,
     .got_trailers = "x-t: 1\n"},
    {.name = "an interim answer", .method = "GET", .target = "/interim", .status = 200, .num_interim = 1},
    {.name = "trailers only", .method = "POST", .target = "/trailers-only", .body = "x", .status = 200},
    {.name = "B4: less than content-length", .raw = raw_length_less, .failure = ERR_INPUT, .status = 200},
    {.name = "B4: more than content-length", .raw = raw_length_more, .failure = ERR_INPUT, .status = 200},
    {.name = "B4: nothing of content-length", .raw = raw_length_on_headers, .failure = ERR_INPUT},
    {.name = "B4: reset in the body", .raw = raw_reset_in_body, .failure = ERR_EOF, .status = 200, .what = "reset"},
    {.name = "B5: no status", .raw = raw_no_status, .failure = ERR_INPUT},
    {.name = "B5: status 999", .raw = raw_status_999, .failure = ERR_INPUT},
    {.name = "B5: status twice", .raw = raw_status_twice, .failure = ERR_INPUT},
    {.name = "B5: 101", .raw = raw_switching, .failure = ERR_INPUT},
    {.name = "B5: a connection-specific field", .raw = raw_connection_field, .failure = ERR_INPUT},
    {.name = "B5: upper case", .raw = raw_upper_case, .failure = ERR_INPUT},
    {.name = "B5: a control byte", .raw = raw_control_byte, .failure = ERR_INPUT},
    {.name = "B5: a newline", .raw = raw_newline, .failure = ERR_INPUT},
    {.name = "B5: content-length twice", .raw = raw_length_twice, .failure = ERR_INPUT},
    {.name = "B5: content-length that is none", .raw = raw_length_bad, .failure = ERR_INPUT},
    {.name = "B5: 17 interim answers",
     .raw = raw_17_interims,
     .failure = ERR_LIMIT,
     .num_interim = 16,
     .what = "interim"},
    {.name = "B5: an interim answer that ends", .raw = raw_interim_end, .failure = ERR_INPUT},
    {.name = "B5: a huge head", .raw = raw_huge_head, .failure = ERR_LIMIT, .what = "head too large"},
    {.name = "B5: 201 fields", .raw = raw_201_fields, .failure = ERR_LIMIT, .what = "too many fields"},
    {.name = "B5: DATA before HEADERS",
     .raw = raw_data_first,
     .failure = ERR_INPUT,
     .progress = HTTP_UNANSWERED,
     .breaks = true},
    {.name = "B5: trailers that do not end", .raw = raw_trailers_open, .failure = ERR_INPUT, .status = 200},
    {.name = "B5: a pseudo-field in trailers", .raw = raw_trailers_pseudo, .failure = ERR_INPUT, .status = 200},
    {.name = "B5: huge trailers", .raw = raw_trailers_huge, .failure = ERR_LIMIT, .status = 200, .what = "trailers"},
    {.name = "B6: 204 with a body", .raw = raw_204_body, .failure = ERR_INPUT, .status = 204},
    {.name = "B6: HEAD with a body", .method = "HEAD", .raw = raw_head_body, .failure = ERR_INPUT, .status = 200},
    {.name = "B2: reset before the head", .raw = raw_reset_early, .failure = ERR_EOF, .progress = HTTP_UNANSWERED},
    {.name = "B2: refused", .raw = raw_refused, .failure = ERR_STATE, .progress = HTTP_UNSENT, .what = "refused"},
    {.name = "B2: beyond GOAWAY",
     .raw = raw_goaway_0,
     .failure = ERR_STATE,
     .progress = HTTP_UNSENT,
     .what = "refused",
     .breaks = true},
    {.name = "wants HTTP/1.1", .raw = raw_http11, .failure = ERR_STATE, .progress = HTTP_ANSWERING, .what = "HTTP/1.1"},
    {.name = "B5: a frame of a wrong size",
     .raw = raw_bad_frame,
     .failure = ERR_INPUT,
     .progress = HTTP_UNANSWERED,
     .breaks = true},
    {.name = "B5: a push", .raw = raw_push, .failure = ERR_INPUT, .progress = HTTP_UNANSWERED, .breaks = true},
};

static void scenario_call(struct call *call, struct world *world, const struct scenario *scenario)
{
    call_init(call, world, scenario->method ? scenario->method : "GET", scenario->target ? scenario->target : "/raw");
    call->body = scenario->body;
    call->trailers = scenario->trailers;
    if (scenario->body || scenario->trailers)
        call->head.body = BODY_CHUNKED;
}

static void check_whole(const struct scenario *scenario, const struct call *call)
{
    CHECK_INT(call->failed, scenario->failure != ERR_NONE);
    CHECK_INT(call->num_ended, scenario->failure == ERR_NONE);
    CHECK_INT(call->status, scenario->status);
    CHECK_INT(call->num_interim, scenario->num_interim);
    if (scenario->failure) {
        CHECK_INT(call->err.kind, scenario->failure);
        CHECK(!scenario->what || strstr(call->err.what, scenario->what));
        CHECK_INT(call->progress, scenario->progress                                    ? scenario->progress
                                  : scenario->what && strstr(scenario->what, "refused") ? HTTP_UNSENT
                                                                                        : HTTP_ANSWERING);
        return;
    }
    CHECK_SLICE(buf_slice(&call->got), scenario->got ? scenario->got : "");
    CHECK_SLICE(buf_slice(&call->got_trailers), scenario->got_trailers ? scenario->got_trailers : "");
}

/* Only the stream dies: the next request uses the same connection. */
static void check_connection_lives(struct world *world, const struct scenario *scenario)
{
    struct call next;
    world->scenario = NULL;
    call_init(&next, world, "GET", "/hello");
    call_start(&next);
    world_settle(world);
    CHECK_INT(next.status, 200);
    CHECK_INT(world->num_connects, scenario->breaks ? 2 : 1);
    call_leave(&next);
}

static size_t run_scenario_once(const struct scenario *scenario, struct run run, const struct config *config)
{
    struct world world;
    struct call call;
    world_start(&world, config);
    world.scenario = scenario;
    world.run = run;
    scenario_call(&call, &world, scenario);
    call_start(&call);
    world_settle(&world);
    size_t said_len = world.servers[0].said_len;
    if (run.cut_at == FOREVER) {
        check_whole(scenario, &call);
        check_connection_lives(&world, scenario);
    } else {
        CHECK(call.failed || call.num_ended);
        if (call.num_ended) /* whole before the cut */
            check_whole(scenario, &call);
    }
    call_leave(&call);
    world_end(&world);
    return said_len;
}

static void run_scenario(const struct scenario *scenario, const struct config *config)
{
    const struct run runs[] = {{.cut_at = FOREVER},
                               {.read_bytes = 1, .cut_at = FOREVER},
                               {.read_bytes = 7, .cut_at = FOREVER},
                               {.full = true, .cut_at = FOREVER},
                               {.full = true, .read_bytes = 1, .cut_at = FOREVER}};
    size_t said_len = 0;
    checks_test = scenario->name;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        said_len = run_scenario_once(scenario, runs[i], config);
    for (size_t at = 0; at < said_len && at < 400; at++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++)
            run_scenario_once(scenario, (struct run){.cut_at = (long)at, .read_bytes = read_bytes}, config);
}

int main(int argc, char **argv)
{
    const struct config *config = load_config(NULL);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (argc < 2 || strstr(scenarios[i].name, argv[1]))
            run_scenario(&scenarios[i], config);
    config_unref(config);
    return checks_done();
}
