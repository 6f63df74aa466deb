/* nonce: each goes out once, the freshest first (ACME-15 to 17). */
#include "acme/nonce.h"
#include "base/mem.h"
#include "check.h"

#include <stdio.h>

static void check_next(struct nonce_pool *pool, int64_t now_ms, const char *want)
{
    char *nonce = nonce_take(pool, now_ms);
    CHECK_STR(nonce ? nonce : "none", want);
    mem_free(nonce);
}

static void test_freshest_first_and_once(void)
{
    struct nonce_pool pool = {0};
    check_next(&pool, 0, "none");
    nonce_put(&pool, SLICE_LIT("one"), 0);
    nonce_put(&pool, SLICE_LIT("two"), 1);
    nonce_put(&pool, SLICE_LIT("one"), 2); /* a CA that repeats itself */
    check_next(&pool, 3, "two");
    check_next(&pool, 3, "one");
    check_next(&pool, 3, "none");
    nonce_pool_cleanup(&pool);
}

/* ACME-16 */
static void test_ignores_what_is_no_nonce(void)
{
    struct nonce_pool pool = {0};
    char longer[NONCE_MAX_BYTES + 1];
    memset(longer, 'a', sizeof longer);
    nonce_put(&pool, SLICE_NONE, 0);
    nonce_put(&pool, SLICE_LIT(""), 0);
    nonce_put(&pool, SLICE_LIT("a b"), 0);
    nonce_put(&pool, SLICE_LIT("a=="), 0);
    nonce_put(&pool, SLICE_LIT("a+/"), 0);
    nonce_put(&pool, SLICE_LIT("a\r\nb"), 0);
    nonce_put(&pool, slice_make(longer, sizeof longer), 0);
    CHECK_INT(pool.num, 0);
    nonce_put(&pool, slice_make(longer, NONCE_MAX_BYTES), 0);
    CHECK_INT(pool.num, 1);
    nonce_pool_cleanup(&pool);
}

static void test_is_bounded_and_forgets(void)
{
    struct nonce_pool pool = {0};
    for (int i = 0; i < NONCE_POOL_MAX + 5; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%d", i);
        nonce_put(&pool, slice_str(text), i);
    }
    CHECK_INT(pool.num, NONCE_POOL_MAX);
    CHECK_STR(pool.nonces[0].text, "n5"); /* the oldest made room */
    check_next(&pool, NONCE_MAX_AGE_MS + NONCE_POOL_MAX + 4, "n36");
    check_next(&pool, NONCE_MAX_AGE_MS + NONCE_POOL_MAX + 4, "none");
    CHECK_INT(pool.num, 0);
    nonce_pool_cleanup(&pool);
}

int main(void)
{
    RUN(test_freshest_first_and_once);
    RUN(test_ignores_what_is_no_nonce);
    RUN(test_is_bounded_and_forgets);
    return checks_done();
}
