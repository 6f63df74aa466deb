#include "http/forwarded_list.h"

/* --- lists from the right --- */

struct forwarded_list forwarded_list_of(const struct fields *fields, enum field_id id)
{
    return (struct forwarded_list){.fields = fields, .id = id, .num_left = fields->num};
}

/* Where the quoted string begins that ends in s.ptr[close]; s.len where it has no beginning. A quote behind a backslash
 * is inside: the one that opens stands behind `=`. */
static size_t quoted_begin(struct slice s, size_t close)
{
    for (size_t i = close; i-- > 0;)
        if (s.ptr[i] == '"' && (i == 0 || s.ptr[i - 1] != '\\'))
            return i;
    return s.len;
}

/* How many bytes of s are to the left of its last element. */
static size_t last_element_begin(struct slice s)
{
    size_t i = s.len;
    while (i > 0 && s.ptr[i - 1] != ',') {
        i--;
        if (s.ptr[i] != '"')
            continue;
        i = quoted_begin(s, i);
        if (i == s.len)
            return 0;
    }
    return i;
}

bool forwarded_list_next(struct forwarded_list *list, struct slice *out_element)
{
    for (;;) {
        while (list->rest.len) {
            size_t begin = last_element_begin(list->rest);
            struct slice element = slice_trim(slice_skip(list->rest, begin));
            list->rest.len = begin ? begin - 1 : 0;
            *out_element = element;
            if (element.len)
                return true;
        }
        do {
            if (list->num_left == 0)
                return false;
            list->num_left--;
        } while (list->fields->at[list->num_left].id != list->id);
        list->rest = list->fields->at[list->num_left].value;
    }
}

/* --- elements of Forwarded --- */

/* Cuts a quoted string from the left; out without its quotes. */
static bool cut_quoted(struct slice *rest, struct slice *out)
{
    size_t i = 1;
    while (i < rest->len && rest->ptr[i] != '"')
        i += rest->ptr[i] == '\\' ? 2 : 1;
    if (i >= rest->len)
        return false;
    *out = slice_make(rest->ptr + 1, i - 1);
    *rest = slice_skip(*rest, i + 1);
    return true;
}

static bool is_value(char c)
{
    return c == ':' || c == '[' || c == ']' || field_is_token(slice_make(&c, 1));
}

static bool cut_value(struct slice *rest, struct slice *out)
{
    size_t len = 0;
    if (rest->len && rest->ptr[0] == '"')
        return cut_quoted(rest, out);
    while (len < rest->len && is_value(rest->ptr[len]))
        len++;
    *out = slice_first(*rest, len);
    *rest = slice_skip(*rest, len);
    return len > 0;
}

/* name=value */
static bool cut_pair(struct slice *rest, struct slice *out_name, struct slice *out_value)
{
    const char *equals = memchr(rest->ptr, '=', rest->len);
    if (!equals)
        return false;
    *out_name = slice_first(*rest, (size_t)(equals - rest->ptr));
    *rest = slice_skip(*rest, out_name->len + 1);
    return field_is_token(*out_name) && cut_value(rest, out_value);
}

/* False where it was there before. */
static bool element_set(struct forwarded_element *element, struct slice *by, struct slice name, struct slice value)
{
    static const struct slice names[] = {{"for", 3}, {"host", 4}, {"proto", 5}, {"by", 2}};
    struct slice *const places[] = {&element->node, &element->host, &element->proto, by};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_ieq(name, names[i])) {
            bool first = !places[i]->ptr; /* an empty value has one, too */
            *places[i] = value;
            return first;
        }
    return true;
}

bool forwarded_element_parse(struct slice text, struct forwarded_element *out_element)
{
    struct forwarded_element element = {0};
    struct slice rest = slice_trim(text), name, value, by = SLICE_NONE;
    while (rest.len) {
        if (rest.ptr[0] != ';' && (!cut_pair(&rest, &name, &value) || !element_set(&element, &by, name, value)))
            return false;
        rest = slice_trim(rest);
        if (rest.len && rest.ptr[0] != ';')
            return false;
        rest = slice_trim(slice_skip(rest, rest.len > 0));
    }
    *out_element = element;
    return true;
}
