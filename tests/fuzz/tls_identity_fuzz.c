/* tls_identity: whatever certificate a careless CA signs, what is told of it is a field's value and nothing more. */
#include "base/limits.h"
#include "base/utf8.h"
#include "tls/tls_identity.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void require_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        require(text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e);
}

static void require_utf8(struct slice text)
{
    for (size_t len; text.len; text = slice_skip(text, len)) {
        len = utf8_char_len(text);
        require(len > 0 && (uint8_t)text.ptr[0] >= 0x20 && text.ptr[0] != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *at = data;
    struct tls_identity *identity;
    X509 *x509 = d2i_X509(NULL, &at, (long)len);
    if (x509 && !err_is(tls_identity_new(x509, slice_make(data, (size_t)(at - data)), &identity))) {
        require_printable(identity->subject);
        require_printable(identity->client_cert);
        require_utf8(identity->common_name);
        require(identity->subject.len <= LIMIT_CLIENT_SUBJECT_BYTES);
        require(identity->common_name.len <= LIMIT_CLIENT_NAME_BYTES);
        require(identity->fingerprint.len == TLS_FINGERPRINT_BYTES);
        require(identity->client_cert.len <= LIMIT_CLIENT_LEAF_BYTES / 3 * 4 + 6);
        tls_identity_free(identity);
    }
    X509_free(x509);
    ERR_clear_error();
    return 0;
}
