/* Every document that a CA sends and every record that a store gives back. The first byte chooses which; the engine's
 * table of steps sees the rest as the answer to a step, with the status of the second byte. */
#include "acme/ari.h"
#include "acme/authz.h"
#include "acme/directory.h"
#include "acme/key.h"
#include "acme/ledger.h"
#include "acme/link.h"
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

static struct slice profiles[] = {SLICE_LIT("classic")};
static const struct directory directory = {.new_order = SLICE_LIT("https://ca.test/new"),
                                           .renewal_info = SLICE_LIT("https://ca.test/ari"),
                                           .profiles = profiles,
                                           .num_profiles = 1};
static const enum acme_challenge challenges[] = {ACME_DNS_PERSIST_01, ACME_DNS_01, ACME_TLS_ALPN_01, ACME_HTTP_01};

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

/* ACME-70, ACME-84, ACME-121: what is published is fit to be. */
static void check_challenge(const struct order_progress *progress)
{
    bool wildcard = slice_starts(progress->challenge_name, SLICE_LIT("*."));
    if (!challenge_suits(progress->challenge, progress->challenge_name) ||
        (wildcard && challenge_is_seen(progress->challenge)))
        abort();
    if (progress->challenge == ACME_DNS_PERSIST_01) {
        if (progress->num_issuer_names < 1 || progress->num_issuer_names > CHALLENGE_MAX_ISSUER_NAMES)
            abort();
        for (size_t i = 0; i < progress->num_issuer_names; i++)
            if (progress->issuer_names[i].len == 0 ||
                memchr(progress->issuer_names[i].ptr, ';', progress->issuer_names[i].len))
                abort();
    } else if (progress->token.len < 16 || memchr(progress->token.ptr, '/', progress->token.len)) {
        abort();
    }
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
                                      .challenges = challenges,
                                      .num_challenges = NUM_ACME_CHALLENGES,
                                      .profile = SLICE_LIT("novel"),
                                      .replaces = SLICE_LIT("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"),
                                      .preferred_chain = SLICE_LIT("Root"),
                                      .directory = &directory,
                                      .thumbprint = SLICE_LIT("t")};
    if (step != ORDER_STEP_NEW)
        hear(ORDER_STEP_NEW, &progress, &arena, 201, slice_make(order_text, sizeof order_text - 1));
    struct order_verdict verdict = hear(step, &progress, &arena, status, body);
    if (verdict.kind == ORDER_PUBLISH)
        check_challenge(&progress);
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

/* What is read of a ledger can be written, and read again. */
static void try_ledger(struct slice text)
{
    struct ledger ledger;
    struct buf out = {0};
    ledger_init(&ledger, SLICE_LIT("https://acme-v02.api.letsencrypt.org/directory"));
    if (ledger_read(&ledger, text, 1000)) {
        ledger_write(&ledger, 1000, &out);
        if (!ledger_read(&ledger, buf_slice(&out), 1000))
            abort();
    }
    buf_cleanup(&out);
    ledger_cleanup(&ledger);
}

static void try_renewal_info(struct slice text)
{
    struct arena arena = {0};
    struct ari_window window;
    if (!err_is(ari_read(&arena, text, &window)) && window.end_ms <= window.start_ms)
        abort();
    arena_cleanup(&arena);
}

static void try_directory(struct slice text)
{
    struct directory read;
    struct buf offered = {0};
    if (err_is(directory_read(text, &read)))
        return;
    for (size_t i = 0; i < read.num_profiles; i++)
        if (read.profiles[i].len == 0 || !directory_choose_profile(&read, &read.profiles[i], 1).len)
            abort();
    directory_write_profiles(&read, &offered);
    buf_cleanup(&offered);
    directory_cleanup(&read);
}

static void try_link(struct slice field)
{
    for (struct slice url; (url = link_next(&field, "alternate")).ptr;)
        if (memchr(url.ptr, '>', url.len))
            abort();
    if (field.len)
        abort();
}

static void try_other_documents(struct slice text)
{
    try_directory(text);
    try_ledger(text);
    try_renewal_info(text);
}

static void try_retry_after(struct slice text)
{
    if (retry_after_ms(text, slice_first(text, 29), 1800000000) < 0)
        abort();
}

enum { TRY_RECORDS = 7, TRY_DIRECTORY, TRY_RETRY_AFTER, TRY_ALTERNATE, TRY_LINK, NUM_TRIES }; /* steps before those */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2)
        return 0;
    static const int statuses[] = {200, 201, 400, 403, 404, 429, 500, 503};
    struct slice body = slice_make(data + 2, len - 2);
    unsigned choice = data[0] % NUM_TRIES;
    if (choice == TRY_RECORDS)
        try_records(body);
    else if (choice == TRY_DIRECTORY)
        try_other_documents(body);
    else if (choice == TRY_LINK)
        try_link(body);
    else if (choice == TRY_RETRY_AFTER)
        try_retry_after(body);
    else
        try_step(choice == TRY_ALTERNATE ? ORDER_STEP_ALTERNATE : (enum order_step)choice, statuses[data[1] % 8], body);
    return 0;
}
