#include "scripted_issuer.h"

#include "acme/pem.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static void issue_must(bool ok)
{
    if (!ok)
        __builtin_trap();
}

static GENERAL_NAME *issue_name(struct slice name)
{
    GENERAL_NAME *entry = GENERAL_NAME_new();
    char text[256];
    issue_must(name.len < sizeof text);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    if (name_is_ip(name)) {
        entry->type = GEN_IPADD;
        entry->d.iPAddress = a2i_IPADDRESS(text);
        issue_must(entry->d.iPAddress != NULL);
        return entry;
    }
    entry->type = GEN_DNS;
    entry->d.dNSName = ASN1_IA5STRING_new();
    issue_must(ASN1_STRING_set(entry->d.dNSName, text, (int)name.len));
    return entry;
}

static void issue_add_names(X509 *certificate, const struct issue *issue)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    for (size_t i = 0; i < issue->num_names; i++)
        issue_must(sk_GENERAL_NAME_push(names, issue_name(issue->names[i])) > 0);
    if (issue->num_names)
        issue_must(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0));
    GENERAL_NAMES_free(names);
}

static void issue_set_subject(X509 *certificate, const char *subject)
{
    X509_NAME *name = X509_NAME_new();
    if (subject)
        issue_must(
            X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const uint8_t *)subject, -1, -1, 0));
    issue_must(X509_set_subject_name(certificate, name));
    X509_NAME_free(name);
}

static void issue_set_dates(X509 *certificate, const struct issue *issue)
{
    ASN1_TIME *before = ASN1_TIME_set(NULL, (time_t)issue->not_before_s);
    ASN1_TIME *after = ASN1_TIME_set(NULL, (time_t)issue->not_after_s);
    issue_must(X509_set1_notBefore(certificate, before) && X509_set1_notAfter(certificate, after));
    ASN1_TIME_free(before);
    ASN1_TIME_free(after);
}

struct slice issue_key_id(const struct evp_pkey_st *key, uint8_t octets[ISSUE_KEY_ID_BYTES])
{
    struct buf public_key = {0};
    uint8_t digest[KEY_SHA256_BYTES];
    key_write_public(key, &public_key);
    key_sha256(buf_slice(&public_key), digest);
    memcpy(octets, digest, ISSUE_KEY_ID_BYTES);
    buf_cleanup(&public_key);
    return slice_make(octets, ISSUE_KEY_ID_BYTES);
}

static void issue_add_key_id(X509 *certificate, const struct evp_pkey_st *issuer_key)
{
    uint8_t octets[ISSUE_KEY_ID_BYTES];
    AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
    issue_key_id(issuer_key, octets);
    id->keyid = ASN1_OCTET_STRING_new();
    issue_must(ASN1_OCTET_STRING_set(id->keyid, octets, sizeof octets) &&
               X509_add1_ext_i2d(certificate, NID_authority_key_identifier, id, 0, 0));
    AUTHORITY_KEYID_free(id);
}

struct x509_st *issue_certificate(const struct issue *issue)
{
    X509 *certificate = X509_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    issue_must(X509_set_version(certificate, X509_VERSION_3) && ASN1_INTEGER_set_uint64(serial, issue->serial) &&
               X509_set_serialNumber(certificate, serial) && X509_set_pubkey(certificate, issue->key));
    ASN1_INTEGER_free(serial);
    issue_set_subject(certificate, issue->subject);
    issue_must(X509_set_issuer_name(certificate, X509_get_subject_name(issue->issuer ? issue->issuer : certificate)));
    issue_set_dates(certificate, issue);
    issue_add_names(certificate, issue);
    if (issue->is_ca) {
        BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
        constraints->ca = 0xff;
        issue_must(X509_add1_ext_i2d(certificate, NID_basic_constraints, constraints, 1, 0));
        BASIC_CONSTRAINTS_free(constraints);
    }
    if (issue->issuer && !issue->no_key_id)
        issue_add_key_id(certificate, issue->issuer_key);
    issue_must(X509_sign(certificate, issue->issuer_key ? issue->issuer_key : issue->key, EVP_sha256()) > 0);
    return certificate;
}

void issue_write_pem(struct x509_st *certificate, struct buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);
    issue_must(len > 0);
    pem_write(out, "CERTIFICATE", slice_make(der, (size_t)len));
    OPENSSL_free(der);
}

static void issue_read_names(X509_EXTENSIONS *extensions, struct slice *names, size_t max_names, size_t *out_num,
                             struct buf *text)
{
    GENERAL_NAMES *list = X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL);
    buf_reserve(text, 128 * 256); /* never moved: names point into it */
    *out_num = 0;
    for (size_t i = 0; list && i < sk_GENERAL_NAME_num(list) && *out_num < max_names; i++) {
        const GENERAL_NAME *entry = sk_GENERAL_NAME_value(list, i);
        size_t start = text->len;
        char address[64];
        if (entry->type == GEN_DNS)
            buf_append(text, ASN1_STRING_get0_data(entry->d.dNSName), (size_t)ASN1_STRING_length(entry->d.dNSName));
        else if (inet_ntop(ASN1_STRING_length(entry->d.iPAddress) == 4 ? AF_INET : AF_INET6,
                           ASN1_STRING_get0_data(entry->d.iPAddress), address, sizeof address))
            buf_append_str(text, address);
        names[(*out_num)++] = slice_make(text->ptr + start, text->len - start);
    }
    GENERAL_NAMES_free(list);
}

struct evp_pkey_st *issue_read_csr(struct slice der, struct slice *names, size_t max_names, size_t *out_num,
                                   struct buf *text, bool *out_has_cn)
{
    const uint8_t *at = (const uint8_t *)der.ptr;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.len);
    EVP_PKEY *key = request ? X509_REQ_get_pubkey(request) : NULL;
    if (!key || at != (const uint8_t *)der.ptr + der.len || X509_REQ_verify(request, key) != 1) {
        EVP_PKEY_free(key);
        X509_REQ_free(request);
        return NULL;
    }
    X509_EXTENSIONS *extensions = X509_REQ_get_extensions(request);
    issue_read_names(extensions, names, max_names, out_num, text);
    *out_has_cn = X509_NAME_entry_count(X509_REQ_get_subject_name(request)) > 0;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(request);
    return key;
}
