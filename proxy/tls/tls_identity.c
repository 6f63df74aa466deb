#include "tls/tls_identity.h"

#include "base/b64url.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include <stdlib.h>

/* ---- the subject ---- */

static bool text_is_printable(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

static struct err identity_read_subject(struct tls_identity *identity, X509_NAME *name)
{
    const uint8_t *text = NULL;
    size_t len = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    if (!bio)
        abort(); /* out of memory */
    struct err err = ERR_OK;
    if (X509_NAME_entry_count(name) > 0 &&
        (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0 || BIO_mem_contents(bio, &text, &len) != 1))
        err = err_make(ERR_INPUT, 0, "read the subject of a client's certificate");
    else if (len > LIMIT_CLIENT_SUBJECT_BYTES)
        err = err_make(ERR_LIMIT, 0, "a client's certificate with a subject that is too long");
    else if (!text_is_printable(slice_make(text, len))) /* the flags escape all else; never rely on that */
        err = err_make(ERR_INPUT, 0, "escape the subject of a client's certificate");
    else
        identity->subject = slice_make(mem_dup(text ? text : (const uint8_t *)"", len), len);
    BIO_free(bio);
    ERR_clear_error();
    return err;
}

/* ---- the common name ---- */

static bool text_is_plain(struct slice text)
{
    if (text.len > LIMIT_CLIENT_NAME_BYTES)
        return false;
    for (size_t len; text.len; text = slice_skip(text, len)) {
        len = utf8_char_len(text);
        if (len == 0 || (len == 1 && !text_is_printable(slice_first(text, 1))))
            return false;
    }
    return true;
}

static const ASN1_STRING *name_last_common(const X509_NAME *name)
{
    int found = -1;
    for (int at = -1; (at = X509_NAME_get_index_by_NID(name, NID_commonName, at)) >= 0;)
        found = at;
    return found < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, found));
}

static void identity_read_common_name(struct tls_identity *identity, const X509_NAME *name)
{
    uint8_t *utf8 = NULL;
    const ASN1_STRING *value = name_last_common(name);
    int len = value ? ASN1_STRING_to_UTF8(&utf8, value) : 0;
    struct slice text = slice_make(utf8, len > 0 ? (size_t)len : 0);
    if (text.len && text_is_plain(text))
        identity->common_name = slice_make(mem_dup(text.ptr, text.len), text.len);
    OPENSSL_free(utf8);
    ERR_clear_error();
}

/* ---- the certificate itself ---- */

static struct slice identity_fingerprint(struct slice der)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char *text = mem_alloc(TLS_FINGERPRINT_BYTES);
    SHA256((const uint8_t *)der.ptr, der.len, hash);
    for (size_t i = 0; i < sizeof hash; i++) {
        text[2 * i] = digits[hash[i] >> 4];
        text[2 * i + 1] = digits[hash[i] & 15];
    }
    return slice_make(text, TLS_FINGERPRINT_BYTES);
}

static struct slice identity_client_cert(struct slice der)
{
    struct buf text = {0};
    buf_append_char(&text, ':');
    b64_encode(&text, der);
    buf_append_char(&text, ':');
    size_t len = text.len;
    return slice_make(buf_take(&text), len);
}

struct err tls_identity_new(X509 *leaf, struct slice der, struct tls_identity **out_identity)
{
    if (der.len > LIMIT_CLIENT_LEAF_BYTES)
        return err_make(ERR_LIMIT, 0, "a client's certificate that is too large");
    struct tls_identity *identity = MEM_NEW(struct tls_identity);
    X509_NAME *name = X509_get_subject_name(leaf);
    struct err err = identity_read_subject(identity, name);
    if (err_is(err)) {
        tls_identity_free(identity);
        return err;
    }
    identity_read_common_name(identity, name);
    identity->fingerprint = identity_fingerprint(der);
    identity->client_cert = identity_client_cert(der);
    *out_identity = identity;
    return ERR_OK;
}

static void text_free(struct slice text)
{
    mem_free((char *)text.ptr);
}

void tls_identity_free(struct tls_identity *identity)
{
    if (!identity)
        return;
    text_free(identity->subject);
    text_free(identity->common_name);
    text_free(identity->fingerprint);
    text_free(identity->client_cert);
    mem_free(identity);
}
