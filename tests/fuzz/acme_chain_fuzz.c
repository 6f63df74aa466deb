/* PEM, chains and private keys, as a CA or a person could send them. What parses must survive being written and read again. */
#include "acme/chain.h"
#include "acme/key.h"
#include "acme/pem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_chain(struct slice text)
{
    struct chain chain, again;
    struct buf pem = {0};
    if (err_is(chain_parse(text, &chain)))
        return;
    chain_write_pem(&chain, &pem);
    /* Base64 of canonical length may be longer than what came in: a chain at the very limit may not fit again. */
    if (pem.len <= LIMIT_CHAIN_BYTES) {
        if (err_is(chain_parse(buf_slice(&pem), &again)) || again.num_certs != chain.num_certs ||
            again.not_after_s != chain.not_after_s || !slice_eq(again.serial, chain.serial))
            abort();
        chain_cleanup(&again);
    }
    buf_cleanup(&pem);
    chain_cleanup(&chain);
}

static void try_key(struct slice text)
{
    struct evp_pkey_st *key = NULL, *again = NULL;
    struct buf pem = {0};
    if (err_is(key_read_pem(text, &key)))
        return;
    key_write_pem(key, &pem);
    if (err_is(key_read_pem(buf_slice(&pem), &again)) || !key_same_public(key, again))
        abort();
    key_free(key);
    key_free(again);
    buf_cleanup_secret(&pem);
}

static void try_blocks(struct slice rest)
{
    for (;;) {
        struct pem_block block = {0};
        size_t before = rest.len;
        if (err_is(pem_next(&rest, &block)) || !block.label.ptr)
            return;
        if (rest.len >= before || block.der.len == 0)
            abort();
        pem_block_cleanup(&block);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice text = slice_make(data, len);
    try_blocks(text);
    try_chain(text);
    try_key(text);
    return 0;
}
