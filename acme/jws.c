#include "acme/jws.h"

#include "acme/jwk.h"
#include "acme/key.h"
#include "base/b64url.h"
#include "base/json_write.h"
#include "base/mem.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>

enum { JWS_MAX_SIGNATURE_BYTES = 1024, JWS_MAX_COORDINATE_BYTES = 48 };

const char *jws_algorithm(const struct evp_pkey_st *key)
{
    switch (key_type_of(key)) {
    case KEY_P256: return "ES256";
    case KEY_P384: return "ES384";
    case KEY_RSA2048:
    case KEY_RSA3072:
    case KEY_RSA4096:
    case KEY_OTHER: break;
    }
    return EVP_PKEY_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) >= 2048 ? "RS256" : NULL;
}

/* RFC 7518 §3.4: R and S side by side in the curve's own length, not ASN.1. */
static bool jws_flatten_ecdsa(const uint8_t *der, size_t der_len, size_t coordinate_len, struct buf *out)
{
    uint8_t octets[2 * JWS_MAX_COORDINATE_BYTES];
    ECDSA_SIG *signature = ECDSA_SIG_from_bytes(der, der_len);
    bool ok = signature && BN_bn2bin_padded(octets, coordinate_len, ECDSA_SIG_get0_r(signature)) &&
              BN_bn2bin_padded(octets + coordinate_len, coordinate_len, ECDSA_SIG_get0_s(signature));
    ECDSA_SIG_free(signature);
    if (ok)
        b64url_encode(out, slice_make(octets, 2 * coordinate_len));
    return ok;
}

static bool jws_sign_text(const struct evp_pkey_st *key, struct slice text, struct buf *out)
{
    uint8_t signature[JWS_MAX_SIGNATURE_BYTES];
    size_t len = sizeof signature;
    enum key_type type = key_type_of(key);
    const EVP_MD *digest = type == KEY_P384 ? EVP_sha384() : EVP_sha256();
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    /* EVP_DigestSignInit wants the key without const, but only counts a reference. */
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, digest, NULL, (EVP_PKEY *)key) &&
              EVP_DigestSign(ctx, signature, &len, (const uint8_t *)text.ptr, text.len);
    EVP_MD_CTX_free(ctx);
    if (ok && (type == KEY_P256 || type == KEY_P384))
        return jws_flatten_ecdsa(signature, len, type == KEY_P256 ? 32 : 48, out);
    if (ok)
        b64url_encode(out, slice_make(signature, len));
    return ok;
}

static void jws_write_header(const struct jws_request *request, const char *algorithm, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "alg", algorithm);
    if (request->kid.ptr) {
        json_put_string(&w, "kid", request->kid);
    } else {
        struct buf jwk = {0};
        jwk_write(request->key, &jwk);
        json_key(&w, "jwk");
        json_raw(&w, buf_slice(&jwk));
        buf_cleanup(&jwk);
    }
    if (request->nonce.ptr)
        json_put_string(&w, "nonce", request->nonce);
    json_put_string(&w, "url", request->url);
    json_end_object(&w);
}

/* base64url(header) "." base64url(payload): what is signed, and both parts of the body. */
static size_t jws_write_input(struct slice header, struct slice payload, struct buf *out)
{
    b64url_encode(out, header);
    size_t header_len = out->len;
    buf_append_char(out, '.');
    b64url_encode(out, payload);
    return header_len;
}

static void jws_write_body(struct slice input, size_t header_len, struct slice signature, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_string(&w, "protected", slice_first(input, header_len));
    json_put_string(&w, "payload", slice_skip(input, header_len + 1));
    json_put_string(&w, "signature", signature);
    json_end_object(&w);
}

struct err jws_sign(const struct jws_request *request, struct buf *out)
{
    const char *algorithm = jws_algorithm(request->key);
    if (!algorithm)
        return err_make(ERR_INPUT, 0, "account key of a type that no CA takes");
    struct buf header = {0}, input = {0}, signature = {0};
    jws_write_header(request, algorithm, &header);
    size_t header_len = jws_write_input(buf_slice(&header), request->payload, &input);
    bool ok = jws_sign_text(request->key, buf_slice(&input), &signature);
    if (ok)
        jws_write_body(buf_slice(&input), header_len, buf_slice(&signature), out);
    buf_cleanup(&header);
    buf_cleanup(&input);
    buf_cleanup(&signature);
    ERR_clear_error();
    return ok ? ERR_OK : err_make(ERR_TLS, 0, "sign a request");
}

/* CAs hand the key out in base64url, some with padding, some in the other alphabet: all mean the same bytes. */
static bool jws_decode_mac_key(struct slice text, struct buf *out)
{
    buf_reserve(out, text.len + 1);
    while (text.len && text.ptr[text.len - 1] == '=')
        text.len--;
    struct buf plain = {0};
    buf_reserve(&plain, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        buf_append_char(&plain, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    bool ok = b64url_decode(out, buf_slice(&plain)) && out->len > 0;
    buf_cleanup_secret(&plain);
    return ok;
}

static const char *const jws_mac_names[] = {[JWS_HS256] = "HS256", [JWS_HS384] = "HS384", [JWS_HS512] = "HS512"};

static const EVP_MD *jws_mac_digest(enum jws_mac mac)
{
    switch (mac) {
    case JWS_HS256: break;
    case JWS_HS384: return EVP_sha384();
    case JWS_HS512: return EVP_sha512();
    }
    return EVP_sha256();
}

static void jws_write_binding_header(struct slice kid, enum jws_mac mac, struct slice url, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_str(&w, "alg", jws_mac_names[mac]);
    json_put_string(&w, "kid", kid);
    json_put_string(&w, "url", url);
    json_end_object(&w);
}

struct err jws_bind_account(const struct evp_pkey_st *account_key, struct slice kid, enum jws_mac mac,
                            struct slice hmac_key, struct slice new_account_url, struct buf *out)
{
    struct buf mac_key = {0}, header = {0}, jwk = {0}, input = {0}, signature = {0};
    uint8_t code[EVP_MAX_MD_SIZE];
    unsigned code_len = 0;
    bool ok = jws_decode_mac_key(hmac_key, &mac_key) && jwk_write(account_key, &jwk);
    if (ok) {
        jws_write_binding_header(kid, mac, new_account_url, &header);
        size_t header_len = jws_write_input(buf_slice(&header), buf_slice(&jwk), &input);
        ok = HMAC(jws_mac_digest(mac), mac_key.ptr, mac_key.len, (const uint8_t *)input.ptr, input.len, code,
                  &code_len) != NULL;
        b64url_encode(&signature, slice_make(code, code_len));
        jws_write_body(buf_slice(&input), header_len, buf_slice(&signature), out);
    }
    buf_cleanup_secret(&mac_key);
    buf_cleanup(&header);
    buf_cleanup(&jwk);
    buf_cleanup(&input);
    buf_cleanup(&signature);
    return ok ? ERR_OK : err_make(ERR_INPUT, 0, "external account binding: the key is not base64url");
}
