#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void random_fetch(struct random_batch *batch)
{
    size_t have = 0;
    while (have < sizeof batch->bytes) { /* a signal may cut a call short */
        ssize_t got = getrandom(batch->bytes + have, sizeof batch->bytes - have, 0);
        if (got < 0 && errno != EINTR)
            abort();
        have += got > 0 ? (size_t)got : 0;
    }
    batch->left = sizeof batch->bytes;
}

void random_take(struct random_batch *batch, void *out, size_t len)
{
    if (len > sizeof batch->bytes)
        abort();
    if (len > batch->left)
        random_fetch(batch);
    batch->left -= (uint32_t)len;
    memcpy(out, batch->bytes + batch->left, len);
    memset(batch->bytes + batch->left, 0, len);
}

void random_hex(struct random_batch *batch, char *out, size_t num_bytes)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[RANDOM_HEX_BYTES];
    if (num_bytes > sizeof bytes)
        abort();
    random_take(batch, bytes, num_bytes);
    for (size_t i = 0; i < num_bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}
