#include "acme/chain.h"

#include "acme/key.h"
#include "acme/pem.h"
#include "base/b64url.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum {
    CHAIN_CLOCK_SKEW_S = 300,
    CHAIN_MAX_NAMES = 100,
    CHAIN_MAX_NAME_BYTES = 253,
    CHAIN_MAX_SERIAL_BYTES = 64,
    CHAIN_MAX_KEY_ID_BYTES = 64
};

void chain_cleanup(struct chain *chain)
{
    for (size_t i = 0; i < chain->num_certs; i++)
        X509_free(chain->certs[i].x509);
    arena_cleanup(&chain->arena);
    *chain = (struct chain){0};
}

static struct err chain_broken(const char *what)
{
    ERR_clear_error();
    return err_make(ERR_INPUT, 0, what);
}

static struct err chain_add(struct chain *chain, struct slice der)
{
    if (chain->num_certs == LIMIT_CHAIN_CERTS)
        return err_make(ERR_LIMIT, LIMIT_CHAIN_CERTS, "chain of too many certificates");
    struct slice copy = arena_copy(&chain->arena, der);
    const uint8_t *at = (const uint8_t *)copy.ptr;
    X509 *x509 = d2i_X509(NULL, &at, (long)copy.len);
    if (!x509)
        return chain_broken("not a certificate");
    chain->certs[chain->num_certs++] = (struct chain_cert){copy, x509};
    if (at != (const uint8_t *)copy.ptr + copy.len)
        return chain_broken("bytes behind a certificate");
    return ERR_OK;
}

static struct err chain_split(struct chain *chain, struct slice pem)
{
    for (;;) {
        struct pem_block block = {0};
        struct err err = pem_next(&pem, &block);
        if (err_is(err) || !block.label.ptr)
            return err;
        err = chain_add(chain, buf_slice(&block.der));
        pem_block_cleanup(&block);
        if (err_is(err))
            return err;
    }
}

static struct err chain_read_dates(struct chain *chain, const X509 *leaf)
{
    if (!ASN1_TIME_to_posix(X509_get0_notBefore(leaf), &chain->not_before_s) ||
        !ASN1_TIME_to_posix(X509_get0_notAfter(leaf), &chain->not_after_s))
        return chain_broken("certificate with unreadable dates");
    return ERR_OK;
}

/* From the DER's content octets, so that the 00 of a high-bit serial is kept (RFC 9773 needs it). */
static struct err chain_read_serial(struct chain *chain, const X509 *leaf)
{
    uint8_t *octets = NULL;
    int len = i2c_ASN1_INTEGER(X509_get0_serialNumber(leaf), NULL);
    if (len <= 0 || len > CHAIN_MAX_SERIAL_BYTES)
        return chain_broken("certificate with an unreadable serial number");
    octets = arena_alloc(&chain->arena, (size_t)len);
    uint8_t *at = octets;
    i2c_ASN1_INTEGER(X509_get0_serialNumber(leaf), &at);
    struct buf hex = {0};
    key_write_hex(&hex, slice_make(octets, (size_t)len));
    chain->serial = arena_copy(&chain->arena, buf_slice(&hex));
    buf_cleanup(&hex);
    return ERR_OK;
}

static struct slice chain_read_issuer(struct chain *chain, size_t at)
{
    char text[256];
    X509_NAME *name = X509_get_issuer_name(chain->certs[at].x509);
    int len = X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text);
    if (len <= 0 && !X509_NAME_oneline(name, text, sizeof text))
        text[0] = '\0';
    return arena_copy(&chain->arena, slice_str(text));
}

/* The text of one SAN entry, or ptr NULL for a kind that is not ours or bytes that no name has. */
static struct slice chain_name_text(struct arena *arena, const GENERAL_NAME *entry)
{
    if (entry->type == GEN_IPADD) {
        const ASN1_OCTET_STRING *ip = entry->d.iPAddress;
        int len = ASN1_STRING_length(ip);
        char text[INET6_ADDRSTRLEN];
        if ((len != 4 && len != 16) ||
            !inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof text))
            return SLICE_NONE;
        return arena_copy(arena, slice_str(text));
    }
    if (entry->type != GEN_DNS)
        return SLICE_NONE;
    const ASN1_STRING *dns = entry->d.dNSName;
    size_t len = (size_t)ASN1_STRING_length(dns);
    if (len == 0 || len > CHAIN_MAX_NAME_BYTES || memchr(ASN1_STRING_get0_data(dns), '\0', len))
        return SLICE_NONE;
    const unsigned char *bytes = ASN1_STRING_get0_data(dns);
    char *name = arena_alloc(arena, len);
    for (size_t i = 0; i < len; i++)
        name[i] = (char)tolower(bytes[i]);
    return slice_make(name, len);
}

static struct err chain_read_names(struct chain *chain, const X509 *leaf)
{
    GENERAL_NAMES *entries = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t num = entries ? sk_GENERAL_NAME_num(entries) : 0;
    if (num > CHAIN_MAX_NAMES) {
        GENERAL_NAMES_free(entries);
        return err_make(ERR_LIMIT, CHAIN_MAX_NAMES, "certificate of too many names");
    }
    chain->names = arena_calloc(&chain->arena, num ? num : 1, sizeof *chain->names);
    for (size_t i = 0; i < num; i++) {
        struct slice name = chain_name_text(&chain->arena, sk_GENERAL_NAME_value(entries, i));
        if (name.ptr)
            chain->names[chain->num_names++] = name;
        else
            chain->other_names = true;
    }
    GENERAL_NAMES_free(entries);
    ERR_clear_error(); /* a certificate without a SAN, or a broken one, has no names: chain_check says so */
    return ERR_OK;
}

static struct err chain_read_leaf(struct chain *chain)
{
    const X509 *leaf = chain->certs[0].x509;
    struct err err = chain_read_dates(chain, leaf);
    if (!err_is(err))
        err = chain_read_serial(chain, leaf);
    if (err_is(err))
        return err;
    chain->issuer = chain_read_issuer(chain, 0);
    chain->top_issuer = chain_read_issuer(chain, chain->num_certs - 1);
    return chain_read_names(chain, leaf);
}

struct err chain_parse(struct slice pem, struct chain *out_chain)
{
    struct chain chain = {0};
    if (pem.len > LIMIT_CHAIN_BYTES)
        return err_make(ERR_LIMIT, LIMIT_CHAIN_BYTES, "chain too long");
    struct err err = pem_only_certificates(pem);
    if (!err_is(err))
        err = chain_split(&chain, pem);
    if (!err_is(err) && chain.num_certs == 0)
        err = err_make(ERR_INPUT, 0, "no certificate in the chain");
    if (!err_is(err))
        err = chain_read_leaf(&chain);
    if (err_is(err)) {
        chain_cleanup(&chain);
        return err;
    }
    *out_chain = chain;
    return ERR_OK;
}

void chain_write_pem(const struct chain *chain, struct buf *out)
{
    for (size_t i = 0; i < chain->num_certs; i++)
        pem_write(out, "CERTIFICATE", chain->certs[i].der);
}

/* From the DER's content octets, so that a leading 00 of the serial is kept. */
static bool chain_write_ari_id(const X509 *leaf, struct buf *out)
{
    const ASN1_OCTET_STRING *issuer = X509_get0_authority_key_id((X509 *)leaf);
    const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
    uint8_t octets[CHAIN_MAX_SERIAL_BYTES], *at = octets;
    int len = i2c_ASN1_INTEGER(serial, NULL);
    if (!issuer || ASN1_STRING_length(issuer) <= 0 || ASN1_STRING_length(issuer) > CHAIN_MAX_KEY_ID_BYTES || len <= 0 ||
        len > CHAIN_MAX_SERIAL_BYTES)
        return false;
    i2c_ASN1_INTEGER(serial, &at);
    b64url_encode(out, slice_make(ASN1_STRING_get0_data(issuer), (size_t)ASN1_STRING_length(issuer)));
    buf_append_char(out, '.');
    b64url_encode(out, slice_make(octets, (size_t)len));
    return true;
}

struct err chain_ari_id(struct slice leaf_der, struct buf *out)
{
    const uint8_t *at = (const uint8_t *)leaf_der.ptr;
    X509 *leaf = leaf_der.len <= LIMIT_CHAIN_BYTES ? d2i_X509(NULL, &at, (long)leaf_der.len) : NULL;
    bool ok = leaf && chain_write_ari_id(leaf, out);
    X509_free(leaf);
    return ok ? ERR_OK : chain_broken("certificate without an authority key identifier");
}

const char *chain_fault_text(enum chain_fault fault)
{
    switch (fault) {
    case CHAIN_FINE: return "it is fine";
    case CHAIN_WRONG_KEY: return "it is for another key";
    case CHAIN_WRONG_NAMES: return "its names are not those that were asked for";
    case CHAIN_NOT_YET_VALID: return "by this machine's clock it is not valid yet; the clock is probably slow";
    case CHAIN_EXPIRED: return "by this machine's clock it has expired; if it is new, the clock is fast";
    case CHAIN_BAD_DATES: return "it ends before it begins";
    case CHAIN_BROKEN_LINK: return "its chain is broken: a certificate is not signed by the next";
    }
    return "it is unusable";
}

bool chain_has_key(const struct chain *chain, const struct evp_pkey_st *key)
{
    EVP_PKEY *public_key = X509_get_pubkey(chain->certs[0].x509);
    bool same = public_key && key_same_public(public_key, key);
    EVP_PKEY_free(public_key);
    ERR_clear_error();
    return same;
}

static bool chain_all_in(const struct slice *some, size_t num_some, const struct slice *all, size_t num_all)
{
    for (size_t i = 0; i < num_some; i++) {
        size_t at = 0;
        while (at < num_all && !name_same(some[i], all[at]))
            at++;
        if (at == num_all)
            return false;
    }
    return true;
}

static bool chain_has_names(const struct chain *chain, const struct slice *names, size_t num_names)
{
    return !chain->other_names && chain_all_in(names, num_names, chain->names, chain->num_names) &&
           chain_all_in(chain->names, chain->num_names, names, num_names);
}

static bool chain_links_hold(const struct chain *chain)
{
    for (size_t i = 0; i + 1 < chain->num_certs; i++) {
        X509 *cert = chain->certs[i].x509, *above = chain->certs[i + 1].x509;
        EVP_PKEY *key = X509_get_pubkey(above);
        bool holds = key && X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(above)) == 0 &&
                     X509_verify(cert, key) == 1;
        EVP_PKEY_free(key);
        ERR_clear_error();
        if (!holds)
            return false;
    }
    return true;
}

enum chain_fault chain_check(const struct chain *chain, const struct evp_pkey_st *key, const struct slice *names,
                             size_t num_names, int64_t now_s)
{
    if (!chain_has_key(chain, key))
        return CHAIN_WRONG_KEY;
    if (names && !chain_has_names(chain, names, num_names))
        return CHAIN_WRONG_NAMES;
    if (chain->not_after_s <= chain->not_before_s)
        return CHAIN_BAD_DATES;
    if (chain->not_before_s > now_s + CHAIN_CLOCK_SKEW_S)
        return CHAIN_NOT_YET_VALID;
    if (chain->not_after_s <= now_s)
        return CHAIN_EXPIRED;
    return chain_links_hold(chain) ? CHAIN_FINE : CHAIN_BROKEN_LINK;
}
