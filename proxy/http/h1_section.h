/* h1_section: collects a head or trailers, line by line, up to the empty line that ends them (RFC 9112 §2.1).
 *
 * However the bytes were cut into reads, the outcome is the same, and it is one contiguous copy in an arena. It knows
 * lines and limits, nothing of what they say. A zeroed one is ready for use. One thread at a time. */
#ifndef HTTP_H1_SECTION_H
#define HTTP_H1_SECTION_H

#include "base/arena.h"

struct h1_section {
    char *text; /* what came in pieces, in the arena */
    uint32_t text_len, text_cap;
    uint32_t line_at;   /* where the unfinished line begins */
    uint32_t num_lines; /* complete ones; the empty line does not count */
};

struct h1_section_limits {
    uint32_t bytes, lines;
    uint32_t first_line; /* bytes without CRLF; 0: none of its own */
};

enum h1_section_result {
    H1_SECTION_MORE,      /* everything was consumed */
    H1_SECTION_WHOLE,     /* *out_text is the section with its empty line; the rest is not its */
    H1_SECTION_BAD_LINE,  /* one that does not end in exactly CRLF */
    H1_SECTION_LONG_LINE, /* *out_text is the first line as far as it came, at least a byte over its limit */
    H1_SECTION_TOO_LARGE  /* bytes or lines over their limit */
};

/* Consumes from *rest. After any result but MORE the section must be zeroed before it is used again. */
enum h1_section_result h1_section_feed(struct h1_section *section, const struct h1_section_limits *limits,
                                       struct arena *arena, struct slice *rest, struct slice *out_text);

#endif
