/* jwk, jws: RFC 7638's vector, what is signed byte for byte, signatures that others verify, account binding. */
#include "acme/jwk.h"
#include "acme/jws.h"
#include "acme/key.h"
#include "acme/pem.h"
#include "base/b64url.h"
#include "base/json_read.h"
#include "check.h"

#include <openssl/bn.h>
#include <openssl/digest.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>

static const char ec_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                             "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgCPcEbgCXoa/MN5Of\n"
                             "GEV2Wdn4m4o77sO7MYNDEW5XJNuhRANCAASGg6jgAeDB9EVCRZlJ4faQWKOpf7SC\n"
                             "y+xQjxX+3YEeD7Sf48lBLhOkBtgmHINKgonUEWUKkgLB0Xda2NFXB65B\n"
                             "-----END PRIVATE KEY-----\n";
static const char ec_jwk[] = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"hoOo4AHgwfRFQkWZSeH2kFijqX-0gsvsUI8V_t2BHg8\","
                             "\"y\":\"tJ_jyUEuE6QG2CYcg0qCidQRZQqSAsHRd1rY0VcHrkE\"}";

static struct evp_pkey_st *ec_key(void)
{
    struct evp_pkey_st *key = NULL;
    CHECK(!err_is(key_read_pem(slice_str(ec_pem), &key)));
    return key;
}

/* ACME-69, RFC 7638 §3.1 */
static void test_thumbprint_of_the_rfc(void)
{
    struct buf n = {0}, thumbprint = {0};
    CHECK(b64url_decode(&n,
                        SLICE_LIT("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6t"
                                  "Soc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5"
                                  "v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD0"
                                  "8qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU"
                                  "8awapJzKnqDKgw")));
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    BN_set_word(exponent, 65537);
    CHECK(RSA_set0_key(rsa, BN_bin2bn((const uint8_t *)n.ptr, n.len, NULL), exponent, NULL));
    EVP_PKEY *key = EVP_PKEY_new();
    CHECK(EVP_PKEY_assign_RSA(key, rsa));
    CHECK(jwk_thumbprint(key, &thumbprint));
    CHECK_SLICE(buf_slice(&thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    CHECK_STR(jws_algorithm(key), "RS256");
    EVP_PKEY_free(key);
    buf_cleanup(&n);
    buf_cleanup(&thumbprint);
}

static void test_thumbprint_of_p256(void)
{
    struct evp_pkey_st *key = ec_key();
    struct buf jwk = {0}, thumbprint = {0}, authorization = {0};
    CHECK(jwk_write(key, &jwk));
    CHECK_SLICE(buf_slice(&jwk), ec_jwk);
    CHECK(jwk_thumbprint(key, &thumbprint));
    CHECK_SLICE(buf_slice(&thumbprint), "KjkUdJXtGglH6Szz0XMb5Qi9r6GOgTw1gmBeGj_RaOI");
    jwk_key_authorization(SLICE_LIT("token"), buf_slice(&thumbprint), &authorization);
    CHECK_SLICE(buf_slice(&authorization), "token.KjkUdJXtGglH6Szz0XMb5Qi9r6GOgTw1gmBeGj_RaOI");
    key_free(key);
    buf_cleanup(&jwk);
    buf_cleanup(&thumbprint);
    buf_cleanup(&authorization);
}

/* R and S back to the DER that EVP verifies. */
static size_t der_of_flat(const struct buf *flat, uint8_t **out_der)
{
    size_t half = flat->len / 2, len = 0;
    ECDSA_SIG *signature = ECDSA_SIG_new();
    BN_bin2bn((const uint8_t *)flat->ptr, half, (BIGNUM *)ECDSA_SIG_get0_r(signature));
    BN_bin2bn((const uint8_t *)flat->ptr + half, half, (BIGNUM *)ECDSA_SIG_get0_s(signature));
    CHECK(ECDSA_SIG_to_bytes(out_der, &len, signature));
    ECDSA_SIG_free(signature);
    return len;
}

static bool verifies(EVP_PKEY *key, const EVP_MD *digest, struct slice input, const struct buf *signature, bool flat)
{
    uint8_t *der = NULL;
    size_t len = flat ? der_of_flat(signature, &der) : signature->len;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(ctx, NULL, digest, NULL, key) &&
              EVP_DigestVerify(ctx, flat ? der : (const uint8_t *)signature->ptr, len, (const uint8_t *)input.ptr,
                               input.len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return ok;
}

/* Signs, checks the protected header byte for byte, and verifies the signature over both parts. */
static void check_signed(struct evp_pkey_st *key, const struct jws_request *request, const char *header,
                         const EVP_MD *digest, size_t signature_len)
{
    struct buf body = {0}, decoded = {0}, payload = {0}, signature = {0}, input = {0};
    struct arena arena = {0};
    struct json *json = NULL;
    CHECK(!err_is(jws_sign(request, &body)));
    CHECK(!err_is(json_parse(&arena, buf_slice(&body), 65536, &json)));
    CHECK_INT(json ? json->num : 0, 3); /* no unprotected header (ACME-6) */
    CHECK(b64url_decode(&decoded, json_get_string(json, "protected")));
    CHECK_SLICE(buf_slice(&decoded), header);
    struct slice encoded = json_get_string(json, "payload");
    CHECK(encoded.ptr != NULL);
    CHECK(encoded.len == 0 || b64url_decode(&payload, encoded));
    CHECK_MEM(payload.ptr, payload.len, request->payload.ptr, request->payload.len);
    CHECK(b64url_decode(&signature, json_get_string(json, "signature")));
    CHECK_INT(signature.len, signature_len);
    buf_append_slice(&input, json_get_string(json, "protected"));
    buf_append_char(&input, '.');
    buf_append_slice(&input, encoded);
    bool flat = key_type_of(key) == KEY_P256 || key_type_of(key) == KEY_P384;
    CHECK(verifies(key, digest, buf_slice(&input), &signature, flat));
    input.ptr[0] ^= 1;
    CHECK(!verifies(key, digest, buf_slice(&input), &signature, flat));
    buf_cleanup(&body);
    buf_cleanup(&decoded);
    buf_cleanup(&payload);
    buf_cleanup(&signature);
    buf_cleanup(&input);
    arena_cleanup(&arena);
}

/* ACME-5, 7, 9, 12, 14 */
static void test_signs_with_account(void)
{
    struct evp_pkey_st *key = ec_key();
    struct jws_request request = {.key = key,
                                  .nonce = SLICE_LIT("n0-_"),
                                  .url = SLICE_LIT("https://ca.test/Order/%7e1?a=B"),
                                  .kid = SLICE_LIT("https://ca.test/account/1"),
                                  .payload = SLICE_LIT("")};
    check_signed(key, &request,
                 "{\"alg\":\"ES256\",\"kid\":\"https://ca.test/account/1\",\"nonce\":\"n0-_\","
                 "\"url\":\"https://ca.test/Order/%7e1?a=B\"}",
                 EVP_sha256(), 64);
    key_free(key);
}

static void test_signs_with_key(void)
{
    struct evp_pkey_st *key = ec_key();
    struct jws_request request = {.key = key,
                                  .nonce = SLICE_LIT("abc"),
                                  .url = SLICE_LIT("https://ca.test/new-account"),
                                  .payload = SLICE_LIT("{\"onlyReturnExisting\":true}")};
    struct buf header = {0};
    buf_printf(&header, "{\"alg\":\"ES256\",\"jwk\":%s,\"nonce\":\"abc\",\"url\":\"https://ca.test/new-account\"}",
               ec_jwk);
    for (int i = 0; i < 40; i++) /* signatures with leading zeros in R or S come by in some of these */
        check_signed(key, &request, buf_cstr(&header), EVP_sha256(), 64);
    buf_cleanup(&header);
    key_free(key);
}

static void test_signs_with_other_keys(void)
{
    struct evp_pkey_st *key = NULL;
    struct jws_request request = {
        .nonce = SLICE_LIT("a"), .url = SLICE_LIT("https://x/"), .kid = SLICE_LIT("k"), .payload = SLICE_LIT("{}")};
    CHECK(!err_is(key_generate(KEY_P384, &key)));
    request.key = key;
    check_signed(key, &request, "{\"alg\":\"ES384\",\"kid\":\"k\",\"nonce\":\"a\",\"url\":\"https://x/\"}",
                 EVP_sha384(), 96);
    key_free(key);
    CHECK(!err_is(key_generate(KEY_RSA2048, &key)));
    request.key = key;
    check_signed(key, &request, "{\"alg\":\"RS256\",\"kid\":\"k\",\"nonce\":\"a\",\"url\":\"https://x/\"}",
                 EVP_sha256(), 256);
    key_free(key);
}

/* ACME-32, ACME-33; the MAC computed by another program */
static void test_binds_accounts(void)
{
    static const char *const keys[] = {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
                                       "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="};
    static const char want[] =
        "{\"protected\":\"eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS50ZXN0L25ldy1hY2NvdW50In0\","
        "\"payload\":\"eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImhvT280QUhnd2ZSRlFrV1pTZUgya0ZpanFYLTBnc3ZzVUk4Vl90Mk"
        "JIZzgiLCJ5IjoidEpfanlVRXVFNlFHMkNZY2cwcUNpZFFSWlFxU0FzSFJkMXJZMFZjSHJrRSJ9\","
        "\"signature\":\"arklkQnnyxPdeu_5JXLOY9dmCeS4YCKAvIU750I-B4A\"}";
    struct evp_pkey_st *key = ec_key();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct buf out = {0};
        CHECK(!err_is(jws_bind_account(key, SLICE_LIT("kid-1"), JWS_HS256, slice_str(keys[i]),
                                       SLICE_LIT("https://ca.test/new-account"), &out)));
        CHECK_SLICE(buf_slice(&out), want);
        buf_cleanup(&out);
    }
    struct buf out = {0};
    CHECK_INT(
        jws_bind_account(key, SLICE_LIT("k"), JWS_HS256, SLICE_LIT("not base64!"), SLICE_LIT("https://x/"), &out).kind,
        ERR_INPUT);
    CHECK_INT(out.len, 0);
    buf_cleanup(&out);
    key_free(key);
}

/* ACME-33: what Python's hmac module makes of the same. */
static void test_binds_accounts_otherwise(void)
{
    static const struct {
        enum jws_mac mac;
        const char *header, *signature;
    } rows[] = {
        {JWS_HS384, "eyJhbGciOiJIUzM4NCIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS50ZXN0L25ldy1hY2NvdW50In0",
         "pDmrdwUtu71HJT48LPP5WbYkwKcDs3VcPlEoy5KP0qBcHY8_Z5pnct2NYUN153Uz"},
        {JWS_HS512, "eyJhbGciOiJIUzUxMiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS50ZXN0L25ldy1hY2NvdW50In0",
         "d8Q5j-v9HOtOFc7RZtsVzTU2NBxlqD4MrVwWvuy63HZ1GeNcL0ERCB219YnpwXZpQ6xPGuk3tOkXOmylKZrsHA"},
    };
    struct evp_pkey_st *key = ec_key();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        CHECK(!err_is(jws_bind_account(key, SLICE_LIT("kid-1"), rows[i].mac,
                                       SLICE_LIT("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
                                       SLICE_LIT("https://ca.test/new-account"), &out)));
        CHECK(memmem(out.ptr, out.len, rows[i].header, strlen(rows[i].header)) != NULL);
        CHECK(memmem(out.ptr, out.len, rows[i].signature, strlen(rows[i].signature)) != NULL);
        buf_cleanup(&out);
    }
    key_free(key);
}

int main(void)
{
    RUN(test_thumbprint_of_the_rfc);
    RUN(test_thumbprint_of_p256);
    RUN(test_signs_with_account);
    RUN(test_signs_with_key);
    RUN(test_signs_with_other_keys);
    RUN(test_binds_accounts);
    RUN(test_binds_accounts_otherwise);
    return checks_done();
}
