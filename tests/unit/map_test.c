#include "base/map.h"

#include "check.h"

#include <stdio.h>
#include <stdlib.h>

static void empty_map_answers(void)
{
    struct map map = {0};
    size_t at = 0;
    CHECK(!map_get(&map, SLICE_LIT("a")));
    CHECK(!map_remove(&map, SLICE_LIT("a")));
    CHECK(!map_next(&map, &at));
    map_cleanup(&map);
}

static void put_get_replace_remove(void)
{
    struct map map = {0};
    int one, two;
    char key[] = "name";
    CHECK(map_put(&map, slice_str(key), &one) == NULL);
    key[0] = 'x'; /* the map has a copy */
    CHECK(map_get(&map, SLICE_LIT("name")) == &one);
    CHECK(!map_get(&map, SLICE_LIT("xame")));
    CHECK(map_put(&map, SLICE_LIT("name"), &two) == &one);
    CHECK_INT(map.num, 1);
    CHECK(map_put(&map, SLICE_NONE, &one) == NULL); /* the empty key is a key */
    CHECK(map_get(&map, SLICE_LIT("")) == &one);
    CHECK(map_put(&map, SLICE_LIT("na\0me"), &one) == NULL);
    CHECK(!map_get(&map, SLICE_LIT("na\0mf")));
    CHECK(map_remove(&map, SLICE_LIT("name")) == &two);
    CHECK(map_remove(&map, SLICE_LIT("name")) == NULL);
    CHECK_INT(map.num, 2);
    map_cleanup(&map);
}

/* Against an array, with thousands of puts and removals that make runs, gaps and wraps. */
static void behaves_like_an_array(void)
{
    enum { KEYS = 700, STEPS = 200000 };
    static char values[KEYS];
    bool there[KEYS] = {false};
    struct map map = {.seed = 42};
    size_t num = 0;
    uint32_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525 + 1013904223;
        size_t i = (random >> 8) % KEYS;
        char text[16];
        int len = snprintf(text, sizeof text, "key%zu", i);
        struct slice key = slice_make(text, (size_t)len);
        /* phases of growth and of decline */
        bool put = (random >> 24) % 8 < (step / 20000 % 2 ? 2 : 6);
        void *before = put ? map_put(&map, key, &values[i]) : map_remove(&map, key);
        CHECK(before == (there[i] ? &values[i] : NULL));
        num = num + (put && !there[i]) - (!put && there[i]);
        there[i] = put;
        if (step % 1000 == 0)
            for (size_t k = 0; k < KEYS; k++) {
                len = snprintf(text, sizeof text, "key%zu", k);
                CHECK(map_get(&map, slice_make(text, (size_t)len)) == (there[k] ? &values[k] : NULL));
            }
        CHECK_INT(map.num, num);
    }
    map_cleanup(&map);
}

static void next_visits_each_once(void)
{
    enum { KEYS = 100 };
    int values[KEYS] = {0};
    struct map map = {0};
    struct map_entry *entry;
    for (int i = 0; i < KEYS; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        map_put(&map, slice_str(text), &values[i]);
    }
    for (size_t at = 0; (entry = map_next(&map, &at));) {
        CHECK_INT(strtol(entry->key.ptr, NULL, 10), (int *)entry->value - values); /* terminated */
        ++*(int *)entry->value;
    }
    for (int i = 0; i < KEYS; i++)
        CHECK_INT(values[i], 1);
    CHECK(map.cap >= KEYS && map.cap < 4 * (size_t)KEYS);
    map_cleanup(&map);
}

static void seeds_differ(void)
{
    struct map a = {0}, b = {0};
    map_put(&a, SLICE_LIT("k"), &a);
    map_put(&b, SLICE_LIT("k"), &b);
    CHECK(a.seed && b.seed && a.seed != b.seed);
    map_cleanup(&a);
    map_cleanup(&b);
}

/* Values of an independent SipHash-1-3 that agrees with CPython's. */
static void hash_is_siphash(void)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    CHECK(map_hash(SLICE_NONE, 1) == 0xedff1f3ce3fcfa03);
    CHECK(map_hash(SLICE_LIT("a.example"), 1) == 0x1321e19594a0792f);
    CHECK(map_hash(SLICE_LIT("12345678"), 0x0123456789abcdef) == 0x1cb4e6b80ede737d);
    CHECK(map_hash(SLICE_LIT("www.app.example.com"), 0x0123456789abcdef) == 0x38da8b10a1cec126);
#endif
    CHECK(map_hash(SLICE_LIT("a"), 1) != map_hash(SLICE_LIT("a\0"), 1));
}

int main(void)
{
    RUN(empty_map_answers);
    RUN(put_get_replace_remove);
    RUN(behaves_like_an_array);
    RUN(next_visits_each_once);
    RUN(seeds_differ);
    RUN(hash_is_siphash);
    return checks_done();
}
