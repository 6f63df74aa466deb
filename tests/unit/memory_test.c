/* What owns memory in base: mem, buf, arena, list. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/mem.h"
#include "check.h"

static void mem_gives_zeroed_and_aligned(void)
{
    struct holder {
        char before;
        struct counters counters;
    };
    struct holder *holder = MEM_NEW(struct holder);
    CHECK_INT((uintptr_t)&holder->counters % 64, 0);
    for (int i = 0; i < NUM_COUNTERS; i++)
        CHECK_INT(counters_get(&holder->counters, (enum counter)i), 0);
    counters_add(&holder->counters, COUNTER_REQUESTS, 2);
    counters_add(&holder->counters, COUNTER_REQUESTS, 3);
    CHECK_INT(counters_get(&holder->counters, COUNTER_REQUESTS), 5);
    mem_free(holder);
    char *none = mem_alloc(0);
    CHECK(none != NULL);
    mem_free_secret(none, 0);
    mem_free_secret(NULL, 5);
}

static void mem_dup_terminates(void)
{
    char *copy = mem_dup("abc", 2), *empty = mem_dup(NULL, 0);
    CHECK_STR(copy, "ab");
    CHECK_STR(empty, "");
    mem_free(copy);
    mem_free(empty);
}

static void buf_grows_and_is_consumed(void)
{
    struct buf buf = {0};
    CHECK_STR(buf_cstr(&buf), "");
    for (int i = 0; i < 1000; i++)
        buf_append_char(&buf, (char)('a' + i % 26));
    CHECK_INT(buf.len, 1000);
    buf_consume(&buf, 26);
    CHECK_INT(buf.ptr[0], 'a');
    CHECK_INT(buf.len, 974);
    buf_consume(&buf, 973);
    CHECK_SLICE(buf_slice(&buf), "l"); /* 999 % 26 */
    buf_consume(&buf, 5);
    CHECK_INT(buf.len, 0);
    buf_cleanup_secret(&buf);
    CHECK(buf.ptr == NULL && buf.cap == 0);
    buf_cleanup(&buf);
}

static void buf_appends_all_forms(void)
{
    struct buf buf = {0};
    char large[5000];
    memset(large, 'x', sizeof large);
    buf_append_str(&buf, "a");
    buf_append_slice(&buf, SLICE_LIT("b\0c"));
    buf_append_slice(&buf, SLICE_NONE);
    buf_append(&buf, large, sizeof large); /* more than twice of what there is */
    CHECK_INT(buf.len, 5004);
    CHECK_MEM(buf.ptr, 4, "ab\0c", 4);
    CHECK_MEM(buf.ptr + 4, 5000, large, sizeof large);
    CHECK(buf.cap >= buf.len);
    buf_cleanup(&buf);
    for (size_t i = 0; i < 64; i++)
        buf_append_char(&buf, 'y');
    char *taken = buf_take(&buf);
    CHECK_INT(strlen(taken), 64); /* terminated where the room was just full */
    mem_free(taken);
}

static void buf_writes_numbers_and_formats(void)
{
    struct buf buf = {0};
    buf_append_u64(&buf, 0);
    buf_append_char(&buf, ' ');
    buf_append_u64(&buf, UINT64_MAX);
    buf_append_char(&buf, ' ');
    buf_append_i64(&buf, INT64_MIN);
    buf_append_char(&buf, ' ');
    buf_append_i64(&buf, 0);
    buf_append_i64(&buf, -1);
    buf_append_i64(&buf, INT64_MAX);
    buf_printf(&buf, " %s-%d", "x", 7);
    buf_printf(&buf, "%s", "");
    CHECK_SLICE(buf_slice(&buf), "0 18446744073709551615 -9223372036854775808 0-19223372036854775807 x-7");
    char *taken = buf_take(&buf);
    CHECK_STR(taken, "0 18446744073709551615 -9223372036854775808 0-19223372036854775807 x-7");
    CHECK(buf.ptr == NULL && buf.len == 0);
    mem_free(taken);
}

static void arena_gives_aligned_room(void)
{
    struct arena arena = {0};
    for (size_t size = 0; size < 9000; size += 37) {
        char *room = arena_alloc(&arena, size);
        CHECK_INT((uintptr_t)room % _Alignof(max_align_t), 0);
        memset(room, (int)size, size);
    }
    const unsigned char *zeroed = arena_calloc(&arena, 5, 1000);
    for (size_t i = 0; i < 5000; i++)
        CHECK_INT(zeroed[i], 0);
    arena_cleanup(&arena);
    CHECK(arena.blocks == NULL);
    arena_cleanup(&arena);
}

static void arena_uses_its_block_on_after_a_large_one(void)
{
    struct arena arena = {0};
    char *a = arena_alloc(&arena, 16);
    memset(arena_alloc(&arena, 100000), 1, 100000);
    char *b = arena_alloc(&arena, 16);
    CHECK(b == a + 16);
    arena_reset(&arena);
    CHECK(arena_alloc(&arena, 16) == a); /* the ordinary block is the one that was kept */
    arena_cleanup(&arena);
    arena_reset(&arena);
    memset(arena_alloc(&arena, 50000), 1, 50000); /* large first */
    arena_reset(&arena);
    memset(arena_alloc(&arena, 64), 1, 64);
    arena_cleanup(&arena);
}

static void arena_overwrites_secrets(void)
{
    struct arena arena = {0};
    static const size_t sizes[] = {100, 900, 3000, 100000}; /* one block, another, and large ones */
    char *rooms[4];
    for (size_t i = 0; i < 4; i++)
        rooms[i] = memset(arena_alloc(&arena, sizes[i]), 'k', sizes[i]);
    arena_wipe(&arena);
    for (size_t i = 0; i < 4; i++)
        CHECK(!memchr(rooms[i], 'k', sizes[i]));
    arena_cleanup(&arena);
    arena_wipe(&arena);
}

static void arenas_hand_on_their_blocks(void)
{
    struct arena_spare spare = {0};
    struct arena first = {.spare = &spare}, second = {.spare = &spare};
    for (int i = 0; i < 1000; i++)
        memset(arena_alloc(&first, 1000), 1, 1000);
    memset(arena_alloc(&first, 100000), 1, 100000); /* large: freed */
    arena_cleanup(&first);
    unsigned num = spare.num;
    memset(arena_alloc(&second, 1000), 1, 1000);
#ifdef __SANITIZE_ADDRESS__
    CHECK_INT(num, 0);
#else
    CHECK_INT(num, 64);
    CHECK_INT(spare.num, 63);
#endif
    arena_cleanup(&second);
    arena_spare_cleanup(&spare);
    CHECK(!spare.blocks);
}

static void arena_copies_text(void)
{
    struct arena arena = {0};
    struct slice copy = arena_copy(&arena, SLICE_LIT("a\0b"));
    CHECK_MEM(copy.ptr, copy.len + 1, "a\0b\0", 4);
    CHECK_INT(arena_copy(&arena, SLICE_NONE).ptr[0], 0);
    CHECK_STR(arena_strdup(&arena, "xyz"), "xyz");
    CHECK_SLICE(arena_printf(&arena, "%d/%s", 4, "q"), "4/q");
    CHECK_SLICE(arena_printf(&arena, "%s", ""), "");
    arena_cleanup(&arena);
}

struct item {
    int number;
    struct list node;
};

static void list_keeps_order_and_lets_go(void)
{
    struct list head;
    struct item items[4] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}};
    list_init(&head);
    CHECK(list_empty(&head) && !list_first(&head));
    for (int i = 1; i < 4; i++)
        list_append(&head, &items[i].node);
    list_prepend(&head, &items[0].node);
    int want = 0;
    LIST_EACH(&head, node)
    {
        CHECK_INT(container_of(node, struct item, node)->number, want++);
        list_remove(node);
        list_remove(node); /* harmless */
    }
    CHECK_INT(want, 4);
    CHECK(list_empty(&head));
}

int main(void)
{
    RUN(mem_gives_zeroed_and_aligned);
    RUN(mem_dup_terminates);
    RUN(buf_grows_and_is_consumed);
    RUN(buf_appends_all_forms);
    RUN(buf_writes_numbers_and_formats);
    RUN(arena_gives_aligned_room);
    RUN(arena_uses_its_block_on_after_a_large_one);
    RUN(arena_overwrites_secrets);
    RUN(arenas_hand_on_their_blocks);
    RUN(arena_copies_text);
    RUN(list_keeps_order_and_lets_go);
    return checks_done();
}
