#include "net/dns_reply.h"

#include "base/buf.h"
#include "base/limits.h"

#define CARES_NO_DEPRECATED
#include <ares.h>

enum { DNS_HEADER_BYTES = 12, DNS_QUESTION_BYTES = 4, DNS_RECORD_BYTES = 10 };

/* RFC 1035 §3.2.2, RFC 3596, RFC 8659. */
static const int dns_types[] = {[DNS_A] = 1, [DNS_AAAA] = 28, [DNS_CNAME] = 5, [DNS_TXT] = 16, [DNS_CAA] = 257};

int dns_reply_type(enum dns_type type)
{
    return dns_types[type];
}

/* ---- addresses ---- */

static int read_v4(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    struct ares_addrttl found[LIMIT_DNS_ADDRESSES];
    int num = LIMIT_DNS_ADDRESSES;
    int status = ares_parse_a_reply(bytes, len, NULL, found, &num);
    if (status != ARES_SUCCESS)
        return status;
    struct address *addresses = arena_calloc(arena, LIMIT_DNS_ADDRESSES, sizeof *addresses);
    for (int i = 0; i < num; i++) {
        struct address *address = &addresses[answer->num++];
        address->len = sizeof address->at.v4;
        address->at.v4.sin_family = AF_INET;
        memcpy(&address->at.v4.sin_addr, &found[i].ipaddr, sizeof found[i].ipaddr);
    }
    answer->addresses = addresses;
    return ARES_SUCCESS;
}

static int read_v6(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    struct ares_addr6ttl found[LIMIT_DNS_ADDRESSES];
    int num = LIMIT_DNS_ADDRESSES;
    int status = ares_parse_aaaa_reply(bytes, len, NULL, found, &num);
    if (status != ARES_SUCCESS)
        return status;
    struct address *addresses = arena_calloc(arena, LIMIT_DNS_ADDRESSES, sizeof *addresses);
    for (int i = 0; i < num; i++) {
        struct address *address = &addresses[answer->num++];
        address->len = sizeof address->at.v6;
        address->at.v6.sin6_family = AF_INET6;
        memcpy(&address->at.v6.sin6_addr, &found[i].ip6addr, sizeof found[i].ip6addr);
    }
    answer->addresses = addresses;
    return ARES_SUCCESS;
}

/* ---- texts ---- */

struct txt_collector {
    struct arena *arena;
    struct slice *texts;
    struct buf text; /* the record whose parts are being joined */
    size_t num, room;
};

/* A text that does not fit is left out whole: half of one would say something else. */
static void txt_end(struct txt_collector *txt)
{
    if (txt->text.len <= txt->room && txt->num < LIMIT_DNS_RECORDS) {
        txt->room -= txt->text.len;
        txt->texts[txt->num++] = arena_copy(txt->arena, buf_slice(&txt->text));
    }
    txt->text.len = 0;
}

/* c-ares gives the parts of a record one by one, the first of each marked. */
static int read_txt(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    struct ares_txt_ext *found = NULL;
    int status = ares_parse_txt_reply_ext(bytes, len, &found);
    if (status != ARES_SUCCESS)
        return status;
    struct txt_collector txt = {.arena = arena, .room = LIMIT_DNS_TEXT_BYTES};
    txt.texts = arena_calloc(arena, LIMIT_DNS_RECORDS, sizeof *txt.texts);
    for (const struct ares_txt_ext *part = found; part; part = part->next) {
        if (part->record_start && part != found)
            txt_end(&txt);
        buf_append(&txt.text, part->txt, part->length); /* a message is 64 KiB at most */
    }
    txt_end(&txt);
    buf_cleanup(&txt.text);
    ares_free_data(found);
    answer->texts = txt.texts;
    answer->num = txt.num;
    return ARES_SUCCESS;
}

static unsigned read_u16(const unsigned char *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

/* Expands the name at an offset and moves the offset behind it; false where there is none. *out_name: c-ares' to free. */
static bool read_name(const unsigned char *bytes, int len, int *at, char **out_name)
{
    long used = 0;
    *out_name = NULL;
    if (*at >= len || ares_expand_name(bytes + *at, bytes, len, out_name, &used) != ARES_SUCCESS)
        return false;
    *at += (int)used;
    return true;
}

static bool skip_name(const unsigned char *bytes, int len, int *at)
{
    char *name;
    bool found = read_name(bytes, len, at, &name);
    if (found)
        ares_free_string(name);
    return found;
}

/* The target of the first CNAME: there is one at most (RFC 1034 §3.6.2), others are of names further down. */
static int read_cname(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    if (len < DNS_HEADER_BYTES)
        return ARES_EBADRESP;
    int at = DNS_HEADER_BYTES;
    unsigned num_questions = read_u16(bytes + 4), num_answers = read_u16(bytes + 6);
    for (unsigned i = 0; i < num_questions; i++) {
        if (!skip_name(bytes, len, &at))
            return ARES_EBADRESP;
        at += DNS_QUESTION_BYTES;
    }
    for (unsigned i = 0; i < num_answers; i++) {
        if (!skip_name(bytes, len, &at) || len - at < DNS_RECORD_BYTES)
            return ARES_EBADRESP;
        unsigned type = read_u16(bytes + at);
        int data_len = (int)read_u16(bytes + at + 8), data = at + DNS_RECORD_BYTES;
        char *name;
        if (data_len > len - data)
            return ARES_EBADRESP;
        at = data + data_len;
        if (type != (unsigned)dns_types[DNS_CNAME])
            continue;
        if (!read_name(bytes, len, &data, &name))
            return ARES_EBADRESP;
        struct slice *target = arena_alloc(arena, sizeof *target);
        *target = arena_copy(arena, slice_str(name));
        ares_free_string(name);
        answer->texts = target;
        answer->num = 1;
        return ARES_SUCCESS;
    }
    return ARES_ENODATA;
}

/* ---- CAA ---- */

static int read_caa(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    struct ares_caa_reply *found = NULL;
    int status = ares_parse_caa_reply(bytes, len, &found);
    if (status != ARES_SUCCESS)
        return status;
    struct dns_caa *records = arena_calloc(arena, LIMIT_DNS_RECORDS, sizeof *records);
    size_t room = LIMIT_DNS_TEXT_BYTES;
    for (const struct ares_caa_reply *at = found; at && answer->num < LIMIT_DNS_RECORDS; at = at->next) {
        size_t need = at->plength + at->length;
        if (need > room)
            continue;
        room -= need;
        records[answer->num++] = (struct dns_caa){
            .critical = (at->critical & 0x80) != 0,
            .tag = arena_copy(arena, slice_make(at->property, at->plength)),
            .value = arena_copy(arena, slice_make(at->value, at->length)),
        };
    }
    ares_free_data(found);
    answer->caa = records;
    return ARES_SUCCESS;
}

static int read_records(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *answer)
{
    switch (answer->type) {
    case DNS_A: return read_v4(arena, bytes, len, answer);
    case DNS_AAAA: return read_v6(arena, bytes, len, answer);
    case DNS_CNAME: return read_cname(arena, bytes, len, answer);
    case DNS_TXT: return read_txt(arena, bytes, len, answer);
    case DNS_CAA: return read_caa(arena, bytes, len, answer);
    }
    return ARES_EBADRESP;
}

int dns_reply_read(struct arena *arena, const unsigned char *bytes, int len, struct dns_answer *out_answer)
{
    out_answer->num = 0;
    int status = read_records(arena, bytes, len, out_answer);
    /* c-ares finds CNAMEs alone a success */
    return status == ARES_SUCCESS && out_answer->num == 0 ? ARES_ENODATA : status;
}
