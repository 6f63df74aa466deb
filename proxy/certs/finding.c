#include "certs/finding.h"

#include "base/mem.h"
#include "base/utf8.h"

void findings_cleanup(struct findings *findings)
{
    arena_cleanup(&findings->arena);
    mem_free(findings->items);
    *findings = (struct findings){0};
}

struct finding *findings_add(struct findings *findings, const char *check, const char *kind, enum finding_level level)
{
    if (findings->num == findings->cap) {
        findings->cap = findings->cap ? 2 * findings->cap : 8;
        findings->items = mem_realloc(findings->items, findings->cap * sizeof *findings->items);
    }
    struct finding *finding = &findings->items[findings->num++];
    *finding = (struct finding){.check = check, .kind = kind, .level = level};
    return finding;
}

void findings_append(struct findings *findings, const struct findings *more)
{
    for (size_t i = 0; i < more->num; i++) {
        const struct finding *from = &more->items[i];
        struct finding *to = findings_add(findings, from->check, from->kind, from->level);
        to->status = from->status;
        to->subject = arena_copy(&findings->arena, from->subject);
        to->address = arena_copy(&findings->arena, from->address);
        to->body = arena_copy(&findings->arena, from->body);
        to->sentence = arena_copy(&findings->arena, from->sentence);
        to->cure = arena_copy(&findings->arena, from->cure);
    }
}

enum finding_level findings_level(const struct findings *findings)
{
    enum finding_level level = FINDING_OK;
    for (size_t i = 0; i < findings->num; i++)
        if (findings->items[i].level > level)
            level = findings->items[i].level;
    return level;
}

void findings_write_hint(const struct findings *findings, struct buf *out)
{
    struct buf text = {0};
    for (size_t i = 0; i < findings->num; i++) {
        const struct finding *finding = &findings->items[i];
        if (finding->level != FINDING_FAIL)
            continue;
        if (text.len)
            buf_append_str(&text, "; ");
        buf_append_slice(&text, finding->sentence);
        if (finding->cure.len) {
            buf_append_str(&text, ": ");
            buf_append_slice(&text, finding->cure);
        }
    }
    buf_append_slice(out, utf8_first(buf_slice(&text), FINDING_HINT_BYTES));
    buf_cleanup(&text);
}

const char *finding_level_text(enum finding_level level)
{
    switch (level) {
    case FINDING_OK: return "ok";
    case FINDING_WARN: return "warn";
    case FINDING_FAIL: return "fail";
    }
    return "";
}

static void put_slice(struct json_writer *w, const char *key, struct slice value)
{
    if (value.len)
        json_put_string(w, key, value);
}

void findings_write_json(const struct findings *findings, struct json_writer *w)
{
    json_array(w);
    for (size_t i = 0; i < findings->num; i++) {
        const struct finding *finding = &findings->items[i];
        json_object(w);
        json_put_str(w, "level", finding_level_text(finding->level));
        json_put_str(w, "check", finding->check);
        json_put_str(w, "kind", finding->kind);
        put_slice(w, "subject", finding->subject);
        put_slice(w, "address", finding->address);
        if (finding->status)
            json_put_int(w, "status", finding->status);
        put_slice(w, "body", finding->body);
        put_slice(w, "sentence", finding->sentence);
        put_slice(w, "cure", finding->cure);
        json_end_object(w);
    }
    json_end_array(w);
}

struct slice finding_quote(struct arena *arena, struct slice text, size_t max)
{
    char *out = arena_alloc(arena, max + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len && len < max; i++) {
        char c = text.ptr[i];
        bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        if (blank && (len == 0 || out[len - 1] == ' '))
            continue;
        out[len++] = blank ? ' ' : c > ' ' && c <= '~' ? c : '?';
    }
    while (len && out[len - 1] == ' ')
        len--;
    out[len] = '\0';
    return slice_make(out, len);
}
