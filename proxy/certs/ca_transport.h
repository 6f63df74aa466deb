/* ca_transport: the engine's way to the CA: acme/transport.h over client/https.
 *
 * Adds User-Agent, Accept and Accept-Language (ACME-2, ACME-3), verifies the server against the system's roots and those
 * of config->acme.ca, never speaks in the clear (ACME-1), follows no redirect, judges no answer. Owns its HTTPS client. Control thread. */
#ifndef CERTS_CA_TRANSPORT_H
#define CERTS_CA_TRANSPORT_H

#include "acme/transport.h"
#include "client/https.h"

struct ca_transport;

struct ca_transport_options {
    struct net_loop *loop;
    struct resolver *resolver;               /* of the control loop; outlives the transport */
    struct slice extra_roots_pem;            /* config->acme.ca.text; empty: the system's roots alone */
    const char *version;                     /* of Portico, for User-Agent */
    const struct https_proxy_options *proxy; /* HTTPS_PROXY and NO_PROXY; NULL: none */
};

/* ERR_INPUT where extra_roots_pem holds no certificate. out_num_roots: how many roots are trusted in all; 0 means that no
 * CA can be reached, which is worth a warning. Copies its options. */
MUST_CHECK struct err ca_transport_new(const struct ca_transport_options *options, struct ca_transport **out_transport,
                                       size_t *out_num_roots);
struct transport *ca_transport_base(struct ca_transport *ca);
/* Calls that run end without `done`; its connections are closed behind it. Not from within a `done`. NULL is fine. */
void ca_transport_close(struct ca_transport *ca);

#endif
