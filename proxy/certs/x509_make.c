#include "certs/x509_make.h"

#include "acme/key.h"
#include "acme/pem.h"
#include "base/url.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/obj.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { SERIAL_BYTES = 16, KEY_ID_BYTES = 20 };

/* Bits of KeyUsage (RFC 5280 §4.2.1.3), the first one being the most significant. */
enum { USE_DIGITAL_SIGNATURE = 0, USE_KEY_CERT_SIGN = 5, USE_CRL_SIGN = 6 };

static bool make_serial(X509 *x509)
{
    uint8_t bytes[SERIAL_BYTES];
    RAND_bytes(bytes, sizeof bytes);
    bytes[0] = (uint8_t)((bytes[0] & 0x7f) | 0x40); /* positive, and always of the same length */
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    ASN1_INTEGER *serial = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
    bool ok = serial && X509_set_serialNumber(x509, serial);
    ASN1_INTEGER_free(serial);
    BN_free(number);
    return ok;
}

static bool make_dates(X509 *x509, const struct x509_spec *spec)
{
    ASN1_TIME *before = ASN1_TIME_set_posix(NULL, spec->not_before_s);
    ASN1_TIME *after = ASN1_TIME_set_posix(NULL, spec->not_after_s);
    bool ok = before && after && spec->not_before_s < spec->not_after_s && X509_set1_notBefore(x509, before) &&
              X509_set1_notAfter(x509, after);
    ASN1_TIME_free(before);
    ASN1_TIME_free(after);
    return ok;
}

static bool make_subject(X509 *x509, struct slice cn)
{
    X509_NAME *name = X509_NAME_new();
    bool ok = name && cn.len <= X509_MAKE_CN_BYTES;
    if (ok && cn.len)
        ok = X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, (const uint8_t *)cn.ptr,
                                        (ossl_ssize_t)cn.len, -1, 0);
    ok = ok && X509_set_subject_name(x509, name);
    X509_NAME_free(name);
    return ok;
}

/* --- Extensions --- */

static bool add_basic_constraints(X509 *x509, bool is_ca)
{
    BASIC_CONSTRAINTS *constraints = BASIC_CONSTRAINTS_new();
    bool ok = constraints != NULL;
    if (ok && is_ca) {
        constraints->ca = ASN1_BOOLEAN_TRUE;
        constraints->pathlen = ASN1_INTEGER_new();
        ok = constraints->pathlen && ASN1_INTEGER_set(constraints->pathlen, 0);
    }
    ok = ok && X509_add1_ext_i2d(x509, NID_basic_constraints, constraints, 1, 0);
    BASIC_CONSTRAINTS_free(constraints);
    return ok;
}

static bool add_key_usage(X509 *x509, bool is_ca)
{
    ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
    bool ok = usage != NULL;
    if (ok && is_ca)
        ok = ASN1_BIT_STRING_set_bit(usage, USE_KEY_CERT_SIGN, 1) && ASN1_BIT_STRING_set_bit(usage, USE_CRL_SIGN, 1);
    else if (ok)
        ok = ASN1_BIT_STRING_set_bit(usage, USE_DIGITAL_SIGNATURE, 1);
    ok = ok && X509_add1_ext_i2d(x509, NID_key_usage, usage, 1, 0);
    ASN1_BIT_STRING_free(usage);
    return ok;
}

static bool add_server_auth(X509 *x509)
{
    EXTENDED_KEY_USAGE *usage = EXTENDED_KEY_USAGE_new();
    bool ok = usage &&
              sk_ASN1_OBJECT_push(usage, OBJ_nid2obj(NID_server_auth)) && /* a static object: nothing to free */
              X509_add1_ext_i2d(x509, NID_ext_key_usage, usage, 0, 0);
    EXTENDED_KEY_USAGE_free(usage);
    return ok;
}

/* RFC 7093 method 1: the leftmost 160 bits of the SHA-256 of the public key's bits. */
static bool add_subject_key_id(X509 *x509)
{
    uint8_t digest[KEY_SHA256_BYTES];
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x509);
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    bool ok = bits && id;
    if (ok) {
        key_sha256(slice_make(ASN1_STRING_get0_data(bits), (size_t)ASN1_STRING_length(bits)), digest);
        ok = ASN1_OCTET_STRING_set(id, digest, KEY_ID_BYTES) &&
             X509_add1_ext_i2d(x509, NID_subject_key_identifier, id, 0, 0);
    }
    ASN1_OCTET_STRING_free(id);
    return ok;
}

/* An issuer without an identifier of its own gives none to its leaves (RFC 5280 §4.2.1.1 forbids inventing one). */
static bool add_authority_key_id(X509 *x509, const X509 *issuer)
{
    /* The getter parses extensions into the certificate's cache, hence its want of const. */
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id((X509 *)issuer);
    if (!id)
        return true;
    AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
    bool ok = authority != NULL;
    if (ok) {
        authority->keyid = ASN1_OCTET_STRING_dup(id);
        ok = authority->keyid && X509_add1_ext_i2d(x509, NID_authority_key_identifier, authority, 0, 0);
    }
    AUTHORITY_KEYID_free(authority);
    return ok;
}

static ASN1_STRING *name_value(struct slice name, bool is_ip)
{
    uint8_t address[16];
    const void *bytes = name.ptr;
    size_t len = name.len;
    ASN1_STRING *value = ASN1_STRING_type_new(is_ip ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    if (is_ip) {
        char text[INET6_ADDRSTRLEN] = {0};
        memcpy(text, name.ptr, name.len); /* name_is_ip has seen that it fits */
        len = inet_pton(AF_INET6, text, address) == 1 ? 16 : 4;
        if (len == 4)
            (void)inet_pton(AF_INET, text, address);
        bytes = address;
    }
    if (value && !ASN1_STRING_set(value, bytes, (ossl_ssize_t)len)) {
        ASN1_STRING_free(value);
        return NULL;
    }
    return value;
}

static bool add_name(GENERAL_NAMES *list, struct slice name)
{
    bool is_ip = name_is_ip(name);
    GENERAL_NAME *entry = GENERAL_NAME_new();
    ASN1_STRING *value = entry ? name_value(name, is_ip) : NULL;
    if (value) {
        GENERAL_NAME_set0_value(entry, is_ip ? GEN_IPADD : GEN_DNS, value);
        if (sk_GENERAL_NAME_push(list, entry))
            return true;
    }
    GENERAL_NAME_free(entry);
    return false;
}

/* Critical where the subject is empty (RFC 5280 §4.2.1.6). */
static bool add_names(X509 *x509, const struct x509_spec *spec)
{
    GENERAL_NAMES *list = GENERAL_NAMES_new();
    bool ok = list != NULL;
    for (size_t i = 0; i < spec->num_names && ok; i++)
        ok = add_name(list, spec->names[i]);
    ok = ok && X509_add1_ext_i2d(x509, NID_subject_alt_name, list, spec->common_name.len == 0, 0);
    GENERAL_NAMES_free(list);
    return ok;
}

/* id-pe-acmeIdentifier: an OCTET STRING within the extension's own (RFC 8737 §3). */
static bool add_acme_identifier(X509 *x509, struct slice hash)
{
    uint8_t der[2 + KEY_SHA256_BYTES] = {CBS_ASN1_OCTETSTRING, KEY_SHA256_BYTES};
    if (hash.len != KEY_SHA256_BYTES)
        return false;
    memcpy(der + 2, hash.ptr, hash.len);
    ASN1_OBJECT *id = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *extension = NULL;
    bool ok = id && value && ASN1_OCTET_STRING_set(value, der, sizeof der) &&
              (extension = X509_EXTENSION_create_by_OBJ(NULL, id, 1, value)) && X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(id);
    return ok;
}

static bool add_extensions(X509 *x509, const struct x509_spec *spec)
{
    return add_basic_constraints(x509, spec->is_ca) && add_key_usage(x509, spec->is_ca) &&
           (spec->is_ca || add_server_auth(x509)) && add_subject_key_id(x509) &&
           (!spec->issuer || add_authority_key_id(x509, spec->issuer)) && (!spec->num_names || add_names(x509, spec)) &&
           (!spec->acme_identifier.len || add_acme_identifier(x509, spec->acme_identifier));
}

/* --- The whole --- */

static bool names_fine(const struct x509_spec *spec)
{
    if (spec->num_names > X509_MAKE_NAMES || (spec->num_names == 0 && !spec->is_ca))
        return false;
    for (size_t i = 0; i < spec->num_names; i++)
        if (!name_is_ip(spec->names[i]) && !name_is_dns(spec->names[i], true))
            return false;
    return true;
}

static bool make_signed(X509 *x509, const struct x509_spec *spec)
{
    const X509_NAME *issuer = spec->issuer ? X509_get_subject_name(spec->issuer) : X509_get_subject_name(x509);
    const EVP_MD *digest = key_type_of(spec->issuer_key) == KEY_P384 ? EVP_sha384() : EVP_sha256();
    return X509_set_issuer_name(x509, (X509_NAME *)issuer) && X509_sign(x509, (EVP_PKEY *)spec->issuer_key, digest);
}

static bool append_der(const X509 *x509, struct buf *out)
{
    uint8_t *der = NULL;
    int len = i2d_X509((X509 *)x509, &der);
    if (len > 0)
        buf_append(out, der, (size_t)len);
    OPENSSL_free(der);
    return len > 0;
}

struct err x509_make(const struct x509_spec *spec, struct buf *out_der)
{
    if (!names_fine(spec))
        return err_make(ERR_INPUT, 0, "make a certificate: not a name");
    X509 *x509 = X509_new();
    bool ok = x509 && X509_set_version(x509, X509_VERSION_3) && make_serial(x509) && make_dates(x509, spec) &&
              make_subject(x509, spec->common_name) && X509_set_pubkey(x509, (EVP_PKEY *)spec->key) &&
              add_extensions(x509, spec) && make_signed(x509, spec) && append_der(x509, out_der);
    struct err err = ok ? ERR_OK : err_make(ERR_TLS, (int)ERR_peek_error(), "make a certificate");
    X509_free(x509);
    ERR_clear_error();
    return err;
}

struct err x509_make_with_key(const struct x509_spec *spec, struct x509_made *out_made)
{
    struct x509_made made = {0};
    struct x509_spec own = *spec;
    struct err err = key_generate(KEY_P256, &made.key);
    if (err_is(err))
        return err;
    own.key = made.key;
    if (!own.issuer)
        own.issuer_key = made.key;
    err = x509_make(&own, &made.der);
    if (err_is(err)) {
        x509_made_cleanup(&made);
        return err;
    }
    *out_made = made;
    return ERR_OK;
}

void x509_made_cleanup(struct x509_made *made)
{
    buf_cleanup(&made->der);
    key_free(made->key);
    made->key = NULL;
}

struct err x509_made_cert(const struct x509_made *made, enum cert_source source, struct cert **out_cert)
{
    struct buf key_der = {0};
    struct slice leaf = buf_slice(&made->der);
    key_write_pkcs8(made->key, &key_der);
    struct err err = cert_new(source, &leaf, 1, buf_slice(&key_der), out_cert);
    buf_cleanup_secret(&key_der);
    return err;
}

void x509_made_write_chain(const struct x509_made *made, struct buf *out)
{
    pem_write(out, "CERTIFICATE", buf_slice(&made->der));
}

void x509_made_write_key(const struct x509_made *made, struct buf *out)
{
    key_write_pem(made->key, out);
}
