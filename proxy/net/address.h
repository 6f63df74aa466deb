/* address: socket addresses as values. Any thread; owns nothing. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "base/cidr.h"
#include "base/err.h"
#include "base/slice.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    socklen_t len;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } at;
};

/* A numeric IPv4 or IPv6 address (no brackets); false for anything else. */
bool address_parse_ip(struct slice text, uint16_t port, struct address *out_address);
/* A path of a unix socket; false where it does not fit. */
bool address_of_path(struct slice path, struct address *out_address);
/* The peer's and our own end of a connected socket; v4-mapped addresses are unmapped. */
bool address_of_peer(int fd, struct address *out_address);
bool address_of_socket(int fd, struct address *out_address);
/* The address without its port, to be compared; false for a unix socket. And back. */
bool address_ip(const struct address *address, struct ip *out_ip);
struct address address_of_ip(const struct ip *ip, uint16_t port);
/* 0 for a unix socket. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

enum { ADDRESS_TEXT_BYTES = 128 };
/* The address without its port ("192.0.2.1", "2001:db8::1", "unix"); returns out. */
const char *address_ip_text(const struct address *address, char out[ADDRESS_TEXT_BYTES]);
/* With its port, as it is dialled: "192.0.2.1:443", "[2001:db8::1]:443", "unix:/path". */
const char *address_text(const struct address *address, char out[ADDRESS_TEXT_BYTES]);

#endif
