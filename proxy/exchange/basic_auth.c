#include "exchange/basic_auth.h"

#include "base/b64url.h"
#include "base/limits.h"

/* The value of the only field of that id; ptr NULL where there is none or another one. */
static struct slice only_value(const struct head *head, enum field_id id)
{
    struct slice value = SLICE_NONE;
    size_t num = 0;
    FIELDS_EACH(&head->fields, field)
    if (field->id == id && num++ == 0)
        value = field->value;
    return num == 1 ? value : SLICE_NONE;
}

static bool has_control(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return true;
    return false;
}

bool basic_auth_read(const struct head *request, struct buf *secret, struct basic_credentials *out_credentials)
{
    struct slice rest = only_value(request, FIELD_AUTHORIZATION), scheme = slice_split(&rest, ' ');
    struct slice token = slice_trim(rest);
    if (!slice_ieq(scheme, SLICE_LIT("Basic")) || token.len == 0 || token.len > LIMIT_AUTHORIZATION_BYTES ||
        memchr(token.ptr, ' ', token.len) || memchr(token.ptr, '\t', token.len))
        return false;
    buf_reserve(secret, token.len + 1);
    if (!b64_decode(secret, token))
        return false;
    struct slice password = buf_slice(secret), name = slice_split(&password, ':');
    if (name.len == secret->len || has_control(buf_slice(secret)))
        return false;
    *out_credentials = (struct basic_credentials){name, password};
    return true;
}
