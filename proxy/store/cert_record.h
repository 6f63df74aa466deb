/* cert_record: the value of a certificate/NAME record: what is known of a certificate, its key and its chain, in one text
 * that a person can read and other tools can use (openssl skips the lines in front of PEM blocks).
 *
 *   portico-certificate: 1
 *   name: a.example
 *   name: www.a.example
 *   directory: https://ca.example/directory
 *   account: https://ca.example/account/1
 *   order: https://ca.example/order/1
 *   key-type: p256
 *   profile: tlsserver
 *   issued: 2026-11-23T22:16:33Z
 *   generation: 4
 *   on-demand: yes
 *   replaces: 04a1f3
 *
 *   -----BEGIN PRIVATE KEY-----
 *   ...
 *   -----BEGIN CERTIFICATE-----
 *   ...
 *
 * Pure. Any thread. Owns nothing. The armour is checked here; whether key, names and dates belong together is for
 * acme/chain.h. What cannot be read is an error, never "no certificate". */
#ifndef STORE_CERT_RECORD_H
#define STORE_CERT_RECORD_H

#include "acme/key.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { CERT_RECORD_VERSION = 1, CERT_RECORD_NAMES = 100, CERT_RECORD_LINES = 200, CERT_RECORD_VALUE_BYTES = 1024 };

/* All slices are views. Empty ones are left out when written, and mean "not known". */
struct cert_record {
    const struct slice *names; /* as ordered; at least one */
    size_t num_names;
    struct slice directory_url, account_url, order_url; /* empty for the local CA's */
    enum key_type key_type;
    struct slice profile;
    int64_t issued_s;       /* wall clock of the download */
    bool on_demand;         /* its names came by ON_DEMAND_ASK, not by the configuration */
    uint64_t generation;    /* counts the certificates of this record from 1; 0: not known */
    struct slice replaces;  /* serial of the one before, in hexadecimal */
    struct slice key_pem;   /* SECRET: one block */
    struct slice chain_pem; /* certificates alone, the leaf first */
};

/* out becomes a secret: buf_cleanup_secret. ERR_INPUT where a value cannot stand in a line or the PEM is not as above, so
 * that what was written can be read again. */
MUST_CHECK struct err cert_record_write(const struct cert_record *record, struct buf *out);

/* Views into text, names in the arena. Lines that it does not know are passed over; a newer version, a line twice, control
 * bytes, anything but one key and then certificates: ERR_INPUT. *out_record is written on success alone. */
MUST_CHECK struct err cert_record_read(struct arena *arena, struct slice text, struct cert_record *out_record);

#endif
