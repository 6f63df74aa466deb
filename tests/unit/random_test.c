/* Batches of random bytes. */
#include "base/random.h"

#include "check.h"

#include <stdbool.h>

static void nothing_is_given_out_twice(void)
{
    struct random_batch batch = {0};
    uint8_t seen[300][16];
    for (size_t i = 0; i < 300; i++) { /* some four batches */
        random_take(&batch, seen[i], sizeof seen[i]);
        for (size_t k = 0; k < i; k++)
            CHECK(memcmp(seen[i], seen[k], sizeof seen[i]) != 0);
    }
}

static void what_was_given_out_is_not_kept(void)
{
    struct random_batch batch = {0};
    uint8_t out[64];
    random_take(&batch, out, sizeof out);
    CHECK_INT(batch.left, RANDOM_BATCH_BYTES - 64);
    CHECK(!memmem(batch.bytes, sizeof batch.bytes, out, sizeof out));
}

static void a_rest_that_is_too_small_is_not_mixed_with_old_bytes(void)
{
    struct random_batch batch = {0};
    uint8_t out[RANDOM_BATCH_BYTES];
    random_take(&batch, out, 1000);
    random_take(&batch, out, 100);
    CHECK_INT(batch.left, RANDOM_BATCH_BYTES - 100);
    random_take(&batch, out, RANDOM_BATCH_BYTES);
    CHECK_INT(batch.left, 0);
}

static void hex_has_every_digit_and_no_other(void)
{
    struct random_batch batch = {0};
    char text[512];
    bool seen[256] = {false};
    for (size_t at = 0; at < sizeof text; at += 2 * RANDOM_HEX_BYTES)
        random_hex(&batch, text + at, RANDOM_HEX_BYTES);
    for (size_t i = 0; i < sizeof text; i++)
        seen[(unsigned char)text[i]] = true;
    for (unsigned c = 0; c < 256; c++)
        CHECK_INT(seen[c], c && strchr("0123456789abcdef", (int)c) != NULL);
}

int main(void)
{
    RUN(nothing_is_given_out_twice);
    RUN(what_was_given_out_is_not_kept);
    RUN(a_rest_that_is_too_small_is_not_mixed_with_old_bytes);
    RUN(hex_has_every_digit_and_no_other);
    return checks_done();
}
