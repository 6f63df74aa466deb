#include "acme/pem.h"

#include "base/b64url.h"

enum { PEM_LINE_CHARS = 64, PEM_MAX_LABEL_BYTES = 64 };

static const struct slice begin_mark = SLICE_LIT("-----BEGIN ");
static const struct slice end_mark = SLICE_LIT("-----END ");
static const struct slice dashes = SLICE_LIT("-----");

void pem_block_cleanup(struct pem_block *block)
{
    buf_cleanup_secret(&block->der);
    *block = (struct pem_block){0};
}

/* One line without its end; blanks at its end are tolerated (RFC 7468 §2: parsers SHOULD ignore them). */
static struct slice pem_line(struct slice *rest)
{
    struct slice line = slice_split(rest, '\n');
    while (line.len &&
           (line.ptr[line.len - 1] == '\r' || line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t'))
        line.len--;
    return line;
}

/* The label of a boundary line, or ptr NULL where the line is none. */
static struct slice pem_boundary_label(struct slice line, struct slice mark)
{
    if (!slice_starts(line, mark) || line.len < mark.len + dashes.len || !slice_ends(line, dashes))
        return SLICE_NONE;
    struct slice label = slice_skip(line, mark.len);
    label.len -= dashes.len;
    if (label.len == 0 || label.len > PEM_MAX_LABEL_BYTES || memchr(label.ptr, '-', label.len))
        return SLICE_NONE;
    return label;
}

/* The base64 of a block, up to its END line, which is taken too. */
static struct err pem_body(struct slice *rest, struct slice label, struct slice *out_body)
{
    const char *start = rest->ptr;
    while (rest->len) {
        const char *line_start = rest->ptr;
        struct slice line = pem_line(rest);
        if (line.len == 0 || line.ptr[0] != '-')
            continue;
        if (!slice_eq(pem_boundary_label(line, end_mark), label))
            return err_make(ERR_INPUT, 0, "PEM block does not end as it began");
        *out_body = slice_make(start, (size_t)(line_start - start));
        return ERR_OK;
    }
    return err_make(ERR_INPUT, 0, "PEM block without end");
}

static struct err pem_decode(struct slice body, struct buf *der)
{
    buf_reserve(der, body.len + 1); /* never moved while it fills: no copy of a key is left behind */
    if (!b64_decode(der, body) || der->len == 0) {
        buf_cleanup_secret(der);
        return err_make(ERR_INPUT, 0, "PEM block is not base64");
    }
    return ERR_OK;
}

struct err pem_next(struct slice *rest, struct pem_block *out_block)
{
    struct slice at = *rest;
    while (at.len) {
        struct slice line = pem_line(&at);
        if (!slice_starts(line, slice_first(begin_mark, 10))) {
            if (slice_starts(line, slice_first(end_mark, 8)))
                return err_make(ERR_INPUT, 0, "PEM end without a beginning");
            continue;
        }
        struct pem_block block = {.label = pem_boundary_label(line, begin_mark)};
        struct slice body;
        if (!block.label.ptr)
            return err_make(ERR_INPUT, 0, "PEM boundary is malformed");
        struct err err = pem_body(&at, block.label, &body);
        if (!err_is(err))
            err = pem_decode(body, &block.der);
        if (err_is(err))
            return err;
        *rest = at;
        *out_block = block;
        return ERR_OK;
    }
    *rest = at;
    *out_block = (struct pem_block){0};
    return ERR_OK;
}

struct err pem_only_certificates(struct slice text)
{
    const struct slice wanted = SLICE_LIT("-----BEGIN CERTIFICATE-----");
    const struct slice begin = SLICE_LIT("-----BEGIN");
    for (struct slice at = text; at.len >= begin.len;) {
        const char *found = memmem(at.ptr, at.len, begin.ptr, begin.len);
        if (!found)
            break;
        at = slice_skip(at, (size_t)(found - at.ptr));
        if (!slice_starts(at, wanted))
            return err_make(ERR_INPUT, 0, "chain holds something other than certificates"); /* ACME-60 */
        at = slice_skip(at, wanted.len);
    }
    return ERR_OK;
}

void pem_write(struct buf *out, const char *label, struct slice der)
{
    struct buf text = {0};
    buf_reserve(&text, der.len / 3 * 4 + 8);
    b64_encode(&text, der);
    buf_reserve(out, text.len + text.len / PEM_LINE_CHARS + 2 * (strlen(label) + 20));
    buf_printf(out, "-----BEGIN %s-----\n", label);
    for (struct slice left = buf_slice(&text); left.len;) {
        struct slice line = slice_first(left, PEM_LINE_CHARS);
        buf_append_slice(out, line);
        buf_append_char(out, '\n');
        left = slice_skip(left, line.len);
    }
    buf_printf(out, "-----END %s-----\n", label);
    buf_cleanup_secret(&text);
}
