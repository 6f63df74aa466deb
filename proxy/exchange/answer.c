#include "exchange/answer.h"

#include "exchange/compress.h"
#include "exchange/exchange_internal.h"
#include "http/hop.h"

struct fields answer_fields(struct exchange *x, const struct head *head)
{
    struct fields fields = {0};
    struct slice hsts = x->identity.secure && head->status >= 200 ? x->config->tls.hsts : SLICE_NONE;
    exchange_count_dropped(x, hop_response_fields(head, &x->arena, &fields));
    if (hsts.len) {
        fields_remove(&fields, FIELD_STRICT_TRANSPORT_SECURITY);
        fields_put(&fields, &x->arena,
                   (struct field){SLICE_LIT("Strict-Transport-Security"), hsts, FIELD_STRICT_TRANSPORT_SECURITY});
    }
    if (head->status >= 200)
        identity_response_fields(x, &x->arena, &fields);
    return fields;
}

static struct compress_plan answer_plan(struct exchange *x, const struct head *head)
{
    struct compress_plan plan = compress_decide(x->config, x->head, head);
    uint64_t length = head->length_given ? head->length : ENCODER_LENGTH_UNKNOWN;
    if (plan.verdict != COMPRESS_NOW || head->body == BODY_NONE) /* the answer to HEAD has none */
        return plan;
    x->encoder = encoder_new(plan.encoding, length, &x->env->encoders);
    if (!x->encoder)
        plan.verdict = COMPRESS_VARIES;
    return plan;
}

const struct head *answer_begin(struct exchange *x, const struct head *head, struct fields *fields)
{
    struct compress_plan plan = answer_plan(x, head);
    compress_fields(&plan, fields, &x->arena);
    if (plan.verdict != COMPRESS_NOW)
        return head;
    struct head *framing = arena_alloc(&x->arena, sizeof *framing);
    *framing = *head;
    framing->body = head->body == BODY_NONE ? BODY_NONE : BODY_CHUNKED;
    framing->length_given = false;
    return framing;
}

static void answer_pass(struct exchange *x, struct slice bytes)
{
    x->answer_bytes += bytes.len;
    if (bytes.len && !x->front->ops->body(x->front, bytes) && x->upstream)
        x->upstream->ops->read_stop(x->upstream);
}

static struct err answer_pass_encoded(struct exchange *x, struct err err, struct buf *out)
{
    if (!err_is(err)) {
        counters_add(x->env->counters, COUNTER_COMPRESSED_BYTES_OUT, out->len);
        answer_pass(x, buf_slice(out));
    }
    buf_cleanup(out);
    return err;
}

struct err answer_send(struct exchange *x, struct slice bytes)
{
    struct buf out = {0};
    if (!x->encoder) {
        answer_pass(x, bytes);
        return ERR_OK;
    }
    counters_add(x->env->counters, COUNTER_COMPRESSED_BYTES_IN, bytes.len);
    return answer_pass_encoded(x, encoder_feed(x->encoder, bytes, &out), &out);
}

void answer_flush(struct exchange *x)
{
    struct buf out = {0};
    if (!x->encoder)
        return;
    struct err err = answer_pass_encoded(x, encoder_flush(x->encoder, &out), &out);
    (void)err; /* it fails again */
}

struct err answer_finish(struct exchange *x)
{
    struct buf out = {0};
    return x->encoder ? answer_pass_encoded(x, encoder_end(x->encoder, &out), &out) : ERR_OK;
}

void answer_drop(struct exchange *x)
{
    encoder_free(x->encoder);
    x->encoder = NULL;
}
