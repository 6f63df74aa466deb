#include "net/dns.h"

#include "net/dns_reply.h"

#define CARES_NO_DEPRECATED /* of 1.28 and later: what 1.18 has is used with both */
#include <ares.h>

enum {
    DNS_TRIES = 3,
    DNS_TIMEOUTS_MS = 100, /* how often c-ares looks at its own */
    DNS_UDP_BYTES = 1232,  /* what fits every path unfragmented; more comes over TCP */
    DNS_MAX_SERVERS = 8,   /* given ones */
    DNS_CLASS_IN = 1
};

/* A socket of c-ares that is watched; freed in its close callback. */
struct dns_socket {
    uv_poll_t poll;
    struct dns *dns;
    struct list node;
    ares_socket_t fd;
};

struct dns_lookup {
    struct dns *dns;
    struct dns_query *asked; /* NULL: nobody waits for it any more */
    struct list node;        /* in dns->running, then in dns->finished; in neither once nobody waits */
    struct tick deadline;
    struct arena arena;
    struct dns_answer answer;
    bool in_ares; /* its callback is still to come */
    bool finished;
};

struct dns {
    struct net_loop *loop;
    ares_channel channel; /* NULL while nothing is asked */
    struct address servers[DNS_MAX_SERVERS];
    size_t num_servers;
    uint64_t query_ms;
    struct list sockets;
    struct list running;
    struct list finished; /* lookups whose `done` is due */
    struct deferred tell;
    struct tick timeouts;
    struct grave grave;
};

/* ---- sockets ---- */

static void dns_socket_closed(uv_handle_t *handle)
{
    mem_free(container_of((uv_poll_t *)(void *)handle, struct dns_socket, poll));
}

static void dns_socket_ready(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *dns_socket = container_of(poll, struct dns_socket, poll);
    bool readable = status < 0 || (events & UV_READABLE), writable = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(dns_socket->dns->channel, readable ? dns_socket->fd : ARES_SOCKET_BAD,
                    writable ? dns_socket->fd : ARES_SOCKET_BAD);
}

static struct dns_socket *dns_socket_find(struct dns *dns, ares_socket_t fd)
{
    LIST_EACH(&dns->sockets, node)
    {
        struct dns_socket *dns_socket = container_of(node, struct dns_socket, node);
        if (dns_socket->fd == fd)
            return dns_socket;
    }
    return NULL;
}

/* NULL: it cannot be watched, and what is asked over it ends by its deadline. */
static struct dns_socket *dns_socket_new(struct dns *dns, ares_socket_t fd)
{
    struct dns_socket *dns_socket = MEM_NEW(struct dns_socket);
    dns_socket->dns = dns;
    dns_socket->fd = fd;
    if (uv_poll_init(dns->loop->uv, &dns_socket->poll, fd) < 0) {
        mem_free(dns_socket);
        return NULL;
    }
    list_append(&dns->sockets, &dns_socket->node);
    return dns_socket;
}

/* c-ares says what it waits for; neither: it is about to close the socket. */
static void dns_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns *dns = ctx;
    struct dns_socket *dns_socket = dns_socket_find(dns, fd);
    if (readable || writable) {
        if (dns_socket || (dns_socket = dns_socket_new(dns, fd)))
            uv_poll_start(&dns_socket->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                          dns_socket_ready);
    } else if (dns_socket) {
        list_remove(&dns_socket->node);
        uv_close((uv_handle_t *)&dns_socket->poll, dns_socket_closed);
    }
}

/* ---- the channel ---- */

static void dns_timeouts_due(struct tick *tick)
{
    struct dns *dns = container_of(tick, struct dns, timeouts);
    tick_start(&dns->loop->ticker, &dns->timeouts, DNS_TIMEOUTS_MS);
    ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static int dns_set_servers(struct dns *dns)
{
    struct ares_addr_port_node nodes[DNS_MAX_SERVERS] = {{0}};
    for (size_t i = 0; i < dns->num_servers; i++) {
        const struct address *address = &dns->servers[i];
        struct ares_addr_port_node *node = &nodes[i];
        node->family = address->at.any.sa_family;
        node->next = i + 1 < dns->num_servers ? &nodes[i + 1] : NULL;
        node->udp_port = node->tcp_port = address_port(address);
        if (node->family == AF_INET)
            memcpy(&node->addr.addr4, &address->at.v4.sin_addr, sizeof node->addr.addr4);
        else
            memcpy(&node->addr.addr6, &address->at.v6.sin6_addr, sizeof node->addr.addr6);
    }
    return ares_set_servers_ports(dns->channel, nodes);
}

static int dns_open(struct dns *dns)
{
    struct ares_options options = {.flags = ARES_FLAG_EDNS | ARES_FLAG_NOCHECKRESP, /* what a server says counts */
                                   .ednspsz = DNS_UDP_BYTES,
                                   .timeout = (int)(dns->query_ms / 5),
                                   .tries = DNS_TRIES,
                                   .sock_state_cb = dns_socket_state,
                                   .sock_state_cb_data = dns};
    int mask = ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_DOMAINS |
               ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE
    mask |= ARES_OPT_QUERY_CACHE; /* of no time at all: what was wrong a minute ago may be right now */
#endif
    int status = ares_init_options(&dns->channel, &options, mask);
    if (status != ARES_SUCCESS) {
        dns->channel = NULL;
        return status;
    }
    tick_start(&dns->loop->ticker, &dns->timeouts, DNS_TIMEOUTS_MS);
    return dns->num_servers ? dns_set_servers(dns) : ARES_SUCCESS;
}

/* What runs ends by its callback, which nobody waits for. */
static void dns_shut(struct dns *dns)
{
    tick_stop(&dns->timeouts);
    if (dns->channel)
        ares_destroy(dns->channel);
    dns->channel = NULL;
}

static bool dns_is_idle(const struct dns *dns)
{
    return list_empty(&dns->running) && list_empty(&dns->finished);
}

/* ---- lookups ---- */

static void lookup_free(struct dns_lookup *lookup)
{
    arena_cleanup(&lookup->arena);
    mem_free(lookup);
}

/* Nobody waits for it any more. */
static void lookup_drop(struct dns_lookup *lookup)
{
    lookup->asked->lookup = NULL;
    lookup->asked = NULL;
    list_remove(&lookup->node);
    tick_stop(&lookup->deadline);
    if (!lookup->in_ares)
        lookup_free(lookup);
}

static void lookup_finish(struct dns_lookup *lookup)
{
    lookup->finished = true;
    tick_stop(&lookup->deadline);
    list_remove(&lookup->node);
    list_append(&lookup->dns->finished, &lookup->node);
    deferred_start(lookup->dns->loop, &lookup->dns->tell);
}

static enum dns_status dns_status_of(int status)
{
    switch (status) {
    case ARES_SUCCESS: return DNS_FOUND;
    case ARES_ENODATA: return DNS_NODATA;
    case ARES_ENOTFOUND: return DNS_NXDOMAIN;
    case ARES_ESERVFAIL: return DNS_SERVFAIL;
    case ARES_EREFUSED:
    case ARES_ENOTIMP: return DNS_REFUSED;
    case ARES_ETIMEOUT: return DNS_TIMEOUT;
#if ARES_VERSION >= 0x012200
    case ARES_ENOSERVER:
#endif
    case ARES_ECONNREFUSED: return DNS_UNREACHABLE;
    default: return DNS_MALFORMED; /* EBADRESP, EFORMERR, EBADNAME and what cannot be */
    }
}

static void dns_replied(void *ctx, int status, int timeouts, unsigned char *bytes, int len)
{
    struct dns_lookup *lookup = ctx;
    (void)timeouts;
    lookup->in_ares = false;
    if (!lookup->asked) {
        lookup_free(lookup);
        return;
    }
    if (lookup->finished) /* its deadline was quicker */
        return;
    lookup->answer.status = dns_status_of(status);
    if (status == ARES_SUCCESS)
        lookup->answer.status = dns_status_of(dns_reply_read(&lookup->arena, bytes, len, &lookup->answer));
    lookup_finish(lookup);
}

static void dns_deadline_expired(struct tick *tick)
{
    struct dns_lookup *lookup = container_of(tick, struct dns_lookup, deadline);
    lookup->answer.status = DNS_TIMEOUT;
    lookup_finish(lookup);
}

static void dns_tell(struct deferred *deferred)
{
    struct dns *dns = container_of(deferred, struct dns, tell);
    struct list *node;
    while ((node = list_first(&dns->finished))) { /* an end from within `done` empties the list */
        struct dns_lookup *lookup = container_of(node, struct dns_lookup, node);
        struct dns_query *query = lookup->asked;
        struct dns_answer answer = lookup->answer;
        struct arena arena = lookup->arena;
        lookup->arena = (struct arena){0};
        lookup_drop(lookup);
        query->done(query, &answer);
        arena_cleanup(&arena);
    }
    if (dns_is_idle(dns))
        dns_shut(dns);
}

/* ---- life ---- */

struct dns *dns_new(const struct dns_options *options)
{
    struct dns *dns = MEM_NEW(struct dns);
    dns->loop = options->loop;
    dns->query_ms = options->query_ms ? options->query_ms : DNS_QUERY_MS;
    for (size_t i = 0; i < options->num_servers && i < DNS_MAX_SERVERS; i++)
        dns->servers[dns->num_servers++] = options->servers[i];
    list_init(&dns->sockets);
    list_init(&dns->running);
    list_init(&dns->finished);
    deferred_init(&dns->tell, dns_tell);
    tick_init(&dns->timeouts, dns_timeouts_due);
    return dns;
}

static void dns_bury(struct grave *grave)
{
    mem_free(container_of(grave, struct dns, grave));
}

void dns_free(struct dns *dns)
{
    struct list *node;
    if (!dns)
        return;
    while ((node = list_first(&dns->running)) || (node = list_first(&dns->finished)))
        lookup_drop(container_of(node, struct dns_lookup, node));
    dns_shut(dns);
    deferred_stop(&dns->tell);
    graveyard_bury(&dns->loop->graveyard, &dns->grave, dns_bury);
}

void dns_ask(struct dns *dns, struct slice name, enum dns_type type, struct dns_query *query)
{
    struct dns_lookup *lookup = MEM_NEW(struct dns_lookup);
    *lookup = (struct dns_lookup){.dns = dns, .asked = query, .answer = {.type = type}};
    list_init(&lookup->node);
    tick_init(&lookup->deadline, dns_deadline_expired);
    query->lookup = lookup;
    list_append(&dns->running, &lookup->node);
    tick_start(&dns->loop->ticker, &lookup->deadline, dns->query_ms);
    int status = dns->channel ? ARES_SUCCESS : dns_open(dns);
    if (name.len == 0 || name.len > DNS_NAME_BYTES)
        status = ARES_EBADNAME;
    if (status != ARES_SUCCESS) {
        lookup->answer.status = dns_status_of(status);
        lookup_finish(lookup);
        return;
    }
    char *text = mem_dup(name.ptr, name.len);
    lookup->in_ares = true;
    ares_query(dns->channel, text, DNS_CLASS_IN, dns_reply_type(type), dns_replied, lookup);
    mem_free(text);
}

void dns_cancel(struct dns_query *query)
{
    if (!query->lookup)
        return;
    struct dns *dns = query->lookup->dns;
    lookup_drop(query->lookup);
    if (dns_is_idle(dns))
        deferred_start(dns->loop, &dns->tell); /* which closes the channel: this may be one of its callbacks */
}

const char *dns_status_text(enum dns_status status)
{
    switch (status) {
    case DNS_FOUND: return "was found";
    case DNS_NODATA: return "has no such record";
    case DNS_NXDOMAIN: return "does not exist (NXDOMAIN)";
    case DNS_SERVFAIL: return "could not be looked up: the DNS server failed (SERVFAIL)";
    case DNS_REFUSED: return "could not be looked up: the DNS server refused the question";
    case DNS_TIMEOUT: return "could not be looked up: no DNS server answered in time";
    case DNS_UNREACHABLE: return "could not be looked up: no DNS server can be reached";
    case DNS_MALFORMED: return "could not be looked up: the DNS server's answer makes no sense";
    }
    return "";
}
