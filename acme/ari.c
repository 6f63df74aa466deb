#include "acme/ari.h"

#include "acme/engine.h"
#include "acme/retry_after.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/url.h"

/* ---- the document ---- */

/* What is no URL for a person to visit is left out: it is shown and logged as it came. */
static struct slice ari_explanation(struct arena *arena, const struct json *json)
{
    struct slice text = json_get_string(json, "explanationURL");
    struct url url;
    bool fit = text.len > 0 && text.len <= ARI_MAX_URL_BYTES && !err_is(url_parse(text, &url));
    return fit ? arena_copy(arena, text) : SLICE_LIT("");
}

struct err ari_read(struct arena *arena, struct slice body, struct ari_window *out_window)
{
    struct json *json = NULL;
    int64_t start_s = 0, end_s = 0;
    struct err err = json_parse(arena, body, LIMIT_JSON_BYTES, &json);
    if (err_is(err))
        return err_make(ERR_INPUT, err.code, "the CA's renewal information is not JSON");
    const struct json *window = json_get(json, "suggestedWindow");
    if (!clock_parse_rfc3339(json_get_string(window, "start"), &start_s) ||
        !clock_parse_rfc3339(json_get_string(window, "end"), &end_s))
        return err_make(ERR_INPUT, 0, "the CA's renewal information has no window, or one without dates");
    if (end_s <= start_s) /* ACME-94 */
        return err_make(ERR_INPUT, 0, "the CA's window for a renewal ends before it begins");
    *out_window = (struct ari_window){start_s * 1000, end_s * 1000, ari_explanation(arena, json)};
    return ERR_OK;
}

int64_t ari_ask_again_ms(const struct acme_reply *reply, int64_t now_s)
{
    int64_t wait_ms = retry_after_ms(reply->retry_after, reply->date, now_s);
    if (wait_ms == 0)
        return ARI_ASK_DEFAULT_MS;
    if (wait_ms < ARI_ASK_MIN_MS)
        return ARI_ASK_MIN_MS;
    return wait_ms < ARI_ASK_MAX_MS ? wait_ms : ARI_ASK_MAX_MS;
}

/* ---- the question ---- */

static struct acme_ari_query *ari_of_call(struct acme_call *call)
{
    return container_of(call, struct acme_ari_query, call);
}

static void ari_answered(struct request *request, const struct acme_reply *reply)
{
    struct acme_call *call = container_of(request, struct acme_call, request);
    struct acme_ari_answer *answer = &ari_of_call(call)->answer;
    if (err_is(reply->err) || reply->status != 200) {
        call_fail_reply(call, reply, PROBLEM_AT_ORDER);
        return;
    }
    struct err err = ari_read(&call->arena, reply->body, &answer->window);
    if (err_is(err)) {
        call_fail_with(call, PROBLEM_TRANSIENT, err, err.what);
        return;
    }
    answer->kind = ARI_WINDOW;
    answer->retry_after_ms = ari_ask_again_ms(reply, acme_wall_s(call->acme));
    call_end(call);
}

static void ari_ready(struct acme_call *call)
{
    struct acme_ari_query *query = ari_of_call(call);
    struct slice base = call->acme->directory.renewal_info;
    struct buf url = {0};
    if (!base.ptr) { /* ACME-91 */
        query->answer.kind = ARI_NONE;
        query->answer.retry_after_ms = ARI_ASK_DEFAULT_MS;
        call_end(call);
        return;
    }
    buf_append_slice(&url, base);
    if (!slice_ends(base, SLICE_LIT("/")))
        buf_append_char(&url, '/');
    buf_append_slice(&url, buf_slice(&query->id));
    if (request_url_is_valid(buf_slice(&url)))
        request_send(&call->request, call->acme, REQUEST_PLAIN, buf_slice(&url), SLICE_LIT(""), false, ari_answered);
    else
        call_fail_with(call, PROBLEM_TRANSIENT, err_make(ERR_INPUT, 0, "renewalInfo"),
                       "the URL of the CA's renewal information is too long");
    buf_cleanup(&url);
}

static void ari_cleanup(struct acme_call *call)
{
    buf_cleanup(&ari_of_call(call)->id);
}

static void ari_tell(struct acme_call *call)
{
    struct acme_ari_query *query = ari_of_call(call);
    struct acme_ari_answer answer = query->answer;
    struct problem problem = call->problem;
    if (call->failed)
        answer = (struct acme_ari_answer){.kind = ARI_FAILED, .problem = &problem};
    query->done(query, &answer);
}

void acme_ari_ask(struct acme *acme, struct acme_ari_query *query, struct slice id,
                  void (*done)(struct acme_ari_query *query, const struct acme_ari_answer *answer))
{
    *query =
        (struct acme_ari_query){.call = {.ready = ari_ready, .tell = ari_tell, .cleanup = ari_cleanup}, .done = done};
    buf_append_slice(&query->id, id);
    call_start(&query->call, acme, DIRECTORY_WANTED);
}

void acme_ari_cancel(struct acme_ari_query *query)
{
    call_cancel(&query->call);
}
