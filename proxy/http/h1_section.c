#include "http/h1_section.h"

enum { TEXT_FIRST_BYTES = 512 };

static void text_append(struct h1_section *section, struct arena *arena, struct slice part)
{
    uint32_t need = section->text_len + (uint32_t)part.len;
    if (need > section->text_cap) {
        uint32_t cap = section->text_cap ? section->text_cap * 2 : TEXT_FIRST_BYTES;
        cap = cap < need ? need : cap;
        char *text = arena_alloc(arena, cap);
        if (section->text_len)
            memcpy(text, section->text, section->text_len);
        section->text = text;
        section->text_cap = cap;
    }
    if (part.len)
        memcpy(section->text + section->text_len, part.ptr, part.len);
    section->text_len = need;
}

/* Goes on over the lines of text from byte `from`; on WHOLE *out_len is the section's. Every verdict depends on what came
 * before its byte alone, never on how far text reaches: or else the cut of reads would decide. */
static enum h1_section_result section_scan(struct h1_section *section, const struct h1_section_limits *limits,
                                           struct slice text, size_t from, size_t *out_len)
{
    for (;;) {
        const char *lf = from < text.len ? memchr(text.ptr + from, '\n', text.len - from) : NULL;
        size_t end = lf ? (size_t)(lf - text.ptr) : text.len;
        bool cr = end > section->line_at && text.ptr[end - 1] == '\r';
        *out_len = end - section->line_at - cr;
        if (limits->first_line && section->num_lines == 0 && *out_len > limits->first_line)
            return H1_SECTION_LONG_LINE;
        if (!lf)
            return H1_SECTION_MORE;
        if (!cr || (*out_len && text.ptr[end - 2] == '\r')) /* CR CR LF would hide the empty line from us */
            return H1_SECTION_BAD_LINE;
        from = end + 1;
        if (*out_len == 0) {
            *out_len = from;
            return H1_SECTION_WHOLE;
        }
        section->line_at = (uint32_t)from;
        if (++section->num_lines > limits->lines)
            return H1_SECTION_TOO_LARGE;
    }
}

enum h1_section_result h1_section_feed(struct h1_section *section, const struct h1_section_limits *limits,
                                       struct arena *arena, struct slice *rest, struct slice *out_text)
{
    /* The usual section comes in one piece and is copied once, as long as it is. */
    size_t old = section->text_len, len;
    struct slice part = slice_first(*rest, limits->bytes - old);
    if (old)
        text_append(section, arena, part);
    struct slice text = old ? slice_make(section->text, section->text_len) : part;
    enum h1_section_result result = section_scan(section, limits, text, old, &len);
    switch (result) {
    case H1_SECTION_WHOLE:
        *out_text = old ? slice_make(section->text, len) : arena_copy(arena, slice_first(part, len));
        *rest = slice_skip(*rest, len - old);
        break;
    case H1_SECTION_MORE:
        if (part.len < rest->len)
            return H1_SECTION_TOO_LARGE;
        if (!old)
            text_append(section, arena, part);
        *rest = slice_skip(*rest, part.len);
        break;
    case H1_SECTION_LONG_LINE: *out_text = slice_first(old ? text : arena_copy(arena, text), len); break;
    case H1_SECTION_BAD_LINE:
    case H1_SECTION_TOO_LARGE: break;
    }
    return result;
}
