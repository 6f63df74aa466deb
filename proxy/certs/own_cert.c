#include "certs/own_cert.h"

#include "acme/key.h"
#include "acme/pem.h"
#include "base/limits.h"

struct own_chain {
    struct buf der[LIMIT_CHAIN_CERTS];
    struct slice parts[LIMIT_CHAIN_CERTS];
    size_t num;
};

static void own_chain_cleanup(struct own_chain *chain)
{
    for (size_t i = 0; i < chain->num; i++)
        buf_cleanup(&chain->der[i]);
}

/* The CERTIFICATE blocks, in their order; what else a person keeps in the file is skipped. */
static struct err own_chain_read(struct slice pem, struct own_chain *chain)
{
    for (;;) {
        struct pem_block block = {0};
        struct err err = pem_next(&pem, &block);
        if (err_is(err) || !block.label.ptr)
            return err;
        if (!slice_eq(block.label, SLICE_LIT("CERTIFICATE"))) {
            pem_block_cleanup(&block);
            continue;
        }
        if (chain->num == LIMIT_CHAIN_CERTS) {
            pem_block_cleanup(&block);
            return err_make(ERR_LIMIT, 0, "more than 10 certificates");
        }
        chain->der[chain->num] = block.der; /* taken over */
        chain->parts[chain->num] = buf_slice(&chain->der[chain->num]);
        chain->num++;
    }
}

/* Which variable is at fault, and what it should hold. */
struct own_fault {
    const char *variable, *cure;
};

static struct err own_cert_build(const struct config *config, struct cert **out_cert, struct own_fault *out_fault)
{
    struct own_chain chain = {0};
    struct evp_pkey_st *key = NULL;
    struct buf key_der = {0};
    *out_fault =
        (struct own_fault){"PORTICO_TLS_CERT", "it takes PEM, the certificate first and what signed it behind it"};
    struct err err = own_chain_read(config->tls.cert.text, &chain);
    if (!err_is(err) && chain.num == 0)
        err = err_make(ERR_INPUT, 0, "there is no certificate in it");
    if (!err_is(err)) {
        *out_fault = (struct own_fault){"PORTICO_TLS_KEY", "it takes a private key in PEM without a passphrase"};
        err = key_read_pem(config->tls.key.text, &key);
    }
    if (!err_is(err)) {
        *out_fault = (struct own_fault){"PORTICO_TLS_CERT and PORTICO_TLS_KEY", "they must belong together"};
        key_write_pkcs8(key, &key_der);
        err = cert_new(CERT_OWN, chain.parts, chain.num, buf_slice(&key_der), out_cert);
    }
    buf_cleanup_secret(&key_der);
    key_free(key);
    own_chain_cleanup(&chain);
    return err;
}

struct err own_cert_new(const struct config *config, struct cert **out_cert, struct buf *out_mistake)
{
    struct own_fault fault;
    char text[160];
    struct err err = own_cert_build(config, out_cert, &fault);
    if (err_is(err))
        buf_printf(out_mistake, "%s: %s; %s", fault.variable, err_text(err, text, sizeof text), fault.cure);
    return err;
}
