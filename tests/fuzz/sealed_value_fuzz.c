/* The armour of sealed records: no text makes the parser read what is not there, none opens that was not sealed, and
 * whatever is sealed opens again under its name alone. */
#include "store/sealed_value.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void fuzz_open(const struct seal_key *key, struct slice text)
{
    struct buf out = {0};
    enum store_result with = sealed_value_open(key, SLICE_LIT("account/a"), text, &out);
    require(with == STORE_CORRUPT || with == STORE_WRONG_KEY || with == STORE_OK);
    require(out.len == 0 || with == STORE_OK);
    out.len = 0;
    enum store_result without = sealed_value_open(NULL, SLICE_LIT("account/a"), text, &out);
    require(without == STORE_DENIED || without == STORE_CORRUPT);
    require((without == STORE_DENIED) <= (sealed_value_is(text) && sealed_value_key_id(text).len == SEAL_ID_DIGITS));
    buf_cleanup_secret(&out);
}

static void fuzz_seal(const struct seal_key *key, struct slice value)
{
    struct buf text = {0}, out = {0};
    sealed_value_write(key, SLICE_LIT("account/a"), value, &text);
    require(sealed_value_open(key, SLICE_LIT("account/a"), buf_slice(&text), &out) == STORE_OK);
    require(slice_eq(buf_slice(&out), value));
    require(sealed_value_open(key, SLICE_LIT("account/b"), buf_slice(&text), &out) == STORE_CORRUPT);
    buf_cleanup(&text);
    buf_cleanup_secret(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct seal_key key;
    struct slice input = slice_make(data, len);
    seal_key_make(SLICE_LIT("0123456789abcdefghijklmnopqrstuv"), &key);
    fuzz_open(&key, input);
    if (len)
        fuzz_seal(&key, input);
    seal_key_wipe(&key);
    return 0;
}
