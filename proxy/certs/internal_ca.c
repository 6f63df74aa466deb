#include "certs/internal_ca.h"

#include "acme/chain.h"
#include "acme/key.h"
#include "acme/pem.h"
#include "base/clock.h"
#include "base/mem.h"

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define NAME_PREFIX "Portico local CA "
#define FIRST_LINE "portico-internal-ca: 1"

enum { BACKDATED_S = 3600, DAY_S = 24 * 3600, NAME_RANDOM_BYTES = 4, HEADER_LINES = 50 };

struct internal_ca {
    struct chain root; /* of one certificate; its issuer is itself */
    struct evp_pkey_st *key;
    struct buf fingerprint;
};

void internal_ca_free(struct internal_ca *ca)
{
    if (!ca)
        return;
    chain_cleanup(&ca->root);
    key_free(ca->key);
    buf_cleanup(&ca->fingerprint);
    mem_free(ca);
}

struct slice internal_ca_root_der(const struct internal_ca *ca)
{
    return ca->root.certs[0].der;
}

struct slice internal_ca_name(const struct internal_ca *ca)
{
    return ca->root.issuer;
}

struct slice internal_ca_fingerprint(const struct internal_ca *ca)
{
    return buf_slice(&ca->fingerprint);
}

int64_t internal_ca_not_after_s(const struct internal_ca *ca)
{
    return ca->root.not_after_s;
}

/* --- From PEM --- */

static const char *root_fault(const struct internal_ca *ca)
{
    X509 *x509 = ca->root.certs[0].x509;
    if (ca->root.num_certs != 1)
        return "local CA: more than one certificate";
    if (!chain_has_key(&ca->root, ca->key))
        return "local CA: the key is for another certificate";
    if (X509_check_ca(x509) != 1 || !(X509_get_key_usage(x509) & KU_KEY_CERT_SIGN))
        return "local CA: the certificate is not a CA's";
    if (X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) != 0 || X509_verify(x509, ca->key) != 1)
        return "local CA: the certificate is not self-signed";
    return NULL;
}

static void fingerprint_write(const struct internal_ca *ca, struct buf *out)
{
    uint8_t digest[KEY_SHA256_BYTES];
    key_sha256(internal_ca_root_der(ca), digest);
    key_write_hex(out, slice_make(digest, sizeof digest));
}

struct err internal_ca_of_pem(struct slice certificate_pem, struct slice key_pem, struct internal_ca **out_ca)
{
    struct internal_ca *ca = MEM_NEW(struct internal_ca);
    struct err err = chain_parse(certificate_pem, &ca->root);
    if (!err_is(err))
        err = key_read_pem(key_pem, &ca->key);
    const char *fault = err_is(err) ? NULL : root_fault(ca);
    if (fault)
        err = err_make(ERR_INPUT, 0, fault);
    ERR_clear_error();
    if (err_is(err)) {
        internal_ca_free(ca);
        return err;
    }
    fingerprint_write(ca, &ca->fingerprint);
    *out_ca = ca;
    return ERR_OK;
}

/* --- A new one --- */

static struct slice name_make(char *out, size_t size)
{
    uint8_t random[NAME_RANDOM_BYTES];
    RAND_bytes(random, sizeof random);
    int len = snprintf(out, size, NAME_PREFIX "%02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
    return slice_make(out, (size_t)len);
}

struct err internal_ca_new(int64_t now_s, struct internal_ca **out_ca)
{
    char name[X509_MAKE_CN_BYTES];
    struct x509_made made;
    struct x509_spec spec = {
        .common_name = name_make(name, sizeof name),
        .not_before_s = now_s - BACKDATED_S,
        .not_after_s = now_s + (int64_t)INTERNAL_CA_ROOT_DAYS * DAY_S,
        .is_ca = true,
    };
    struct err err = x509_make_with_key(&spec, &made);
    if (err_is(err))
        return err;
    struct buf certificate = {0}, key = {0};
    x509_made_write_chain(&made, &certificate);
    x509_made_write_key(&made, &key);
    err = internal_ca_of_pem(buf_slice(&certificate), buf_slice(&key),
                             out_ca); /* what was made is checked as it is read */
    buf_cleanup_secret(&key);
    buf_cleanup(&certificate);
    x509_made_cleanup(&made);
    return err;
}

/* --- The record --- */

static void header_write(struct buf *out, const char *key, struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < ' ')
            return; /* the name of a root of the user's own may hold anything */
    buf_printf(out, "%s: %.*s\n", key, (int)value.len, value.ptr);
}

void internal_ca_write(const struct internal_ca *ca, struct buf *out)
{
    enum { HEADER_BYTES = 1024, KEY_BYTES = 8192 };
    char until[CLOCK_TEXT_BYTES];
    struct buf key = {0};
    key_write_pem(ca->key, &key);
    buf_reserve(out,
                HEADER_BYTES + KEY_BYTES + 2 * internal_ca_root_der(ca).len); /* at once: no copy of the key stays */
    buf_append_str(out, FIRST_LINE "\n");
    header_write(out, "name", internal_ca_name(ca));
    header_write(out, "sha256", internal_ca_fingerprint(ca));
    header_write(out, "until", slice_str(clock_rfc3339(ca->root.not_after_s * 1000, until)));
    buf_append_char(out, '\n');
    buf_append_slice(out, buf_slice(&key));
    chain_write_pem(&ca->root, out);
    buf_cleanup_secret(&key);
}

/* Takes the readable lines and the empty one behind them. */
static bool header_take(struct slice *rest)
{
    if (!slice_eq(slice_split(rest, '\n'), SLICE_LIT(FIRST_LINE)))
        return false;
    for (int i = 0; i < HEADER_LINES && rest->len; i++)
        if (slice_split(rest, '\n').len == 0)
            return true;
    return false;
}

struct err internal_ca_read(struct slice record, struct internal_ca **out_ca)
{
    struct pem_block block = {0};
    if (!header_take(&record))
        return err_make(ERR_INPUT, 0, "local CA: not its record");
    struct slice pem = record;
    struct err err = pem_next(&record, &block);
    if (!err_is(err) &&
        (!slice_eq(block.label, SLICE_LIT("PRIVATE KEY")) || !slice_starts(pem, SLICE_LIT("-----BEGIN "))))
        err = err_make(ERR_INPUT, 0, "local CA: no key in its record");
    pem_block_cleanup(&block);
    if (err_is(err))
        return err;
    return internal_ca_of_pem(record, slice_first(pem, pem.len - record.len), out_ca);
}

/* --- Leaves --- */

static struct slice leaf_common_name(const struct slice *names, size_t num_names)
{
    bool fits = num_names > 0 && names[0].len <= X509_MAKE_CN_BYTES;
    return fits ? names[0] : SLICE_LIT("");
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

struct err internal_ca_issue(const struct internal_ca *ca, const struct slice *names, size_t num_names, int64_t now_s,
                             struct x509_made *out_made)
{
    if (now_s < ca->root.not_before_s || now_s >= ca->root.not_after_s)
        return err_make(ERR_STATE, 0, "local CA: its root is not valid now");
    int64_t not_before_s = later(now_s - BACKDATED_S, ca->root.not_before_s);
    struct x509_spec spec = {
        .common_name = leaf_common_name(names, num_names),
        .names = names,
        .num_names = num_names,
        .not_before_s = not_before_s,
        .not_after_s = earlier(not_before_s + INTERNAL_CA_LEAF_S, ca->root.not_after_s),
        .issuer = ca->root.certs[0].x509,
        .issuer_key = ca->key,
    };
    return x509_make_with_key(&spec, out_made);
}
