/* The seal over a store in memory: what is sealed, what opens, whom the lock is passed on to, and what is said. */
#include "check.h"
#include "memory_store.h"
#include "store/seal_internal.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct slice secret = SLICE_LIT("0123456789abcdefghijklmnopqrstuv");
static const struct slice other_secret = SLICE_LIT("0123456789abcdefghijklmnopqrstuw");

/* ---- the sealed form ---- */

static struct buf sealed(struct slice with, const char *name, const char *value)
{
    struct seal_key key;
    struct buf out = {0};
    seal_key_make(with, &key);
    sealed_value_write(&key, slice_str(name), slice_str(value), &out);
    seal_key_wipe(&key);
    return out;
}

static enum store_result opened_as(struct slice with, const char *name, struct slice text, const char *want)
{
    struct seal_key key;
    struct buf out = {0};
    seal_key_make(with, &key);
    enum store_result result = sealed_value_open(&key, slice_str(name), text, &out);
    if (result == STORE_OK)
        CHECK_SLICE(buf_slice(&out), want);
    else
        CHECK_INT(out.len, 0);
    buf_cleanup_secret(&out);
    return result;
}

static void a_value_goes_there_and_back(void)
{
    static const char *const values[] = {"x", "-----BEGIN PRIVATE KEY-----\n", "line\nline\n"};
    for (size_t i = 0; i < 3; i++) {
        struct buf text = sealed(secret, "account/a", values[i]);
        CHECK(sealed_value_is(buf_slice(&text)));
        CHECK(!memchr(text.ptr, 0, text.len));
        CHECK(!memmem(text.ptr, text.len, values[i], strlen(values[i])) || strlen(values[i]) == 1);
        CHECK_INT(opened_as(secret, "account/a", buf_slice(&text), values[i]), STORE_OK);
        buf_cleanup(&text);
    }
}

static void no_two_texts_are_the_same(void)
{
    struct buf a = sealed(secret, "account/a", "x"), b = sealed(secret, "account/a", "x");
    CHECK(!slice_eq(buf_slice(&a), buf_slice(&b)));
    CHECK(slice_eq(sealed_value_key_id(buf_slice(&a)), sealed_value_key_id(buf_slice(&b))));
    buf_cleanup(&a);
    buf_cleanup(&b);
}

static void another_name_does_not_open(void)
{
    struct buf text = sealed(secret, "certificate/a.example", "x");
    CHECK_INT(opened_as(secret, "certificate/b.example", buf_slice(&text), ""), STORE_CORRUPT);
    CHECK_INT(opened_as(secret, "account/a.example", buf_slice(&text), ""), STORE_CORRUPT);
    CHECK_INT(opened_as(secret, "previous/certificate/b.example", buf_slice(&text), ""), STORE_CORRUPT);
    CHECK_INT(opened_as(secret, "previous/certificate/a.example", buf_slice(&text), "x"), STORE_OK);
    buf_cleanup(&text);
}

static void a_wrong_key_is_a_result_of_its_own(void)
{
    struct buf text = sealed(secret, "account/a", "x"), out = {0};
    CHECK_INT(opened_as(other_secret, "account/a", buf_slice(&text), ""), STORE_WRONG_KEY);
    CHECK_INT(sealed_value_open(NULL, SLICE_LIT("account/a"), buf_slice(&text), &out), STORE_DENIED);
    CHECK_INT(out.len, 0);
    buf_cleanup(&text);
}

/* Each byte changed, and each cut: damage, or (in its id) another key; never the value, never a crash. */
static void no_change_goes_unnoticed(void)
{
    struct buf text = sealed(secret, "account/a", "some secret");
    for (size_t i = 0; i < text.len; i++) {
        char was = text.ptr[i];
        text.ptr[i] = was == 'A' ? 'B' : 'A';
        enum store_result result = opened_as(secret, "account/a", buf_slice(&text), "");
        CHECK(result == STORE_CORRUPT || result == STORE_WRONG_KEY);
        text.ptr[i] = was == '0' ? '1' : '0';
        result = opened_as(secret, "account/a", buf_slice(&text), "");
        CHECK(result == STORE_CORRUPT || result == STORE_WRONG_KEY);
        text.ptr[i] = was;
        if (i + 1 < text.len) /* the last line's end is no loss */
            CHECK_INT(opened_as(secret, "account/a", slice_first(buf_slice(&text), i), ""), STORE_CORRUPT);
    }
    buf_append_str(&text, "more");
    CHECK_INT(opened_as(secret, "account/a", buf_slice(&text), ""), STORE_CORRUPT);
    buf_cleanup(&text);
}

/* What was sealed by the first version opens for ever; this was made by another program (HMAC, AES-GCM of Python). */
static void a_text_of_before_opens(void)
{
    const struct slice text = SLICE_LIT("portico-sealed: 1\n"
                                        "key: c2deaa482789e727\n"
                                        "\n"
                                        "-----BEGIN PORTICO SEALED RECORD-----\n"
                                        "AAECAwQFBgcICQoLgQh7dzViHj7cmLnJ1+4ASuyMDdC6GfmpruW3+p0HzKyoF1tN\n"
                                        "ew==\n"
                                        "-----END PORTICO SEALED RECORD-----\n");
    CHECK_INT(opened_as(secret, "account/a", text, "a value of version 1\n"), STORE_OK);
}

/* ---- the store ---- */

struct world {
    struct memory_store memory;
    struct store *seal;
    struct store_lock lock;
    int num_granted, num_lost, num_changed;
    struct log *log;
    int log_fd;
};

struct answer {
    struct store_call call;
    bool done;
    enum store_result result;
    size_t num;
    char keys[256], value[256];
    uint64_t version;
};

static void world_granted(struct store_lock *lock)
{
    container_of(lock, struct world, lock)->num_granted++;
}

static void world_lost(struct store_lock *lock)
{
    container_of(lock, struct world, lock)->num_lost++;
}

static void world_changed(void *ctx)
{
    ((struct world *)ctx)->num_changed++;
}

/* A process on the same records, with that key. */
static void world_start(struct world *world, struct slice with)
{
    struct seal_config config = {.inner = &world->memory.store, .secret = with, .changed = world_changed, .ctx = world};
    world->log_fd = memfd_create("log", 0);
    world->log = log_new(world->log_fd, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG);
    config.log = log_ring_new(world->log, "control");
    world->lock = (struct store_lock){world_granted, world_lost};
    world->num_granted = world->num_lost = world->num_changed = 0;
    world->memory.num_locks = world->memory.num_unlocks = 0;
    world->seal = seal_new(&config);
}

static void world_rest(struct world *world)
{
    while (memory_store_answer(&world->memory)) {
    }
}

static void world_lock(struct world *world)
{
    world->seal->ops->lock(world->seal, &world->lock);
    world_rest(world);
}

static void world_stop(struct world *world)
{
    world->seal->ops->free(world->seal);
    CHECK(world->memory.freed);
    CHECK(list_empty(&world->memory.pending));
    log_free(world->log);
    close(world->log_fd);
}

static unsigned world_logged(const struct world *world, const char *text)
{
    char all[16384] = "";
    unsigned num = 0;
    ssize_t len = pread(world->log_fd, all, sizeof all - 1, 0);
    CHECK(len >= 0);
    for (const char *at = all; (at = strstr(at, text)); at++)
        num++;
    return num;
}

static void answered(struct store_call *call, enum store_result result, const struct store_record *records, size_t num)
{
    struct answer *answer = container_of(call, struct answer, call);
    answer->done = true;
    answer->result = result;
    answer->num = num;
    for (size_t i = 0, len = 0; i < num; i++, len = strlen(answer->keys))
        snprintf(answer->keys + len, sizeof answer->keys - len, "%.*s ", (int)records[i].key.len, records[i].key.ptr);
    if (num) {
        snprintf(answer->value, sizeof answer->value, "%.*s", (int)records[0].value.len, records[0].value.ptr);
        answer->version = records[0].version;
    }
}

static struct answer world_get(struct world *world, const char *key)
{
    struct answer answer = {.call = {.done = answered}};
    world->seal->ops->get(world->seal, slice_str(key), &answer.call);
    CHECK(!answer.done);
    world_rest(world);
    CHECK(answer.done);
    return answer;
}

static struct answer world_list(struct world *world, const char *prefix)
{
    struct answer answer = {.call = {.done = answered}};
    world->seal->ops->list(world->seal, slice_str(prefix), &answer.call);
    world_rest(world);
    CHECK(answer.done);
    return answer;
}

static enum store_result world_commit(struct world *world, const struct store_write *writes, size_t num)
{
    struct answer answer = {.call = {.done = answered}};
    world->seal->ops->commit(world->seal, writes, num, &answer.call);
    world_rest(world);
    CHECK(answer.done);
    return answer.result;
}

static enum store_result world_put(struct world *world, const char *key, const char *value)
{
    struct store_write write = {.key = slice_str(key), .value = slice_str(value)};
    return world_commit(world, &write, 1);
}

static bool lies_sealed(const struct world *world, const char *key)
{
    return sealed_value_is(memory_store_value(&world->memory, key));
}

static bool lies_plain(const struct world *world, const char *key, const char *value)
{
    return slice_eq(memory_store_value(&world->memory, key), slice_str(value));
}

static struct store_dir_report world_report(const struct world *world, enum store_result writing)
{
    struct store_dir_report report = {.writing = writing, .sentence = ""};
    seal_amend(world->seal, &report);
    return report;
}

static void what_holds_secrets_is_sealed(void)
{
    static const char *const secrets[] = {"account/a", "certificate/a.example", "order/a.example", "internal-ca",
                                          "never-use"};
    struct world world = {0};
    memory_store_init(&world.memory);
    world_start(&world, secret);
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++) {
        CHECK_INT(world_put(&world, secrets[i], "key"), STORE_OK);
        CHECK(lies_sealed(&world, secrets[i]));
        CHECK_STR(world_get(&world, secrets[i]).value, "key");
    }
    CHECK_INT(world_put(&world, "state/a.example", "{}"), STORE_OK);
    CHECK(lies_plain(&world, "state/a.example", "{}"));
    CHECK_INT(world_put(&world, "internal-ca", NULL), STORE_OK);
    CHECK_INT(world_get(&world, "internal-ca").result, STORE_NOT_FOUND);
    struct answer all = world_list(&world, "certificate/");
    CHECK_INT(all.result, STORE_OK);
    CHECK_STR(all.keys, "certificate/a.example ");
    CHECK_STR(all.value, "key");
    CHECK_INT(world_logged(&world, "\"level\":\"error\""), 0);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void conditions_hold(void)
{
    struct world world = {0};
    memory_store_init(&world.memory);
    world_start(&world, secret);
    world_lock(&world);
    CHECK_INT(world_put(&world, "order/a", "one"), STORE_OK);
    uint64_t version = world_get(&world, "order/a").version;
    struct store_write write = {
        .key = SLICE_LIT("order/a"), .value = SLICE_LIT("two"), .condition = STORE_VERSION, .version = version};
    CHECK_INT(world_commit(&world, &write, 1), STORE_OK);
    CHECK_INT(world_commit(&world, &write, 1), STORE_CONFLICT);
    write.condition = STORE_ABSENT;
    CHECK_INT(world_commit(&world, &write, 1), STORE_CONFLICT);
    CHECK_STR(world_get(&world, "order/a").value, "two");
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void calls_can_be_withdrawn(void)
{
    struct world world = {0};
    struct answer get = {.call = {.done = answered}}, list = get, commit = get;
    struct store_write write = {.key = SLICE_LIT("order/a"), .value = SLICE_LIT("one")};
    memory_store_init(&world.memory);
    world_start(&world, secret);
    world.seal->ops->get(world.seal, SLICE_LIT("order/a"), &get.call);
    world.seal->ops->cancel(world.seal, &get.call);
    world.seal->ops->cancel(world.seal, &get.call);
    world.seal->ops->list(world.seal, SLICE_LIT("order/"), &list.call);
    world.seal->ops->commit(world.seal, &write, 1, &commit.call);
    world.seal->ops->lock(world.seal, &world.lock);
    world.seal->ops->unlock(world.seal);
    world.seal->ops->lock(world.seal, &world.lock);
    CHECK(memory_store_answer(&world.memory)); /* the list */
    CHECK(list.done);
    world_stop(&world); /* with a commit that waits */
    CHECK(!get.done && !commit.done);
    memory_store_cleanup(&world.memory);
}

static void fill_plain(struct world *world)
{
    memory_store_put(&world->memory, SLICE_LIT("account/a"), SLICE_LIT("account"));
    memory_store_put(&world->memory, SLICE_LIT("certificate/a"), SLICE_LIT("second"));
    memory_store_put(&world->memory, SLICE_LIT("certificate/b"), SLICE_LIT("only"));
    memory_store_put(&world->memory, SLICE_LIT("previous/certificate/a"), SLICE_LIT("first"));
    memory_store_put(&world->memory, SLICE_LIT("previous/certificate/gone"), SLICE_LIT("old"));
    memory_store_put(&world->memory, SLICE_LIT("state/a"), SLICE_LIT("{}"));
}

static void check_filled(struct world *world)
{
    CHECK_STR(world_get(world, "account/a").value, "account");
    CHECK_STR(world_get(world, "certificate/a").value, "second");
    CHECK_STR(world_get(world, "certificate/b").value, "only");
    CHECK_STR(world_get(world, "previous/certificate/a").value, "first");
    CHECK_STR(world_get(world, "previous/certificate/gone").value, "old");
    CHECK_STR(world_get(world, "state/a").value, "{}");
}

static void what_lies_there_in_plain_is_read_and_sealed_by_the_holder_of_the_lock(void)
{
    static const char *const all[] = {
        "account/a",  "certificate/a", "certificate/b", "previous/certificate/a", "previous/certificate/gone",
        "storage-key"};
    struct world world = {0};
    memory_store_init(&world.memory);
    fill_plain(&world);
    world_start(&world, secret);
    check_filled(&world); /* a standby reads it as it is, and writes nothing */
    CHECK(lies_plain(&world, "account/a", "account"));
    world.seal->ops->lock(world.seal, &world.lock);
    for (int i = 0; i < 3; i++)
        CHECK(memory_store_answer(&world.memory));
    CHECK_INT(world.num_granted, 0); /* not before it is done */
    CHECK_INT(world_report(&world, STORE_OK).writing, STORE_FENCED);
    CHECK(strstr(world_report(&world, STORE_OK).sentence, "are being sealed"));
    world_rest(&world);
    CHECK_INT(world.num_granted, 1);
    CHECK_INT(world_report(&world, STORE_OK).writing, STORE_OK);
    CHECK_STR(world_report(&world, STORE_OK).sentence, "");
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        CHECK(lies_sealed(&world, all[i]));
    check_filled(&world);
    CHECK_INT(world_logged(&world, "\"storage_sealed\",\"records\":5"), 1);
    world_stop(&world);
    size_t num_commits = world.memory.num_commits;
    world_start(&world, secret); /* nothing is left to do, and nothing is said */
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    CHECK_INT(world.memory.num_commits, num_commits);
    CHECK_INT(world_logged(&world, "storage_sealed"), 0);
    check_filled(&world);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

/* A backup that was put back, say. */
static void plain_records_of_later_are_sealed_too(void)
{
    struct world world = {0};
    memory_store_init(&world.memory);
    world_start(&world, secret);
    world_lock(&world);
    world_stop(&world);
    memory_store_put(&world.memory, SLICE_LIT("certificate/a"), SLICE_LIT("restored"));
    world_start(&world, secret);
    CHECK_STR(world_list(&world, "certificate/").value, "restored");
    world_lock(&world);
    CHECK(lies_sealed(&world, "certificate/a"));
    CHECK_STR(world_get(&world, "certificate/a").value, "restored");
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void sealing_that_fails_stops_nobody_and_is_tried_again(void)
{
    struct world world = {0};
    memory_store_init(&world.memory);
    fill_plain(&world);
    world.memory.write_fault = STORE_FULL;
    world_start(&world, secret);
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    CHECK_INT(world_logged(&world, "\"storage_not_sealed\",\"result\":\"no space left\""), 1);
    check_filled(&world);
    world_stop(&world);
    world.memory.write_fault = STORE_OK;
    world_start(&world, secret);
    world_lock(&world);
    CHECK(lies_sealed(&world, "account/a"));
    CHECK_INT(world_logged(&world, "\"storage_sealed\",\"records\":5"), 1);
    world_stop(&world);
    world.memory.read_fault = STORE_UNAVAILABLE;
    world_start(&world, secret);
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

/* A storage that was sealed with secret and holds an account. */
static void world_sealed(struct world *world)
{
    memory_store_init(&world->memory);
    world_start(world, secret);
    world_lock(world);
    CHECK_INT(world_put(world, "account/a", "account"), STORE_OK);
    world_stop(world);
}

static void check_locked_out(struct world *world, enum store_result result, const char *sentence)
{
    world->seal->ops->lock(world->seal, &world->lock);
    world_rest(world);
    CHECK_INT(world->num_granted, 0);
    CHECK_INT(world->memory.num_unlocks, 1); /* for a process that has the key */
    CHECK_INT(world_get(world, "account/a").result, result);
    CHECK_INT(world_list(world, "account/").result, result);
    CHECK_INT(world_list(world, "account/").num, 0);
    CHECK_INT(world_report(world, STORE_FENCED).writing, result);
    CHECK_INT(world_report(world, STORE_FULL).writing, STORE_FULL);
    CHECK(strstr(world_report(world, STORE_FENCED).sentence, sentence));
    CHECK_INT(world_logged(world, "\"storage_key_wrong\""), 1);
    CHECK(world->num_changed > 0);
    CHECK_INT(world_get(world, "account/none").result, STORE_NOT_FOUND);
}

static void another_key_is_never_granted_the_lock(void)
{
    struct world world = {0};
    world_sealed(&world);
    size_t num_commits = world.memory.num_commits;
    world_start(&world, other_secret);
    check_locked_out(&world, STORE_WRONG_KEY, "PORTICO_STORAGE_KEY is the key ");
    CHECK_INT(world.memory.num_commits, num_commits);
    world_stop(&world);
    world_start(&world, secret); /* the right one again */
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    CHECK_STR(world_get(&world, "account/a").value, "account");
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void no_key_is_never_granted_the_lock_of_a_sealed_storage(void)
{
    struct world world = {0};
    world_sealed(&world);
    world_start(&world, SLICE_NONE);
    check_locked_out(&world, STORE_DENIED, "set PORTICO_STORAGE_KEY");
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

/* The sign has been lost: the records themselves tell. */
static void records_of_another_key_are_not_joined_by_ours(void)
{
    struct world world = {0};
    world_sealed(&world);
    memory_store_put(&world.memory, SLICE_LIT("storage-key"), SLICE_NONE);
    memory_store_put(&world.memory, SLICE_LIT("order/a"), SLICE_LIT("plain"));
    world_start(&world, other_secret);
    check_locked_out(&world, STORE_WRONG_KEY, "PORTICO_STORAGE_KEY is the key ");
    CHECK(lies_plain(&world, "order/a", "plain"));
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void without_a_key_all_is_as_it_was(void)
{
    struct world world = {0};
    memory_store_init(&world.memory);
    fill_plain(&world);
    world_start(&world, SLICE_NONE);
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    CHECK_INT(world_put(&world, "account/a", "account"), STORE_OK);
    CHECK(lies_plain(&world, "account/a", "account"));
    CHECK(memory_store_value(&world.memory, "storage-key").ptr == NULL);
    check_filled(&world);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void damage_is_said_once_and_is_never_absence(void)
{
    struct world world = {0};
    struct buf text = sealed(secret, "account/b", "x");
    world_sealed(&world);
    memory_store_put(&world.memory, SLICE_LIT("account/a"), buf_slice(&text)); /* moved */
    world_start(&world, secret);
    world_lock(&world);
    CHECK_INT(world.num_granted, 1);
    for (int i = 0; i < 3; i++)
        CHECK_INT(world_get(&world, "account/a").result, STORE_CORRUPT);
    CHECK_INT(world_put(&world, "account/c", "fine"), STORE_OK);
    struct answer all = world_list(&world, "account/");
    CHECK_INT(all.result, STORE_CORRUPT);
    CHECK_STR(all.keys, "account/c ");
    CHECK_STR(all.value, "fine");
    CHECK_INT(world_logged(&world, "\"storage_record_damaged\""), 1);
    buf_cleanup(&text);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

static void a_lost_lock_is_passed_on_only_where_the_lock_was(void)
{
    struct world world = {0};
    memory_store_init(&world.memory);
    fill_plain(&world);
    world_start(&world, secret);
    world.seal->ops->lock(world.seal, &world.lock);
    for (int i = 0; i < 4; i++)
        CHECK(memory_store_answer(&world.memory)); /* in the midst of sealing */
    CHECK_INT(world.num_granted, 0);
    struct store_lock *below = &container_of(world.seal, struct seal, store)->lock;
    below->lost(below);
    CHECK_INT(world.num_lost, 0);
    CHECK_INT(world.memory.num_locks, 2); /* asked for again */
    world_rest(&world);
    CHECK_INT(world.num_granted, 1);
    check_filled(&world);
    below->lost(below);
    CHECK_INT(world.num_lost, 1);
    CHECK_INT(world.memory.num_locks, 2); /* who asked asks again */
    world_lock(&world);
    CHECK_INT(world.num_granted, 2);
    world_stop(&world);
    memory_store_cleanup(&world.memory);
}

int main(void)
{
    RUN(a_value_goes_there_and_back);
    RUN(no_two_texts_are_the_same);
    RUN(another_name_does_not_open);
    RUN(a_wrong_key_is_a_result_of_its_own);
    RUN(no_change_goes_unnoticed);
    RUN(a_text_of_before_opens);
    RUN(what_holds_secrets_is_sealed);
    RUN(conditions_hold);
    RUN(calls_can_be_withdrawn);
    RUN(what_lies_there_in_plain_is_read_and_sealed_by_the_holder_of_the_lock);
    RUN(plain_records_of_later_are_sealed_too);
    RUN(sealing_that_fails_stops_nobody_and_is_tried_again);
    RUN(another_key_is_never_granted_the_lock);
    RUN(no_key_is_never_granted_the_lock_of_a_sealed_storage);
    RUN(records_of_another_key_are_not_joined_by_ours);
    RUN(without_a_key_all_is_as_it_was);
    RUN(damage_is_said_once_and_is_never_absence);
    RUN(a_lost_lock_is_passed_on_only_where_the_lock_was);
    return checks_done();
}
