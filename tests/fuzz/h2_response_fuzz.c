/* A broken HTTP/2 backend: any bytes behind its SETTINGS. Each request ends exactly once, nothing is told out of order, what
 * is told is valid HTTP, and a whole body is as long as its content-length said.
 *
 * The first byte chooses the method and whether SETTINGS come at once; the second how reads are cut, whether each write
 * fills the queue, and at which event a user withdraws or stops reading. */
#include "base/mem.h"
#include "sim_stream.h"
#include "upstream/h2_conn.h"

#include <stdlib.h>

enum { NUM_CALLS = 3, MAX_TURNS = 100000 };

struct world;

struct call {
    struct http_user user;
    struct world *world;
    struct upstream *upstream;
    struct arena arena;
    struct head head;
    struct fields fields;
    uint64_t length, got;
    bool length_given, headed, over;
};

struct world {
    uv_loop_t uv;
    struct net_loop *loop;
    struct sim_stream stream;
    struct h2_conn conn;
    struct call calls[NUM_CALLS];
    unsigned events_left; /* until a user withdraws; 0: none does */
    bool stops;           /* instead, a user stops reading for a turn */
    bool closed;
};

static void check(bool good)
{
    if (!good)
        abort();
}

static struct call *call_of(struct http_user *user)
{
    return container_of(user, struct call, user);
}

static void check_fields(const struct fields *fields)
{
    check(fields->num <= LIMIT_RESPONSE_FIELDS);
    FIELDS_EACH(fields, field)
    {
        check(field_is_token(field->name) && field_value_is_valid(field->value));
        for (size_t i = 0; i < field->name.len; i++)
            check(field->name.ptr[i] < 'A' || field->name.ptr[i] > 'Z');
        check(field->id != FIELD_CONNECTION && field->id != FIELD_TRANSFER_ENCODING && field->id != FIELD_UPGRADE);
    }
}

static void call_event(struct call *call)
{
    struct world *world = call->world;
    check(!call->over);
    if (world->events_left == 0 || --world->events_left > 0)
        return;
    if (world->stops) {
        call->upstream->ops->read_stop(call->upstream);
        return;
    }
    call->over = true;
    call->upstream->ops->detach(call->upstream);
}

static void call_head(struct http_user *user, struct head *head)
{
    struct call *call = call_of(user);
    check(!call->headed && head->status >= 100 && head->status <= 599 && head->status != 101);
    check_fields(&head->fields);
    call->headed = head->status >= 200;
    call->length_given = head->length_given || head->body != BODY_CHUNKED;
    call->length = head->body == BODY_NONE ? 0 : head->length;
    call_event(call);
}

static void call_body(struct http_user *user, struct slice bytes)
{
    struct call *call = call_of(user);
    check(call->headed && bytes.len > 0);
    call->got += bytes.len;
    check(!call->length_given || call->got <= call->length);
    call_event(call);
}

static void call_end(struct http_user *user, const struct fields *trailers)
{
    struct call *call = call_of(user);
    check(call->headed && !call->over);
    check(!call->length_given || call->got == call->length);
    check_fields(trailers);
    call->over = true;
}

static void call_failed(struct http_user *user, struct err err, enum http_progress progress)
{
    struct call *call = call_of(user);
    check(!call->over && err_is(err) && (!call->headed || progress == HTTP_ANSWERING));
    call->over = true;
}

static void call_nothing(struct http_user *user)
{
    check(!call_of(user)->over);
}

static const struct http_user_ops call_ops = {.head = call_head,
                                              .body = call_body,
                                              .end = call_end,
                                              .failed = call_failed,
                                              .drained = call_nothing,
                                              .flush = call_nothing};

static void call_begin(struct call *call, struct world *world, enum method method)
{
    struct upstream_request request = {&call->head, &call->fields};
    call->world = world;
    call->user.ops = &call_ops;
    call->head = (struct head){.method = method,
                               .method_name = method == METHOD_HEAD ? SLICE_LIT("HEAD") : SLICE_LIT("POST"),
                               .target = SLICE_LIT("/"),
                               .authority = SLICE_LIT("a.test"),
                               .body = BODY_CHUNKED};
    call->upstream = h2_conn_call(&world->conn, NULL, SLICE_LIT("h2c://a.test"));
    call->upstream->ops->begin(call->upstream, &call->user, &call->arena, &request);
    bool room = call->upstream->ops->body(call->upstream, SLICE_LIT("body"));
    check(room);
    call->upstream->ops->end(call->upstream, NULL);
}

static void world_opened(struct h2_conn *conn)
{
    struct world *world = container_of(conn, struct world, conn);
    for (int i = 0; i < NUM_CALLS && h2_conn_has_room(conn); i++)
        call_begin(&world->calls[i], world, i == 1 ? METHOD_HEAD : METHOD_POST);
}

static void world_released(struct h2_conn *conn)
{
    (void)conn;
}

static void world_done(struct h2_conn *conn, struct err err)
{
    (void)conn, (void)err;
}

static void world_closed(struct h2_conn *conn)
{
    container_of(conn, struct world, conn)->closed = true;
}

static void world_run(struct world *world)
{
    for (int i = 0, quiet = 0; i < MAX_TURNS && quiet < 3 && !world->closed; i++) {
        uv_run(&world->uv, UV_RUN_NOWAIT);
        quiet = list_empty(&world->loop->deferred) ? quiet + 1 : 0;
        if (world->stops && quiet == 2)
            for (int k = 0; k < NUM_CALLS; k++)
                if (world->calls[k].upstream && !world->calls[k].over)
                    world->calls[k].upstream->ops->read_start(world->calls[k].upstream);
    }
}

static void world_end(struct world *world)
{
    for (int i = 0; i < NUM_CALLS; i++)
        check(!world->calls[i].upstream || world->calls[i].over);
    h2_conn_close(&world->conn);
    for (int i = 0; i < MAX_TURNS && !world->closed; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    check(world->closed && world->conn.num_requests == 0);
    net_loop_close(world->loop);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    check(uv_loop_close(&world->uv) == 0);
    sim_stream_cleanup(&world->stream);
    for (int i = 0; i < NUM_CALLS; i++)
        arena_cleanup(&world->calls[i].arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const size_t cuts[] = {0, 1, 7, 100};
    struct world world = {
        .conn = {.opened = world_opened, .released = world_released, .done = world_done, .closed = world_closed}};
    if (len < 2 || len > 1 << 16)
        return 0;
    uv_loop_init(&world.uv);
    world.loop = net_loop_new(&world.uv);
    sim_stream_init(&world.stream, world.loop);
    world.stream.read_bytes = cuts[data[1] & 3];
    world.stream.always_full = data[1] & 4;
    world.stops = data[1] & 8;
    world.events_left = data[1] >> 4;
    h2_conn_open(&world.conn, world.loop, &world.stream.base, 600000, 600000);
    if (data[0] & 1)
        sim_stream_send(&world.stream, slice_make("\0\0\0\4\0\0\0\0\0", 9));
    sim_stream_send(&world.stream, slice_make(data + 2, len - 2));
    sim_stream_send_eof(&world.stream);
    world_run(&world);
    world_end(&world);
    return 0;
}
