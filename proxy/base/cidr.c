#include "base/cidr.h"

#include <arpa/inet.h>
#include <string.h>

enum { MAPPED_BITS = 96 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

bool ip_parse(struct slice text, struct ip *out_ip)
{
    char copy[INET6_ADDRSTRLEN];
    struct ip ip;
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(ip.bytes, mapped_prefix, sizeof mapped_prefix);
    if (inet_pton(AF_INET, copy, ip.bytes + sizeof mapped_prefix) != 1 && inet_pton(AF_INET6, copy, ip.bytes) != 1)
        return false;
    *out_ip = ip;
    return true;
}

const char *ip_text(const struct ip *ip, char out[IP_TEXT_BYTES])
{
    bool v4 = ip_is_v4(ip);
    const char *text =
        inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip->bytes + sizeof mapped_prefix : ip->bytes, out, IP_TEXT_BYTES);
    return text ? text : "";
}

/* Whether all bits from `bits` on are zero. */
static bool ip_ends_in_zeros(const struct ip *ip, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (ip->bytes[i / 8] & (0x80u >> i % 8))
            return false;
    return true;
}

bool cidr_parse(struct slice text, struct cidr *out_cidr)
{
    struct slice rest = text;
    struct slice address = slice_split(&rest, '/');
    bool prefix_given = address.len < text.len;
    struct ip ip;
    uint64_t bits = 128;
    if (!ip_parse(address, &ip))
        return false;
    bool v4 = !memchr(address.ptr, ':', address.len);
    if (prefix_given && (!slice_decimal(rest, v4 ? 32 : 128, &bits) || rest.len > 3))
        return false;
    if (prefix_given && v4)
        bits += MAPPED_BITS;
    if (!v4 && ip_is_v4(&ip) && bits < MAPPED_BITS)
        return false;
    if (!ip_ends_in_zeros(&ip, (unsigned)bits))
        return false;
    *out_cidr = (struct cidr){ip, (uint8_t)bits};
    return true;
}

bool cidr_has(const struct cidr *cidr, const struct ip *ip)
{
    size_t whole = cidr->bits / 8, rest = cidr->bits % 8;
    if (memcmp(cidr->ip.bytes, ip->bytes, whole) != 0)
        return false;
    return rest == 0 || ((cidr->ip.bytes[whole] ^ ip->bytes[whole]) & (0xff00u >> rest & 0xff)) == 0;
}

bool cidr_list_has(const struct cidr_list *list, const struct ip *ip)
{
    for (size_t i = 0; i < list->num; i++)
        if (cidr_has(&list->at[i], ip))
            return true;
    return false;
}
