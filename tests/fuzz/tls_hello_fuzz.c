/* tls_hello: whatever a ClientHello claims of its lists, no byte beyond it is read. The first byte is the number of bytes of
 * suites that follow; the rest are extensions. */
#include "tls/tls_hello.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Blocks of their own, so that a sanitizer sees their ends. */
static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    if (copy && len)
        memcpy(copy, bytes, len);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct cert certs[] = {
        {.key_curve = SSL_CURVE_SECP256R1, .key_scheme = SSL_SIGN_ECDSA_SECP256R1_SHA256},
        {.key_scheme = SSL_SIGN_ED25519}};
    if (len == 0)
        return 0;
    size_t suites_len = data[0] < len ? data[0] : len - 1, extensions_len = len - 1 - suites_len;
    uint8_t *suites = copy_of(data + 1, suites_len), *extensions = copy_of(data + 1 + suites_len, extensions_len);
    SSL_CLIENT_HELLO hello = {.cipher_suites = suites,
                              .cipher_suites_len = suites_len,
                              .extensions = extensions,
                              .extensions_len = extensions_len};
    bool offers = tls_hello_offers(&hello, SLICE_LIT("acme-tls/1"));
    if (offers && extensions_len < sizeof "acme-tls/1")
        abort();
    for (size_t i = 0; i < sizeof certs / sizeof certs[0]; i++)
        (void)tls_hello_knows(&hello, &certs[i]);
    free(suites);
    free(extensions);
    ERR_clear_error();
    return 0;
}
