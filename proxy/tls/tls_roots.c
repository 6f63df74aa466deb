#include "tls/tls_roots.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <stdlib.h>

/* The end of the text is an error for PEM_read_bio_X509 too: the one of no further block. */
static bool roots_ended(void)
{
    uint32_t packed = ERR_peek_last_error();
    return ERR_GET_LIB(packed) == ERR_LIB_PEM && ERR_GET_REASON(packed) == PEM_R_NO_START_LINE;
}

struct err tls_roots_add(X509_STORE *store, struct slice pem)
{
    size_t num = 0;
    X509 *root;
    BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (ossl_ssize_t)pem.len);
    if (!bio)
        abort(); /* out of memory */
    ERR_clear_error();
    while ((root = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        num += X509_STORE_add_cert(store, root) == 1;
        X509_free(root);
    }
    bool ended = roots_ended();
    BIO_free(bio);
    ERR_clear_error();
    if (!ended)
        return err_make(ERR_INPUT, 0, "a certificate that cannot be parsed in the roots that were given");
    return num ? ERR_OK : err_make(ERR_INPUT, 0, "no certificate in the roots that were given");
}
