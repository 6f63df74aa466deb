#include "tls/tls_hello.h"

#include <openssl/bytestring.h>
#include <openssl/ssl.h>

/* The suites of tls_server that authenticate by ECDSA or EdDSA, by number. */
static const uint16_t ecdsa_suites[] = {
    0xc02b, /* ECDHE-ECDSA-AES128-GCM-SHA256 */
    0xc02c, /* ECDHE-ECDSA-AES256-GCM-SHA384 */
    0xcca9, /* ECDHE-ECDSA-CHACHA20-POLY1305 */
};

static const uint16_t ecdsa_schemes[] = {
    SSL_SIGN_ECDSA_SECP256R1_SHA256, /* in TLS 1.2 these name the digest alone: any goes with any curve */
    SSL_SIGN_ECDSA_SECP384R1_SHA384,
    SSL_SIGN_ECDSA_SECP521R1_SHA512,
};

static bool list_has(CBS list, const uint16_t *wanted, size_t num_wanted)
{
    uint16_t item;
    while (CBS_get_u16(&list, &item))
        for (size_t i = 0; i < num_wanted; i++)
            if (item == wanted[i])
                return true;
    return false;
}

static bool hello_extension(const SSL_CLIENT_HELLO *hello, uint16_t type, CBS *out_content)
{
    const uint8_t *bytes;
    size_t len;
    if (SSL_early_callback_ctx_extension_get(hello, type, &bytes, &len) != 1)
        return false;
    CBS_init(out_content, bytes, len);
    return true;
}

/* An extension that is one list of numbers with its length in front, in 16 bits. */
static bool hello_list(const SSL_CLIENT_HELLO *hello, uint16_t type, CBS *out_list)
{
    CBS content;
    return hello_extension(hello, type, &content) && CBS_get_u16_length_prefixed(&content, out_list);
}

bool tls_hello_offers(const SSL_CLIENT_HELLO *hello, struct slice protocol)
{
    CBS list, one;
    if (!hello_list(hello, TLSEXT_TYPE_application_layer_protocol_negotiation, &list))
        return false;
    while (CBS_get_u8_length_prefixed(&list, &one))
        if (slice_eq(slice_make(CBS_data(&one), CBS_len(&one)), protocol))
            return true;
    return false;
}

/* Then it is what will be spoken: our side always does. */
static bool hello_is_tls13(const SSL_CLIENT_HELLO *hello)
{
    static const uint16_t tls13 = TLS1_3_VERSION;
    CBS content, versions;
    return hello_extension(hello, TLSEXT_TYPE_supported_versions, &content) &&
           CBS_get_u8_length_prefixed(&content, &versions) && list_has(versions, &tls13, 1);
}

/* Extensions that TLS 1.2 may leave out mean anything then. */
static bool hello_knows_in_tls12(const SSL_CLIENT_HELLO *hello, const struct cert *cert)
{
    CBS suites, list;
    CBS_init(&suites, hello->cipher_suites, hello->cipher_suites_len);
    if (!list_has(suites, ecdsa_suites, sizeof ecdsa_suites / sizeof ecdsa_suites[0]))
        return false;
    if (cert->key_curve && hello_list(hello, TLSEXT_TYPE_supported_groups, &list) &&
        !list_has(list, &cert->key_curve, 1))
        return false;
    if (!hello_list(hello, TLSEXT_TYPE_signature_algorithms, &list))
        return true;
    return cert->key_curve ? list_has(list, ecdsa_schemes, sizeof ecdsa_schemes / sizeof ecdsa_schemes[0])
                           : list_has(list, &cert->key_scheme, 1);
}

bool tls_hello_knows(const SSL_CLIENT_HELLO *hello, const struct cert *cert)
{
    CBS schemes;
    if (!hello_is_tls13(hello))
        return hello_knows_in_tls12(hello, cert);
    return hello_list(hello, TLSEXT_TYPE_signature_algorithms, &schemes) && list_has(schemes, &cert->key_scheme, 1);
}
