#include "store/sealed_value.h"

#include "acme/pem.h"

#include <openssl/aead.h>
#include <openssl/digest.h>
#include <openssl/hkdf.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <stdlib.h>

#define FIRST_LINE "portico-sealed: 1"
#define SECOND_LINE_KEY "key: "
#define SEALED_LABEL "PORTICO SEALED RECORD"

enum { NONCE_BYTES = 12, TAG_BYTES = 16, NAME_KEY_BYTES = 32, ID_BYTES = SEAL_ID_DIGITS / 2 };

/* ---- keys ---- */

/* Of what fails without memory or randomness alone, or for lengths that are constant here. */
static void must(bool worked)
{
    if (!worked)
        abort();
}

static void expand(const uint8_t root[SEAL_ROOT_BYTES], struct slice info, uint8_t *out, size_t len)
{
    must(HKDF_expand(out, len, EVP_sha256(), root, SEAL_ROOT_BYTES, (const uint8_t *)info.ptr, info.len) == 1);
}

void seal_key_make(struct slice secret, struct seal_key *out_key)
{
    static const char digits[] = "0123456789abcdef";
    const struct slice salt = SLICE_LIT("portico storage key");
    uint8_t id[ID_BYTES];
    size_t len = 0;
    *out_key = (struct seal_key){0};
    must(HKDF_extract(out_key->root, &len, EVP_sha256(), (const uint8_t *)secret.ptr, secret.len,
                      (const uint8_t *)salt.ptr, salt.len) == 1);
    expand(out_key->root, SLICE_LIT("id"), id, sizeof id);
    for (size_t i = 0; i < sizeof id; i++) {
        out_key->id[2 * i] = digits[id[i] >> 4];
        out_key->id[2 * i + 1] = digits[id[i] & 15];
    }
}

void seal_key_wipe(struct seal_key *key)
{
    OPENSSL_cleanse(key, sizeof *key);
}

static struct slice own_name(struct slice name)
{
    const struct slice kept = SLICE_LIT("previous/");
    return slice_starts(name, kept) ? slice_skip(name, kept.len) : name;
}

/* The cipher under the name's own key. */
static void cipher_init(EVP_AEAD_CTX *cipher, const struct seal_key *key, struct slice name)
{
    struct buf info = {0};
    uint8_t name_key[NAME_KEY_BYTES];
    buf_append_str(&info, "record ");
    buf_append_slice(&info, own_name(name));
    expand(key->root, buf_slice(&info), name_key, sizeof name_key);
    must(EVP_AEAD_CTX_init(cipher, EVP_aead_aes_256_gcm(), name_key, sizeof name_key, TAG_BYTES, NULL) == 1);
    OPENSSL_cleanse(name_key, sizeof name_key);
    buf_cleanup(&info);
}

/* ---- the text ---- */

static void head_write(struct buf *out, struct slice id)
{
    buf_append_str(out, FIRST_LINE "\n" SECOND_LINE_KEY);
    buf_append_slice(out, id);
    buf_append_str(out, "\n\n");
}

/* What is authenticated and not in the ciphertext. */
static void bound_write(struct buf *out, struct slice id, struct slice name)
{
    head_write(out, id);
    buf_append_slice(out, own_name(name));
}

static bool id_is_fit(struct slice id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f')))
            return false;
    return id.len == SEAL_ID_DIGITS;
}

/* Takes the lines in front of the block. */
static bool head_read(struct slice *rest, struct slice *out_id)
{
    const struct slice key = SLICE_LIT(SECOND_LINE_KEY);
    struct slice first = slice_split(rest, '\n'), id = slice_split(rest, '\n'), empty = slice_split(rest, '\n');
    if (!slice_eq(first, SLICE_LIT(FIRST_LINE)) || !slice_starts(id, key) || !id_is_fit(slice_skip(id, key.len)) ||
        empty.len)
        return false;
    *out_id = slice_skip(id, key.len);
    return true;
}

bool sealed_value_is(struct slice value)
{
    return slice_starts(value, SLICE_LIT("portico-sealed"));
}

struct slice sealed_value_key_id(struct slice value)
{
    struct slice id = SLICE_NONE;
    return head_read(&value, &id) ? id : SLICE_NONE;
}

/* One block of the right kind, and nothing before or behind it. */
static bool block_read(struct slice rest, struct pem_block *out_block)
{
    if (!slice_starts(rest, SLICE_LIT("-----BEGIN " SEALED_LABEL "-----\n")) || err_is(pem_next(&rest, out_block)))
        return false;
    return rest.len == 0 && out_block->der.len > NONCE_BYTES + TAG_BYTES;
}

/* ---- sealing and opening ---- */

/* Nonce, ciphertext and tag. */
static void cipher_seal(const EVP_AEAD_CTX *cipher, struct slice bound, struct slice value, struct buf *out)
{
    uint8_t *at = (uint8_t *)buf_reserve(out, NONCE_BYTES + value.len + TAG_BYTES);
    size_t len = 0;
    must(RAND_bytes(at, NONCE_BYTES) == 1);
    must(EVP_AEAD_CTX_seal(cipher, at + NONCE_BYTES, &len, value.len + TAG_BYTES, at, NONCE_BYTES,
                           (const uint8_t *)value.ptr, value.len, (const uint8_t *)bound.ptr, bound.len) == 1);
    out->len += NONCE_BYTES + len;
}

void sealed_value_write(const struct seal_key *key, struct slice name, struct slice value, struct buf *out)
{
    EVP_AEAD_CTX cipher;
    struct buf bound = {0}, sealed = {0};
    cipher_init(&cipher, key, name);
    bound_write(&bound, slice_str(key->id), name);
    cipher_seal(&cipher, buf_slice(&bound), value, &sealed);
    EVP_AEAD_CTX_cleanup(&cipher);
    head_write(out, slice_str(key->id));
    pem_write(out, SEALED_LABEL, buf_slice(&sealed));
    buf_cleanup(&bound);
    buf_cleanup(&sealed);
}

static bool cipher_open(const EVP_AEAD_CTX *cipher, struct slice bound, struct slice sealed, struct buf *out)
{
    struct slice nonce = slice_first(sealed, NONCE_BYTES), in = slice_skip(sealed, NONCE_BYTES);
    size_t len = 0;
    char *at = buf_reserve(out, in.len); /* at once: growing would leave a copy behind */
    if (!EVP_AEAD_CTX_open(cipher, (uint8_t *)at, &len, in.len, (const uint8_t *)nonce.ptr, nonce.len,
                           (const uint8_t *)in.ptr, in.len, (const uint8_t *)bound.ptr, bound.len))
        return false;
    out->len += len;
    return true;
}

static enum store_result block_open(const struct seal_key *key, struct slice name, struct slice block, struct buf *out)
{
    EVP_AEAD_CTX cipher;
    struct buf bound = {0};
    cipher_init(&cipher, key, name);
    bound_write(&bound, slice_str(key->id), name);
    bool opened = cipher_open(&cipher, buf_slice(&bound), block, out);
    EVP_AEAD_CTX_cleanup(&cipher);
    buf_cleanup(&bound);
    return opened ? STORE_OK : STORE_CORRUPT;
}

enum store_result sealed_value_open(const struct seal_key *key, struct slice name, struct slice value, struct buf *out)
{
    struct pem_block block = {0};
    struct slice rest = value, id;
    enum store_result result;
    if (!head_read(&rest, &id) || !block_read(rest, &block))
        result = STORE_CORRUPT;
    else if (!key)
        result = STORE_DENIED;
    else if (!slice_eq(id, slice_str(key->id)))
        result = STORE_WRONG_KEY;
    else
        result = block_open(key, name, buf_slice(&block.der), out);
    pem_block_cleanup(&block);
    return result;
}
