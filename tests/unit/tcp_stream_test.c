/* The contract of net/stream.h, over real sockets on loopback. The peer is the test itself, non-blocking. */
#include "net/tcp_stream.h"

#include "base/mem.h"
#include "check.h"
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_TURNS = 20000, BIG_BYTES = 8 * 1024 * 1024 };

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct tcp_stream tcp;
    struct sink sink;
    int peer;
    struct buf got;
    unsigned num_drained;
    bool eof, closed, stop_in_data;
    struct err err;
};

static void on_data(struct sink *sink, struct slice bytes)
{
    struct world *world = container_of(sink, struct world, sink);
    buf_append_slice(&world->got, bytes);
    if (world->stop_in_data)
        stream_read_stop(&world->tcp.base);
}

static void on_eof(struct sink *sink)
{
    container_of(sink, struct world, sink)->eof = true;
}

static void on_drained(struct sink *sink)
{
    container_of(sink, struct world, sink)->num_drained++;
}

static void on_closed(struct sink *sink, struct err err)
{
    struct world *world = container_of(sink, struct world, sink);
    CHECK(!world->closed);
    world->closed = true;
    world->err = err;
}

static const struct sink_ops sink_ops = {
    .data = on_data, .eof = on_eof, .truncated = on_eof, .drained = on_drained, .closed = on_closed};

static void socket_pair(int *out_ours, int *out_peer)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    *out_peer = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        connect(*out_peer, (struct sockaddr *)&address, sizeof address) != 0 ||
        (*out_ours = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) < 0)
        abort();
    close(listener);
}

static void world_init(struct world *world)
{
    int ours;
    *world = (struct world){.sink = {&sink_ops}};
    uv_loop_init(&world->uv);
    world->loop = net_loop_new(&world->uv);
    uv_ref((uv_handle_t *)&world->loop->prepare);
    socket_pair(&ours, &world->peer);
    CHECK(!err_is(tcp_stream_open(&world->tcp, world->loop, ours, false)));
    world->tcp.base.sink = &world->sink;
}

static void world_turn(struct world *world, int num)
{
    for (int i = 0; i < num; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
}

static void world_wait(struct world *world, const bool *done)
{
    for (int i = 0; i < MAX_TURNS && !*done; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        usleep(100);
    }
    CHECK(*done);
}

static void world_cleanup(struct world *world)
{
    if (!world->closed)
        stream_reset(&world->tcp.base);
    world_wait(world, &world->closed);
    if (world->peer >= 0)
        close(world->peer);
    buf_cleanup(&world->got);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&world->uv), 0);
}

static void reading_stops_and_starts(void)
{
    struct world world;
    world_init(&world);
    stream_read_start(&world.tcp.base);
    CHECK(send(world.peer, "one", 3, 0) == 3);
    world_turn(&world, 20);
    CHECK_SLICE(buf_slice(&world.got), "one");
    stream_read_stop(&world.tcp.base);
    CHECK(send(world.peer, "two", 3, 0) == 3);
    world_turn(&world, 20);
    CHECK_SLICE(buf_slice(&world.got), "one");
    stream_read_start(&world.tcp.base);
    world_turn(&world, 20);
    CHECK_SLICE(buf_slice(&world.got), "onetwo");
    shutdown(world.peer, SHUT_WR);
    world_wait(&world, &world.eof);
    CHECK(!world.closed); /* our side stays open */
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("back")));
    char in[8];
    CHECK(recv(world.peer, in, sizeof in, 0) == 4);
    world_cleanup(&world);
}

static void a_full_queue_is_told_and_drains(void)
{
    struct world world;
    char *big = mem_calloc(1, BIG_BYTES), *in = mem_alloc(65536);
    size_t received = 0;
    world_init(&world);
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    CHECK(stream_queued_bytes(&world.tcp.base) > FLOW_HIGH_BYTES);
    world_turn(&world, 20);
    CHECK_INT(world.num_drained, 0);
    CHECK(!stream_write(&world.tcp.base, SLICE_LIT("end")));
    for (int i = 0; i < MAX_TURNS && received < BIG_BYTES + 3; i++) {
        ssize_t got = recv(world.peer, in, 65536, MSG_DONTWAIT);
        received += got > 0 ? (size_t)got : 0;
        uv_run(&world.uv, UV_RUN_NOWAIT);
    }
    world_turn(&world, 20);
    CHECK_INT(received, BIG_BYTES + 3);
    CHECK_INT(world.num_drained, 1);
    CHECK_INT(stream_queued_bytes(&world.tcp.base), 0);
    mem_free(big);
    mem_free(in);
    world_cleanup(&world);
}

/* What is unread when we close must not turn into an RST that overtakes our last bytes. */
static void close_lingers_over_unread_input(void)
{
    struct world world;
    char in[64] = "";
    world_init(&world);
    CHECK(send(world.peer, "unread input", 12, 0) == 12);
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("the answer")));
    stream_close(&world.tcp.base);
    CHECK(!world.closed); /* never from within the call */
    world_turn(&world, 50);
    CHECK(!world.closed); /* it waits for the peer's end */
    CHECK(send(world.peer, "more", 4, MSG_NOSIGNAL) == 4);
    world_turn(&world, 50);
    CHECK(recv(world.peer, in, sizeof in, 0) == 10);
    CHECK(recv(world.peer, in, sizeof in, 0) == 0); /* FIN, not RST */
    close(world.peer);
    world.peer = -1;
    world_wait(&world, &world.closed);
    CHECK(!err_is(world.err));
    CHECK_INT(world.got.len, 0); /* no event behind close but closed */
    world_cleanup(&world);
}

static void close_sends_the_queue_first(void)
{
    struct world world;
    char *big = mem_calloc(1, BIG_BYTES), *in = mem_alloc(65536);
    size_t received = 0;
    ssize_t got = 1;
    world_init(&world);
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    stream_close(&world.tcp.base);
    for (int i = 0; i < MAX_TURNS && got != 0; i++) {
        got = recv(world.peer, in, 65536, MSG_DONTWAIT);
        received += got > 0 ? (size_t)got : 0;
        uv_run(&world.uv, UV_RUN_NOWAIT);
    }
    CHECK_INT(got, 0);
    CHECK_INT(received, BIG_BYTES);
    mem_free(big);
    mem_free(in);
    world_cleanup(&world);
}

static void reset_is_an_rst(void)
{
    struct world world;
    char in[8];
    world_init(&world);
    stream_reset(&world.tcp.base);
    stream_close(&world.tcp.base); /* idempotent */
    world_wait(&world, &world.closed);
    CHECK(recv(world.peer, in, sizeof in, 0) < 0 && errno == ECONNRESET);
    world_cleanup(&world);
}

static void a_broken_connection_closes_by_itself(void)
{
    struct world world;
    struct linger at_once = {1, 0};
    world_init(&world);
    stream_read_start(&world.tcp.base);
    setsockopt(world.peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(world.peer);
    world.peer = -1;
    world_wait(&world, &world.closed);
    CHECK(err_is(world.err));
    world_cleanup(&world);
}

/* An answer that came before the peer closed is read although our write fails. */
static void an_early_answer_survives_a_failing_write(void)
{
    struct world world;
    world_init(&world);
    CHECK(send(world.peer, "early", 5, 0) == 5);
    shutdown(world.peer, SHUT_RD);
    shutdown(world.peer, SHUT_WR);
    stream_read_start(&world.tcp.base);
    for (int i = 0; i < 3; i++)
        CHECK(stream_write(&world.tcp.base, SLICE_LIT("request")));
    world_turn(&world, 50);
    CHECK_SLICE(buf_slice(&world.got), "early");
    world_cleanup(&world);
}

/* The same while the consumer has stopped reading for its own slow sink. */
static void an_early_answer_survives_also_while_reading_is_stopped(void)
{
    struct world world;
    world_init(&world);
    stream_read_start(&world.tcp.base);
    stream_read_stop(&world.tcp.base);
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("unread by the peer")));
    CHECK(send(world.peer, "early", 5, 0) == 5);
    usleep(2000);
    close(world.peer); /* with unread input: a reset */
    world.peer = -1;
    usleep(2000);
    for (int i = 0; i < 3; i++)
        CHECK(stream_write(&world.tcp.base, SLICE_LIT("more")));
    world_turn(&world, 20);
    CHECK(world.tcp.write_broken);
    CHECK(!world.closed && world.got.len == 0);
    stream_read_start(&world.tcp.base);
    world_wait(&world, &world.closed);
    CHECK_SLICE(buf_slice(&world.got), "early");
    CHECK(err_is(world.err));
    CHECK(!world.eof); /* a reset is no end */
    world_cleanup(&world);
}

static void behind_a_failed_write_silence_ends_it(void)
{
    struct world world;
    world_init(&world);
    CHECK(send(world.peer, "x", 1, 0) == 1);
    close(world.peer);
    world.peer = -1;
    usleep(2000);
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("a")));
    usleep(2000);
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("b")));
    CHECK(world.tcp.write_broken && tick_armed(&world.tcp.broken));
    world.tcp.broken.expired(&world.tcp.broken);
    world_wait(&world, &world.closed);
    CHECK(err_is(world.err));
    world_cleanup(&world);
}

/* Time passes by calling what would expire. A reader that takes nothing is cut; one that takes a little is not. */
static void a_stalled_reader_is_cut(void)
{
    struct world world;
    char *big = mem_calloc(1, BIG_BYTES), in[65536];
    ssize_t got;
    world_init(&world);
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    CHECK(tick_armed(&world.tcp.stall));
    for (int i = 0; i < 200; i++) { /* far less than all */
        got = recv(world.peer, in, sizeof in, MSG_DONTWAIT);
        uv_run(&world.uv, UV_RUN_NOWAIT);
    }
    tick_stop(&world.tcp.stall);
    world.tcp.stall.expired(&world.tcp.stall);
    CHECK(tick_armed(&world.tcp.stall));
    CHECK_INT(world.tcp.state, TCP_STREAM_OPEN);
    world_turn(&world, 50); /* the socket fills up again */
    world.tcp.stall_unsent_bytes = stream_queued_bytes(&world.tcp.base);
    tick_stop(&world.tcp.stall);
    world.tcp.stall.expired(&world.tcp.stall);
    CHECK(!world.closed); /* never from within a call */
    world_wait(&world, &world.closed);
    CHECK_INT(world.err.kind, ERR_TIMEOUT);
    do
        got = recv(world.peer, in, sizeof in, 0);
    while (got > 0);
    CHECK(got < 0 && errno == ECONNRESET); /* cut, not ended */
    mem_free(big);
    world_cleanup(&world);
}

/* Raw bytes have their idle time for it; none at all is for ever. A close has no more patience than any. */
static void the_owner_may_have_more_patience(void)
{
    struct world world;
    char *big = mem_calloc(1, BIG_BYTES);
    world_init(&world);
    world.tcp.stall_ms = 0;
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    CHECK(!tick_armed(&world.tcp.stall));
    stream_close(&world.tcp.base);
    CHECK(tick_armed(&world.tcp.stall));
    CHECK(world.tcp.stall.due_ms <= uv_now(&world.uv) + LIMIT_WRITE_STALL_MS + TICKER_GRAIN_MS);
    world.tcp.stall.expired(&world.tcp.stall);
    world_wait(&world, &world.closed);
    world_cleanup(&world);
    world_init(&world);
    world.tcp.stall_ms = 3600000;
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    CHECK(world.tcp.stall.due_ms > uv_now(&world.uv) + 3000000);
    stream_close(&world.tcp.base);
    CHECK(world.tcp.stall.due_ms <= uv_now(&world.uv) + LIMIT_WRITE_STALL_MS + TICKER_GRAIN_MS);
    mem_free(big);
    stream_reset(&world.tcp.base);
    world_wait(&world, &world.closed);
    world_cleanup(&world);
}

static void a_linger_is_bounded_in_time_and_bytes(void)
{
    struct world world;
    char *big = mem_calloc(1, LIMIT_LINGER_BYTES * 2);
    world_init(&world);
    stream_close(&world.tcp.base);
    CHECK(tick_armed(&world.tcp.stall));
    world.tcp.stall.expired(&world.tcp.stall);
    world_wait(&world, &world.closed);
    CHECK(!err_is(world.err));
    world_cleanup(&world);
    world_init(&world);
    stream_close(&world.tcp.base);
    for (size_t sent = 0; sent < LIMIT_LINGER_BYTES * 2 && !world.closed;) {
        ssize_t put = send(world.peer, big, LIMIT_LINGER_BYTES * 2 - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += put > 0 ? (size_t)put : 0;
        uv_run(&world.uv, UV_RUN_NOWAIT);
        if (put < 0 && errno != EAGAIN)
            break;
    }
    world_wait(&world, &world.closed);
    CHECK_INT(world.got.len, 0);
    mem_free(big);
    world_cleanup(&world);
}

static void no_event_comes_behind_a_stop_from_within_one(void)
{
    struct world world;
    world_init(&world);
    stream_read_start(&world.tcp.base);
    stream_read_start(&world.tcp.base); /* idempotent */
    CHECK(send(world.peer, "one", 3, 0) == 3);
    shutdown(world.peer, SHUT_WR);
    world.stop_in_data = true;
    world_turn(&world, 50);
    CHECK_SLICE(buf_slice(&world.got), "one");
    CHECK(!world.eof);
    stream_read_start(&world.tcp.base);
    CHECK(!world.eof); /* never from within read_start */
    world_wait(&world, &world.eof);
    world_cleanup(&world);
}

static void shutdown_ends_our_side_behind_the_queue_and_reads_on(void)
{
    struct world world;
    char *big = mem_calloc(1, BIG_BYTES), *in = mem_alloc(65536);
    size_t received = 0;
    ssize_t got = 1;
    world_init(&world);
    stream_read_start(&world.tcp.base);
    CHECK(!stream_write(&world.tcp.base, slice_make(big, BIG_BYTES)));
    stream_shutdown(&world.tcp.base);
    stream_shutdown(&world.tcp.base);
    for (int i = 0; i < MAX_TURNS && got != 0; i++) {
        got = recv(world.peer, in, 65536, MSG_DONTWAIT);
        received += got > 0 ? (size_t)got : 0;
        uv_run(&world.uv, UV_RUN_NOWAIT);
    }
    CHECK_INT(received, BIG_BYTES);
    CHECK(stream_write(&world.tcp.base, SLICE_LIT("nobody reads this")));
    CHECK(send(world.peer, "still read", 10, 0) == 10);
    world_turn(&world, 20);
    CHECK_SLICE(buf_slice(&world.got), "still read");
    CHECK(!world.closed);
    mem_free(big);
    mem_free(in);
    world_cleanup(&world);
}

/* ---- the listener's credit (HARDENING X1) ---- */

struct acceptor {
    struct listener listener;
    int fds[8];
    unsigned num, num_pauses;
    bool closed;
};

static void acceptor_connection(struct listener *listener, int fd)
{
    struct acceptor *acceptor = container_of(listener, struct acceptor, listener);
    acceptor->fds[acceptor->num++] = fd;
}

static void acceptor_changed(struct listener *listener)
{
    container_of(listener, struct acceptor, listener)->num_pauses += listener->paused;
}

static void acceptor_closed(struct listener *listener)
{
    container_of(listener, struct acceptor, listener)->closed = true;
}

static void accepting_pauses_without_credit_and_resumes(void)
{
    uv_loop_t uv;
    struct acceptor acceptor = {0};
    struct conn_credit credit = {.max = 2};
    struct address address;
    int fd, again, clients[4];
    uv_loop_init(&uv);
    struct net_loop *loop = net_loop_new(&uv);
    uv_ref((uv_handle_t *)&loop->prepare);
    acceptor.listener.connection = acceptor_connection;
    acceptor.listener.credit_changed = acceptor_changed;
    acceptor.listener.closed = acceptor_closed;
    CHECK(address_parse_ip(SLICE_LIT("127.0.0.1"), 0, &address));
    CHECK(!err_is(listen_bind(&address, true, &fd)));
    CHECK(address_of_socket(fd, &address));
    CHECK(listen_bind(&address, true, &again).code == EADDRINUSE); /* a second process must not share silently */
    CHECK(!err_is(listener_open(&acceptor.listener, loop, fd, false, &credit)));
    for (int i = 0; i < 4; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(connect(clients[i], &address.at.any, address.len) == 0);
    }
    for (int i = 0; i < 200; i++) {
        uv_run(&uv, UV_RUN_NOWAIT);
        usleep(500);
    }
    CHECK_INT(acceptor.num, 2);
    CHECK_INT(acceptor.num_pauses, 1); /* told once, however often it looked */
    conn_credit_release(&credit);
    for (int i = 0; i < MAX_TURNS && acceptor.num < 3; i++) {
        uv_run(&uv, UV_RUN_NOWAIT);
        usleep(100);
    }
    CHECK_INT(acceptor.num, 3);
    conn_credit_release(&credit);
    listener_close(&acceptor.listener); /* what the kernel has queued is taken first */
    CHECK_INT(acceptor.num, 4);
    while (!acceptor.closed)
        uv_run(&uv, UV_RUN_NOWAIT);
    for (int i = 0; i < 4; i++) {
        close(clients[i]);
        close(acceptor.fds[i]);
    }
    net_loop_close(loop);
    uv_run(&uv, UV_RUN_DEFAULT);
    CHECK_INT(uv_loop_close(&uv), 0);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    RUN(reading_stops_and_starts);
    RUN(a_full_queue_is_told_and_drains);
    RUN(close_lingers_over_unread_input);
    RUN(close_sends_the_queue_first);
    RUN(reset_is_an_rst);
    RUN(a_broken_connection_closes_by_itself);
    RUN(an_early_answer_survives_a_failing_write);
    RUN(an_early_answer_survives_also_while_reading_is_stopped);
    RUN(behind_a_failed_write_silence_ends_it);
    RUN(a_stalled_reader_is_cut);
    RUN(the_owner_may_have_more_patience);
    RUN(a_linger_is_bounded_in_time_and_bytes);
    RUN(no_event_comes_behind_a_stop_from_within_one);
    RUN(shutdown_ends_our_side_behind_the_queue_and_reads_on);
    RUN(accepting_pauses_without_credit_and_resumes);
    return checks_done();
}
