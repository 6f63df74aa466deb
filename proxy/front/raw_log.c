#include "front/raw_log.h"

#include "exchange/access_line.h"
#include "front/raw_front.h"

static void raw_log_json(const struct raw_front *front, struct buf *out)
{
    char time[CLOCK_TEXT_BYTES];
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "ts", clock_rfc3339(front->started_wall_ms, time));
    json_put_str(&w, "event", "access");
    access_line_put(&w, "client", front->client->peer);
    access_line_put(&w, "host", front->client->server_name);
    json_put_str(&w, "protocol", "tcp");
    json_put_int(&w, "duration_ms", (int64_t)(net_loop_now_ms(front->env->loop) - front->started_ms));
    json_put_int(&w, "bytes_in", (int64_t)front->bytes_in);
    json_put_int(&w, "bytes_out", (int64_t)front->bytes_out);
    json_put_str(&w, "tls", front->client->tls_version);
    json_put_bool(&w, "tls_resumed", front->client->tls_resumed);
    access_line_put(&w, "upstream", front->backend_text);
    if (front->failure) {
        json_put_bool(&w, "aborted", true);
        json_put_str(&w, "failure", front->failure);
    }
    json_end_object(&w);
}

/* There is no request: its place tells the protocol and the name, and no status. */
static void raw_log_ncsa(const struct raw_front *front, bool combined, struct buf *out)
{
    access_line_begin_ncsa(out, front->client->peer, SLICE_NONE, front->started_wall_ms);
    buf_append_str(out, "tcp ");
    access_line_append(out, front->client->server_name);
    buf_append_str(out, "\" - ");
    buf_append_u64(out, front->bytes_out);
    if (combined)
        buf_append_str(out, " \"-\" \"-\"");
}

void raw_log_write(const struct raw_front *front)
{
    struct buf line = {0};
    switch (front->config->log.access) {
    case CONFIG_ACCESS_OFF: return;
    case CONFIG_ACCESS_JSON: raw_log_json(front, &line); break;
    case CONFIG_ACCESS_COMMON: raw_log_ncsa(front, false, &line); break;
    case CONFIG_ACCESS_COMBINED: raw_log_ncsa(front, true, &line); break;
    }
    log_line(front->env->log, buf_slice(&line));
    buf_cleanup(&line);
}
