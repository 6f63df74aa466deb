#include "cli/print.h"

#include "base/utf8.h"

void print_mistakes(FILE *file, const struct config_mistakes *mistakes)
{
    struct buf text = {0};
    fprintf(file, "portico: %zu mistake%s in the configuration:\n", mistakes->num, mistakes->num == 1 ? "" : "s");
    config_mistakes_print(mistakes, &text);
    fputs(buf_cstr(&text), file);
    buf_cleanup(&text);
}

void print_escaped(FILE *file, struct slice text)
{
    for (size_t i = 0, len; i < text.len; i += len ? len : 1) {
        len = utf8_visible_len(slice_skip(text, i));
        if (text.ptr[i] == '\n')
            fputs("\\n", file);
        else if (len)
            fwrite(text.ptr + i, 1, len, file);
        else
            fprintf(file, "\\x%02x", (unsigned)(unsigned char)text.ptr[i]);
    }
}

void print_wrapped(FILE *file, const char *text, int indent, int columns)
{
    int at = indent;
    while (*text) {
        int len = (int)strcspn(text, " "), shown = len;
        for (int i = 0; i < len; i++)
            shown -= text[i] == '`';
        if (at > indent && at + 1 + shown > columns) {
            fprintf(file, "\n%*s", indent, "");
            at = indent;
        } else if (at > indent) {
            putc(' ', file);
            at++;
        }
        for (int i = 0; i < len; i++)
            if (text[i] != '`')
                putc(text[i], file);
        at += shown;
        text += len + (text[len] == ' ');
    }
    putc('\n', file);
}
