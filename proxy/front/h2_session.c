#include "front/h2_session.h"

#include "front/h2_answer.h"

#include <stdlib.h>

static struct slice slice_bytes(const uint8_t *bytes, size_t len)
{
    return slice_make((const char *)bytes, len);
}

/* ---- what frames cost ---- */

static int session_fail(struct h2_front *front, uint32_t code)
{
    front->failure = code;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int session_spend(struct h2_front *front, enum h2_expense expense)
{
    if (h2_budget_spend(&front->budget, expense, net_loop_now_ms(front->env->loop)))
        return 0;
    return session_fail(front, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Of a stream that was, or that was passed over. */
static bool session_is_over(nghttp2_session *session, const nghttp2_frame_hd *hd)
{
    return hd->stream_id % 2 == 1 && hd->stream_id <= nghttp2_session_get_last_proc_stream_id(session) &&
           !nghttp2_session_find_stream(session, hd->stream_id);
}

/* RFC 9113 §5.1: behind its own end a client sends no more; behind our reset it could not know yet. */
static int session_check_state(struct h2_front *front, nghttp2_session *session, const nghttp2_frame_hd *hd)
{
    return hd->stream_id > front->last_cut && session_is_over(session, hd) ? session_fail(front, NGHTTP2_STREAM_CLOSED)
                                                                           : 0;
}

/* nghttp2 throws it away and does not say when it has ended. */
static bool session_ignores_block(const struct h2_front *front, nghttp2_session *session, const nghttp2_frame_hd *hd)
{
    return session_is_over(session, hd) ||
           (front->state == H2F_LEAVING && hd->stream_id > nghttp2_session_get_last_proc_stream_id(session));
}

/* The block that a HEADERS frame begins must be whole in time, whatever frames it takes. */
static void session_watch_block(struct h2_front *front, nghttp2_session *session, const nghttp2_frame_hd *hd)
{
    int64_t ms = front->env->config->client.header_timeout_ms;
    if (hd->type == NGHTTP2_HEADERS && ms > 0 && !session_ignores_block(front, session, hd))
        tick_start(&front->env->loop->ticker, &front->block, (uint64_t)ms);
    else if (hd->type != NGHTTP2_CONTINUATION)
        tick_stop(&front->block);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    struct h2_front *front = user;
    session_watch_block(front, session, hd);
    switch (hd->type) {
    case NGHTTP2_RST_STREAM: return session_spend(front, H2_EXPENSE_RESET);
    case NGHTTP2_SETTINGS:
    case NGHTTP2_PING: return hd->flags & NGHTTP2_FLAG_ACK ? 0 : session_spend(front, H2_EXPENSE_CONTROL);
    case NGHTTP2_DATA:
        return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM) ? session_spend(front, H2_EXPENSE_IDLE) : 0;
    case NGHTTP2_HEADERS: return session_check_state(front, session, hd);
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_WINDOW_UPDATE: return 0;
    case NGHTTP2_PRIORITY: /* RFC 9113 §6.3, which nghttp2 leaves out where priorities are turned off */
        return hd->stream_id == 0 ? session_fail(front, NGHTTP2_PROTOCOL_ERROR) : session_spend(front, H2_EXPENSE_IDLE);
    default: return session_spend(front, H2_EXPENSE_IDLE);
    }
}

/* ---- what comes ---- */

static struct h2_stream *session_stream(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_front *front = user;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct h2_stream *stream = h2_stream_new(front, frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    h2_front_stream_opened(front);
    return 0;
}

static int session_malformed(struct h2_front *front, nghttp2_session *session, int32_t id)
{
    tick_stop(&front->block); /* the rest of it is thrown away */
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    struct h2_stream *stream = session_stream(session, frame->hd.stream_id);
    (void)flags;
    if (!stream)
        return 0;
    switch (h2_stream_field(stream, slice_bytes(name, name_len), slice_bytes(value, value_len))) {
    case H2_FIELD_TAKEN: return 0;
    case H2_FIELD_MALFORMED: return session_malformed(user, session, frame->hd.stream_id);
    case H2_FIELD_BOMB: return session_fail(user, NGHTTP2_ENHANCE_YOUR_CALM);
    }
    return 0;
}

/* Without this nghttp2 drops such fields and goes on (H1). */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                             const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
    (void)name, (void)name_len, (void)value, (void)value_len, (void)flags;
    return session_malformed(user, session, frame->hd.stream_id);
}

/* A block that nghttp2 refuses by itself; on_frame is not called for it. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int lib_error_code, void *user)
{
    struct h2_front *front = user;
    (void)session, (void)lib_error_code;
    if (frame->hd.type == NGHTTP2_HEADERS)
        tick_stop(&front->block);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len,
                         void *user)
{
    struct h2_stream *stream = session_stream(session, id);
    (void)user;
    if (stream)
        h2_stream_data(stream, slice_bytes(data, len), flags & NGHTTP2_FLAG_END_STREAM);
    else
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_front *front = user;
    struct h2_stream *stream = session_stream(session, frame->hd.stream_id);
    bool ended = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
        h2_front_leave(front);
    if (frame->hd.type == NGHTTP2_HEADERS)
        tick_stop(&front->block);
    if (frame->hd.type == NGHTTP2_DATA && frame->hd.length && frame->hd.length == frame->data.padlen && !ended)
        return session_spend(front, H2_EXPENSE_IDLE); /* padding alone is as empty */
    if (!stream)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        h2_stream_head(stream, ended);
    else if (frame->hd.type == NGHTTP2_HEADERS)
        h2_stream_trailers(stream);
    else if (frame->hd.type == NGHTTP2_DATA && ended)
        h2_stream_data_end(stream);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2_stream *stream = session_stream(session, id);
    (void)code;
    if (stream) {
        h2_stream_free(stream);
        h2_front_stream_closed(user);
    }
    return 0;
}

/* ---- what goes ---- */

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t len,
                        nghttp2_data_source *source, void *user)
{
    struct h2_front *front = user;
    (void)session, (void)frame; /* never padded */
    h2_out_copy(front->out, slice_bytes(head, 9));
    h2_answer_send(source->ptr, len);
    return 0;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_front *front = user;
    struct h2_stream *stream = session_stream(session, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->hd.stream_id > front->last_cut &&
        !nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id))
        front->last_cut = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR &&
        !(stream && stream->blameless) &&
        !h2_budget_spend(&front->budget, H2_EXPENSE_RESET, net_loop_now_ms(front->env->loop)))
        front->failure = NGHTTP2_ENHANCE_YOUR_CALM;
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    h2_budget_earn(&front->budget, H2_EXPENSE_CONTROL); /* clients measure the path of what they get by PING */
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        h2_stream_answer_sent(stream);
    return 0;
}

/* An answer that nghttp2 cannot write must not leave its stream open. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int err, void *user)
{
    struct h2_stream *stream = session_stream(session, frame->hd.stream_id);
    (void)err, (void)user;
    if (stream && frame->hd.type == NGHTTP2_HEADERS) {
        stream->blameless = true;
        h2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

/* ---- the session ---- */

static void *session_malloc(size_t size, void *user)
{
    (void)user;
    return mem_alloc(size);
}

static void session_free(void *ptr, void *user)
{
    (void)user;
    mem_free(ptr);
}

static void *session_calloc(size_t num, size_t size, void *user)
{
    (void)user;
    return mem_calloc(num, size);
}

static void *session_realloc(void *ptr, size_t size, void *user)
{
    (void)user;
    return mem_realloc(ptr, size);
}

/* Frames of unknown types are let go (RFC 9113 §5.5); they are asked for so that they are counted. */
static int on_unpack(nghttp2_session *session, void **payload, const nghttp2_frame_hd *hd, void *user)
{
    (void)session, (void)payload, (void)hd, (void)user;
    return NGHTTP2_ERR_CANCEL;
}

static nghttp2_session_callbacks *session_callbacks(void)
{
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        abort(); /* out of memory */
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unpack);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_not_sent);
    return callbacks;
}

static nghttp2_option *session_options(void)
{
    nghttp2_option *option;
    if (nghttp2_option_new(&option) != 0)
        abort(); /* out of memory */
    for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
        nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_send_header_block_length(
        option, (size_t)2 * LIMIT_RESPONSE_HEAD_BYTES); /* a bound by nghttp2's sums */
    nghttp2_option_set_max_outbound_ack(option, LIMIT_H2_ACKS);
    nghttp2_option_set_max_continuations(option, LIMIT_H2_CONTINUATIONS);
    return option;
}

static void session_submit_settings(nghttp2_session *session, const struct config *config)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, LIMIT_H2_STREAMS},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LIMIT_H2_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)config->client.max_header_bytes},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* RFC 8441 */
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},   /* RFC 9218 §2.1 */
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]);
}

nghttp2_session *h2_session_new(struct h2_front *front)
{
    nghttp2_mem mem = {
        .malloc = session_malloc, .free = session_free, .calloc = session_calloc, .realloc = session_realloc};
    nghttp2_session_callbacks *callbacks = session_callbacks();
    nghttp2_option *option = session_options();
    nghttp2_session *session;
    if (nghttp2_session_server_new3(&session, callbacks, front, option, &mem) != 0)
        abort(); /* out of memory */
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    session_submit_settings(session, front->env->config);
    return session;
}

uint32_t h2_session_error_code(int nghttp2_err)
{
    switch (nghttp2_err) {
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_SETTINGS:
    case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS: return NGHTTP2_ENHANCE_YOUR_CALM;
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC: return NGHTTP2_PROTOCOL_ERROR;
    default: return NGHTTP2_INTERNAL_ERROR;
    }
}
