/* Hashes of lists of parts under a key. */
#include "tls/keyed_hash.h"

#include "check.h"

static bool same(const struct keyed_hash *a, const struct keyed_hash *b, struct slice first, struct slice second,
                 struct slice other_first, struct slice other_second)
{
    uint8_t left[KEYED_HASH_BYTES], right[KEYED_HASH_BYTES];
    keyed_hash_make(a, (struct slice[]){first, second}, 2, left);
    keyed_hash_make(b, (struct slice[]){other_first, other_second}, 2, right);
    return memcmp(left, right, sizeof left) == 0;
}

/* HMAC-SHA-256 over each part behind its length in four bytes; the value is Python's. */
static void it_is_hmac_sha_256_of_parts_with_their_lengths(void)
{
    static const uint8_t want[KEYED_HASH_BYTES] = {0x48, 0x01, 0x05, 0x68, 0xcd, 0x6b, 0x56, 0x37, 0xd1, 0x57, 0xf7,
                                                   0x70, 0x77, 0x33, 0xbd, 0xf1, 0x23, 0x2c, 0x52, 0x2f, 0x7d, 0x6f,
                                                   0xcc, 0xea, 0x80, 0x1b, 0x85, 0x87, 0x59, 0xb8, 0x87, 0x84};
    struct keyed_hash hash;
    uint8_t out[KEYED_HASH_BYTES];
    for (size_t i = 0; i < sizeof hash.key; i++)
        hash.key[i] = (uint8_t)i;
    keyed_hash_make(&hash, (struct slice[]){SLICE_LIT("ann"), SLICE_LIT(""), SLICE_LIT("x")}, 3, out);
    CHECK_MEM(out, sizeof out, want, sizeof want);
}

static void other_parts_other_cuts_and_other_keys_make_other_hashes(void)
{
    struct keyed_hash a, b;
    keyed_hash_init(&a);
    keyed_hash_init(&b);
    struct slice ab = SLICE_LIT("ab"), c = SLICE_LIT("c"), bc = SLICE_LIT("bc"), one = SLICE_LIT("a");
    CHECK(same(&a, &a, ab, c, ab, c));
    CHECK(!same(&a, &b, ab, c, ab, c));
    CHECK(!same(&a, &a, ab, c, one, bc));
    CHECK(!same(&a, &a, ab, SLICE_NONE, SLICE_NONE, ab));
    keyed_hash_cleanup(&a);
    keyed_hash_cleanup(&b);
    for (size_t i = 0; i < sizeof a.key; i++)
        CHECK_INT(a.key[i], 0);
}

int main(void)
{
    RUN(it_is_hmac_sha_256_of_parts_with_their_lengths);
    RUN(other_parts_other_cuts_and_other_keys_make_other_hashes);
    return checks_done();
}
