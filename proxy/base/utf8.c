#include "base/utf8.h"

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The second byte's range tells overlong forms, surrogates and what lies above U+10FFFF. */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0: return second >= 0xa0;
    case 0xed: return second <= 0x9f;
    case 0xf0: return second >= 0x90;
    case 0xf4: return second <= 0x8f;
    default: return true;
    }
}

size_t utf8_char_len(struct slice text)
{
    if (text.len == 0)
        return 0;
    unsigned char first = (unsigned char)text.ptr[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (text.len < len || !second_fits(first, (unsigned char)text.ptr[1]))
        return 0;
    for (size_t i = 1; i < len; i++)
        if (!is_continuation(text.ptr[i]))
            return 0;
    return len;
}

static unsigned code_of(struct slice text, size_t len)
{
    static const unsigned char bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned code = (unsigned char)text.ptr[0] & bits[len];
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)text.ptr[i] & 0x3f);
    return code;
}

static const struct {
    unsigned first, last;
} hidden[] = {{0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},     {0x61c, 0x61c},
              {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
              {0xe000, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0x10ffff}};

size_t utf8_visible_len(struct slice text)
{
    size_t len = utf8_char_len(text);
    unsigned code = len ? code_of(text, len) : 0;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (code >= hidden[i].first && code <= hidden[i].last)
            return 0;
    return len;
}

struct slice utf8_first(struct slice text, size_t max)
{
    if (text.len <= max)
        return text;
    size_t len = max;
    while (len && max - len < 3 && is_continuation(text.ptr[len]))
        len--;
    return slice_first(text, is_continuation(text.ptr[len]) ? max : len);
}
