/* caa: whether a name's CAA records let a CA issue for us (RFC 8659, RFC 8657), and how one is written that does. Pure; any
 * thread. What it says is a hint: the CA looks for itself. */
#ifndef CERTS_CAA_H
#define CERTS_CAA_H

#include "base/buf.h"
#include "net/dns.h"

enum caa_verdict {
    CAA_ALLOWED,
    CAA_FORBIDS_CA,      /* others may, or nobody */
    CAA_FORBIDS_ACCOUNT, /* the CA may, for other accounts */
    CAA_FORBIDS_METHOD,  /* the CA may, by other challenges */
    CAA_CRITICAL,        /* there is a critical property that no CA knows */
    CAA_UNDECIDED        /* the CA's name, or our account, is not known and would decide it */
};

struct caa_question {
    const struct slice *identities; /* the CA's names in CAA (meta.caaIdentities); compared in any case */
    size_t num_identities;          /* 0: not known */
    struct slice account_url;       /* empty: not known */
    struct slice method;            /* "http-01" */
    bool wildcard;
};

/* records: the relevant set of the name (RFC 8659 §3), at least one. */
enum caa_verdict caa_judge(const struct dns_caa *records, size_t num_records, const struct caa_question *question);

/* The next `name=value` of an issue value, or of a record with the same grammar (RFC 8659 §4.2); moves *rest behind its `;`. */
struct slice caa_next_parameter(struct slice *rest, struct slice *out_value);

/* A record as zone files have it: `128 issue "ca.example; accounturi=..."`. */
void caa_write(struct buf *out, const struct dns_caa *record);
/* The value of a record that allows one CA, for this account and these methods alone (RFC 8657); empty account and methods
 * are left out. methods: joined by commas. */
void caa_write_value(struct buf *out, struct slice identity, struct slice account_url, struct slice methods);

#endif
