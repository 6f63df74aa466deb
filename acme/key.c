#include "acme/key.h"

#include "acme/pem.h"
#include "base/mem.h"

#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <stdlib.h>

static const struct key_kind {
    const char *name;
    int id, curve;
    unsigned bits;
} key_kinds[] = {
    [KEY_P256] = {"p256", EVP_PKEY_EC, NID_X9_62_prime256v1, 256},
    [KEY_P384] = {"p384", EVP_PKEY_EC, NID_secp384r1, 384},
    [KEY_RSA2048] = {"rsa2048", EVP_PKEY_RSA, 0, 2048},
    [KEY_RSA3072] = {"rsa3072", EVP_PKEY_RSA, 0, 3072},
    [KEY_RSA4096] = {"rsa4096", EVP_PKEY_RSA, 0, 4096},
    [KEY_OTHER] = {"other", EVP_PKEY_NONE, 0, 0},
};

const char *key_type_name(enum key_type type)
{
    return key_kinds[type].name;
}

bool key_type_from_name(struct slice name, enum key_type *out_type)
{
    for (enum key_type type = KEY_P256; type < KEY_OTHER; type++)
        if (slice_eq(name, slice_str(key_kinds[type].name))) {
            *out_type = type;
            return true;
        }
    return false;
}

static struct err key_failed(const char *what)
{
    struct err err = err_make(ERR_TLS, (int)ERR_get_error(), what);
    ERR_clear_error();
    return err;
}

static bool key_make_ec(EVP_PKEY *key, int curve)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(curve);
    bool ok = ec && EC_KEY_generate_key(ec) == 1 && EVP_PKEY_set1_EC_KEY(key, ec) == 1;
    EC_KEY_free(ec);
    return ok;
}

static bool key_make_rsa(EVP_PKEY *key, unsigned bits)
{
    RSA *rsa = RSA_new();
    BIGNUM *exponent = BN_new();
    bool ok = rsa && exponent && BN_set_word(exponent, RSA_F4) == 1 &&
              RSA_generate_key_ex(rsa, (int)bits, exponent, NULL) == 1 && EVP_PKEY_set1_RSA(key, rsa) == 1;
    BN_free(exponent);
    RSA_free(rsa);
    return ok;
}

struct err key_generate(enum key_type type, struct evp_pkey_st **out_key)
{
    const struct key_kind *kind = &key_kinds[type];
    EVP_PKEY *key = EVP_PKEY_new();
    bool ok = key && ((kind->id == EVP_PKEY_EC && key_make_ec(key, kind->curve)) ||
                      (kind->id == EVP_PKEY_RSA && key_make_rsa(key, kind->bits)));
    if (!ok) {
        EVP_PKEY_free(key);
        return key_failed("generate a key");
    }
    *out_key = key;
    return ERR_OK;
}

void key_free(struct evp_pkey_st *key)
{
    EVP_PKEY_free(key);
}

struct evp_pkey_st *key_ref(struct evp_pkey_st *key)
{
    EVP_PKEY_up_ref(key);
    return key;
}

static int key_curve(const EVP_PKEY *key)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(key);
    return ec ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : 0;
}

enum key_type key_type_of(const struct evp_pkey_st *key)
{
    int id = EVP_PKEY_id(key);
    int curve = id == EVP_PKEY_EC ? key_curve(key) : 0;
    for (enum key_type type = KEY_P256; type < KEY_OTHER; type++) {
        const struct key_kind *kind = &key_kinds[type];
        if (kind->id == id && kind->curve == curve && (curve || kind->bits == (unsigned)EVP_PKEY_bits(key)))
            return type;
    }
    return KEY_OTHER;
}

static CBS key_cbs(struct slice der)
{
    CBS cbs;
    CBS_init(&cbs, (const uint8_t *)der.ptr, der.len);
    return cbs;
}

struct err key_read_pkcs8(struct slice der, struct evp_pkey_st **out_key)
{
    CBS cbs = key_cbs(der);
    EVP_PKEY *key = EVP_parse_private_key(&cbs);
    if (!key || CBS_len(&cbs) != 0) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return err_make(ERR_INPUT, 0, "not a PKCS#8 private key");
    }
    *out_key = key;
    return ERR_OK;
}

static struct err key_read_ec(struct slice der, struct evp_pkey_st **out_key)
{
    CBS cbs = key_cbs(der);
    EC_KEY *ec = EC_KEY_parse_private_key(&cbs, NULL);
    EVP_PKEY *key = EVP_PKEY_new();
    bool ok = ec && key && CBS_len(&cbs) == 0 && EVP_PKEY_set1_EC_KEY(key, ec) == 1;
    EC_KEY_free(ec);
    if (!ok) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return err_make(ERR_INPUT, 0, "not an EC private key of a known curve");
    }
    *out_key = key;
    return ERR_OK;
}

static struct err key_read_rsa(struct slice der, struct evp_pkey_st **out_key)
{
    CBS cbs = key_cbs(der);
    RSA *rsa = RSA_parse_private_key(&cbs);
    EVP_PKEY *key = EVP_PKEY_new();
    bool ok = rsa && key && CBS_len(&cbs) == 0 && EVP_PKEY_set1_RSA(key, rsa) == 1;
    RSA_free(rsa);
    if (!ok) {
        EVP_PKEY_free(key);
        ERR_clear_error();
        return err_make(ERR_INPUT, 0, "not an RSA private key");
    }
    *out_key = key;
    return ERR_OK;
}

static struct err key_read_block(const struct pem_block *block, struct evp_pkey_st **out_key)
{
    if (slice_eq(block->label, SLICE_LIT("PRIVATE KEY")))
        return key_read_pkcs8(buf_slice(&block->der), out_key);
    if (slice_eq(block->label, SLICE_LIT("EC PRIVATE KEY")))
        return key_read_ec(buf_slice(&block->der), out_key);
    if (slice_eq(block->label, SLICE_LIT("RSA PRIVATE KEY")))
        return key_read_rsa(buf_slice(&block->der), out_key);
    if (slice_eq(block->label, SLICE_LIT("ENCRYPTED PRIVATE KEY")))
        return err_make(ERR_INPUT, 0, "private key is encrypted; give it without a passphrase");
    return ERR_OK;
}

struct err key_read_pem(struct slice pem, struct evp_pkey_st **out_key)
{
    struct evp_pkey_st *key = NULL;
    while (!key) {
        struct pem_block block = {0};
        struct err err = pem_next(&pem, &block);
        if (!err_is(err) && !block.label.ptr)
            err = err_make(ERR_INPUT, 0, "no private key in the PEM text");
        if (!err_is(err))
            err = key_read_block(&block, &key);
        pem_block_cleanup(&block);
        if (err_is(err))
            return err;
    }
    *out_key = key;
    return ERR_OK;
}

/* What BoringSSL marshalled: copied to the buf, its own copy overwritten. Only memory can fail here. */
static void key_take_cbb(CBB *cbb, bool ok, struct buf *out)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (!ok || !CBB_finish(cbb, &bytes, &len))
        abort();
    buf_reserve(out, len);
    buf_append(out, bytes, len);
    OPENSSL_cleanse(bytes, len);
    OPENSSL_free(bytes);
}

void key_write_pkcs8(const struct evp_pkey_st *key, struct buf *out)
{
    CBB cbb;
    bool ok = CBB_init(&cbb, 256) && EVP_marshal_private_key(&cbb, key);
    key_take_cbb(&cbb, ok, out);
}

void key_write_public(const struct evp_pkey_st *key, struct buf *out)
{
    CBB cbb;
    bool ok = CBB_init(&cbb, 256) && EVP_marshal_public_key(&cbb, key);
    key_take_cbb(&cbb, ok, out);
}

void key_write_pem(const struct evp_pkey_st *key, struct buf *out)
{
    struct buf der = {0};
    key_write_pkcs8(key, &der);
    pem_write(out, "PRIVATE KEY", buf_slice(&der));
    buf_cleanup_secret(&der);
}

bool key_same_public(const struct evp_pkey_st *a, const struct evp_pkey_st *b)
{
    return EVP_PKEY_cmp(a, b) == 1;
}

void key_sha256(struct slice bytes, uint8_t out[KEY_SHA256_BYTES])
{
    SHA256((const uint8_t *)bytes.ptr, bytes.len, out);
}

void key_write_hex(struct buf *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        buf_append_char(out, digits[byte >> 4]);
        buf_append_char(out, digits[byte & 15]);
    }
}
