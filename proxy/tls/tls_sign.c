#include "tls/tls_sign.h"

#include "base/mem.h"
#include "tls/tls_stream.h"

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

enum { SIGN_INPUT_BYTES = 512, SIGN_OUTPUT_BYTES = 1024 }; /* a transcript hash with its context; RSA-8192 */

/* One per handshake with an RSA key; freed by whoever is last: the stream, or the pool's `done`. */
struct sign_job {
    struct offload_job job;
    const struct tls_signer *signer;
    struct tls_stream *tls; /* NULL once the stream has gone */
    EVP_PKEY *key;
    uint16_t algorithm;
    bool in_pool, finished, ok;
    size_t input_len, output_len;
    uint8_t input[SIGN_INPUT_BYTES];
    uint8_t output[SIGN_OUTPUT_BYTES];
};

static void sign_free(struct sign_job *job)
{
    EVP_PKEY_free(job->key);
    mem_free(job);
}

static void sign_work(struct offload_job *offload)
{
    struct sign_job *job = container_of(offload, struct sign_job, job);
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *key_ctx;
    EVP_MD_CTX_init(&ctx);
    job->output_len = sizeof job->output;
    job->ok = EVP_DigestSignInit(&ctx, &key_ctx, SSL_get_signature_algorithm_digest(job->algorithm), NULL, job->key) == 1;
    if (job->ok && SSL_is_signature_algorithm_rsa_pss(job->algorithm))
        job->ok = EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, -1) == 1; /* as long as the digest */
    job->ok = job->ok && EVP_DigestSign(&ctx, job->output, &job->output_len, job->input, job->input_len) == 1;
    EVP_MD_CTX_cleanup(&ctx);
}

static void sign_done(struct offload_job *offload)
{
    struct sign_job *job = container_of(offload, struct sign_job, job);
    job->in_pool = false;
    job->finished = true;
    if (job->tls)
        tls_stream_resume(job->tls);
    else
        sign_free(job);
}

// NOLINTNEXTLINE(readability-non-const-parameter): BoringSSL's signature
static enum ssl_private_key_result_t sign_start(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
                                                uint16_t algorithm, const uint8_t *in, size_t in_len)
{
    struct sign_job *job = tls_stream_of_ssl(ssl)->job;
    (void)out, (void)out_len, (void)max_out;
    if (!job || in_len > sizeof job->input)
        return ssl_private_key_failure;
    job->algorithm = algorithm;
    memcpy(job->input, in, in_len);
    job->input_len = in_len;
    if (!offload_submit(job->signer->pool, job->signer->port, &job->job))
        return ssl_private_key_failure;
    job->in_pool = true;
    return ssl_private_key_retry;
}

static enum ssl_private_key_result_t sign_complete(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out)
{
    struct tls_stream *tls = tls_stream_of_ssl(ssl);
    struct sign_job *job = tls->job;
    if (!job->finished)
        return ssl_private_key_retry;
    if (!job->ok || job->output_len > max_out)
        return ssl_private_key_failure;
    memcpy(out, job->output, job->output_len);
    *out_len = job->output_len;
    tls_sign_detach(tls);
    return ssl_private_key_success;
}

const SSL_PRIVATE_KEY_METHOD tls_sign_method = {.sign = sign_start, .complete = sign_complete};

void tls_sign_use(struct tls_stream *tls, const struct tls_signer *signer, EVP_PKEY *key)
{
    tls_sign_detach(tls);
    struct sign_job *job = MEM_NEW(struct sign_job);
    job->job.work = sign_work;
    job->job.done = sign_done;
    job->signer = signer;
    job->tls = tls;
    EVP_PKEY_up_ref(key);
    job->key = key;
    tls->job = job;
}

void tls_sign_detach(struct tls_stream *tls)
{
    struct sign_job *job = tls->job;
    tls->job = NULL;
    if (!job)
        return;
    job->tls = NULL;
    if (!job->in_pool)
        sign_free(job);
}
