#include "tls/tls_stream.h"

#include "base/mem.h"
#include "tls/tls_client.h"
#include "tls/tls_err.h"
#include "tls/tls_identity.h"
#include "tls/tls_sign.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdlib.h>

enum {
    TLS_RECORD_BYTES = 16 * 1024, /* the most that one record carries */
    TLS_FLUSH_BYTES = 16 * 1024   /* more than this in one write goes to the socket at once: bulk */
};

static const struct stream_ops tls_stream_ops;
static const struct sink_ops tls_lower_ops;

static struct tls_stream *tls_of(const struct stream *stream)
{
    return container_of(stream, struct tls_stream, base);
}

static struct tls_stream *tls_of_lower(struct sink *sink)
{
    return container_of(sink, struct tls_stream, lower);
}

/* ---- BIO: BoringSSL's view of the transport ---- */

static int tls_bio_read(BIO *bio, char *out, int len)
{
    struct tls_stream *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (tls->input.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = (size_t)len < tls->input.len ? (size_t)len : tls->input.len;
    memcpy(out, tls->input.ptr, take);
    tls->input = slice_skip(tls->input, take);
    return (int)take;
}

static int tls_bio_write(BIO *bio, const char *bytes, int len)
{
    struct tls_stream *tls = BIO_get_data(bio);
    outbuf_append(&tls->loop->outbuf, tls->transport, slice_make(bytes, (size_t)len));
    return len;
}

static long tls_bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio, (void)number, (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static int tls_bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method_new(void)
{
    BIO_METHOD *method = BIO_meth_new(0, "tls_stream");
    if (!method)
        abort(); /* out of memory */
    BIO_meth_set_read(method, tls_bio_read);
    BIO_meth_set_write(method, tls_bio_write);
    BIO_meth_set_ctrl(method, tls_bio_ctrl);
    BIO_meth_set_create(method, tls_bio_create);
    return method;
}

SSL *tls_ssl_new(SSL_CTX *ctx, const BIO_METHOD *method)
{
    SSL *ssl = SSL_new(ctx);
    BIO *bio = BIO_new(method);
    if (!ssl || !bio)
        abort(); /* out of memory */
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

/* ---- the end ---- */

/* Our side ends: whatever alert or close_notify BoringSSL has written goes out first. */
static void tls_end(struct tls_stream *tls, struct err failure)
{
    if (tls->state == TLS_ENDING)
        return;
    tls->state = TLS_ENDING;
    tls->failure = failure;
    deferred_stop(&tls->deliver);
    buf_cleanup(&tls->kept_cipher);
    buf_cleanup(&tls->kept_plain);
    tls_sign_detach(tls);
    stream_close(tls->transport);
}

static void tls_lower_closed(struct sink *sink, struct err err)
{
    struct tls_stream *tls = tls_of_lower(sink);
    struct err failure = err_is(tls->failure) || tls->state == TLS_ENDING ? tls->failure : err;
    tls->state = TLS_ENDING;
    deferred_stop(&tls->deliver);
    tls_sign_detach(tls);
    buf_cleanup(&tls->kept_cipher);
    buf_cleanup(&tls->kept_plain);
    SSL_free(tls->ssl);
    tls->ssl = NULL;
    tls_identity_free(tls->identity);
    tls->identity = NULL;
    mem_free(tls->address_name);
    tls->address_name = NULL;
    tls->base.sink->ops->closed(tls->base.sink, failure);
}

/* ---- reading ---- */

static void tls_tell_input_end(struct tls_stream *tls)
{
    if (tls->input_end == TLS_INPUT_OPEN || tls->input_end_told || !tls->reading || tls->state != TLS_OPEN)
        return;
    tls->input_end_told = true;
    if (tls->input_end == TLS_INPUT_EOF)
        tls->base.sink->ops->eof(tls->base.sink);
    else
        tls->base.sink->ops->truncated(tls->base.sink);
}

static void tls_set_input_end(struct tls_stream *tls, enum tls_input_end end)
{
    if (tls->input_end == TLS_INPUT_OPEN)
        tls->input_end = end;
    if (tls->kept_plain.len == 0)
        tls_tell_input_end(tls);
}

static void tls_give(struct tls_stream *tls, struct slice plain)
{
    if (tls->state != TLS_OPEN)
        return; /* the consumer closed within an earlier data event */
    if (tls->reading && tls->kept_plain.len == 0)
        tls->base.sink->ops->data(tls->base.sink, plain);
    else
        buf_append_slice(&tls->kept_plain, plain);
}

/* Fills the loop's plaintext buffer from the input; returns SSL_read's last result. */
static int tls_fill(struct tls_stream *tls, size_t *out_len)
{
    size_t len = 0;
    int got = 1;
    while (len < READ_BUFFER_BYTES &&
           (got = SSL_read(tls->ssl, tls->loop->plain_bytes + len, (int)(READ_BUFFER_BYTES - len))) > 0)
        len += (size_t)got;
    *out_len = len;
    return got;
}

static void tls_decrypt(struct tls_stream *tls)
{
    int got = 1;
    while (got > 0 && tls->state == TLS_OPEN) {
        size_t len;
        if (tls->loop->plain_busy)
            abort(); /* decryption never nests: the buffer is one per loop */
        ERR_clear_error();
        got = tls_fill(tls, &len);
        int error = got > 0 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, got);
        struct err failure = error == SSL_ERROR_SSL ? tls_err_take("read TLS") : ERR_OK;
        tls->loop->plain_busy = true;
        if (len)
            tls_give(tls, slice_make(tls->loop->plain_bytes, len));
        tls->loop->plain_busy = false;
        if (tls->state != TLS_OPEN)
            return;
        if (error == SSL_ERROR_ZERO_RETURN)
            tls_set_input_end(tls, TLS_INPUT_EOF);
        else if (error != SSL_ERROR_NONE && error != SSL_ERROR_WANT_READ)
            tls_end(tls, err_is(failure) ? failure : err_make(ERR_TLS, 0, "read TLS"));
    }
}

static void tls_park(struct tls_stream *tls)
{
    tls->state = TLS_PARKED;
    buf_append_slice(&tls->kept_cipher, tls->input);
    tls->input = SLICE_NONE;
    stream_read_stop(tls->transport);
}

static void tls_handshake(struct tls_stream *tls)
{
    ERR_clear_error();
    int done = SSL_do_handshake(tls->ssl);
    if (done == 1) {
        tls->state = TLS_OPEN;
        tls_sign_detach(tls); /* a resumed handshake signs nothing */
        tls->established(tls);
        if (tls->state == TLS_OPEN && !tls->reading)
            stream_read_stop(tls->transport);
        return;
    }
    switch (SSL_get_error(tls->ssl, done)) {
    case SSL_ERROR_WANT_READ: return;
    case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
    case SSL_ERROR_PENDING_CERTIFICATE: tls_park(tls); return;
    default:
        if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED && !SSL_is_server(tls->ssl))
            tls->refusal = tls_client_refusal(tls->ssl); /* the SSL is gone when `closed` comes */
        tls_end(tls, tls_err_take("TLS handshake"));
    }
}

static void tls_take_input(struct tls_stream *tls, struct slice cipher)
{
    tls->input = cipher;
    if (tls->state == TLS_HANDSHAKING)
        tls_handshake(tls);
    if (tls->state == TLS_OPEN)
        tls_decrypt(tls);
    tls->input = SLICE_NONE;
}

static void tls_lower_data(struct sink *sink, struct slice bytes)
{
    struct tls_stream *tls = tls_of_lower(sink);
    if (tls->state == TLS_PARKED)
        buf_append_slice(&tls->kept_cipher, bytes); /* the rest of a slice that was on its way */
    else
        tls_take_input(tls, bytes);
}

static void tls_lower_eof(struct sink *sink)
{
    struct tls_stream *tls = tls_of_lower(sink);
    if (tls->state == TLS_OPEN)
        tls_set_input_end(tls, TLS_INPUT_TRUNCATED); /* no effect behind a close_notify */
    else
        tls_end(tls, err_make(ERR_EOF, 0, "TLS handshake"));
}

static void tls_lower_drained(struct sink *sink)
{
    struct tls_stream *tls = tls_of_lower(sink);
    if (tls->state == TLS_OPEN)
        tls->base.sink->ops->drained(tls->base.sink);
}

static const struct sink_ops tls_lower_ops = {
    .data = tls_lower_data,
    .eof = tls_lower_eof,
    .truncated = tls_lower_eof,
    .drained = tls_lower_drained,
    .closed = tls_lower_closed,
};

/* Runs with an empty stack: a parked handshake goes on, or what was kept is delivered. */
static void tls_deliver(struct deferred *deferred)
{
    struct tls_stream *tls = container_of(deferred, struct tls_stream, deliver);
    if (tls->state == TLS_PARKED) {
        struct buf cipher = tls->kept_cipher;
        tls->kept_cipher = (struct buf){0};
        tls->state = TLS_HANDSHAKING;
        stream_read_start(tls->transport);
        tls_take_input(tls, buf_slice(&cipher));
        buf_cleanup(&cipher);
        return;
    }
    if (tls->state != TLS_OPEN || !tls->reading)
        return;
    struct buf plain = tls->kept_plain;
    tls->kept_plain = (struct buf){0};
    if (plain.len)
        tls->base.sink->ops->data(tls->base.sink, buf_slice(&plain));
    buf_cleanup(&plain);
    if (tls->state != TLS_OPEN || !tls->reading)
        return;
    tls_tell_input_end(tls);
    if (tls->state == TLS_OPEN && tls->reading && tls->input_end == TLS_INPUT_OPEN)
        stream_read_start(tls->transport);
}

void tls_stream_resume(struct tls_stream *tls)
{
    if (tls->state == TLS_PARKED)
        deferred_start(tls->loop, &tls->deliver);
}

static void tls_read_start(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->reading || tls->state == TLS_ENDING)
        return;
    tls->reading = true;
    if (tls->state != TLS_OPEN)
        return;
    if (tls->kept_plain.len || tls->input_end != TLS_INPUT_OPEN)
        deferred_start(tls->loop, &tls->deliver);
    else
        stream_read_start(tls->transport);
}

static void tls_read_stop(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    if (!tls->reading)
        return;
    tls->reading = false;
    if (tls->state == TLS_OPEN)
        stream_read_stop(tls->transport);
}

/* ---- writing ---- */

static bool tls_encrypt(struct tls_stream *tls, struct slice plain)
{
    while (plain.len && tls->state == TLS_OPEN) {
        ERR_clear_error();
        int take = plain.len > READ_BUFFER_BYTES ? READ_BUFFER_BYTES : (int)plain.len;
        int put = SSL_write(tls->ssl, plain.ptr, take);
        if (put <= 0) { /* our BIO takes everything, so this is a broken connection */
            tls_end(tls, tls_err_take("write TLS"));
            return false;
        }
        plain = slice_skip(plain, (size_t)put);
    }
    return true;
}

static size_t tls_queued(const struct stream *stream)
{
    const struct tls_stream *tls = tls_of(stream);
    const struct outbuf *outbuf = &tls->loop->outbuf;
    return stream_queued_bytes(tls->transport) + (outbuf->owner == tls->transport ? outbuf->len : 0);
}

static bool tls_writev(struct stream *stream, const struct slice *parts, size_t num_parts)
{
    struct tls_stream *tls = tls_of(stream);
    char record[TLS_RECORD_BYTES]; /* small parts share one record */
    size_t record_len = 0, total = 0;
    if (tls->state != TLS_OPEN || tls->write_ended)
        return true;
    for (size_t i = 0; i < num_parts; i++) {
        struct slice part = parts[i];
        total += part.len;
        if (record_len + part.len > sizeof record) {
            if (!tls_encrypt(tls, slice_make(record, record_len)))
                return true;
            record_len = 0;
        }
        if (part.len > sizeof record / 2 || (num_parts == 1 && record_len == 0)) {
            if (!tls_encrypt(tls, slice_make(record, record_len)) || !tls_encrypt(tls, part))
                return true;
            record_len = 0;
        } else if (part.len) {
            memcpy(record + record_len, part.ptr, part.len);
            record_len += part.len;
        }
    }
    if (!tls_encrypt(tls, slice_make(record, record_len)))
        return true;
    /* What gathers there counts as queued, or many small writes of one turn would pass the mark unseen; only the
     * transport's own queue tells when it has drained. */
    if (total >= TLS_FLUSH_BYTES || tls_queued(stream) > FLOW_HIGH_BYTES)
        outbuf_flush_stream(&tls->loop->outbuf, tls->transport);
    return stream_queued_bytes(tls->transport) <= FLOW_HIGH_BYTES;
}

static void tls_end_writing(struct tls_stream *tls)
{
    if (tls->write_ended || tls->state != TLS_OPEN)
        return;
    tls->write_ended = true;
    ERR_clear_error();
    SSL_shutdown(tls->ssl); /* writes close_notify; what it returns is about the peer's */
}

static void tls_shutdown(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->state != TLS_OPEN)
        return;
    tls_end_writing(tls);
    stream_shutdown(tls->transport);
}

static void tls_close(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    tls_end_writing(tls);
    tls_end(tls, ERR_OK);
}

static void tls_reset(struct stream *stream)
{
    struct tls_stream *tls = tls_of(stream);
    if (tls->state != TLS_ENDING) {
        tls->failure = ERR_OK;
        tls->state = TLS_ENDING;
        deferred_stop(&tls->deliver);
        tls_sign_detach(tls);
    }
    stream_reset(tls->transport);
}

static const struct stream_ops tls_stream_ops = {
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .writev = tls_writev,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .reset = tls_reset,
    .queued_bytes = tls_queued,
};

/* ---- the beginning ---- */

void tls_stream_open(struct tls_stream *tls, struct net_loop *loop, struct stream *transport, SSL *ssl,
                     void (*established)(struct tls_stream *tls))
{
    struct sink *sink = tls->base.sink;
    *tls = (struct tls_stream){.base = {.ops = &tls_stream_ops, .sink = sink},
                               .lower = {.ops = &tls_lower_ops},
                               .transport = transport,
                               .loop = loop,
                               .ssl = ssl,
                               .established = established};
    deferred_init(&tls->deliver, tls_deliver);
    BIO_set_data(SSL_get_rbio(ssl), tls);
    SSL_set_app_data(ssl, tls);
    transport->sink = &tls->lower;
    stream_read_start(transport);
    if (!SSL_is_server(ssl))
        tls_handshake(tls); /* the ClientHello; cannot establish or fail yet */
}

struct tls_stream *tls_stream_of_ssl(const SSL *ssl)
{
    return SSL_get_app_data(ssl);
}
