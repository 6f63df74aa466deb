#include "acme/link.h"

static void link_skip_blanks(struct slice *rest)
{
    *rest = slice_trim(*rest);
}

/* A token or a quoted string; escapes within it stay as they are, since no relation type has any. */
static struct slice link_take_value(struct slice *rest)
{
    size_t len = 0;
    if (rest->len && rest->ptr[0] == '"') {
        *rest = slice_skip(*rest, 1);
        while (len < rest->len && rest->ptr[len] != '"')
            len += rest->ptr[len] == '\\' && len + 1 < rest->len ? 2 : 1;
        struct slice value = slice_first(*rest, len);
        *rest = slice_skip(*rest, len < rest->len ? len + 1 : len);
        return value;
    }
    while (len < rest->len && !strchr(" \t;,", rest->ptr[len]))
        len++;
    struct slice value = slice_first(*rest, len);
    *rest = slice_skip(*rest, len);
    return value;
}

static bool link_has_type(struct slice types, struct slice rel)
{
    while (types.len)
        if (slice_ieq(slice_split(&types, ' '), rel))
            return true;
    return false;
}

/* The parameters of one link, up to the comma behind it: is it of this relation? */
static bool link_take_parameters(struct slice *rest, struct slice rel)
{
    bool fits = false, seen = false;
    for (link_skip_blanks(rest); rest->len && rest->ptr[0] == ';'; link_skip_blanks(rest)) {
        size_t len = 0;
        *rest = slice_skip(*rest, 1);
        link_skip_blanks(rest);
        while (len < rest->len && !strchr("=;, \t", rest->ptr[len]))
            len++;
        struct slice name = slice_first(*rest, len), value = {"", 0};
        *rest = slice_skip(*rest, len);
        link_skip_blanks(rest);
        if (rest->len && rest->ptr[0] == '=') {
            *rest = slice_skip(*rest, 1);
            link_skip_blanks(rest);
            value = link_take_value(rest);
        }
        if (slice_ieq(name, SLICE_LIT("rel")) && !seen) { /* §3.3: the first one counts */
            seen = true;
            fits = link_has_type(value, rel);
        }
    }
    if (rest->len && rest->ptr[0] == ',')
        *rest = slice_skip(*rest, 1);
    else
        rest->len = 0;
    return fits;
}

struct slice link_next(struct slice *field, const char *rel)
{
    for (link_skip_blanks(field); field->len && field->ptr[0] == '<'; link_skip_blanks(field)) {
        struct slice rest = slice_skip(*field, 1);
        if (!memchr(rest.ptr, '>', rest.len))
            break;
        struct slice url = slice_split(&rest, '>');
        bool fits = link_take_parameters(&rest, slice_str(rel));
        *field = rest;
        if (fits)
            return url;
    }
    field->len = 0;
    return SLICE_NONE;
}
