/* b64url: each value has one spelling, so what decodes is what encodes to it; and all bytes go there and back. */
#include "base/b64url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bool has_white(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr(" \t\r\n", text.ptr[i]) && text.ptr[i])
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct slice text = slice_make(data, len);
    struct buf bytes = {0}, back = {0};
    if (b64url_decode(&bytes, text)) {
        require(len == 0 || b64url_valid(text));
        b64url_encode(&back, buf_slice(&bytes));
        require(slice_eq(buf_slice(&back), text));
    }
    bytes.len = back.len = 0;
    if (b64_decode(&bytes, text)) {
        b64_encode(&back, buf_slice(&bytes));
        require(slice_eq(buf_slice(&back), text) || has_white(text));
    }
    bytes.len = back.len = 0;
    b64url_encode(&bytes, text);
    require(b64url_decode(&back, buf_slice(&bytes)) && slice_eq(buf_slice(&back), text));
    bytes.len = back.len = 0;
    b64_encode(&bytes, text);
    require(b64_decode(&back, buf_slice(&bytes)) && slice_eq(buf_slice(&back), text));
    buf_cleanup(&bytes);
    buf_cleanup(&back);
    return 0;
}
