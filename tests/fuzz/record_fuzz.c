/* A certificate record that is read and written again reads the same; the journal of the store's directory likewise. */
#include "base/mem.h"
#include "store/cert_record.h"
#include "store/dir_journal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_same(const struct cert_record *a, const struct cert_record *b)
{
    require(a->num_names == b->num_names);
    for (size_t i = 0; i < a->num_names; i++)
        require(slice_eq(a->names[i], b->names[i]));
    require(slice_eq(a->directory_url, b->directory_url) && slice_eq(a->account_url, b->account_url));
    require(slice_eq(a->order_url, b->order_url) && slice_eq(a->profile, b->profile));
    require(slice_eq(a->replaces, b->replaces) && a->key_type == b->key_type);
    require(a->issued_s == b->issued_s && a->generation == b->generation);
    require(slice_starts(b->key_pem, a->key_pem) && slice_starts(b->chain_pem, a->chain_pem));
}

static void fuzz_record(struct slice text)
{
    struct arena arena = {0};
    struct cert_record first, second;
    struct buf out = {0};
    if (!err_is(cert_record_read(&arena, text, &first)) && !err_is(cert_record_write(&first, &out))) {
        require(!err_is(cert_record_read(&arena, buf_slice(&out), &second)));
        require_same(&first, &second);
    }
    buf_cleanup_secret(&out);
    arena_cleanup(&arena);
}

static void fuzz_journal(struct slice text)
{
    struct dir_plan *plan = MEM_NEW(struct dir_plan);
    struct buf out = {0};
    if (!err_is(dir_journal_parse(text, plan))) {
        dir_journal_print(plan, &out);
        require(slice_eq(buf_slice(&out), text)); /* there is one text for a plan */
    }
    buf_cleanup(&out);
    mem_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_record(slice_make(data, len));
    fuzz_journal(slice_make(data, len));
    return 0;
}
