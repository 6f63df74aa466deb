/* Lists of addresses and ranges: whose word is believed, and who may come in. */
#include "config/build.h"

#include <arpa/inet.h>

/* What `private` stands for: no packet from the internet has such a source. */
static const char *const private_ranges[] = {
    "10.0.0.0/8",     "172.16.0.0/12", "192.168.0.0/16", /* RFC 1918 */
    "100.64.0.0/10",                                     /* RFC 6598, shared */
    "127.0.0.0/8",    "::1",                             /* loopback */
    "169.254.0.0/16", "fe80::/10",                       /* link-local */
    "fc00::/7",                                          /* RFC 4193, unique local */
};
enum { NUM_PRIVATE = sizeof private_ranges / sizeof private_ranges[0] };

static bool is_private(struct slice word)
{
    return slice_ieq(word, SLICE_LIT("private"));
}

static size_t num_ranges(struct slice text)
{
    struct slice item, word;
    size_t num = 0;
    while (parse_list_next(&text, &item))
        while (parse_word_next(&item, &word))
            num += is_private(word) ? NUM_PRIVATE : 1;
    return num;
}

/* "10.0.0.0/8" of an address and the first `bits` of it, or what inet_ntop makes of no address. */
static const char *range_text(struct arena *arena, struct ip ip, bool v4, unsigned bits)
{
    char text[INET6_ADDRSTRLEN] = "";
    for (unsigned i = bits + (v4 ? 96 : 0); i < 128; i++)
        ip.bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip.bytes + 12 : ip.bytes, text, sizeof text);
    return arena_printf(arena, "%s/%u", text, bits).ptr;
}

static const char *range_refusal(struct arena *arena, struct slice word)
{
    struct slice rest = word, address = slice_split(&rest, '/');
    struct ip ip;
    uint64_t bits;
    bool v4 = !memchr(address.ptr, ':', address.len);
    if (!ip_parse(address, &ip))
        return "is neither an address nor a range like 10.0.0.0/8";
    if (!slice_decimal(rest, v4 ? 32 : 128, &bits) || rest.len > 3)
        return v4 ? "has a prefix that is no number from 0 to 32" : "has a prefix that is no number from 0 to 128";
    const char *range = range_text(arena, ip, v4, (unsigned)bits);
    return arena_printf(arena, "has bits behind its prefix: %s is the range, %.*s the address alone", range,
                        (int)address.len, address.ptr)
        .ptr;
}

static struct cidr *put_private(struct cidr *at)
{
    for (size_t i = 0; i < NUM_PRIVATE; i++)
        at += cidr_parse(slice_str(private_ranges[i]), at);
    return at;
}

static struct cidr *put_word(struct build *build, enum row row, struct slice word, struct cidr *at)
{
    if (is_private(word))
        return put_private(at);
    if (cidr_parse(word, at))
        return at + 1;
    build_mistake(build, row, word, range_refusal(&build->config->arena, word));
    return at;
}

void ranges_apply(struct build *build, enum row row, struct slice text)
{
    struct cidr_list *list = (struct cidr_list *)(void *)((char *)build->config + config_rows[row].field);
    struct cidr *first = arena_calloc(&build->config->arena, num_ranges(text), sizeof *first), *at = first;
    struct slice rest = text, item, word;
    while (parse_list_next(&rest, &item))
        while (parse_word_next(&item, &word))
            at = put_word(build, row, word, at);
    *list = (struct cidr_list){first, (size_t)(at - first)};
    if (list->num == 0 && !build_failed(build, row))
        build_mistake(build, row, text, "names no address");
}
