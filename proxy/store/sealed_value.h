/* sealed_value: the value of a record in its sealed form: AES-256-GCM (RFC 5116) in a text that says with which key.
 *
 *   portico-sealed: 1
 *   key: 3f2a9c01d4e5b677
 *
 *   -----BEGIN PORTICO SEALED RECORD-----
 *   (nonce of 12 bytes, ciphertext, tag of 16 bytes; base64)
 *   -----END PORTICO SEALED RECORD-----
 *
 * `key` identifies the key and tells nothing of it, so that a wrong key is known as one, and never taken for damage or for
 * a record that is not there. The record's name and the lines above are authenticated: a record that was moved to another
 * name, or whose lines were changed, does not open. Each name has a key of its own (HKDF, RFC 5869), under which only the
 * versions of one record are sealed: no number of records, nor of storages that share the secret, brings random nonces
 * near their limit of 2^32 messages (NIST SP 800-38D, 8.3).
 *
 * What a commit of the directory keeps below previous/ is the sealed text of the record itself: such a name stands for the
 * one without `previous/`. Pure but for the nonce. Any thread. */
#ifndef STORE_SEALED_VALUE_H
#define STORE_SEALED_VALUE_H

#include "acme/store.h"
#include "base/buf.h"

enum { SEAL_SECRET_BYTES = 32, SEAL_ROOT_BYTES = 32, SEAL_ID_DIGITS = 16 };

/* SECRET: overwritten by seal_key_wipe. */
struct seal_key {
    uint8_t root[SEAL_ROOT_BYTES]; /* what the names' keys are derived from */
    char id[SEAL_ID_DIGITS + 1];   /* hexadecimal digits; no secret */
};

/* secret: SEAL_SECRET_BYTES (STORAGE_KEY). */
void seal_key_make(struct slice secret, struct seal_key *out_key);
void seal_key_wipe(struct seal_key *key);

/* Whether it is, or was meant to be, a sealed value. */
bool sealed_value_is(struct slice value);
/* The id of the key that sealed it, a view; ptr NULL where the text is damaged. */
struct slice sealed_value_key_id(struct slice value);

/* Appends the sealed form of value, which is not empty. */
void sealed_value_write(const struct seal_key *key, struct slice name, struct slice value, struct buf *out);
/* out becomes a secret: buf_cleanup_secret. OK; DENIED: key is NULL; WRONG_KEY: another key sealed it; CORRUPT: damaged,
 * of a newer version, or another record's. */
enum store_result sealed_value_open(const struct seal_key *key, struct slice name, struct slice value, struct buf *out);

#endif
