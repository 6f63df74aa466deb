#include "config/idna.h"

#include "base/mem.h"
#include "config/mistakes.h"

#include <idn2.h>

/* libidn2's own results are of malloc. */
struct idna_text {
    char *text;
    int status; /* of libidn2 */
};

static struct idna_text to_ascii(struct slice text)
{
    struct idna_text result = {0};
    uint8_t *ascii = NULL;
    char *copy = mem_dup(text.ptr, text.len);
    result.status = idn2_lookup_u8((const uint8_t *)copy, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    result.text = (char *)ascii;
    mem_free(copy);
    return result;
}

static struct idna_text to_unicode(struct slice text)
{
    struct idna_text result = {0};
    char *copy = mem_dup(text.ptr, text.len);
    result.status = idn2_to_unicode_8z8z(copy, &result.text, 0);
    mem_free(copy);
    return result;
}

/* ---- labels ---- */

/* The ideographic full stops end labels too (UTS #46 §2.3). */
static size_t dot_len(struct slice text)
{
    static const char *const dots[] = {".", "\xe3\x80\x82", "\xef\xbc\x8e", "\xef\xbd\xa1"};
    for (size_t i = 0; i < sizeof dots / sizeof dots[0]; i++)
        if (slice_starts(text, slice_str(dots[i])))
            return strlen(dots[i]);
    return 0;
}

static struct slice label_next(struct slice *rest)
{
    size_t len = 0;
    while (len < rest->len && !dot_len(slice_skip(*rest, len)))
        len++;
    struct slice label = slice_first(*rest, len);
    *rest = slice_skip(*rest, len);
    *rest = slice_skip(*rest, dot_len(*rest));
    return label;
}

static const char *refuse_label(struct arena *arena, struct slice label, int status)
{
    enum { LABEL_BYTES = 80 };
    struct buf shown = {0};
    mistakes_escape(&shown, label, LABEL_BYTES);
    struct slice why = arena_printf(arena, "has the label `%s`, which is no name (IDNA2008): %s", buf_cstr(&shown),
                                    idn2_strerror(status));
    buf_cleanup(&shown);
    return why.ptr;
}

/* The first label that cannot be converted by itself; all of them where it is the whole. */
static const char *refuse(struct arena *arena, struct slice text, int status, struct idna_text (*convert)(struct slice))
{
    struct slice rest = text;
    while (rest.len) {
        struct slice label = label_next(&rest);
        struct idna_text alone = convert(label);
        idn2_free(alone.text);
        if (alone.status != IDN2_OK)
            return refuse_label(arena, label, alone.status);
    }
    return refuse_label(arena, text, status);
}

/* ---- names ---- */

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] > 0x7f)
            return false;
    return true;
}

/* What stands in front of the wildcard's own name, or nothing. */
static struct slice star_take(struct slice *text)
{
    struct slice star = SLICE_LIT("*.");
    if (!slice_starts(*text, star))
        return slice_first(*text, 0);
    *text = slice_skip(*text, star.len);
    return star;
}

const char *idna_to_ascii(struct arena *arena, struct slice text, struct slice *out_ascii)
{
    struct slice name = text, star = star_take(&name);
    if (is_ascii(text)) {
        *out_ascii = text;
        return NULL;
    }
    struct idna_text ascii = to_ascii(name);
    if (ascii.status != IDN2_OK)
        return refuse(arena, name, ascii.status, to_ascii);
    *out_ascii = arena_printf(arena, "%.*s%s", (int)star.len, star.ptr, ascii.text);
    idn2_free(ascii.text);
    return NULL;
}

static bool has_encoded(struct slice name)
{
    while (name.len)
        if (slice_starts(label_next(&name), SLICE_LIT("xn--")))
            return true;
    return false;
}

const char *idna_to_unicode(struct arena *arena, struct slice name, struct slice *out_unicode)
{
    struct slice rest = name, star = star_take(&rest);
    *out_unicode = SLICE_LIT("");
    if (!has_encoded(rest))
        return NULL;
    struct idna_text unicode = to_unicode(rest);
    if (unicode.status != IDN2_OK)
        return refuse(arena, rest, unicode.status, to_unicode);
    *out_unicode = arena_printf(arena, "%.*s%s", (int)star.len, star.ptr, unicode.text);
    idn2_free(unicode.text);
    return NULL;
}
