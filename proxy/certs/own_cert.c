#include "certs/own_cert.h"

#include "acme/key.h"
#include "acme/pem.h"
#include "base/limits.h"
#include "base/mem.h"
#include "certs/self_test.h"

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

/* What is at fault, and what it should hold. */
struct own_fault {
    bool cert, key;
    const char *cure;
};

static struct err cert_build(const struct config_pem *pem, const struct config_pem *key_pem, struct cert **out_cert,
                             struct own_fault *out_fault)
{
    struct own_chain chain = {0};
    struct evp_pkey_st *key = NULL;
    struct buf key_der = {0};
    *out_fault = (struct own_fault){true, false, "it takes PEM, the certificate first and what signed it behind it"};
    struct err err = own_chain_read(pem->text, &chain);
    if (!err_is(err) && chain.num == 0)
        err = err_make(ERR_INPUT, 0, "there is no certificate in it");
    if (!err_is(err)) {
        *out_fault = (struct own_fault){false, true, "it takes a private key in PEM without a passphrase"};
        err = key_read_pem(key_pem->text, &key);
    }
    if (!err_is(err)) {
        *out_fault = (struct own_fault){true, true, "they must belong together"};
        key_write_pkcs8(key, &key_der);
        err = cert_new(CERT_OWN, chain.parts, chain.num, buf_slice(&key_der), out_cert);
    }
    buf_cleanup_secret(&key_der);
    key_free(key);
    own_chain_cleanup(&chain);
    return err;
}

static struct err cert_try(const struct config_pem *pem, const struct config_pem *key, struct cert **out_cert,
                           struct own_fault *out_fault)
{
    struct cert *cert = NULL;
    struct err err = cert_build(pem, key, &cert, out_fault);
    if (!err_is(err) && cert->num_names) {
        *out_fault = (struct own_fault){true, false, "it does not work in a TLS handshake"};
        err = self_test(cert, slice_str(cert->names[0]));
    }
    if (err_is(err))
        cert_unref(cert);
    else
        *out_cert = cert;
    return err;
}

/* ---- what is said ---- */

static void say_fault(struct buf *out, const char *cert, const char *key, const struct own_fault *fault, struct err err)
{
    char text[160];
    bool both = fault->cert && fault->key && strcmp(cert, key) != 0;
    buf_printf(out, "%s%s%s: %s; %s", fault->cert ? cert : key, both ? " and " : "", both ? key : "",
               err_text(err, text, sizeof text), fault->cure);
}

static bool of_variable(const struct config *config, const struct config_pem *pem)
{
    return pem == &config->tls.cert;
}

/* The first names the variable, and what follows is of the same one: TLS_CERT comes alone. */
static void say_mistake(struct buf *out, const struct config *config, const struct own_cert *item,
                        const struct own_fault *fault, struct err err)
{
    if (of_variable(config, item->pem)) {
        say_fault(out, "PORTICO_TLS_CERT", "PORTICO_TLS_KEY", fault, err);
        return;
    }
    buf_append_str(out, out->len ? "; " : "PORTICO_TLS_CERT_DIR: ");
    say_fault(out, item->pem->path.ptr, item->key->path.ptr, fault, err);
}

/* ---- all of them ---- */

static bool same_pem(const struct config_pem *a, const struct config_pem *b)
{
    return slice_eq(a->text, b->text);
}

static struct cert *take_over(const struct own_certs *before, const struct own_cert *item)
{
    for (size_t i = 0; before && i < before->num; i++)
        if (same_pem(before->items[i].pem, item->pem) && same_pem(before->items[i].key, item->key))
            return cert_ref(before->items[i].cert);
    return NULL;
}

static struct err own_add(struct own_certs *own, const struct own_certs *before, const struct config_pem *pem,
                          const struct config_pem *key, struct buf *out_mistake)
{
    bool variable = of_variable(own->config, pem);
    struct own_cert item = {.pem = pem, .key = key, .source = variable ? SLICE_LIT("PORTICO_TLS_CERT") : pem->path};
    struct own_fault fault;
    struct err err = ERR_OK;
    item.cert = take_over(before, &item);
    if (!item.cert)
        err = cert_try(pem, key, &item.cert, &fault);
    if (err_is(err))
        say_mistake(out_mistake, own->config, &item, &fault, err);
    else
        own->items[own->num++] = item;
    return err;
}

/* Every fault of the directory is told in one run; one of TLS_CERT is told by itself. */
static struct err own_add_all(struct own_certs *own, const struct own_certs *before, struct buf *out_mistake)
{
    const struct config *config = own->config;
    struct err err = ERR_OK;
    if (config->tls.cert.text.len)
        err = own_add(own, before, &config->tls.cert, &config->tls.key, out_mistake);
    if (err_is(err))
        return err;
    for (size_t i = 0; i < config->tls.num_pairs; i++) {
        struct err failed = own_add(own, before, &config->tls.pairs[i].cert, &config->tls.pairs[i].key, out_mistake);
        err = err_is(failed) ? failed : err;
    }
    return err;
}

struct err own_certs_new(const struct config *config, const struct own_certs *before, struct own_certs **out_own,
                         struct buf *out_mistake)
{
    struct own_certs *own = MEM_NEW(struct own_certs);
    *own = (struct own_certs){
        .refs = 1, .config = config_ref(config), .items = mem_calloc(config->tls.num_pairs + 1, sizeof *own->items)};
    struct err err = own_add_all(own, before, out_mistake);
    if (err_is(err))
        own_certs_unref(own);
    else
        *out_own = own;
    return err;
}

struct own_certs *own_certs_ref(struct own_certs *own)
{
    own->refs++;
    return own;
}

void own_certs_unref(struct own_certs *own)
{
    if (!own || --own->refs > 0)
        return;
    for (size_t i = 0; i < own->num; i++)
        cert_unref(own->items[i].cert);
    mem_free(own->items);
    config_unref(own->config);
    mem_free(own);
}

bool own_certs_same(const struct config *a, const struct config *b)
{
    bool same = same_pem(&a->tls.cert, &b->tls.cert) && same_pem(&a->tls.key, &b->tls.key) &&
                a->tls.num_pairs == b->tls.num_pairs;
    for (size_t i = 0; same && i < a->tls.num_pairs; i++)
        same = same_pem(&a->tls.pairs[i].cert, &b->tls.pairs[i].cert) &&
               same_pem(&a->tls.pairs[i].key, &b->tls.pairs[i].key);
    return same;
}

/* ---- by name ---- */

bool own_certs_cover(const struct own_certs *own, struct slice name)
{
    for (size_t i = 0; i < own->num; i++)
        if (cert_covers(own->items[i].cert, name))
            return true;
    return false;
}

static bool is_valid(const struct cert *cert, int64_t now_s)
{
    return now_s >= cert->not_before_s && now_s < cert->not_after_s;
}

static bool has_name_itself(const struct cert *cert, struct slice name)
{
    for (size_t i = 0; i < cert->num_names; i++)
        if (slice_eq(slice_str(cert->names[i]), name))
            return true;
    return false;
}

static bool is_better(const struct cert *a, const struct cert *b, struct slice name, int64_t now_s)
{
    bool a_valid = is_valid(a, now_s), b_valid = is_valid(b, now_s);
    bool a_itself = has_name_itself(a, name), b_itself = has_name_itself(b, name);
    if (a_valid != b_valid)
        return a_valid;
    if (a_itself != b_itself)
        return a_itself;
    if (a->key_is_rsa != b->key_is_rsa)
        return b->key_is_rsa;
    return a->not_after_s > b->not_after_s;
}

const struct own_cert *own_certs_find(const struct own_certs *own, struct slice name, int64_t now_s)
{
    const struct own_cert *best = NULL;
    for (size_t i = 0; i < own->num; i++)
        if (cert_covers(own->items[i].cert, name) && (!best || is_better(own->items[i].cert, best->cert, name, now_s)))
            best = &own->items[i];
    return best;
}

const struct own_cert *own_certs_find_beside(const struct own_certs *own, const struct own_cert *first,
                                             struct slice name, int64_t now_s)
{
    const struct own_cert *best = NULL;
    for (size_t i = 0; i < own->num; i++) {
        const struct cert *cert = own->items[i].cert;
        if (cert->key_is_rsa != first->cert->key_is_rsa && cert_covers(cert, name) && is_valid(cert, now_s) &&
            (!best || is_better(cert, best->cert, name, now_s)))
            best = &own->items[i];
    }
    return best;
}

int64_t own_certs_change_s(const struct own_certs *own, struct slice name, int64_t now_s)
{
    int64_t next_s = INT64_MAX;
    for (size_t i = 0; i < own->num; i++) {
        const struct cert *cert = own->items[i].cert;
        const int64_t dates_s[] = {cert->not_before_s, cert->not_after_s};
        for (size_t at = 0; at < 2 && cert_covers(cert, name); at++)
            if (dates_s[at] > now_s && dates_s[at] < next_s)
                next_s = dates_s[at];
    }
    return next_s;
}
