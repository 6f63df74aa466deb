/* The rows of the admin endpoint. */
#include "config/apply.h"

#include "base/limits.h"
#include "base/mem.h"

static bool token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr("-._~+/=", c));
}

static const char *token_refusal(struct slice text)
{
    if (text.len < LIMIT_ADMIN_TOKEN_MIN)
        return "is shorter than 16 characters, which can be guessed; `openssl rand -hex 24` makes a good one";
    if (text.len > LIMIT_ADMIN_TOKEN_MAX)
        return "is longer than 256 characters";
    for (size_t i = 0; i < text.len; i++)
        if (!token_char(text.ptr[i]))
            return "holds a character that no bearer token has (letters, digits and -._~+/= are allowed)";
    return NULL;
}

void apply_token(struct build *build, enum row row, struct slice text)
{
    const char *why = token_refusal(text);
    if (why)
        build_mistake(build, row, text, why);
    else
        build->config->admin.token = slice_make(mem_dup(text.ptr, text.len), text.len);
}

void apply_ready_requires(struct build *build, enum row row, struct slice text)
{
    struct slice rest = text, item;
    while (parse_list_next(&rest, &item)) {
        if (slice_ieq(item, SLICE_LIT("upstream")))
            build->config->admin.ready_upstream = true;
        else if (slice_ieq(item, SLICE_LIT("cert")))
            build->config->admin.ready_cert = true;
        else if (!slice_ieq(item, SLICE_LIT("listener")))
            build_mistake(build, row, text, "is no list of listener, upstream, cert");
    }
}
