#include "certs/keeper_internal.h"

void keeper_order_record(const struct keeper_name *name, enum issuer_rank rank, struct buf *out)
{
    buf_append_slice(out, name->record);
    if (rank == ISSUER_FALLBACK)
        buf_append_str(out, ":fallback");
}

static bool key_type_is_rsa(enum key_type type)
{
    return type == KEY_RSA2048 || type == KEY_RSA3072 || type == KEY_RSA4096;
}

/* The order of the two does not matter: turned round, they are the same lines. */
size_t keeper_lines_of(const struct config *config, struct slice text, struct buf records[CONFIG_KEY_TYPES],
                       enum key_type key_types[CONFIG_KEY_TYPES])
{
    size_t num = config->acme.num_key_types;
    bool turned = num == 2 && key_type_is_rsa(key_type_of_config(config->acme.key_types[0]));
    for (size_t i = 0; i < num; i++) {
        key_types[i] = key_type_of_config(config->acme.key_types[turned ? num - 1 - i : i]);
        records[i] = (struct buf){0};
        buf_append_slice(&records[i], text);
        if (i > 0)
            buf_append_str(&records[i], ":rsa");
    }
    return num;
}

static bool name_is_valid(const struct keeper_name *name)
{
    return name_has_issued(name) && keeper_wall_ms(name->keeper) < name->cert->not_after_s * 1000;
}

bool name_is_covered_beside(const struct keeper_name *name)
{
    return name->other && name_is_valid(name->other);
}

/* Nobody is shown a placeholder or an expired certificate who could do with the other one. */
static bool name_is_shown(const struct keeper_name *name)
{
    return name->cert && (name_is_valid(name) || !name_is_covered_beside(name));
}

void keeper_offer(struct keeper_name *name)
{
    struct certset *draft = keeper_draft(name->keeper);
    struct keeper_name *own = name->second ? name->other : name, *beside = name->second ? name : name->other;
    certset_remove(draft, name->text);
    if (own && (own->shown = name_is_shown(own)))
        certset_put(draft, name->text, own->cert, own->kind == NAME_ACME);
    if (beside && (beside->shown = name_is_shown(
                       beside))) /* of one kind, as behind a change of ACME_KEY_TYPE, this one is the newer */
        certset_put(draft, name->text, beside->cert, true);
    struct cert *other_key = keeper_own_beside(name);
    if (other_key)
        certset_put(draft, name->text, other_key, false);
}

int64_t keeper_offer_look(struct keeper_name *name, int64_t now_ms)
{
    if (!name->other || !name_has_issued(name))
        return INT64_MAX;
    if (name->shown != name_is_shown(name))
        keeper_offer(name);
    int64_t end_ms = name->cert->not_after_s * 1000;
    return now_ms < end_ms ? end_ms : INT64_MAX;
}
