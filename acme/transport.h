/* transport: how the engine reaches a CA. One of the engine's two windows on the world; implemented by
 * certs/ca_transport over client/https, and by a scripted CA in tests. Control thread. */
#ifndef ACME_TRANSPORT_H
#define ACME_TRANSPORT_H

#include "base/err.h"
#include "base/slice.h"

#include <stdint.h>

enum acme_method { ACME_GET, ACME_HEAD, ACME_POST };

struct acme_request {
    enum acme_method method;
    struct slice url;          /* byte for byte as the CA gave it (RFC 8555 §6.4) */
    struct slice content_type; /* of the body; empty for none */
    struct slice accept;       /* empty for any */
    struct slice body;
};

enum { ACME_MAX_LINKS = 16 };

/* Views that are valid during the callback alone. Fields that the CA did not send have ptr NULL. */
struct acme_reply {
    struct err err; /* set: no answer came (name, connect, TLS, deadline, limits); nothing below counts */
    int status;
    struct slice location, replay_nonce, retry_after, content_type, date;
    struct slice links[ACME_MAX_LINKS]; /* each Link field's value, unparsed */
    size_t num_links;
    struct slice body;  /* at most LIMIT_ACME_BODY_BYTES */
    const char *detail; /* with err: a sentence for a person, e.g. which certificate was refused; may be NULL */
};

struct transport;

/* Embedded by whoever asks; must stay until `done` has been called or transport_cancel has returned. */
struct transport_call {
    void (*done)(struct transport_call *call, const struct acme_reply *reply);
    void *pending; /* the transport's own */
};

struct transport_ops {
    /* Copies the request. `done` is called exactly once, never from within send, unless canceled. */
    void (*send)(struct transport *transport, const struct acme_request *request, struct transport_call *call);
    void (*cancel)(struct transport *transport, struct transport_call *call);
};

struct transport {
    const struct transport_ops *ops;
};

#endif
