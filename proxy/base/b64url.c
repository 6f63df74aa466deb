#include "base/b64url.h"

#include <stdlib.h>

static const char alphabet_url[64] = {'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P',
                                      'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'a', 'b', 'c', 'd', 'e', 'f',
                                      'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
                                      'w', 'x', 'y', 'z', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '-', '_'};

static char sextet_char(unsigned sextet, bool url)
{
    char c = alphabet_url[sextet & 63];
    if (!url && c == '-')
        return '+';
    return !url && c == '_' ? '/' : c;
}

/* What a character of the first 128 stands for: both alphabets in one table, since large records are read at every start.
 * -1: nothing. 64 and 65 are base64url's 62 and 63, 66 and 67 the other alphabet's. */
enum { LAST_URL = 64, LAST_PLAIN = 66 };

/* clang-format off */
static const signed char sextets[128] = {
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 66, -1, 64, -1, 67,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
    -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, 65,
    -1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1,
};
/* clang-format on */

/* 0 to 63, or -1. */
static int char_sextet(char c, bool url)
{
    int sextet = (unsigned char)c < sizeof sextets ? sextets[(unsigned char)c] : -1;
    if (sextet < LAST_URL)
        return sextet;
    if (sextet < LAST_PLAIN)
        return url ? sextet - LAST_URL + 62 : -1;
    return url ? -1 : sextet - LAST_PLAIN + 62;
}

static void encode(struct buf *out, struct slice bytes, bool url)
{
    if (bytes.len > SIZE_MAX / 8)
        abort();
    char *at = buf_reserve(out, (bytes.len + 2) / 3 * 4);
    unsigned bits = 0, num_bits = 0;
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        bits = (bits << 8 | (unsigned char)bytes.ptr[i]) & 0xffff;
        for (num_bits += 8; num_bits >= 6; num_bits -= 6)
            at[len++] = sextet_char(bits >> (num_bits - 6), url);
    }
    if (num_bits)
        at[len++] = sextet_char(bits << (6 - num_bits), url);
    while (!url && len % 4)
        at[len++] = '=';
    out->len += len;
}

struct decoder {
    unsigned char *at;
    size_t len, num_chars;
    unsigned bits, num_bits;
};

static void decoder_put(struct decoder *d, int sextet)
{
    d->num_chars++;
    d->bits = (d->bits << 6 | (unsigned)sextet) & 0xffff;
    d->num_bits += 6;
    if (d->num_bits >= 8) {
        d->num_bits -= 8;
        d->at[d->len++] = (unsigned char)(d->bits >> d->num_bits);
    }
}

/* One character alone holds no byte, and bits left over must be zero: each value has one spelling. */
static bool decoder_complete(const struct decoder *d)
{
    return d->num_chars % 4 != 1 && (d->bits & ((1U << d->num_bits) - 1)) == 0;
}

void b64url_encode(struct buf *out, struct slice bytes)
{
    encode(out, bytes, true);
}

void b64_encode(struct buf *out, struct slice bytes)
{
    encode(out, bytes, false);
}

/* Room for the whole is taken first: a growing buffer would leave copies of a secret behind. */
static struct decoder decoder_on(struct buf *out, struct slice text)
{
    return (struct decoder){.at = (unsigned char *)buf_reserve(out, text.len / 4 * 3 + 3)};
}

bool b64url_decode(struct buf *out, struct slice text)
{
    struct decoder d = decoder_on(out, text);
    for (size_t i = 0; i < text.len; i++) {
        int sextet = char_sextet(text.ptr[i], true);
        if (sextet < 0)
            return false;
        decoder_put(&d, sextet);
    }
    if (!decoder_complete(&d))
        return false;
    out->len += d.len;
    return true;
}

bool b64url_valid(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (char_sextet(text.ptr[i], true) < 0)
            return false;
    return text.len > 0;
}

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool b64_decode(struct buf *out, struct slice text)
{
    struct decoder d = decoder_on(out, text);
    size_t num_padding = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int sextet = char_sextet(c, false);
        if (is_white(c))
            continue;
        if (c == '=')
            num_padding++;
        else if (sextet < 0 || num_padding)
            return false;
        else
            decoder_put(&d, sextet);
    }
    if (num_padding > 2 || (d.num_chars + num_padding) % 4 || !decoder_complete(&d))
        return false;
    out->len += d.len;
    return true;
}
