#include "store/cert_record.h"

#include "acme/pem.h"
#include "base/clock.h"
#include "base/limits.h"

#include <inttypes.h>

#define FIRST_LINE_KEY "portico-certificate"

/* The lines that there can be once. */
enum line {
    LINE_DIRECTORY,
    LINE_ACCOUNT,
    LINE_ORDER,
    LINE_KEY_TYPE,
    LINE_PROFILE,
    LINE_ISSUED,
    LINE_GENERATION,
    LINE_REPLACES,
    LINE_ON_DEMAND,
    NUM_LINES
};

static const char *const line_keys[NUM_LINES] = {"directory", "account",    "order",    "key-type", "profile",
                                                 "issued",    "generation", "replaces", "on-demand"};

static const int64_t year_10000_s = 253402300800;

static struct err record_bad(const char *what)
{
    return err_make(ERR_INPUT, 0, what);
}

/* --- Armour --- */

static bool label_is_key(struct slice label)
{
    return slice_eq(label, SLICE_LIT("PRIVATE KEY")) || slice_eq(label, SLICE_LIT("EC PRIVATE KEY")) ||
           slice_eq(label, SLICE_LIT("RSA PRIVATE KEY"));
}

/* Takes one block off *rest, with no text before it, and its label. */
static struct err block_take(struct slice *rest, struct slice *out_label)
{
    struct pem_block block = {0};
    if (!slice_starts(*rest, SLICE_LIT("-----BEGIN ")))
        return record_bad("record: text where a PEM block should be");
    struct err err = pem_next(rest, &block);
    *out_label = block.label; /* a view of the text */
    pem_block_cleanup(&block);
    while (!err_is(err) && rest->len && rest->ptr[0] == '\n')
        *rest = slice_skip(*rest, 1);
    return err;
}

static struct err key_check(struct slice *rest)
{
    struct slice label;
    struct err err = block_take(rest, &label);
    if (!err_is(err) && !label_is_key(label))
        err = record_bad("record: no private key in front of the certificates");
    return err;
}

static struct err chain_check_armour(struct slice rest)
{
    size_t num = 0;
    for (; rest.len; num++) {
        struct slice label;
        struct err err = block_take(&rest, &label);
        if (err_is(err))
            return err;
        if (!slice_eq(label, SLICE_LIT("CERTIFICATE")) || num == LIMIT_CHAIN_CERTS)
            return record_bad("record: something else than certificates behind the key, or too many");
    }
    return num ? ERR_OK : record_bad("record: no certificate");
}

/* --- Writing --- */

static bool value_fits_line(struct slice value)
{
    if (value.len > CERT_RECORD_VALUE_BYTES)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
            return false;
    return value.len == 0 || (value.ptr[0] != ' ' && value.ptr[value.len - 1] != ' ');
}

static void line_write(struct buf *out, const char *key, struct slice value)
{
    if (value.len == 0)
        return;
    buf_printf(out, "%s: ", key);
    buf_append_slice(out, value);
    buf_append_char(out, '\n');
}

static struct err record_check(const struct cert_record *record)
{
    const struct slice values[] = {record->directory_url, record->account_url, record->order_url, record->profile,
                                   record->replaces};
    bool fits = record->num_names > 0 && record->num_names <= CERT_RECORD_NAMES && record->key_type != KEY_OTHER &&
                record->issued_s >= 0 && record->issued_s < year_10000_s;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        fits = fits && value_fits_line(values[i]);
    for (size_t i = 0; i < record->num_names && fits; i++)
        fits = record->names[i].len && value_fits_line(record->names[i]);
    if (!fits)
        return record_bad("record: a value that cannot be written");
    struct slice key = record->key_pem;
    struct err err = key_check(&key);
    if (!err_is(err) && key.len)
        err = record_bad("record: more than a key");
    return err_is(err) ? err : chain_check_armour(record->chain_pem);
}

static void pem_append(struct buf *out, struct slice pem)
{
    buf_append_slice(out, pem);
    if (pem.ptr[pem.len - 1] != '\n')
        buf_append_char(out, '\n');
}

struct err cert_record_write(const struct cert_record *record, struct buf *out)
{
    char issued[CLOCK_TEXT_BYTES];
    struct err err = record_check(record);
    if (err_is(err))
        return err;
    /* At once, so that growing leaves no copy of the key behind. */
    enum { KEY_AND_ENDS_BYTES = 32 };
    size_t num_lines = NUM_LINES + 2 + record->num_names;
    buf_reserve(out, num_lines * (CERT_RECORD_VALUE_BYTES + KEY_AND_ENDS_BYTES) + record->key_pem.len +
                         record->chain_pem.len);
    buf_printf(out, FIRST_LINE_KEY ": %d\n", CERT_RECORD_VERSION);
    for (size_t i = 0; i < record->num_names; i++)
        line_write(out, "name", record->names[i]);
    line_write(out, "directory", record->directory_url);
    line_write(out, "account", record->account_url);
    line_write(out, "order", record->order_url);
    line_write(out, "key-type", slice_str(key_type_name(record->key_type)));
    line_write(out, "profile", record->profile);
    line_write(out, "issued", slice_str(clock_rfc3339(record->issued_s * 1000, issued)));
    if (record->generation)
        buf_printf(out, "generation: %" PRIu64 "\n", record->generation);
    line_write(out, "on-demand", record->on_demand ? SLICE_LIT("yes") : SLICE_NONE);
    line_write(out, "replaces", record->replaces);
    buf_append_char(out, '\n');
    pem_append(out, record->key_pem);
    pem_append(out, record->chain_pem);
    return ERR_OK;
}

/* --- Reading --- */

struct header {
    struct slice *names;
    size_t num_names;
    struct slice lines[NUM_LINES]; /* ptr NULL: absent */
};

/* "key: value" */
static bool line_split(struct slice line, struct slice *out_key, struct slice *out_value)
{
    const char *colon = line.len ? memchr(line.ptr, ':', line.len) : NULL;
    size_t key_len = colon ? (size_t)(colon - line.ptr) : 0;
    if (key_len == 0 || key_len + 2 >= line.len || colon[1] != ' ')
        return false;
    *out_key = slice_first(line, key_len);
    *out_value = slice_skip(line, key_len + 2);
    for (size_t i = 0; i < key_len; i++)
        if (!((line.ptr[i] >= 'a' && line.ptr[i] <= 'z') || line.ptr[i] == '-'))
            return false;
    return value_fits_line(*out_value);
}

static bool header_add(struct header *header, struct slice key, struct slice value)
{
    if (slice_eq(key, SLICE_LIT("name"))) {
        if (header->num_names == CERT_RECORD_NAMES)
            return false;
        header->names[header->num_names++] = value;
        return true;
    }
    for (size_t i = 0; i < NUM_LINES; i++)
        if (slice_eq(key, slice_str(line_keys[i]))) {
            bool first = !header->lines[i].ptr;
            header->lines[i] = value;
            return first;
        }
    return true; /* of a later minor change: passed over */
}

static struct err version_read(struct slice *rest)
{
    struct slice key, value;
    uint64_t version;
    if (!line_split(slice_split(rest, '\n'), &key, &value) || !slice_eq(key, SLICE_LIT(FIRST_LINE_KEY)) ||
        !slice_decimal(value, UINT32_MAX, &version) || version == 0)
        return record_bad("record: not a certificate record");
    return version > CERT_RECORD_VERSION ? record_bad("record: of a newer version") : ERR_OK;
}

static struct err header_read(struct slice *rest, struct header *header)
{
    for (size_t num = 0; num < CERT_RECORD_LINES; num++) {
        struct slice key, value;
        if (rest->len && rest->ptr[0] == '\n') {
            *rest = slice_skip(*rest, 1);
            return ERR_OK;
        }
        if (!line_split(slice_split(rest, '\n'), &key, &value) || !header_add(header, key, value))
            return record_bad("record: a line that is damaged or there twice");
    }
    return record_bad("record: too many lines");
}

static struct err header_take(const struct header *header, struct cert_record *record)
{
    *record = (struct cert_record){
        .names = header->names,
        .num_names = header->num_names,
        .directory_url = header->lines[LINE_DIRECTORY],
        .account_url = header->lines[LINE_ACCOUNT],
        .order_url = header->lines[LINE_ORDER],
        .profile = header->lines[LINE_PROFILE],
        .replaces = header->lines[LINE_REPLACES],
    };
    if (record->num_names == 0)
        return record_bad("record: without a name");
    if (!key_type_from_name(header->lines[LINE_KEY_TYPE], &record->key_type))
        return record_bad("record: key-type");
    if (!clock_parse_rfc3339(header->lines[LINE_ISSUED], &record->issued_s))
        return record_bad("record: issued");
    record->on_demand = slice_eq(header->lines[LINE_ON_DEMAND], SLICE_LIT("yes"));
    struct slice generation = header->lines[LINE_GENERATION];
    if (generation.ptr && !slice_decimal(generation, UINT64_MAX, &record->generation))
        return record_bad("record: generation");
    return ERR_OK;
}

static struct err armour_read(struct slice rest, struct cert_record *record)
{
    struct slice from = rest;
    struct err err = key_check(&rest);
    if (err_is(err))
        return err;
    record->key_pem = slice_first(from, from.len - rest.len);
    record->chain_pem = rest;
    return chain_check_armour(rest);
}

struct err cert_record_read(struct arena *arena, struct slice text, struct cert_record *out_record)
{
    struct header header = {.names = arena_calloc(arena, CERT_RECORD_NAMES, sizeof(struct slice))};
    struct cert_record record;
    struct err err = text.len > LIMIT_STORE_VALUE_BYTES ? err_make(ERR_LIMIT, LIMIT_STORE_VALUE_BYTES, "record: size")
                                                        : version_read(&text);
    if (!err_is(err))
        err = header_read(&text, &header);
    if (!err_is(err))
        err = header_take(&header, &record);
    if (!err_is(err))
        err = armour_read(text, &record);
    if (!err_is(err))
        *out_record = record;
    return err;
}
