#include "base/utf8.h"

#include "check.h"

static size_t encode(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char mark[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(mark[len] | code);
    return len;
}

static void every_character_is_known(void)
{
    for (unsigned code = 0; code <= 0x10ffff; code++) {
        char text[4];
        size_t len = encode(code, text);
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (utf8_char_len(slice_make(text, len)) != (surrogate ? 0 : len))
            CHECK_INT(code, -1);
        if (len > 1 && utf8_char_len(slice_make(text, len - 1)) != 0)
            CHECK_INT(code, -2); /* a character that is cut is none */
    }
}

static void malformed_is_none(void)
{
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "\xc3(",
                                      "\xe2\x82(",
                                      "\xf0\x9f\x98(",
                                      "\xed\xa0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_INT(utf8_char_len(slice_str(bad[i])), 0);
    CHECK_INT(utf8_char_len(SLICE_NONE), 0);
}

static void first_cuts_no_character(void)
{
    struct slice text = SLICE_LIT("aä€😀z"); /* 1 2 3 4 1 bytes */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t max = 0; max < sizeof want / sizeof *want; max++)
        CHECK_INT(utf8_first(text, max).len, want[max]);
    CHECK_INT(utf8_first(SLICE_LIT("\x80\x80\x80\x80\x80\x80"), 5).len, 5); /* no text at all: cut where it must be */
}

static void what_is_not_seen_is_not_shown(void)
{
    static const char *const hidden[] = {"\x1b",         "\x7f",         "\xc2\x9b",     "\xe2\x80\x8b",
                                         "\xe2\x80\xae", "\xe2\x81\xa6", "\xef\xbb\xbf", "\xff"};
    CHECK_INT(utf8_visible_len(SLICE_LIT("a")), 1);
    CHECK_INT(utf8_visible_len(SLICE_LIT("\xc3\xbc")), 2);
    CHECK_INT(utf8_visible_len(SLICE_LIT("€")), 3);
    CHECK_INT(utf8_visible_len(SLICE_LIT("😀")), 4);
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        CHECK_INT(utf8_visible_len(slice_str(hidden[i])), 0);
    CHECK_INT(utf8_visible_len(SLICE_NONE), 0);
}

int main(void)
{
    RUN(every_character_is_known);
    RUN(malformed_is_none);
    RUN(first_cuts_no_character);
    RUN(what_is_not_seen_is_not_shown);
    return checks_done();
}
