#include "tls/tls_figures.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

static const struct tls_suite suites[NUM_TLS_SUITES] = {
    {"TLSv1.3", "TLS_AES_128_GCM_SHA256"},
    {"TLSv1.3", "TLS_AES_256_GCM_SHA384"},
    {"TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256"},
    {"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
    {"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
    {"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
    {"TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
    {"TLSv1.2", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"},
    {"TLSv1.2", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"},
    {"other", "other"},
};

enum failure {
    FAILURE_UNKNOWN_NAME,
    FAILURE_NO_SHARED_PARAMETERS, /* version, suite, group or signature */
    FAILURE_CLIENT_CERTIFICATE,
    FAILURE_CLIENT_ALERT, /* it did not like what we showed */
    FAILURE_NOT_TLS,
    FAILURE_CLOSED, /* the client left, or its connection broke */
    FAILURE_TIMEOUT,
    FAILURE_PROTOCOL, /* what it sent breaks the rules */
    FAILURE_OTHER
};

static const char *const failure_texts[NUM_TLS_FAILURES] = {
    [FAILURE_UNKNOWN_NAME] = "unknown_name",
    [FAILURE_NO_SHARED_PARAMETERS] = "no_shared_parameters",
    [FAILURE_CLIENT_CERTIFICATE] = "client_certificate",
    [FAILURE_CLIENT_ALERT] = "client_alert",
    [FAILURE_NOT_TLS] = "not_tls",
    [FAILURE_CLOSED] = "closed",
    [FAILURE_TIMEOUT] = "timeout",
    [FAILURE_PROTOCOL] = "protocol",
    [FAILURE_OTHER] = "other",
};

static enum failure failure_of_reason(int reason)
{
    switch (reason) {
    case SSL_R_PARSE_TLSEXT: return FAILURE_UNKNOWN_NAME; /* what a refusing servername callback ends in (tls_select) */
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUP:
    case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS: return FAILURE_NO_SHARED_PARAMETERS;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return FAILURE_CLIENT_CERTIFICATE;
    default: return reason >= SSL_AD_REASON_OFFSET ? FAILURE_CLIENT_ALERT : FAILURE_PROTOCOL;
    }
}

static enum failure failure_of(struct err err, enum tls_ending ending)
{
    if (ending == TLS_ENDED_BY_TIME)
        return FAILURE_TIMEOUT;
    if (ending == TLS_ENDED_AS_OTHER_PROTOCOL)
        return FAILURE_NOT_TLS;
    if (err.kind != ERR_TLS)
        return FAILURE_CLOSED;
    if (err.code == 0)
        return FAILURE_OTHER;
    return ERR_GET_LIB((uint32_t)err.code) == ERR_LIB_SSL ? failure_of_reason(ERR_GET_REASON((uint32_t)err.code))
                                                          : FAILURE_PROTOCOL;
}

void tls_count_handshake(struct counters *counters, const char *cipher, bool resumed)
{
    int suite = 0;
    while (suite < NUM_TLS_SUITES - 1 && strcmp(suites[suite].cipher, cipher) != 0)
        suite++;
    counters_add(counters, resumed ? COUNTER_HANDSHAKES_RESUMED : COUNTER_HANDSHAKES_FULL, 1);
    counters_add(counters, (enum counter)(COUNTER_SUITES + suite + (resumed ? NUM_TLS_SUITES : 0)), 1);
}

void tls_count_failure(struct counters *counters, struct err err, enum tls_ending ending)
{
    counters_add(counters, COUNTER_HANDSHAKES_FAILED, 1);
    counters_add(counters, (enum counter)(COUNTER_TLS_FAILURES + (int)failure_of(err, ending)), 1);
}

struct tls_suite tls_suite_at(unsigned i)
{
    return suites[i];
}

const char *tls_failure_text(unsigned i)
{
    return failure_texts[i];
}
