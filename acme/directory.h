/* directory: the one document from which every other URL of a CA comes (RFC 8555 §7.1.1, ACME-23). Pure. Any thread. */
#ifndef ACME_DIRECTORY_H
#define ACME_DIRECTORY_H

#include "base/arena.h"
#include "base/err.h"

struct directory {
    struct arena arena;
    struct slice new_nonce, new_account, new_order;     /* always there */
    struct slice revoke_cert, key_change, renewal_info; /* ptr NULL where the CA has none (ACME-24) */
    struct slice terms_url;                             /* ptr NULL: the CA has no terms */
    bool external_account_required;
};

/* Missing `meta` and null members are tolerated (ACME-24); every URL must be https (ACME-1). *out_directory is written on
 * success alone and then freed by directory_cleanup. ERR_INPUT. */
MUST_CHECK struct err directory_read(struct slice body, struct directory *out_directory);
void directory_cleanup(struct directory *directory);

#endif
