/* request: one question to the CA and its answer: takes a nonce or fetches one, signs, sends, and asks again when the CA
 * did not like the nonce (RFC 8555 §6.2 to §6.5). Everything above it sees one question and one answer.
 *
 * Embedded by who asks; owns its copies of URL and payload while it runs. `done` is called once, never from within a
 * call, unless canceled. One thread. It never judges an answer, badNonce aside. */
#ifndef ACME_REQUEST_H
#define ACME_REQUEST_H

#include "acme/transport.h"
#include "base/buf.h"

struct acme;
struct evp_pkey_st;

enum request_signer {
    REQUEST_PLAIN,     /* GET without a signature: directory and renewalInfo (ACME-13) */
    REQUEST_BY_KEY,    /* POST with `jwk`: newAccount, and revokeCert by the certificate's key (ACME-9) */
    REQUEST_BY_ACCOUNT /* POST with `kid` */
};

struct request {
    struct acme *acme;
    struct transport_call call;
    void (*done)(struct request *request, const struct acme_reply *reply);
    enum request_signer signer;
    struct evp_pkey_st *key; /* a reference; NULL: the account's */
    struct buf url, payload,
        kid;          /* kid: the account at the time of asking; another request may find it lost meanwhile */
    bool wants_chain; /* Accept: application/pem-certificate-chain (ACME-63) */
    bool busy;
    bool asked_by_get; /* newNonce by GET, after a HEAD that brought none */
    unsigned num_bad_nonces;
};

/* An https URL of at most REQUEST_MAX_URL_BYTES: all that we ever ask (ACME-1). */
enum { REQUEST_MAX_URL_BYTES = 2048, REQUEST_MAX_BAD_NONCES = 12 };
bool request_url_is_valid(struct slice url);

/* A zeroed request is idle. Copies url and payload; payload empty is POST-as-GET. */
void request_send(struct request *request, struct acme *acme, enum request_signer signer, struct slice url,
                  struct slice payload, bool wants_chain,
                  void (*done)(struct request *request, const struct acme_reply *reply));
/* The same as REQUEST_BY_KEY, with another key than the account's; a reference is taken. */
void request_send_by_key(struct request *request, struct acme *acme, struct evp_pkey_st *key, struct slice url,
                         struct slice payload, void (*done)(struct request *request, const struct acme_reply *reply));
/* No `done` after this. Harmless when idle. */
void request_cancel(struct request *request);

#endif
