#include "core/replace.h"

#include "config/mistakes.h"

/* Tried, and not in service yet. */
struct trial {
    struct sockets_change sockets;
    struct ca_transport *ca; /* a new one; NULL: the old one stays */
    struct dns_hook *hook;   /* the one from then on */
    struct keeper_change keeper;
};

static bool replace_prepare_ca(const struct replace_parts *parts, const struct config *next, struct trial *trial,
                               struct config_mistakes *mistakes)
{
    char text[160];
    if (!*parts->ca || slice_eq((*parts->config)->acme.ca.text, next->acme.ca.text))
        return true;
    struct err err = parts->make_ca(parts->ctx, next, &trial->ca);
    if (err_is(err))
        mistakes_add(mistakes, "PORTICO_ACME_CA", SLICE_NONE, NULL, "does not hold PEM certificates of roots: %s",
                     err_text(err, text, sizeof text));
    return !err_is(err);
}

static bool same_hook(const struct config *a, const struct config *b)
{
    return slice_eq(a->acme.dns_hook, b->acme.dns_hook) && slice_eq(a->acme.ca.text, b->acme.ca.text);
}

static bool replace_prepare_hook(const struct replace_parts *parts, const struct config *next, struct trial *trial,
                                 struct config_mistakes *mistakes)
{
    struct slice hook = next->acme.dns_hook;
    char text[160];
    trial->hook = *parts->hook;
    if (same_hook(*parts->config, next))
        return true;
    struct err err = parts->make_hook(parts->ctx, next, &trial->hook);
    if (err_is(err) && hook.ptr[0] == '/')
        mistakes_add(
            mistakes, "PORTICO_ACME_DNS_HOOK", hook, NULL,
            "is a program, and which one may be run is fixed when Portico starts, before it gives up running any "
            "(PORTICO_SANDBOX): restart Portico");
    else if (err_is(err))
        mistakes_add(mistakes, "PORTICO_ACME_DNS_HOOK", SLICE_NONE, NULL, "cannot be called: %s",
                     err_text(err, text, sizeof text));
    return !err_is(err);
}

/* The sentence of the keeper begins with the variables that it is about. */
static void replace_add_sentence(struct config_mistakes *mistakes, struct buf *sentence)
{
    struct slice reason = buf_slice(sentence), variable = slice_split(&reason, ':');
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)variable.len, variable.ptr);
    mistakes_add(mistakes, name, SLICE_NONE, NULL, "%.*s", (int)slice_trim(reason).len, slice_trim(reason).ptr);
}

static bool replace_prepare_keeper(const struct replace_parts *parts, const struct config *next, struct trial *trial,
                                   struct config_mistakes *mistakes)
{
    struct buf sentence = {0};
    struct ca_transport *ca = trial->ca ? trial->ca : *parts->ca;
    struct transport *transport = ca ? ca_transport_base(ca) : NULL;
    struct err err = keeper_prepare(parts->keeper, next, transport, &trial->keeper, &sentence);
    if (err_is(err))
        replace_add_sentence(mistakes, &sentence);
    buf_cleanup(&sentence);
    return !err_is(err);
}

static bool replace_prepare(const struct replace_parts *parts, const struct config *next, struct trial *trial,
                            struct config_mistakes *mistakes)
{
    *trial = (struct trial){0};
    bool ok = sockets_prepare(parts->sockets, next, parts->num_workers, &trial->sockets, mistakes);
    ok = replace_prepare_ca(parts, next, trial, mistakes) && ok; /* all mistakes of a run are told */
    ok = replace_prepare_hook(parts, next, trial, mistakes) && ok;
    ok = replace_prepare_keeper(parts, next, trial, mistakes) && ok;
    trial->keeper.dns_hook = trial->hook;
    if (ok)
        return true;
    if (trial->hook != *parts->hook)
        parts->close_hook(parts->ctx, trial->hook);
    sockets_change_cleanup(&trial->sockets);
    keeper_discard(&trial->keeper);
    ca_transport_close(trial->ca);
    return false;
}

void replace_set_credit(const struct replace_parts *parts, const struct config *config)
{
    int64_t wanted = config->client.max_conns;
    atomic_store(&parts->credit->max, wanted && wanted < parts->possible_conns ? wanted : parts->possible_conns);
    if (wanted > parts->possible_conns)
        LOG_WARN_EVENT(
            parts->ring, "max_conns_reduced", LOG_INT("wanted", wanted), LOG_INT("possible", parts->possible_conns),
            LOG_STR("msg", "each connection needs two descriptors: raise the limit of open files (ulimit -n), or "
                           "lower PORTICO_MAX_CONNS"));
}

static void replace_workers(const struct replace_parts *parts, const struct config *next, struct trial *trial)
{
    for (size_t i = 0; i < parts->num_workers; i++) {
        struct worker_update update = {.config = config_ref(next)};
        sockets_hand_over(&trial->sockets, i, &update);
        worker_configure(parts->workers[i], &update);
    }
}

static void replace_admin(const struct replace_parts *parts, struct sockets_change *change)
{
    int *fds = change->places[SOCKET_ADMIN].fds, fd = fds ? fds[0] : -1;
    if (!change->places[SOCKET_ADMIN].moved)
        return;
    if (fds)
        fds[0] = -1;
    parts->move_admin(parts->ctx, fd, change->places[SOCKET_ADMIN].unix_socket);
}

static void replace_commit(const struct replace_parts *parts, const struct config *next, struct trial *trial)
{
    const struct config *before = *parts->config;
    *parts->config = config_ref(next);
    sockets_moved(parts->sockets, next, &trial->sockets);
    keeper_apply(parts->keeper, &trial->keeper);
    if (trial->ca) {
        ca_transport_close(*parts->ca);
        *parts->ca = trial->ca;
    }
    if (trial->hook != *parts->hook) {
        parts->close_hook(parts->ctx, *parts->hook);
        *parts->hook = trial->hook;
    }
    if (before->log.level != next->log.level)
        log_set_level(parts->log, next->log.level);
    if (before->client.max_conns != next->client.max_conns)
        replace_set_credit(parts, next);
    replace_workers(parts, next, trial);
    replace_admin(parts, &trial->sockets);
    sockets_change_cleanup(&trial->sockets);
    config_unref(before);
}

bool replace_config(const struct replace_parts *parts, const struct config *next, struct config_mistakes *mistakes)
{
    struct trial trial;
    if (!replace_prepare(parts, next, &trial, mistakes))
        return false;
    replace_commit(parts, next, &trial);
    return true;
}
