#include "certs/alpn_cert.h"

#include "acme/key.h"
#include "base/cidr.h"
#include "certs/x509_make.h"

enum { ALPN_CERT_BEFORE_S = 24 * 3600, ALPN_CERT_AFTER_S = 6 * 24 * 3600 };

/* RFC 3596 §2.5, RFC 1035 §3.5: the last part of the address comes first. */
void alpn_cert_write_sni(struct slice name, struct buf *out)
{
    struct ip ip;
    if (!ip_parse(name, &ip)) {
        buf_append_slice(out, name);
        return;
    }
    if (ip_is_v4(&ip)) {
        for (size_t i = sizeof ip.bytes; i-- > sizeof ip.bytes - 4;)
            buf_printf(out, "%u.", ip.bytes[i]);
        buf_append_slice(out, SLICE_LIT("in-addr.arpa"));
        return;
    }
    for (size_t i = sizeof ip.bytes; i-- > 0;)
        buf_printf(out, "%x.%x.", ip.bytes[i] & 0xfu, (unsigned)ip.bytes[i] >> 4);
    buf_append_slice(out, SLICE_LIT("ip6.arpa"));
}

struct err alpn_cert_make(struct slice name, struct slice key_authorization, int64_t now_s, struct cert **out_cert)
{
    uint8_t hash[KEY_SHA256_BYTES];
    struct x509_made made;
    if (slice_starts(name, SLICE_LIT("*.")))
        return err_make(ERR_INPUT, 0, "TLS-ALPN-01 cannot answer for a wildcard");
    key_sha256(key_authorization, hash);
    struct x509_spec spec = {.common_name = SLICE_LIT("Portico TLS-ALPN-01"),
                             .names = &name,
                             .num_names = 1,
                             .not_before_s = now_s - ALPN_CERT_BEFORE_S,
                             .not_after_s = now_s + ALPN_CERT_AFTER_S,
                             .acme_identifier = slice_make(hash, sizeof hash)};
    struct err err = x509_make_with_key(&spec, &made);
    if (err_is(err))
        return err;
    err = x509_made_cert(&made, CERT_CHALLENGE, out_cert);
    x509_made_cleanup(&made);
    return err;
}
