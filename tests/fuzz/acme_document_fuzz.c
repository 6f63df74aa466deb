/* Every document that a CA sends and every record that a store gives back. The first byte chooses which; the engine's
 * table of steps sees the rest as the answer to a step, with the status of the second byte. */
#include "acme/authz.h"
#include "acme/directory.h"
#include "acme/key.h"
#include "acme/order_steps.h"
#include "acme/record.h"
#include "acme/retry_after.h"
#include "base/json_read.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct slice names[] = {SLICE_LIT("a.example"), SLICE_LIT("*.b.example")};

static const char order_text[] = "{\"status\":\"pending\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"},{"
                                 "\"type\":\"dns\",\"value\":\"*.b.example\"}],"
                                 "\"authorizations\":[\"https://ca.test/authz/1\",\"https://ca.test/authz/"
                                 "2\"],\"finalize\":\"https://ca.test/finalize\"}";

static struct order_verdict hear(enum order_step step, struct order_progress *progress, struct arena *arena, int status,
                                 struct slice body)
{
    struct acme_reply reply = {.status = status,
                               .body = body,
                               .location = SLICE_LIT("https://ca.test/order/1"),
                               .retry_after = slice_first(body, 29)};
    struct order_answer answer = {&reply, arena, 1800000000};
    return order_step_recv(step, progress, &answer);
}

/* What the engine does with a verdict is bounded by order.c; here only that no answer breaks the table. */
static void try_step(enum order_step step, int status, struct slice body)
{
    static struct evp_pkey_st *key; /* one for all inputs: making one costs more than the rest */
    struct arena arena = {0};
    if (!key && err_is(key_generate(KEY_P256, &key)))
        abort();
    struct order_progress progress = {.names = names,
                                      .num_names = 2,
                                      .key = key,
                                      .new_order_url = SLICE_LIT("https://ca.test/new"),
                                      .thumbprint = SLICE_LIT("t")};
    if (step != ORDER_STEP_NEW)
        hear(ORDER_STEP_NEW, &progress, &arena, 201, slice_make(order_text, sizeof order_text - 1));
    struct order_verdict verdict = hear(step, &progress, &arena, status, body);
    if (verdict.kind == ORDER_PUBLISH &&
        (progress.token.len < 16 || memchr(progress.token.ptr, '/', progress.token.len)))
        abort();
    if ((verdict.kind == ORDER_TROUBLE || verdict.kind == ORDER_DEAD) && verdict.problem.class != PROBLEM_TRANSIENT) {
        struct buf sentence = {0};
        problem_write_sentence(&sentence, &verdict.problem);
        if (sentence.len == 0)
            abort();
        buf_cleanup(&sentence);
    }
    order_progress_cleanup(&progress);
    arena_cleanup(&arena);
}

static void try_records(struct slice text)
{
    struct arena arena = {0};
    struct account_record account;
    struct journal journal;
    if (!err_is(record_read_account(&arena, text, &account))) {
        key_free(account.key);
        key_free(account.next_key);
    }
    if (!err_is(record_read_journal(&arena, text, &journal)))
        key_free(journal.key);
    arena_cleanup(&arena);
}

static void try_directory(struct slice text)
{
    struct directory directory;
    if (!err_is(directory_read(text, &directory)))
        directory_cleanup(&directory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    static const int statuses[] = {200, 201, 400, 403, 404, 429, 500, 503};
    struct slice body = slice_make(data + 2, len - 2);
    unsigned choice = data[0] % (NUM_ORDER_STEPS + 3);
    if (choice < NUM_ORDER_STEPS)
        try_step((enum order_step)choice, statuses[data[1] % 8], body);
    else if (choice == NUM_ORDER_STEPS)
        try_records(body);
    else if (choice == NUM_ORDER_STEPS + 1)
        try_directory(body);
    else if (retry_after_ms(body, slice_first(body, 29), 1800000000) < 0)
        abort();
    return 0;
}
