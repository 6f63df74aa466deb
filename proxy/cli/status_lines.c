#include "cli/status_lines.h"

int64_t status_line_number(struct slice text)
{
    uint64_t value = 0;
    return slice_decimal(text, INT64_MAX, &value) ? (int64_t)value : 0;
}

bool status_line_split(struct slice line, struct slice *out, size_t num)
{
    struct slice rest = line;
    size_t num_tabs = 0;
    for (size_t i = 0; i < line.len; i++)
        num_tabs += line.ptr[i] == '\t';
    if (num_tabs + 1 != num)
        return false;
    for (size_t i = 0; i < num; i++)
        out[i] = slice_split(&rest, '\t');
    return true;
}
