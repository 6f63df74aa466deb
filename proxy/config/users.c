/* BASIC_AUTH: entries `name:hash`, split at commas and newlines; names and hashes have neither. Nothing of an entry
 * is shown in a mistake but its number. */
#include "config/build.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { HASH_BYTES = 60, HASH_HEAD_BYTES = 7 }; /* "$2b$10$", then 22 of salt and 31 of hash */

static bool is_bcrypt_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '/';
}

/* Variants a, b and y are one for passwords without NUL; x is PHP's broken one. */
static bool is_variant(char c)
{
    return c == 'a' || c == 'b' || c == 'y';
}

static bool hash_is_bcrypt(struct slice hash)
{
    uint64_t cost;
    if (hash.len != HASH_BYTES || !slice_starts(hash, SLICE_LIT("$2")) || !is_variant(hash.ptr[2]) ||
        hash.ptr[3] != '$' || !slice_decimal(slice_make(hash.ptr + 4, 2), 31, &cost) || cost < 4 || hash.ptr[6] != '$')
        return false;
    for (size_t i = HASH_HEAD_BYTES; i < HASH_BYTES; i++)
        if (!is_bcrypt_char(hash.ptr[i]))
            return false;
    return true;
}

static const char *hash_refusal(struct slice hash)
{
    uint64_t cost = 0;
    if (slice_starts(hash, SLICE_LIT("$$2")))
        return "has doubled $ signs in its hash: only compose files want them so";
    if (!hash_is_bcrypt(hash))
        return "has no bcrypt hash behind its name (60 characters that begin with $2b$ or $2y$; htpasswd -nB makes "
               "one). "
               "Compose takes $ for its own: write $$ there, or use PORTICO_BASIC_AUTH_FILE";
    if (slice_decimal(slice_make(hash.ptr + 4, 2), 31, &cost) && cost > LIMIT_PASSWORD_COST)
        return "has a hash of a cost above 16: each log-in would take many seconds";
    return NULL;
}

static const char *name_refusal(struct slice name)
{
    if (name.len == 0)
        return "has no name in front of its colon";
    for (size_t i = 0, len; i < name.len; i += len) {
        len = utf8_char_len(slice_skip(name, i));
        if (len == 0 || (unsigned char)name.ptr[i] < ' ' || name.ptr[i] == 0x7f)
            return "has a name with a control character, or one that is not UTF-8";
    }
    return NULL;
}

static bool name_is_taken(const struct config *config, struct slice name)
{
    for (size_t i = 0; i < config->policy.num_users; i++)
        if (slice_eq(config->policy.users[i].name, name))
            return true;
    return false;
}

/* The entry's own bytes: the colon becomes the name's end. */
static const char *user_add(struct config *config, struct slice entry)
{
    struct slice hash = entry, name = slice_split(&hash, ':');
    const char *why;
    if (name.len == entry.len)
        return "is not of the form name:hash";
    if ((why = name_refusal(name)) || (why = hash_refusal(hash)))
        return why;
    if (name_is_taken(config, name))
        return "has the name of an earlier one";
    ((char *)name.ptr)[name.len] = '\0';
    ((char *)hash.ptr)[hash.len] = '\0';
    config->policy.users[config->policy.num_users++] = (struct config_user){name, hash};
    return NULL;
}

static size_t num_entries(struct slice text)
{
    struct slice entry;
    size_t num = 0;
    while (parse_list_next(&text, &entry))
        num++;
    return num;
}

void users_apply(struct build *build, enum row row, struct slice text)
{
    struct config *config = build->config;
    struct slice rest, entry;
    config->policy.users_text = slice_make(mem_dup(text.ptr, text.len), text.len);
    config->policy.users = arena_calloc(&config->arena, num_entries(text), sizeof *config->policy.users);
    rest = config->policy.users_text;
    for (unsigned number = 1; parse_list_next(&rest, &entry); number++) {
        const char *why = user_add(config, entry);
        if (why)
            build_mistake(build, row, text, arena_printf(&config->arena, "entry %u %s", number, why).ptr);
    }
    if (config->policy.num_users == 0 && !build_failed(build, row))
        build_mistake(build, row, text, "holds separators alone and no entry");
}
