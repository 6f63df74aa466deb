/* link: Link fields (RFC 8288) as CAs send them, and as nobody should. */
#include "acme/link.h"
#include "base/buf.h"
#include "check.h"

static void test_fields(void)
{
    static const struct {
        const char *field, *found; /* every alternate, joined by a blank */
    } rows[] = {
        {"<https://ca/a>;rel=\"alternate\"", "https://ca/a"},
        {"<https://ca/a>; rel=alternate", "https://ca/a"},
        {" <https://ca/a> ; REL = \"Alternate\" ", "https://ca/a"},
        {"<https://ca/a>;rel=\"up alternate\"", "https://ca/a"},
        {"<https://ca/a>;title=\"x, y; rel=up\";rel=\"alternate\"", "https://ca/a"},
        {"<https://ca/a>;title=\"a \\\" b\";rel=\"alternate\"", "https://ca/a"},
        {"<https://ca/a>;rel=\"alternate\", <https://ca/b>;rel=up,<https://ca/c>;rel=alternate",
         "https://ca/a https://ca/c"},
        {"<https://ca/a,b>;rel=alternate", "https://ca/a,b"},
        {"<https://ca/a>;rel=up;rel=alternate", ""}, /* the first one counts */
        {"<https://ca/a>;rel=\"alternates\"", ""},
        {"<https://ca/a>", ""},
        {"<https://ca/a>;rel", ""},
        {"<https://ca/a>;rel=", ""},
        {"<https://ca/a>;rel=\"alternate", "https://ca/a"},
        {"<https://ca/a;rel=alternate", ""},
        {"https://ca/a;rel=alternate", ""},
        {"<https://ca/a>x;rel=alternate, <https://ca/b>;rel=alternate", ""},
        {"<>;rel=alternate", ""},
        {"", ""},
        {",", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice field = slice_str(rows[i].field);
        struct buf found = {0};
        for (struct slice url; (url = link_next(&field, "alternate")).ptr;) {
            buf_append_str(&found, found.len ? " " : "");
            buf_append_slice(&found, url);
        }
        CHECK_SLICE(buf_slice(&found), rows[i].found);
        CHECK_INT(field.len, 0);
        buf_cleanup(&found);
    }
}

int main(void)
{
    RUN(test_fields);
    return checks_done();
}
