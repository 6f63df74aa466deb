#include "acme/csr.h"

#include "acme/key.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>

enum { CSR_MAX_CN_BYTES = 64, CSR_MAX_SIGNATURE_BYTES = 1024 };

static const uint8_t oid_common_name[] = {0x55, 0x04, 0x03};
static const uint8_t oid_extension_request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};
static const uint8_t oid_subject_alt_name[] = {0x55, 0x1d, 0x11};
static const uint8_t oid_ecdsa_sha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
static const uint8_t oid_ecdsa_sha384[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03};
static const uint8_t oid_rsa_sha256[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b};

static bool csr_add_oid(CBB *cbb, const uint8_t *oid, size_t len)
{
    CBB child;
    return CBB_add_asn1(cbb, &child, CBS_ASN1_OBJECT) && CBB_add_bytes(&child, oid, len) && CBB_flush(cbb);
}

/* Name: an empty sequence, or one RDN with the common name. */
static bool csr_add_subject(CBB *cbb, struct slice cn)
{
    CBB name, rdn, attribute, value;
    if (!CBB_add_asn1(cbb, &name, CBS_ASN1_SEQUENCE))
        return false;
    if (cn.len == 0)
        return CBB_flush(cbb);
    return CBB_add_asn1(&name, &rdn, CBS_ASN1_SET) && CBB_add_asn1(&rdn, &attribute, CBS_ASN1_SEQUENCE) &&
           csr_add_oid(&attribute, oid_common_name, sizeof oid_common_name) &&
           CBB_add_asn1(&attribute, &value, CBS_ASN1_UTF8STRING) &&
           CBB_add_bytes(&value, (const uint8_t *)cn.ptr, cn.len) && CBB_flush(cbb);
}

static bool csr_add_name(CBB *names, struct slice name)
{
    CBB child;
    uint8_t address[16];
    char text[INET6_ADDRSTRLEN];
    if (!name_is_ip(name))
        return CBB_add_asn1(names, &child, CBS_ASN1_CONTEXT_SPECIFIC | 2) &&
               CBB_add_bytes(&child, (const uint8_t *)name.ptr, name.len) && CBB_flush(names);
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    bool v6 = memchr(text, ':', name.len) != NULL;
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1 &&
           CBB_add_asn1(names, &child, CBS_ASN1_CONTEXT_SPECIFIC | 7) && CBB_add_bytes(&child, address, v6 ? 16 : 4) &&
           CBB_flush(names); /* which points at child until then */
}

/* [0] attributes: extensionRequest with a subjectAltName; critical where the subject is empty (RFC 5280 §4.2.1.6). */
static bool csr_add_attributes(CBB *cbb, const struct slice *names, size_t num_names, bool critical)
{
    CBB attributes, attribute, set, extensions, extension, flag, octets, list;
    if (!CBB_add_asn1(cbb, &attributes, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) ||
        !CBB_add_asn1(&attributes, &attribute, CBS_ASN1_SEQUENCE) ||
        !csr_add_oid(&attribute, oid_extension_request, sizeof oid_extension_request) ||
        !CBB_add_asn1(&attribute, &set, CBS_ASN1_SET) || !CBB_add_asn1(&set, &extensions, CBS_ASN1_SEQUENCE) ||
        !CBB_add_asn1(&extensions, &extension, CBS_ASN1_SEQUENCE) ||
        !csr_add_oid(&extension, oid_subject_alt_name, sizeof oid_subject_alt_name))
        return false;
    if (critical && !(CBB_add_asn1(&extension, &flag, CBS_ASN1_BOOLEAN) && CBB_add_u8(&flag, 0xff)))
        return false;
    if (!CBB_add_asn1(&extension, &octets, CBS_ASN1_OCTETSTRING) || !CBB_add_asn1(&octets, &list, CBS_ASN1_SEQUENCE))
        return false;
    for (size_t i = 0; i < num_names; i++)
        if (!csr_add_name(&list, names[i]))
            return false;
    return CBB_flush(cbb);
}

static bool csr_write_info(const struct evp_pkey_st *key, const struct slice *names, size_t num_names, struct slice cn,
                           CBB *cbb)
{
    CBB info;
    return CBB_add_asn1(cbb, &info, CBS_ASN1_SEQUENCE) && CBB_add_asn1_uint64(&info, 0) && csr_add_subject(&info, cn) &&
           EVP_marshal_public_key(&info, key) && csr_add_attributes(&info, names, num_names, cn.len == 0) &&
           CBB_flush(cbb);
}

static bool csr_add_algorithm(CBB *cbb, enum key_type type)
{
    CBB algorithm, null;
    if (!CBB_add_asn1(cbb, &algorithm, CBS_ASN1_SEQUENCE))
        return false;
    if (type == KEY_P256)
        return csr_add_oid(&algorithm, oid_ecdsa_sha256, sizeof oid_ecdsa_sha256) && CBB_flush(cbb);
    if (type == KEY_P384)
        return csr_add_oid(&algorithm, oid_ecdsa_sha384, sizeof oid_ecdsa_sha384) && CBB_flush(cbb);
    return csr_add_oid(&algorithm, oid_rsa_sha256, sizeof oid_rsa_sha256) &&
           CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL) && CBB_flush(cbb);
}

static bool csr_sign(const struct evp_pkey_st *key, const uint8_t *info, size_t info_len, uint8_t *signature,
                     size_t *len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const EVP_MD *digest = key_type_of(key) == KEY_P384 ? EVP_sha384() : EVP_sha256();
    /* EVP_DigestSignInit wants the key without const, but only counts a reference. */
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, digest, NULL, (EVP_PKEY *)key) &&
              EVP_DigestSign(ctx, signature, len, info, info_len);
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool csr_write_request(const struct evp_pkey_st *key, const uint8_t *info, size_t info_len, CBB *cbb)
{
    uint8_t signature[CSR_MAX_SIGNATURE_BYTES];
    size_t len = sizeof signature;
    CBB request, bits;
    return csr_sign(key, info, info_len, signature, &len) && CBB_add_asn1(cbb, &request, CBS_ASN1_SEQUENCE) &&
           CBB_add_bytes(&request, info, info_len) && csr_add_algorithm(&request, key_type_of(key)) &&
           CBB_add_asn1(&request, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0) &&
           CBB_add_bytes(&bits, signature, len) && CBB_flush(cbb);
}

struct err csr_write(const struct evp_pkey_st *key, const struct slice *names, size_t num_names, bool with_cn,
                     struct buf *out)
{
    struct slice cn = {"", 0};
    if (with_cn && num_names > 0 && names[0].len <= CSR_MAX_CN_BYTES && !name_is_ip(names[0]))
        cn = names[0];
    CBB info_cbb, request_cbb;
    uint8_t *info = NULL, *request = NULL;
    size_t info_len = 0, request_len = 0;
    CBB_zero(&info_cbb);
    CBB_zero(&request_cbb);
    bool ok = CBB_init(&info_cbb, 512) && csr_write_info(key, names, num_names, cn, &info_cbb) &&
              CBB_finish(&info_cbb, &info, &info_len) && CBB_init(&request_cbb, 1024) &&
              csr_write_request(key, info, info_len, &request_cbb) && CBB_finish(&request_cbb, &request, &request_len);
    if (ok)
        buf_append(out, request, request_len);
    CBB_cleanup(&info_cbb);
    CBB_cleanup(&request_cbb);
    OPENSSL_free(info);
    OPENSSL_free(request);
    ERR_clear_error();
    return ok ? ERR_OK : err_make(ERR_TLS, 0, "make a certificate request");
}
