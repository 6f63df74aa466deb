#include "core/status_page.h"

#include <stdio.h>

/* core/page.html, by cmake/embed.cmake */
extern const char page_html[];
extern const size_t page_html_len;

void status_page_write(const uint64_t nonce[2], struct admin_answer *answer)
{
    static const struct slice mark = SLICE_LIT("__NONCE__");
    struct slice rest = slice_make(page_html, page_html_len);
    char text[33];
    const char *found;
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)nonce[0], (unsigned long long)nonce[1]);
    while ((found = memmem(rest.ptr, rest.len, mark.ptr, mark.len))) {
        size_t before = (size_t)(found - rest.ptr);
        buf_append(&answer->body, rest.ptr, before);
        buf_append_str(&answer->body, text);
        rest = slice_skip(rest, before + mark.len);
    }
    buf_append_slice(&answer->body, rest);
    buf_printf(&answer->fields,
               "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src "
               "'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
               "Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n",
               text, text);
}
