#include "net/address.h"

#include <arpa/inet.h>
#include <stdio.h>

bool address_parse_ip(struct slice text, uint16_t port, struct address *out_address)
{
    char ip[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof ip)
        return false;
    memcpy(ip, text.ptr, text.len);
    ip[text.len] = '\0';
    struct address address = {0};
    if (inet_pton(AF_INET, ip, &address.at.v4.sin_addr) == 1) {
        address.at.v4.sin_family = AF_INET;
        address.len = sizeof address.at.v4;
    } else if (inet_pton(AF_INET6, ip, &address.at.v6.sin6_addr) == 1) {
        address.at.v6.sin6_family = AF_INET6;
        address.len = sizeof address.at.v6;
    } else {
        return false;
    }
    address_set_port(&address, port);
    *out_address = address;
    return true;
}

bool address_of_path(struct slice path, struct address *out_address)
{
    struct address address = {.len = sizeof address.at.local};
    if (path.len == 0 || path.len >= sizeof address.at.local.sun_path)
        return false;
    address.at.local.sun_family = AF_UNIX;
    memcpy(address.at.local.sun_path, path.ptr, path.len);
    *out_address = address;
    return true;
}

static void address_unmap(struct address *address)
{
    if (address->at.any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->at.v6.sin6_addr))
        return;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = address->at.v6.sin6_port};
    memcpy(&v4.sin_addr, address->at.v6.sin6_addr.s6_addr + 12, 4);
    address->at.v4 = v4;
    address->len = sizeof v4;
}

bool address_of_peer(int fd, struct address *out_address)
{
    struct address address = {.len = sizeof address.at};
    if (getpeername(fd, &address.at.any, &address.len) != 0)
        return false;
    address_unmap(&address);
    *out_address = address;
    return true;
}

bool address_of_socket(int fd, struct address *out_address)
{
    struct address address = {.len = sizeof address.at};
    if (getsockname(fd, &address.at.any, &address.len) != 0)
        return false;
    address_unmap(&address);
    *out_address = address;
    return true;
}

bool address_ip(const struct address *address, struct ip *out_ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (address->at.any.sa_family == AF_INET6) {
        memcpy(out_ip->bytes, &address->at.v6.sin6_addr, 16);
        return true;
    }
    memcpy(out_ip->bytes, mapped, sizeof mapped);
    memcpy(out_ip->bytes + sizeof mapped, &address->at.v4.sin_addr, 4);
    return address->at.any.sa_family == AF_INET;
}

struct address address_of_ip(const struct ip *ip, uint16_t port)
{
    struct address address = {.len = sizeof address.at.v6};
    address.at.v6.sin6_family = AF_INET6;
    memcpy(&address.at.v6.sin6_addr, ip->bytes, 16);
    address_unmap(&address);
    address_set_port(&address, port);
    return address;
}

uint16_t address_port(const struct address *address)
{
    if (address->at.any.sa_family == AF_INET)
        return ntohs(address->at.v4.sin_port);
    if (address->at.any.sa_family == AF_INET6)
        return ntohs(address->at.v6.sin6_port);
    return 0;
}

void address_set_port(struct address *address, uint16_t port)
{
    if (address->at.any.sa_family == AF_INET)
        address->at.v4.sin_port = htons(port);
    else if (address->at.any.sa_family == AF_INET6)
        address->at.v6.sin6_port = htons(port);
}

const char *address_ip_text(const struct address *address, char out[ADDRESS_TEXT_BYTES])
{
    if (address->at.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address->at.v4.sin_addr, out, ADDRESS_TEXT_BYTES);
    else if (address->at.any.sa_family == AF_INET6)
        inet_ntop(AF_INET6, &address->at.v6.sin6_addr, out, ADDRESS_TEXT_BYTES);
    else
        snprintf(out, ADDRESS_TEXT_BYTES, "unix");
    return out;
}

const char *address_text(const struct address *address, char out[ADDRESS_TEXT_BYTES])
{
    char ip[ADDRESS_TEXT_BYTES];
    if (address->at.any.sa_family == AF_UNIX)
        snprintf(out, ADDRESS_TEXT_BYTES, "unix:%.108s", address->at.local.sun_path);
    else
        snprintf(out, ADDRESS_TEXT_BYTES, address->at.any.sa_family == AF_INET6 ? "[%.60s]:%u" : "%.60s:%u",
                 address_ip_text(address, ip), address_port(address));
    return out;
}
