/* pem: the text armour of certificates and keys (RFC 7468), split strictly and written.
 *
 * Owns nothing but what a block decodes to. Any thread. Never guesses: a line that is neither a boundary nor base64
 * inside a block, an END of another label, a block that does not end, encapsulated headers (old encrypted keys): all
 * refused with the place. Text between blocks is skipped, as RFC 7468 §2 allows. */
#ifndef ACME_PEM_H
#define ACME_PEM_H

#include "base/buf.h"
#include "base/err.h"

struct pem_block {
    struct slice label; /* view into the text, e.g. "CERTIFICATE"; ptr NULL: there is no further block */
    struct buf der;     /* owned by the caller, who frees it with pem_block_cleanup */
};

/* Overwrites: the block may have been a key. A zeroed block is fine. */
void pem_block_cleanup(struct pem_block *block);

/* Takes the next block off *rest. ERR_INPUT where the text is broken (*rest and *out_block are then untouched). */
MUST_CHECK struct err pem_next(struct slice *rest, struct pem_block *out_block);

/* RFC 8555 §11.4: a certificate chain holds CERTIFICATE blocks and no other; anything else could be a key that a
 * careless program writes into a public file. ERR_INPUT for any `-----BEGIN` that is not followed by ` CERTIFICATE-----`,
 * wherever it stands. */
MUST_CHECK struct err pem_only_certificates(struct slice text);

/* Appends one block with lines of 64 characters. */
void pem_write(struct buf *out, const char *label, struct slice der);

#endif
