#include "acme/jwk.h"

#include "acme/key.h"
#include "base/b64url.h"
#include "base/mem.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { JWK_MAX_NUMBER_BYTES = 1024 }; /* an RSA modulus of 8192 bits */

/* Big-endian in exactly len octets: curve coordinates keep leading zeros (RFC 7518 §6.2.1.2), RSA numbers have none. */
static void jwk_write_number(struct buf *out, const BIGNUM *number, size_t len)
{
    uint8_t octets[JWK_MAX_NUMBER_BYTES];
    if (len > sizeof octets || !BN_bn2bin_padded(octets, len, number))
        abort();
    b64url_encode(out, slice_make(octets, len));
}

static bool jwk_write_ec(const EC_KEY *ec, const char *curve, struct buf *out)
{
    const EC_GROUP *group = EC_KEY_get0_group(ec);
    size_t len = (EC_GROUP_get_degree(group) + 7) / 8;
    BIGNUM *x = BN_new(), *y = BN_new();
    if (!x || !y || !EC_POINT_get_affine_coordinates_GFp(group, EC_KEY_get0_public_key(ec), x, y, NULL))
        abort();
    buf_printf(out, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"", curve);
    jwk_write_number(out, x, len);
    buf_append_str(out, "\",\"y\":\"");
    jwk_write_number(out, y, len);
    buf_append_str(out, "\"}");
    BN_free(x);
    BN_free(y);
    return true;
}

static bool jwk_write_rsa(const RSA *rsa, struct buf *out)
{
    const BIGNUM *n = NULL, *e = NULL;
    RSA_get0_key(rsa, &n, &e, NULL);
    if (!n || !e || BN_num_bytes(n) > JWK_MAX_NUMBER_BYTES || BN_num_bytes(e) > JWK_MAX_NUMBER_BYTES)
        return false;
    buf_append_str(out, "{\"e\":\"");
    jwk_write_number(out, e, BN_num_bytes(e));
    buf_append_str(out, "\",\"kty\":\"RSA\",\"n\":\"");
    jwk_write_number(out, n, BN_num_bytes(n));
    buf_append_str(out, "\"}");
    return true;
}

bool jwk_write(const struct evp_pkey_st *key, struct buf *out)
{
    switch (key_type_of(key)) {
    case KEY_P256: return jwk_write_ec(EVP_PKEY_get0_EC_KEY(key), "P-256", out);
    case KEY_P384: return jwk_write_ec(EVP_PKEY_get0_EC_KEY(key), "P-384", out);
    case KEY_RSA2048:
    case KEY_RSA3072:
    case KEY_RSA4096:
    case KEY_OTHER: break;
    }
    return EVP_PKEY_id(key) == EVP_PKEY_RSA && jwk_write_rsa(EVP_PKEY_get0_RSA(key), out);
}

bool jwk_thumbprint(const struct evp_pkey_st *key, struct buf *out)
{
    struct buf json = {0};
    uint8_t digest[KEY_SHA256_BYTES];
    bool ok = jwk_write(key, &json);
    if (ok) {
        key_sha256(buf_slice(&json), digest);
        b64url_encode(out, slice_make(digest, sizeof digest));
    }
    buf_cleanup(&json);
    return ok;
}

void jwk_key_authorization(struct slice token, struct slice thumbprint, struct buf *out)
{
    buf_append_slice(out, token);
    buf_append_char(out, '.');
    buf_append_slice(out, thumbprint);
}
