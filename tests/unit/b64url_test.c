#include "base/b64url.h"

#include "check.h"

static const struct {
    const char *bytes, *url, *padded;
} vectors[] = {
    /* RFC 4648 §10 */
    {"", "", ""},
    {"f", "Zg", "Zg=="},
    {"fo", "Zm8", "Zm8="},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg", "Zm9vYg=="},
    {"fooba", "Zm9vYmE", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    /* where the alphabets differ */
    {"\xfb\xff\xbf", "-_-_", "+/+/"},
    {"\xff", "_w", "/w=="},
};

static void vectors_go_both_ways(void)
{
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct buf out = {0};
        b64url_encode(&out, slice_str(vectors[i].bytes));
        CHECK_SLICE(buf_slice(&out), vectors[i].url);
        out.len = 0;
        b64_encode(&out, slice_str(vectors[i].bytes));
        CHECK_SLICE(buf_slice(&out), vectors[i].padded);
        out.len = 0;
        CHECK(b64url_decode(&out, slice_str(vectors[i].url)));
        CHECK_SLICE(buf_slice(&out), vectors[i].bytes);
        out.len = 0;
        CHECK(b64_decode(&out, slice_str(vectors[i].padded)));
        CHECK_SLICE(buf_slice(&out), vectors[i].bytes);
        buf_cleanup(&out);
    }
}

static void all_lengths_and_bytes_return(void)
{
    char bytes[260];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 151 + 7);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        struct buf text = {0}, back = {0};
        buf_append_char(&back, '!');
        b64url_encode(&text, slice_make(bytes, len));
        CHECK_INT(text.len, (len * 4 + 2) / 3);
        CHECK(b64url_decode(&back, buf_slice(&text)));
        CHECK_MEM(back.ptr + 1, back.len - 1, bytes, len);
        CHECK_INT(back.ptr[0], '!'); /* appended behind what was there */
        back.len = text.len = 0;
        b64_encode(&text, slice_make(bytes, len));
        CHECK_INT(text.len, (len + 2) / 3 * 4);
        CHECK(b64_decode(&back, buf_slice(&text)));
        CHECK_MEM(back.ptr, back.len, bytes, len);
        buf_cleanup(&text);
        buf_cleanup(&back);
    }
}

static void url_refuses(void)
{
    static const char *const bad[] = {"Zg==", "Zg=",  "=",    "Z",    "Zm9vY", "Zh",
                                      "Zm9",  "Zm+v", "Zm/v", "Zm v", "Zm\nv", "Zm9v\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = {0};
        if (b64url_decode(&out, slice_str(bad[i])))
            CHECK_STR(bad[i], "refused");
        CHECK_INT(out.len, 0);
        buf_cleanup(&out);
    }
    struct buf out = {0};
    CHECK(!b64url_decode(&out, SLICE_LIT("Zm9v\0"))); /* a NUL is no end */
    buf_cleanup(&out);
}

static void padded_refuses(void)
{
    static const char *const bad[] = {"Zg",    "Zg=",      "Zg===", "=",    "====", "Z===", "Zg==Zg==",
                                      "Zm9v=", "Zm9v====", "Zh==",  "Zm9=", "Zm-v", "Zm_v", "Zm9v\v"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct buf out = {0};
        if (b64_decode(&out, slice_str(bad[i])))
            CHECK_STR(bad[i], "refused");
        CHECK_INT(out.len, 0);
        buf_cleanup(&out);
    }
}

static void padded_skips_white_space(void)
{
    struct buf out = {0};
    CHECK(b64_decode(&out, SLICE_LIT(" Zm9v\r\nYm\tE = \n")));
    CHECK_SLICE(buf_slice(&out), "fooba");
    buf_cleanup(&out);
}

static void valid_is_the_alphabet(void)
{
    CHECK(b64url_valid(SLICE_LIT("AZaz09-_")));
    CHECK(b64url_valid(SLICE_LIT("Z"))); /* characters only: a nonce or token need not decode */
    CHECK(!b64url_valid(SLICE_NONE));
    for (int c = 0; c < 256; c++) {
        char text[1] = {(char)c};
        bool want = c && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", c);
        CHECK_INT(b64url_valid(slice_make(text, 1)), want);
    }
}

int main(void)
{
    RUN(vectors_go_both_ways);
    RUN(all_lengths_and_bytes_return);
    RUN(url_refuses);
    RUN(padded_refuses);
    RUN(padded_skips_white_space);
    RUN(valid_is_the_alphabet);
    return checks_done();
}
