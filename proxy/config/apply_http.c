/* The rows about what is sent: encodings, our page for failures, the path of a health check. */
#include "config/apply.h"

#include "base/limits.h"
#include "base/utf8.h"

static const struct parse_choice encodings[] = {
    {"gzip", CONFIG_ENCODING_GZIP}, {"br", CONFIG_ENCODING_BR}, {"zstd", CONFIG_ENCODING_ZSTD}, {NULL, 0}};

static struct slice *slice_field(struct build *build, enum row row)
{
    return (struct slice *)(void *)((char *)build->config + config_rows[row].field);
}

static const char *encoding_add(struct config *config, struct slice item)
{
    int encoding;
    if (!parse_choice(item, encodings, &encoding))
        return "is none of gzip, br, zstd, nor off alone";
    for (size_t i = 0; i < config->policy.num_compress; i++)
        if (config->policy.compress[i] == (enum config_encoding)encoding)
            return "stands twice";
    config->policy.compress[config->policy.num_compress++] = (enum config_encoding)encoding;
    return NULL;
}

void apply_encodings(struct build *build, enum row row, struct slice text)
{
    struct slice rest = text, item;
    if (slice_ieq(text, SLICE_LIT("off")))
        return;
    while (parse_list_next(&rest, &item)) {
        const char *why = encoding_add(build->config, item);
        if (why)
            build_mistake(build, row, item, why);
    }
    if (build->config->policy.num_compress == 0 && !build_failed(build, row))
        build_mistake(build, row, text, "names no encoding");
}

static bool is_utf8(struct slice text)
{
    for (size_t i = 0, len; i < text.len; i += len)
        if (!(len = utf8_char_len(slice_skip(text, i))))
            return false;
    return true;
}

static const char *html_refusal(struct slice text)
{
    _Static_assert(LIMIT_ERROR_PAGE_BYTES == 64 * 1024, "the text below says 64k");
    if (text.ptr[0] == '/')
        return "is a path, not HTML: give it to the variable that ends in _FILE";
    if (!memchr(text.ptr, '<', text.len))
        return "holds no HTML";
    if (text.len > LIMIT_ERROR_PAGE_BYTES)
        return "is longer than 64k";
    return is_utf8(text) ? NULL : "is not UTF-8, as which it would be sent";
}

void apply_html(struct build *build, enum row row, struct slice text)
{
    const char *why = html_refusal(text);
    if (why)
        build_mistake(build, row, text, why);
    else
        *slice_field(build, row) = arena_copy(&build->config->arena, text);
}

static const char *health_path_refusal(struct slice text)
{
    if (text.ptr[0] != '/')
        return "is neither off nor a path that begins with a slash";
    if (text.len > LIMIT_TARGET_BYTES)
        return "is longer than a request's target may be (8k)";
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~' || text.ptr[i] == '#')
            return "has a blank, a # or another character that is written as %XX in a path";
    return NULL;
}

void apply_health_path(struct build *build, enum row row, struct slice text)
{
    if (slice_ieq(text, SLICE_LIT("off"))) {
        *slice_field(build, row) = SLICE_LIT("");
        return;
    }
    const char *why = health_path_refusal(text);
    if (why)
        build_mistake(build, row, text, why);
    else
        *slice_field(build, row) = arena_copy(&build->config->arena, text);
}
