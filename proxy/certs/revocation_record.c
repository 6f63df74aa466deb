#include "certs/revocation_record.h"

#include "base/b64url.h"
#include "base/json_read.h"
#include "base/json_write.h"

enum { REVOCATION_VERSION = 1, KEY_PEM_BYTES = 4096 };

void revocation_record_write(const struct revocation_record *record, struct buf *out)
{
    struct buf leaf = {0}, pem = {0};
    b64url_encode(&leaf, record->leaf_der);
    buf_reserve(out, leaf.len + (size_t)2 * KEY_PEM_BYTES); /* no copy of the key stays behind in a reallocation */
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_put_int(&w, "version", REVOCATION_VERSION);
    json_put_string(&w, "name", record->name);
    json_put_string(&w, "serial", record->serial);
    json_put_string(&w, "directory", record->directory_url);
    json_put_str(&w, "reason", acme_revocation_reason_text(record->reason));
    json_put_int(&w, "not_after", record->not_after_s);
    json_put_string(&w, "certificate", buf_slice(&leaf));
    if (record->key) {
        buf_reserve(&pem, KEY_PEM_BYTES);
        key_write_pem(record->key, &pem);
        json_put_string(&w, "key", buf_slice(&pem));
    }
    json_end_object(&w);
    buf_append_char(out, '\n');
    buf_cleanup_secret(&pem);
    buf_cleanup(&leaf);
}

static bool record_take(struct arena *arena, const struct json *json, struct revocation_record *record)
{
    struct buf leaf = {0};
    record->name = arena_copy(arena, json_get_string(json, "name"));
    record->serial = arena_copy(arena, json_get_string(json, "serial"));
    record->directory_url = arena_copy(arena, json_get_string(json, "directory"));
    bool fine = record->name.len && record->serial.len && record->directory_url.len &&
                acme_revocation_reason_from_text(json_get_string(json, "reason"), &record->reason) &&
                json_get_int(json, "not_after", 0, INT64_MAX / 2000, &record->not_after_s) &&
                b64url_decode(&leaf, json_get_string(json, "certificate")) && leaf.len;
    record->leaf_der = arena_copy(arena, buf_slice(&leaf));
    buf_cleanup(&leaf);
    return fine;
}

struct err revocation_record_read(struct arena *arena, struct slice text, struct revocation_record *out_record)
{
    struct json *json = NULL;
    int64_t version = 0;
    struct revocation_record record = {0};
    struct err err = json_parse(arena, text, 0, &json);
    if (err_is(err))
        return err;
    if (!json_get_int(json, "version", 1, REVOCATION_VERSION, &version) || !record_take(arena, json, &record))
        return err_make(ERR_INPUT, 0, "revocation: not a record of this version");
    struct slice pem = json_get_string(json, "key");
    if (pem.ptr)
        err = key_read_pem(pem, &record.key);
    if (!err_is(err))
        *out_record = record;
    return err;
}
