/* The client side of one connection, lent from hand to hand, over a simulated stream. */
#include "http/h1_client.h"

#include "base/mem.h"
#include "check.h"
#include "sim_stream.h"

enum way { STAY, DETACH_IN_HEAD, DETACH_IN_BODY };

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct sim_stream stream;
    struct h1_client client;
    struct http_user user;
    struct arena arena;
    struct buf body;
    unsigned num_heads, num_ends, num_failed, num_drained, num_flushes, num_idle, num_done, num_closed;
    uint16_t status;
    struct err err;
    enum http_progress progress;
    int way; /* enum way */
};

static struct world *world_of_user(struct http_user *user)
{
    return container_of(user, struct world, user);
}

static struct world *world_of(struct h1_client *client)
{
    return container_of(client, struct world, client);
}

static void user_head(struct http_user *user, struct head *head)
{
    struct world *world = world_of_user(user);
    world->num_heads++;
    world->status = head->status;
    if (world->way == DETACH_IN_HEAD)
        h1_client_detach(&world->client);
}

static void user_body(struct http_user *user, struct slice bytes)
{
    struct world *world = world_of_user(user);
    buf_append_slice(&world->body, bytes);
    if (world->way == DETACH_IN_BODY)
        h1_client_detach(&world->client);
}

static void user_end(struct http_user *user, const struct fields *trailers)
{
    (void)trailers;
    world_of_user(user)->num_ends++;
}

static void user_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    world_of_user(user)->progress = progress;
    world_of_user(user)->num_failed++;
    world_of_user(user)->err = err;
}

static void user_drained(struct http_user *user)
{
    world_of_user(user)->num_drained++;
}

static void user_flush(struct http_user *user)
{
    world_of_user(user)->num_flushes++;
}

static const struct http_user_ops user_ops = {.head = user_head,
                                              .body = user_body,
                                              .end = user_end,
                                              .failed = user_failed,
                                              .drained = user_drained,
                                              .flush = user_flush};

static void on_done(struct h1_client *client)
{
    world_of(client)->num_done++;
    stream_close(client->stream);
}

static void on_idle(struct h1_client *client)
{
    world_of(client)->num_idle++;
}

static void on_closed(struct h1_client *client, struct err err)
{
    (void)err;
    world_of(client)->num_closed++;
}

static void turn(struct world *world)
{
    for (int i = 0; i < 50; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
}

static void world_init(struct world *world, size_t read_bytes)
{
    *world = (struct world){.user = {&user_ops}};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    sim_stream_init(&world->stream, world->loop);
    world->stream.read_bytes = read_bytes;
    world->client.done = on_done;
    world->client.idle = on_idle;
    world->client.closed = on_closed;
    h1_client_open(&world->client, &world->stream.base, &H1_RESPONSE_LIMITS);
    turn(world);
}

static void world_cleanup(struct world *world)
{
    h1_client_close(&world->client);
    turn(world);
    CHECK_INT(world->num_done, 1); /* once, however it ended */
    CHECK_INT(world->num_closed, 1);
    arena_cleanup(&world->arena);
    buf_cleanup(&world->body);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
    sim_stream_cleanup(&world->stream);
}

static void lend(struct world *world, const char *head, enum body framing)
{
    h1_client_lend(&world->client, &world->user, &world->arena, METHOD_GET, false);
    buf_append_str(h1_client_head_out(&world->client), head);
    h1_client_head_written(&world->client, framing);
}

static void says(struct world *world, const char *text)
{
    sim_stream_send(&world->stream, slice_str(text));
    turn(world);
}

static void one_connection_serves_one_after_the_other(void)
{
    struct world world;
    world_init(&world, 0);
    for (unsigned i = 1; i <= 3; i++) {
        lend(&world, "HEAD\r\n\r\n", BODY_NONE);
        CHECK_INT(world.stream.output.len, (i - 1) * 8); /* waits for more */
        h1_client_end(&world.client, NULL);
        h1_client_end(&world.client, NULL);
        CHECK_INT(world.stream.output.len, i * 8);
        says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        CHECK_INT(world.num_ends, i);
        CHECK_INT(world.num_idle, i);
        CHECK_INT(world.client.state, H1C_IDLE);
    }
    CHECK_INT(world.num_failed + world.num_done, 0);
    world_cleanup(&world);
}

static void head_and_first_bytes_go_together_and_chunks_are_framed_here(void)
{
    struct world world;
    world_init(&world, 0);
    lend(&world, "HEAD\r\n\r\n", BODY_CHUNKED);
    CHECK(h1_client_body(&world.client, SLICE_LIT("abc")));
    CHECK(h1_client_body(&world.client, SLICE_NONE)); /* would end it */
    CHECK(h1_client_body(&world.client, SLICE_LIT("0123456789abcdefg")));
    h1_client_end(&world.client, NULL);
    CHECK_SLICE(buf_slice(&world.stream.output), "HEAD\r\n\r\n3\r\nabc\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    world_cleanup(&world);
}

/* What may follow an answer decides whether the connection is used again. */
static void a_connection_goes_back_only_when_both_halves_are_whole(void)
{
    static const struct {
        const char *answer;
        bool request_whole, back;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", true, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nX", true, false},
        {"HTTP/1.1 204 No Content\r\n\r\n", true, true},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world world;
        world_init(&world, 0);
        lend(&world, "HEAD\r\n\r\n", BODY_LENGTH);
        if (rows[i].request_whole)
            h1_client_end(&world.client, NULL);
        else
            h1_client_flush(&world.client);
        says(&world, rows[i].answer);
        CHECK_INT(world.num_ends, 1);
        CHECK_INT(world.num_idle, rows[i].back);
        CHECK_INT(world.num_done, !rows[i].back);
        CHECK_INT(world.num_failed, 0);
        world_cleanup(&world);
    }
}

/* B7 */
static void nobody_speaks_unasked(void)
{
    struct world world;
    world_init(&world, 0);
    says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK_INT(world.num_done, 1);
    CHECK_INT(world.stream.end, SIM_RESET);
    CHECK_INT(world.num_heads, 0);
    world_cleanup(&world);
    world_init(&world, 0);
    sim_stream_send_eof(&world.stream); /* or leaves */
    turn(&world);
    CHECK_INT(world.num_done, 1);
    world_cleanup(&world);
}

static void an_answer_that_is_cut_fails(void)
{
    static const char *const cuts[] = {"", "HTT", "HTTP/1.1 100 Continue\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no",
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++)
        for (int rst = 0; rst < 2; rst++) {
            struct world world;
            world_init(&world, 1);
            lend(&world, "HEAD\r\n\r\n", BODY_NONE);
            h1_client_end(&world.client, NULL);
            says(&world, cuts[i]);
            turn(&world);
            turn(&world);
            turn(&world);
            if (rst)
                sim_stream_break(&world.stream);
            else
                sim_stream_send_eof(&world.stream);
            turn(&world);
            CHECK_INT(world.num_failed, 1);
            CHECK_INT(world.num_ends, 0);
            CHECK_INT(world.client.response_started, i > 0);
            world_cleanup(&world);
        }
}

static void an_answer_until_close_is_whole_by_an_end_and_cut_by_a_reset(void)
{
    for (int rst = 0; rst < 2; rst++) {
        struct world world;
        world_init(&world, 0);
        lend(&world, "HEAD\r\n\r\n", BODY_NONE);
        h1_client_end(&world.client, NULL);
        says(&world, "HTTP/1.1 200 OK\r\n\r\nall");
        if (rst)
            sim_stream_break(&world.stream);
        else
            sim_stream_send_eof(&world.stream);
        turn(&world);
        CHECK_SLICE(buf_slice(&world.body), "all");
        CHECK_INT(world.num_ends, !rst);
        CHECK_INT(world.num_failed, rst);
        world_cleanup(&world);
    }
}

static void nothing_is_heard_after_a_detach(void)
{
    for (int way = STAY; way <= DETACH_IN_BODY; way++)
        for (size_t read_bytes = 0; read_bytes < 2; read_bytes++) {
            struct world world;
            world_init(&world, read_bytes);
            world.way = way;
            lend(&world, "HEAD\r\n\r\n", BODY_NONE);
            h1_client_end(&world.client, NULL);
            if (way == STAY)
                h1_client_detach(&world.client);
            says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
            turn(&world);
            turn(&world);
            sim_stream_send_eof(&world.stream);
            turn(&world);
            CHECK_INT(world.num_ends + world.num_failed, 0);
            CHECK_INT(world.num_heads, way != STAY);
            CHECK_INT(world.body.len, way == DETACH_IN_BODY ? (read_bytes ? 1 : 4) : 0);
            CHECK_INT(world.stream.end, SIM_RESET); /* the exchange is not whole */
            h1_client_detach(&world.client);
            world_cleanup(&world);
        }
}

static void its_backpressure_is_the_streams(void)
{
    struct world world;
    world_init(&world, 0);
    world.stream.always_full = true;
    lend(&world, "HEAD\r\n\r\n", BODY_LENGTH);
    CHECK(!h1_client_body(&world.client, SLICE_LIT("abc")));
    turn(&world);
    CHECK_INT(world.num_drained, 1);
    h1_client_read_stop(&world.client);
    says(&world, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    CHECK_INT(world.num_heads, 0);
    h1_client_read_start(&world.client);
    turn(&world);
    CHECK_INT(world.num_heads, 1);
    CHECK(world.num_flushes <= 1); /* none behind the end */
    world_cleanup(&world);
}

/* B2: what a retry must know. */
static void a_request_of_which_nothing_went_out_is_unsent(void)
{
    for (int flushed = 0; flushed < 2; flushed++) {
        struct world world;
        world_init(&world, 0);
        lend(&world, "HEAD\r\n\r\n", BODY_LENGTH);
        if (flushed)
            h1_client_flush(&world.client);
        sim_stream_send_eof(&world.stream);
        turn(&world);
        CHECK_INT(world.num_failed, 1);
        CHECK_INT(world.progress, flushed ? HTTP_UNANSWERED : HTTP_UNSENT);
        world_cleanup(&world);
    }
}

int main(void)
{
    RUN(a_request_of_which_nothing_went_out_is_unsent);
    RUN(one_connection_serves_one_after_the_other);
    RUN(head_and_first_bytes_go_together_and_chunks_are_framed_here);
    RUN(a_connection_goes_back_only_when_both_halves_are_whole);
    RUN(nobody_speaks_unasked);
    RUN(an_answer_that_is_cut_fails);
    RUN(an_answer_until_close_is_whole_by_an_end_and_cut_by_a_reset);
    RUN(nothing_is_heard_after_a_detach);
    RUN(its_backpressure_is_the_streams);
    return checks_done();
}
