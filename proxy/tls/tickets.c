#include "tls/tickets.h"

#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/rand.h>

#include <string.h>

void ticket_ring_rotate(struct ticket_ring *ring)
{
    memmove(&ring->keys[1], &ring->keys[0], sizeof ring->keys[0] * (NUM_TICKET_KEYS - 1));
    RAND_bytes((uint8_t *)&ring->keys[0], sizeof ring->keys[0]);
    if (ring->num < NUM_TICKET_KEYS)
        ring->num++;
}

static int ticket_key_load(const struct ticket_key *key, const uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                           bool encrypt)
{
    return HMAC_Init_ex(hmac, key->hmac, sizeof key->hmac, EVP_sha256(), NULL) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_128_cbc(), NULL, key->aes, iv, encrypt ? 1 : 0) == 1;
}

int ticket_ring_use(const struct ticket_ring *ring, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                    bool encrypt)
{
    if (encrypt) {
        if (ring->num == 0)
            return 0;
        memcpy(name, ring->keys[0].name, TICKET_NAME_BYTES);
        RAND_bytes(iv, 16);
        return ticket_key_load(&ring->keys[0], iv, cipher, hmac, true) ? 1 : -1;
    }
    for (size_t i = 0; i < ring->num; i++)
        if (CRYPTO_memcmp(name, ring->keys[i].name, TICKET_NAME_BYTES) == 0) {
            if (!ticket_key_load(&ring->keys[i], iv, cipher, hmac, false))
                return -1;
            return i == 0 ? 1 : 2;
        }
    return 0;
}

void ticket_ring_cleanup(struct ticket_ring *ring)
{
    OPENSSL_cleanse(ring, sizeof *ring);
}
