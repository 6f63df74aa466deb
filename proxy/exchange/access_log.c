#include "exchange/access_log.h"

#include "exchange/access_line.h"
#include "exchange/exchange_internal.h"

enum { ACCESS_LINE_BYTES = 1024 }; /* most lines are shorter: one allocation */

/* The query may carry secrets, and so may a fragment: neither is logged. */
static struct slice access_bare_url(struct slice url)
{
    struct slice bare = slice_split(&url, '?');
    return slice_split(&bare, '#');
}

/* A target that was refused is as it came: an absolute one may have userinfo. */
static struct slice access_path(struct slice target)
{
    bool origin_form = target.len && (target.ptr[0] == '/' || slice_eq(target, SLICE_LIT("*")));
    return origin_form ? access_bare_url(target) : SLICE_NONE;
}

static const char *access_protocol(const struct head *head)
{
    return head->version == 20 ? "HTTP/2.0" : head->version == 10 ? "HTTP/1.0" : "HTTP/1.1";
}

/* Without query and fragment; nothing of a URL with userinfo, which no browser sends: an @ in or before its host. */
static struct slice access_referer(const struct head *head)
{
    struct slice url = access_bare_url(head_get(head, FIELD_REFERER)), rest = url;
    for (unsigned i = 0; i < 3 && rest.len; i++) { /* "https:", "", "host" */
        struct slice part = slice_split(&rest, '/');
        if (part.len && memchr(part.ptr, '@', part.len))
            return SLICE_NONE;
    }
    return url;
}

static void access_json_request(const struct exchange *x, struct json_writer *w)
{
    access_line_put(w, "client", x->identity.client_ip);
    if (x->identity.forwarded.num_hops)
        access_line_put(w, "peer", x->client->peer);
    access_line_put(w, "user", x->identity.user);
    if (x->client->identity)
        access_line_put(w, "client_subject", x->client->identity->subject);
    if (!x->head)
        return;
    access_line_put(w, "method", x->head->method_name);
    access_line_put(w, "host", x->head->host);
    access_line_put(w, "path", access_path(x->head->target));
    json_put_str(w, "protocol", access_protocol(x->head));
    json_put_str(w, "scheme", x->identity.secure ? "https" : "http");
}

static void access_json_tls(const struct exchange *x, struct json_writer *w)
{
    if (!x->client->tls_version)
        return;
    json_put_str(w, "tls", x->client->tls_version);
    access_line_put(w, "tls_cipher", slice_str(x->client->tls_cipher));
    json_put_bool(w, "tls_resumed", x->client->tls_resumed);
    access_line_put(w, "alpn", x->client->alpn);
}

static void access_json_upstream(const struct exchange *x, struct json_writer *w)
{
    access_line_put(w, "upstream", x->backend_text);
    if (x->connected_ms && x->upstream_reused)
        json_put_bool(w, "upstream_reused", true);
    else if (x->connected_ms)
        json_put_int(w, "connect_ms", (int64_t)(x->connected_ms - x->asked_ms));
    if (x->head_ms)
        json_put_int(w, "upstream_ms", (int64_t)(x->head_ms - x->connected_ms));
    if (x->num_retries)
        json_put_int(w, "retries", x->num_retries);
}

static void access_json_end(const struct exchange *x, struct json_writer *w)
{
    access_line_put(w, "request_id", x->identity.request_id);
    access_line_put(w, "trace_id", x->identity.trace_id);
    if (x->aborted)
        json_put_bool(w, "aborted", true);
    if (x->failure)
        json_put_str(w, "failure", x->failure);
    if (!x->head)
        return;
    access_line_put(w, "user_agent", head_get(x->head, FIELD_USER_AGENT));
    access_line_put(w, "referer", access_referer(x->head));
}

static void access_json(const struct exchange *x, struct buf *out)
{
    char time[CLOCK_TEXT_BYTES];
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "ts", clock_rfc3339(x->started_wall_ms, time));
    json_put_str(&w, "event", "access");
    access_json_request(x, &w);
    json_put_int(&w, "status", x->status);
    json_put_int(&w, "duration_ms", (int64_t)(net_loop_now_ms(x->env->loop) - x->started_ms));
    json_put_int(&w, "bytes_in", (int64_t)x->request_bytes);
    json_put_int(&w, "bytes_out", (int64_t)x->answer_bytes);
    access_json_tls(x, &w);
    access_json_upstream(x, &w);
    access_json_end(x, &w);
    json_end_object(&w);
}

/* NCSA common: host ident user [time] "request" status bytes; combined adds referer and user agent. */
static void access_ncsa(const struct exchange *x, bool combined, struct buf *out)
{
    access_line_begin_ncsa(out, x->identity.client_ip, x->identity.user, x->started_wall_ms);
    if (x->head) {
        access_line_append(out, x->head->method_name);
        buf_append_char(out, ' ');
        access_line_append(out, access_path(x->head->target));
        buf_append_char(out, ' ');
        buf_append_str(out, access_protocol(x->head));
    } else {
        buf_append_char(out, '-');
    }
    buf_append_str(out, "\" ");
    buf_append_u64(out, x->status);
    buf_append_char(out, ' ');
    buf_append_u64(out, x->answer_bytes);
    if (!combined)
        return;
    buf_append_str(out, " \"");
    access_line_append(out, x->head ? access_referer(x->head) : SLICE_NONE);
    buf_append_str(out, "\" \"");
    access_line_append(out, x->head ? head_get(x->head, FIELD_USER_AGENT) : SLICE_NONE);
    buf_append_char(out, '"');
}

void access_log_write(const struct exchange *x)
{
    struct buf line = {0};
    if (x->config->log.access == CONFIG_ACCESS_OFF)
        return;
    buf_reserve(&line, ACCESS_LINE_BYTES);
    switch (x->config->log.access) {
    case CONFIG_ACCESS_OFF: break;
    case CONFIG_ACCESS_JSON: access_json(x, &line); break;
    case CONFIG_ACCESS_COMMON: access_ncsa(x, false, &line); break;
    case CONFIG_ACCESS_COMBINED: access_ncsa(x, true, &line); break;
    }
    log_line(x->env->log, buf_slice(&line));
    buf_cleanup(&line);
}
