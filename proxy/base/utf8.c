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

struct slice utf8_first(struct slice text, size_t max)
{
    if (text.len <= max)
        return text;
    size_t len = max;
    while (len && max - len < 3 && is_continuation(text.ptr[len]))
        len--;
    return slice_first(text, is_continuation(text.ptr[len]) ? max : len);
}
