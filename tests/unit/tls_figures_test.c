/* How handshakes are counted: suites and reasons by their names, each in one place. */
#include "tls/tls_figures.h"

#include "check.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

static uint64_t suite_count(const struct counters *counters, const char *cipher, bool resumed)
{
    for (unsigned i = 0; i < NUM_TLS_SUITES; i++)
        if (strcmp(tls_suite_at(i).cipher, cipher) == 0)
            return counters_get(counters, (enum counter)(COUNTER_SUITES + i + (resumed ? NUM_TLS_SUITES : 0)));
    CHECK_STR(cipher, "one of the table");
    return 0;
}

static void suites_are_told_apart(void)
{
    struct counters counters = {0};
    tls_count_handshake(&counters, "TLS_AES_128_GCM_SHA256", false);
    tls_count_handshake(&counters, "TLS_AES_128_GCM_SHA256", true);
    tls_count_handshake(&counters, "TLS_AES_128_GCM_SHA256", true);
    tls_count_handshake(&counters, "TLS_NEVER_HEARD_OF", false);
    CHECK_INT(suite_count(&counters, "TLS_AES_128_GCM_SHA256", false), 1);
    CHECK_INT(suite_count(&counters, "TLS_AES_128_GCM_SHA256", true), 2);
    CHECK_INT(suite_count(&counters, "other", false), 1);
    CHECK_INT(counters_get(&counters, COUNTER_HANDSHAKES_FULL), 2);
    CHECK_INT(counters_get(&counters, COUNTER_HANDSHAKES_RESUMED), 2);
}

/* Whatever suite is offered has a name of its own here. */
static void every_suite_that_we_offer_is_known(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    CHECK(SSL_CTX_set_strict_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
                                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"));
    const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(ctx);
    CHECK_INT(sk_SSL_CIPHER_num(ciphers), 6);
    for (size_t i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
        struct counters counters = {0};
        const char *name = SSL_CIPHER_standard_name(sk_SSL_CIPHER_value(ciphers, i));
        tls_count_handshake(&counters, name, false);
        CHECK_INT(suite_count(&counters, name, false), 1);
    }
    SSL_CTX_free(ctx);
}

static const char *counted_reason(struct err err, enum tls_ending ending)
{
    struct counters counters = {0};
    const char *reason = NULL;
    tls_count_failure(&counters, err, ending);
    CHECK_INT(counters_get(&counters, COUNTER_HANDSHAKES_FAILED), 1);
    for (unsigned i = 0; i < NUM_TLS_FAILURES; i++)
        if (counters_get(&counters, (enum counter)(COUNTER_TLS_FAILURES + i))) {
            CHECK(reason == NULL);
            reason = tls_failure_text(i);
        }
    return reason;
}

static struct err tls_error(int reason)
{
    return err_make(ERR_TLS, (int)ERR_PACK(ERR_LIB_SSL, reason), "TLS handshake");
}

static void reasons(void)
{
    CHECK_STR(counted_reason(tls_error(SSL_R_PARSE_TLSEXT), TLS_ENDED_BY_ERR), "unknown_name");
    CHECK_STR(counted_reason(tls_error(SSL_R_UNSUPPORTED_PROTOCOL), TLS_ENDED_BY_ERR), "no_shared_parameters");
    CHECK_STR(counted_reason(tls_error(SSL_R_NO_SHARED_CIPHER), TLS_ENDED_BY_ERR), "no_shared_parameters");
    CHECK_STR(counted_reason(tls_error(SSL_R_CERTIFICATE_VERIFY_FAILED), TLS_ENDED_BY_ERR), "client_certificate");
    CHECK_STR(counted_reason(ERR_OK, TLS_ENDED_AS_OTHER_PROTOCOL), "not_tls");
    CHECK_STR(counted_reason(tls_error(SSL_R_TLSV1_ALERT_UNKNOWN_CA), TLS_ENDED_BY_ERR), "client_alert");
    CHECK_STR(counted_reason(tls_error(SSL_R_DECODE_ERROR), TLS_ENDED_BY_ERR), "protocol");
    CHECK_STR(counted_reason(err_make(ERR_SYSTEM, 104, "read"), TLS_ENDED_BY_ERR), "closed");
    CHECK_STR(counted_reason(ERR_OK, TLS_ENDED_BY_ERR), "closed");
    CHECK_STR(counted_reason(err_make(ERR_TLS, 0, "read TLS"), TLS_ENDED_BY_ERR), "other");
    CHECK_STR(counted_reason(ERR_OK, TLS_ENDED_BY_TIME), "timeout");
}

int main(void)
{
    RUN(suites_are_told_apart);
    RUN(every_suite_that_we_offer_is_known);
    RUN(reasons);
    return checks_done();
}
