/* challenge: one way to prove control of a name (RFC 8555 §7.1.5, §8), and which of them we can. Pure. Any thread.
 * The types that we know are a table; a new one is a row of it. */
#ifndef ACME_CHALLENGE_H
#define ACME_CHALLENGE_H

#include "acme/problem.h"

struct json;

/* What we can answer. */
enum acme_challenge {
    ACME_HTTP_01,        /* RFC 8555 §8.3 */
    ACME_TLS_ALPN_01,    /* RFC 8737 */
    ACME_DNS_01,         /* RFC 8555 §8.4 */
    ACME_DNS_PERSIST_01, /* draft-ietf-acme-dns-persist */
    NUM_ACME_CHALLENGES
};

/* "http-01", ...: the words of the protocol, of PORTICO_ACME_CHALLENGE and of logs. */
const char *acme_challenge_name(enum acme_challenge challenge);
/* false for a type that we do not know (ACME-46). */
bool acme_challenge_from_name(struct slice name, enum acme_challenge *out_challenge);

enum challenge_status {
    CHALLENGE_UNKNOWN,
    CHALLENGE_PENDING,
    CHALLENGE_PROCESSING,
    CHALLENGE_VALID,
    CHALLENGE_INVALID
};

enum { CHALLENGE_MAX_ISSUER_NAMES = 10 };

struct challenge {
    struct slice type, url, token; /* token ptr NULL: it has none */
    bool known;                    /* one of the above: */
    enum acme_challenge kind;
    enum challenge_status status;
    const struct json *issuer_names; /* first element of dns-persist-01's list, by either of its names; or NULL */
    const struct json *error;        /* NULL where the CA gave none */
};

/* Views into the document. False for one that we have to pass over (ACME-46): without type, https URL or known status. */
bool challenge_read(const struct json *json, struct challenge *out_challenge);

/* May a name of this kind be validated so: addresses by http-01 and tls-alpn-01 alone (ACME-84), wildcards by DNS alone. */
bool challenge_suits(enum acme_challenge kind, struct slice name);
/* Can we answer it for this name: a type that suits, with a token of 16 to 84 base64url characters (ACME-70), or with 1 to
 * CHALLENGE_MAX_ISSUER_NAMES issuers where there is no token (ACME-121). */
bool challenge_is_usable(const struct challenge *challenge, struct slice name);
/* Is it over HTTP or TLS that the CA comes, so that the front can see it come (ACME-50)? */
bool challenge_is_seen(enum acme_challenge kind);

/* What dns-persist-01 knows an account by. */
struct challenge_account {
    struct slice url;
    struct slice thumbprint;  /* of its key, in base64url */
    struct slice hash_prefix; /* of the directory; empty: the CA takes the URL itself, as drafts before -02 have it */
};

/* Copies the issuers of a usable dns-persist-01; returns how many. */
size_t challenge_read_issuers(const struct challenge *challenge, struct arena *arena, struct slice **out_names);
/* The TXT record of dns-01: base64url(SHA-256(key authorization)) (RFC 8555 §8.4). */
void challenge_write_dns_value(struct slice key_authorization, struct buf *out);
/* The accounturi of dns-persist-01: the account's URL, or the CA's prefix and a hash that binds the account and its key to
 * the domain (without `*.`; "*" alone: to any domain) (draft-ietf-acme-dns-persist-02 §4.1). */
void challenge_write_account_uri(const struct challenge_account *account, struct slice domain, struct buf *out);

#endif
