#include "config/mistakes.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

void mistakes_escape(struct buf *out, struct slice text, size_t max_bytes)
{
    struct slice shown = utf8_first(text, max_bytes);
    for (size_t i = 0, len; i < shown.len; i += len ? len : 1) {
        len = utf8_visible_len(slice_skip(shown, i));
        if (shown.ptr[i] == '\n')
            buf_append_str(out, "\\n");
        else if (len)
            buf_append_slice(out, slice_make(shown.ptr + i, len));
        else
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)shown.ptr[i]);
    }
    if (shown.len < text.len)
        buf_append_str(out, "...");
}

/* A password in a URL is not shown: only its host is. Where it ends is guessed generously. */
static void append_value(struct buf *out, struct slice value)
{
    const char *scheme = memmem(value.ptr, value.len, "://", 3);
    const char *at = scheme ? memrchr(value.ptr, '@', value.len) : NULL;
    if (!at || at < scheme) {
        mistakes_escape(out, value, MISTAKE_VALUE_BYTES);
        return;
    }
    mistakes_escape(out, slice_make(value.ptr, (size_t)(scheme - value.ptr) + 3), MISTAKE_VALUE_BYTES);
    buf_append_str(out, "***");
    mistakes_escape(out, slice_skip(value, (size_t)(at - value.ptr)), MISTAKE_VALUE_BYTES);
}

static struct config_mistake *mistake_append(struct config_mistakes *mistakes)
{
    if (mistakes->num == mistakes->cap) {
        mistakes->cap = mistakes->cap ? mistakes->cap * 2 : 8;
        mistakes->items = mem_realloc(mistakes->items, mistakes->cap * sizeof *mistakes->items);
    }
    struct config_mistake *mistake = &mistakes->items[mistakes->num++];
    *mistake = (struct config_mistake){0};
    return mistake;
}

void mistakes_add(struct config_mistakes *mistakes, const char *variable, struct slice value, const char *example,
                  const char *format, ...)
{
    struct config_mistake *mistake = mistake_append(mistakes);
    struct buf text = {0};
    va_list args;
    mistakes_escape(&text, slice_str(variable), MISTAKE_VALUE_BYTES);
    mistake->variable = buf_take(&text);
    if (value.ptr) {
        append_value(&text, value);
        mistake->value = buf_take(&text);
    }
    va_start(args, format);
    if (vasprintf(&mistake->reason, format, args) < 0)
        mistake->reason = mem_strdup(format);
    va_end(args);
    if (example) {
        buf_printf(&text, "%s=%s", mistake->variable, example);
        mistake->example = buf_take(&text);
    }
}

void config_mistakes_cleanup(struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < mistakes->num; i++) {
        mem_free(mistakes->items[i].variable);
        mem_free(mistakes->items[i].value);
        mem_free(mistakes->items[i].reason);
        mem_free(mistakes->items[i].example);
    }
    mem_free(mistakes->items);
    *mistakes = (struct config_mistakes){0};
}

void config_mistakes_print(const struct config_mistakes *mistakes, struct buf *out)
{
    for (size_t i = 0; i < mistakes->num; i++) {
        const struct config_mistake *mistake = &mistakes->items[i];
        buf_append_str(out, mistake->variable);
        if (mistake->value)
            buf_printf(out, ": `%s`", mistake->value);
        buf_printf(out, " %s\n", mistake->reason);
        if (mistake->example)
            buf_printf(out, "    for example: %s\n", mistake->example);
    }
}
