#include "check.h"
#include "http/field.h"

static void known_names_are_found_in_any_case(void)
{
    for (int id = FIELD_OTHER + 1; id < NUM_FIELD_IDS; id++) {
        struct slice name = field_name((enum field_id)id);
        char upper[64];
        for (size_t i = 0; i < name.len; i++)
            upper[i] = name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? (char)(name.ptr[i] - 32) : name.ptr[i];
        CHECK(name.len > 0);
        CHECK_INT(field_lookup(name), id);
        CHECK_INT(field_lookup(slice_make(upper, name.len)), id);
        CHECK_INT(field_lookup(slice_first(name, name.len - 1)) == (enum field_id)id, 0);
    }
}

/* Every other byte in every place makes another name. */
static void names_differ_by_any_byte(void)
{
    for (int id = FIELD_OTHER + 1; id < NUM_FIELD_IDS; id++) {
        struct slice name = field_name((enum field_id)id);
        for (size_t at = 0; at < name.len; at++)
            for (int c = 0; c < 256; c++) {
                char other[64];
                memcpy(other, name.ptr, name.len);
                other[at] = (char)c;
                bool same = strncasecmp(other, name.ptr, name.len) == 0;
                CHECK_INT(field_lookup(slice_make(other, name.len)) == (enum field_id)id, same);
            }
    }
}

static void other_names_are_not(void)
{
    CHECK_INT(field_lookup(SLICE_LIT("")), FIELD_OTHER);
    CHECK_INT(field_lookup(SLICE_LIT("x")), FIELD_OTHER);
    CHECK_INT(field_lookup(SLICE_LIT("hose")), FIELD_OTHER);
    CHECK_INT(field_lookup(SLICE_LIT("hxst")), FIELD_OTHER); /* same slot as host */
    CHECK_INT(field_lookup(SLICE_LIT("content_length")), FIELD_OTHER);
    CHECK_INT(field_lookup(SLICE_LIT("content\rlength")), FIELD_OTHER); /* `-` but for the bit of case */
    CHECK_INT(field_lookup(SLICE_LIT("content\rtype")), FIELD_OTHER);
    CHECK_INT(field_name(FIELD_OTHER).len, 0);
}

static void tokens(void)
{
    CHECK(field_is_token(SLICE_LIT("!#$%&'*+-.^_`|~09azAZ")));
    CHECK(!field_is_token(SLICE_LIT("")));
    static const char bad[] = "\"(),/:;<=>?@[\\]{} \t\x7f\x80\xff";
    for (size_t i = 0; i < sizeof bad; i++) /* the NUL too */
        CHECK(!field_is_token(slice_make(&bad[i], 1)));
}

static void values(void)
{
    CHECK(field_value_is_valid(SLICE_LIT("")));
    CHECK(field_value_is_valid(SLICE_LIT("a b\tc \x80\xff~!")));
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        CHECK_INT(field_value_is_valid(slice_make(&byte, 1)), (c >= 0x20 && c != 0x7f) || c == '\t');
    }
}

static void lists(void)
{
    struct slice rest = SLICE_LIT(" ,a, b c\t,,\t, d ,"), element;
    CHECK(field_list_next(&rest, &element));
    CHECK_SLICE(element, "a");
    CHECK(field_list_next(&rest, &element));
    CHECK_SLICE(element, "b c");
    CHECK(field_list_next(&rest, &element));
    CHECK_SLICE(element, "d");
    CHECK(!field_list_next(&rest, &element));
    CHECK(field_list_has(SLICE_LIT("keep-alive, Close"), SLICE_LIT("close")));
    CHECK(!field_list_has(SLICE_LIT("closed, xclose"), SLICE_LIT("close")));
    CHECK(!field_list_has(SLICE_LIT(""), SLICE_LIT("close")));
}

int main(void)
{
    RUN(known_names_are_found_in_any_case);
    RUN(names_differ_by_any_byte);
    RUN(other_names_are_not);
    RUN(tokens);
    RUN(values);
    RUN(lists);
    return checks_done();
}
