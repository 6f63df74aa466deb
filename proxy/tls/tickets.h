/* tickets: the keys that seal TLS session tickets. A ring of values inside each certset; made and rotated by control,
 * read by workers. Nothing outlives the process: tickets of an earlier one lead to a full handshake. */
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>

enum { TICKET_NAME_BYTES = 16, NUM_TICKET_KEYS = 3 };

struct ticket_key {
    uint8_t name[TICKET_NAME_BYTES];
    uint8_t aes[16];
    uint8_t hmac[32];
};

struct ticket_ring {
    struct ticket_key keys[NUM_TICKET_KEYS]; /* the newest first; older ones still open */
    size_t num;                              /* 0: no tickets */
};

/* Puts a fresh key in front and drops the oldest. */
void ticket_ring_rotate(struct ticket_ring *ring);
/* The work of BoringSSL's ticket key callback: 1 done, 2 done and to be renewed, 0 unknown key, -1 failure. */
int ticket_ring_use(const struct ticket_ring *ring, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, HMAC_CTX *hmac,
                    bool encrypt);
void ticket_ring_cleanup(struct ticket_ring *ring);

#endif
