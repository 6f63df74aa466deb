/* forwarded: what is read holds to the contract, and a second proxy behind this one, which trusts it and the same others,
 * finds the same client in what was written for it, by either form. Input: lines, the first byte of each says which
 * field it is. */
#include "http/forwarded.h"
#include "http/forwarded_list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static struct field field_of(struct slice line)
{
    static const struct {
        char first;
        enum field_id id;
    } kinds[] = {{'x', FIELD_X_FORWARDED_FOR},  {'f', FIELD_FORWARDED},        {'p', FIELD_X_FORWARDED_PROTO},
                 {'h', FIELD_X_FORWARDED_HOST}, {'o', FIELD_X_FORWARDED_PORT}, {'r', FIELD_X_REAL_IP}};
    struct field field = {SLICE_LIT("X"), slice_trim(slice_skip(line, 1)), FIELD_OTHER};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (line.ptr[0] == kinds[i].first)
            field.id = kinds[i].id;
    return field;
}

static bool same(const struct ip *a, const struct ip *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

static void check_read(const struct forwarded *said, const struct forwarded_peer *peer, const struct cidr_list *trusted)
{
    require(said->num_hops <= LIMIT_FORWARDED_HOPS);
    require(same(&said->client, said->num_hops ? &said->hops[said->num_hops - 1] : &peer->ip));
    for (size_t i = 0; i + 1 < said->num_hops; i++) /* nobody but trusted ones is passed by */
        require(cidr_list_has(trusted, &said->hops[i]));
    require(said->proto.len == 0 || slice_eq(said->proto, SLICE_LIT("http")) ||
            slice_eq(said->proto, SLICE_LIT("https")));
    for (size_t i = 0; i < said->host.len; i++)
        require(said->host.ptr[i] > ' ' && said->host.ptr[i] < 0x7f && !strchr("\"\\,;=/@", said->host.ptr[i]));
}

/* Every element that is written for Forwarded can be read. */
static void check_written(const struct fields *out)
{
    struct forwarded_list list = forwarded_list_of(out, FIELD_FORWARDED);
    struct forwarded_element element;
    struct slice text;
    while (forwarded_list_next(&list, &text))
        require(forwarded_element_parse(text, &element));
    FIELDS_EACH(out, field)
    require(field_value_is_valid(field->value));
}

static void check_next_proxy(const struct forwarded *said, const struct fields *out, const struct cidr_list *trusted,
                             struct arena *arena)
{
    struct forwarded_peer us = {.trusted = true, .text = SLICE_LIT("10.0.0.99")};
    struct forwarded next;
    require(ip_parse(us.text, &us.ip));
    if (said->num_hops + 1 >= LIMIT_FORWARDED_HOPS) /* its walk is longer by one */
        return;
    for (unsigned prefer = 0; prefer < 2; prefer++) {
        forwarded_read(&next, out, &us, trusted, prefer, arena);
        require(next.form == (prefer ? FORWARDED_RFC7239 : FORWARDED_X));
        require(same(&next.client, &said->client));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice rest = slice_make(data, len);
    struct cidr at[2];
    struct cidr_list trusted = {at, 2};
    struct arena arena = {0};
    struct fields fields = {0}, out = {0};
    struct forwarded_peer peer = {.text = SLICE_LIT("10.0.0.1"),
                                  .trusted = true,
                                  .proto = SLICE_LIT("http"),
                                  .authority = SLICE_LIT("a.test:8080"),
                                  .port_text = SLICE_LIT("80")};
    struct forwarded said;
    require(cidr_parse(SLICE_LIT("10.0.0.0/8"), &at[0]) && cidr_parse(SLICE_LIT("fd00::/8"), &at[1]));
    require(ip_parse(peer.text, &peer.ip));
    while (rest.len && len <= LIMIT_HEAD_BYTES && fields.num < LIMIT_HEAD_FIELDS) {
        struct slice line = slice_split(&rest, '\n');
        if (line.len && field_value_is_valid(line))
            fields_put(&fields, &arena, field_of(line));
    }
    forwarded_read(&said, &fields, &peer, &trusted, len % 2, &arena);
    check_read(&said, &peer, &trusted);
    forwarded_put_x(&said, &fields, &peer, &arena, &out);
    forwarded_put_rfc7239(&said, &fields, &peer, &arena, &out);
    check_written(&out);
    check_next_proxy(&said, &out, &trusted, &arena);
    arena_cleanup(&arena);
    return 0;
}
