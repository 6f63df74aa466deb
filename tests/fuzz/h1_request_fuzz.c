/* Requests of a hostile client. What is accepted goes upstream in a form that is accepted again and stays the same; the
 * verdict does not depend on how the bytes were cut. */
#include "h1_run.h"

static const struct h1_limits again_limits = {1 << 20, 1000, 1 << 16, 0}; /* our fields may exceed a client's limits */

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_fields(const struct fields *fields)
{
    FIELDS_EACH(fields, field)
    check(field_is_token(field->name) && field_value_is_valid(field->value) && field->id == field_lookup(field->name));
}

/* Heads one by one: what the rules promise of them. */
static void check_promises(struct slice input)
{
    struct h1_reader reader;
    struct arena arena = {0};
    size_t used;
    h1_reader_init(&reader, H1_REQUEST, &H1_REQUEST_LIMITS);
    h1_reader_begin(&reader, &arena);
    for (;;) {
        enum h1_event event = h1_reader_feed(&reader, input, &used);
        input = slice_skip(input, used);
        if (event == H1_NEED_MORE || event == H1_UPGRADE || event == H1_ERROR)
            break;
        const struct head *head = reader.head;
        check(field_is_token(head->method_name) && head->target.len &&
              !memchr(head->target.ptr, ' ', head->target.len));
        check(head->version == 10 || (head->version == 11 && head->host.len));
        check(head->length <= INT64_MAX && head->body != BODY_UNTIL_CLOSE);
        check_fields(&head->fields);
        check_fields(&head->trailers);
        if (event != H1_END)
            continue;
        arena_reset(&arena);
        h1_reader_begin(&reader, &arena);
    }
    arena_cleanup(&arena);
}

static void check_cut(const struct h1_run *options, struct slice input, const struct h1_run *whole, size_t first,
                      size_t step)
{
    struct h1_run run = *options;
    h1_run_all(&run, input, first, step);
    check(slice_eq(buf_slice(&run.transcript), buf_slice(&whole->transcript)) && run.num_dropped == whole->num_dropped);
    h1_run_cleanup(&run);
}

static void check_again(const struct h1_run *options, const struct h1_run *whole)
{
    struct h1_run again = *options;
    again.limits = again_limits;
    h1_run_all(&again, buf_slice(&whole->sent), SIZE_MAX, SIZE_MAX);
    check(again.status == 0 && slice_eq(buf_slice(&again.sent), buf_slice(&whole->sent)));
    h1_run_cleanup(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 1)
        return 0;
    const struct h1_run options = {.kind = H1_REQUEST, .accept_upgrade = data[0] & 1};
    struct slice input = slice_make(data + 1, len - 1);
    struct h1_run whole = options;
    h1_run_all(&whole, input, SIZE_MAX, SIZE_MAX);
    check_cut(&options, input, &whole, 1, 1);
    check_cut(&options, input, &whole, data[0], SIZE_MAX);
    check_again(&options, &whole);
    check_promises(input);
    h1_run_cleanup(&whole);
    return 0;
}
