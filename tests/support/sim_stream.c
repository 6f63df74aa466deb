#include "sim_stream.h"

#include "base/mem.h"

#include <errno.h>

static struct sim_stream *sim_of(const struct stream *stream)
{
    return container_of(stream, struct sim_stream, base);
}

static void sim_wake(struct sim_stream *sim)
{
    deferred_start(sim->loop, &sim->turn);
}

static void sim_tell_closed(struct sim_stream *sim)
{
    sim->closed_told = true;
    sim->base.sink->ops->closed(sim->base.sink, sim->failure);
    if (sim->closed)
        sim->closed(sim);
}

static void sim_deliver(struct sim_stream *sim)
{
    if (!sim->reading || sim->end != SIM_OPEN)
        return;
    if (sim->input.len) {
        size_t len = sim->read_bytes && sim->read_bytes < sim->input.len ? sim->read_bytes : sim->input.len;
        char *copy = mem_dup(sim->input.ptr, len); /* exactly as long, so that a read past it is caught */
        buf_consume(&sim->input, len);
        sim->base.sink->ops->data(sim->base.sink, slice_make(copy, len));
        mem_free(copy);
    } else if (sim->eof && !sim->eof_told) {
        sim->eof_told = true;
        sim->base.sink->ops->eof(sim->base.sink);
    }
}

static void sim_turn(struct deferred *deferred)
{
    struct sim_stream *sim = container_of(deferred, struct sim_stream, turn);
    if (sim->end != SIM_OPEN) {
        if (!sim->closed_told)
            sim_tell_closed(sim);
        return;
    }
    if (sim->full && sim->queued_bytes < FLOW_LOW_BYTES) {
        sim->full = false;
        sim->base.sink->ops->drained(sim->base.sink);
    }
    sim_deliver(sim);
    if (sim->end != SIM_OPEN || (sim->reading && (sim->input.len || (sim->eof && !sim->eof_told))))
        sim_wake(sim);
}

static void sim_read_start(struct stream *stream)
{
    sim_of(stream)->reading = true;
    sim_wake(sim_of(stream));
}

static void sim_read_stop(struct stream *stream)
{
    sim_of(stream)->reading = false;
}

static bool sim_queue(struct sim_stream *sim, const struct slice *parts, size_t num_parts)
{
    for (size_t i = 0; i < num_parts; i++)
        sim->queued_bytes += parts[i].len;
    if (sim->queued_bytes > sim->most_queued_bytes)
        sim->most_queued_bytes = sim->queued_bytes;
    sim->full = sim->full || sim->queued_bytes > FLOW_HIGH_BYTES;
    return sim->queued_bytes <= FLOW_HIGH_BYTES;
}

static bool sim_writev(struct stream *stream, const struct slice *parts, size_t num_parts)
{
    struct sim_stream *sim = sim_of(stream);
    outbuf_flush_stream(&sim->loop->outbuf, stream);
    if (sim->end != SIM_OPEN || sim->shut)
        return true;
    for (size_t i = 0; i < num_parts; i++)
        buf_append_slice(&sim->output, parts[i]);
    if (sim->written)
        sim->written(sim);
    if (sim->stalled)
        return sim_queue(sim, parts, num_parts);
    if (!sim->always_full)
        return true;
    sim->full = true;
    sim_wake(sim);
    return false;
}

static void sim_shutdown(struct stream *stream)
{
    outbuf_flush_stream(&sim_of(stream)->loop->outbuf, stream);
    sim_of(stream)->shut = true;
    if (sim_of(stream)->written)
        sim_of(stream)->written(sim_of(stream));
}

static void sim_leave(struct sim_stream *sim, enum sim_end end)
{
    if (sim->end == SIM_OPEN)
        sim->end = end;
    sim_wake(sim);
}

static void sim_close(struct stream *stream)
{
    outbuf_flush_stream(&sim_of(stream)->loop->outbuf, stream);
    sim_leave(sim_of(stream), SIM_CLOSED);
}

static void sim_reset(struct stream *stream)
{
    outbuf_forget(&sim_of(stream)->loop->outbuf, stream);
    sim_leave(sim_of(stream), SIM_RESET);
}

static size_t sim_queued(const struct stream *stream)
{
    const struct sim_stream *sim = sim_of(stream);
    if (sim->stalled)
        return sim->queued_bytes;
    return sim->full ? FLOW_HIGH_BYTES + 1 : 0;
}

static const struct stream_ops sim_stream_ops = {
    .read_start = sim_read_start,
    .read_stop = sim_read_stop,
    .writev = sim_writev,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .reset = sim_reset,
    .queued_bytes = sim_queued,
};

void sim_stream_init(struct sim_stream *sim, struct net_loop *loop)
{
    *sim = (struct sim_stream){.base = {.ops = &sim_stream_ops}, .loop = loop};
    deferred_init(&sim->turn, sim_turn);
}

void sim_stream_cleanup(struct sim_stream *sim)
{
    deferred_stop(&sim->turn);
    buf_cleanup(&sim->input);
    buf_cleanup(&sim->output);
}

void sim_stream_send(struct sim_stream *sim, struct slice bytes)
{
    buf_append_slice(&sim->input, bytes);
    sim_wake(sim);
}

void sim_stream_release(struct sim_stream *sim)
{
    sim->queued_bytes = 0;
    sim_wake(sim);
}

void sim_stream_break(struct sim_stream *sim)
{
    if (sim->end == SIM_OPEN)
        sim->failure = err_make(ERR_SYSTEM, ECONNRESET, "read");
    sim_leave(sim, SIM_RESET);
}

void sim_stream_send_eof(struct sim_stream *sim)
{
    sim->eof = true;
    sim_wake(sim);
}
