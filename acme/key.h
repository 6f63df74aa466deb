/* key: private keys, of accounts and of certificates (the two are never the same key, RFC 8555 §11.1).
 *
 * A key is BoringSSL's EVP_PKEY, named here by its tag so that those who only carry keys need no openssl header.
 * Owns nothing; whoever is given a key frees it with key_free. Serialised keys are secrets: they go into bufs that are
 * freed by buf_cleanup_secret. Any thread (an EVP_PKEY is counted and immutable). */
#ifndef ACME_KEY_H
#define ACME_KEY_H

#include "base/buf.h"
#include "base/err.h"

struct evp_pkey_st; /* EVP_PKEY */

enum key_type { KEY_P256, KEY_P384, KEY_RSA2048, KEY_RSA3072, KEY_RSA4096, KEY_OTHER };

/* "p256", "p384", "rsa2048", ...: the words of ACME_KEY_TYPE and of records. "other" for what we do not make. */
const char *key_type_name(enum key_type type);
/* false where no key that we make has that name. */
bool key_type_from_name(struct slice name, enum key_type *out_type);

/* A new key. P-256 and P-384 take microseconds; RSA takes up to seconds and does not belong on a loop. ERR_TLS. */
MUST_CHECK struct err key_generate(enum key_type type, struct evp_pkey_st **out_key);
void key_free(struct evp_pkey_st *key);
/* One more reference to the same key. */
struct evp_pkey_st *key_ref(struct evp_pkey_st *key);
enum key_type key_type_of(const struct evp_pkey_st *key);

/* PKCS#8 PrivateKeyInfo (RFC 5208), unencrypted; nothing may follow it. ERR_INPUT. */
MUST_CHECK struct err key_read_pkcs8(struct slice der, struct evp_pkey_st **out_key);
void key_write_pkcs8(const struct evp_pkey_st *key, struct buf *out);

/* The first key of a PEM text: PRIVATE KEY, EC PRIVATE KEY (RFC 5915) or RSA PRIVATE KEY (RFC 8017); EC PARAMETERS and
 * certificates are skipped, an encrypted key is refused by name. ERR_INPUT. */
MUST_CHECK struct err key_read_pem(struct slice pem, struct evp_pkey_st **out_key);
/* Always as PRIVATE KEY (PKCS#8). */
void key_write_pem(const struct evp_pkey_st *key, struct buf *out);

bool key_same_public(const struct evp_pkey_st *a, const struct evp_pkey_st *b);
/* SubjectPublicKeyInfo in DER. */
void key_write_public(const struct evp_pkey_st *key, struct buf *out);

enum { KEY_SHA256_BYTES = 32 };
void key_sha256(struct slice bytes, uint8_t out[KEY_SHA256_BYTES]);
/* Lower-case hexadecimal digits appended. */
void key_write_hex(struct buf *out, struct slice bytes);

#endif
