#include "certs/keeper_challenge.h"

#include "certs/alpn_cert.h"

/* ---- how it went ---- */

void keeper_publication_tell(struct keeper_publication *publication, struct err err)
{
    publication->told = true;
    tick_stop(&publication->deadline);
    publication->asked->done(publication->asked, err);
}

static void publication_refused(struct deferred *deferred)
{
    struct keeper_publication *publication = container_of(deferred, struct keeper_publication, refuse);
    keeper_publication_tell(publication, publication->refusal);
}

void keeper_publication_refuse(struct keeper_publication *publication, struct err err)
{
    publication->refusal = err;
    deferred_start(publication->keeper->world.loop, &publication->refuse);
}

static void publication_expired(struct tick *tick)
{
    struct keeper_publication *publication = container_of(tick, struct keeper_publication, deadline);
    keeper_publication_tell(publication,
                            err_make(ERR_TIMEOUT, 0, "a worker does not serve the challenge's answer after 5 s"));
}

/* ---- answers in the certset ---- */

static void publication_place(struct keeper_publication *publication)
{
    struct keeper *keeper = publication->keeper;
    struct slice place = buf_slice(&publication->place);
    publication->placed = true;
    tick_start(&keeper->world.loop->ticker, &publication->deadline, KEEPER_ACKNOWLEDGE_MS);
    if (publication->cert)
        certset_put_alpn(keeper_draft(keeper), place, publication->cert, publication->asked->token);
    else
        certset_put_pending(keeper_draft(keeper), place, publication->asked->key_authorization);
}

/* The first other one that wants the same place, and has it or waits for it. */
static struct keeper_publication *publication_rival(const struct keeper_publication *publication, bool placed)
{
    LIST_EACH(&publication->keeper->publications, node)
    {
        struct keeper_publication *other = container_of(node, struct keeper_publication, node);
        if (other != publication && other->placed == placed && other->place.len &&
            other->asked->challenge == publication->asked->challenge &&
            slice_eq(buf_slice(&other->place), buf_slice(&publication->place)))
            return other;
    }
    return NULL;
}

static void publication_want_place(struct keeper_publication *publication)
{
    const struct keeper_publication *rival = publication_rival(publication, true);
    if (!rival || slice_eq(rival->asked->key_authorization, publication->asked->key_authorization))
        publication_place(publication);
}

static void publication_leave_place(struct keeper_publication *publication)
{
    struct keeper *keeper = publication->keeper;
    if (keeper->closing || !publication->placed || publication_rival(publication, true))
        return;
    struct keeper_publication *next = publication_rival(publication, false);
    if (next)
        publication_place(next);
    else if (publication->cert)
        certset_remove_alpn(keeper_draft(keeper), buf_slice(&publication->place));
    else
        certset_remove_pending(keeper_draft(keeper), buf_slice(&publication->place));
}

static void http01_publish(struct keeper_publication *publication)
{
    buf_append_slice(&publication->place, publication->asked->token);
    publication_want_place(publication);
}

static void alpn_publish(struct keeper_publication *publication)
{
    const struct acme_publication *asked = publication->asked;
    struct err err = alpn_cert_make(asked->name, asked->key_authorization, keeper_wall_ms(publication->keeper) / 1000,
                                    &publication->cert);
    if (err_is(err)) {
        keeper_publication_refuse(publication, err);
        return;
    }
    alpn_cert_write_sni(asked->name, &publication->place);
    publication_want_place(publication);
}

/* ---- all kinds ---- */

static const struct keeper_way ways[NUM_ACME_CHALLENGES] = {
    [ACME_HTTP_01] = {http01_publish, publication_leave_place},
    [ACME_TLS_ALPN_01] = {alpn_publish, publication_leave_place},
    [ACME_DNS_01] = {keeper_dns01_publish, keeper_dns01_withdraw},
    [ACME_DNS_PERSIST_01] = {keeper_persist_publish, keeper_persist_withdraw},
};

void keeper_publish_challenge(void *ctx, struct acme_publication *asked)
{
    struct keeper *keeper = ctx;
    struct keeper_publication *publication = MEM_NEW(struct keeper_publication);
    publication->keeper = keeper;
    publication->asked = asked;
    asked->pending = publication;
    tick_init(&publication->deadline, publication_expired);
    deferred_init(&publication->refuse, publication_refused);
    list_append(&keeper->publications, &publication->node);
    ways[asked->challenge].publish(publication);
}

void keeper_withdraw_challenge(void *ctx, struct acme_publication *asked)
{
    struct keeper_publication *publication = asked->pending;
    (void)ctx;
    list_remove(&publication->node);
    tick_stop(&publication->deadline);
    deferred_stop(&publication->refuse);
    ways[asked->challenge].withdraw(publication);
    buf_cleanup(&publication->place);
    cert_unref(publication->cert);
    mem_free(publication);
}

void keeper_challenges_stamp(struct keeper *keeper)
{
    LIST_EACH(&keeper->publications, node)
    {
        struct keeper_publication *publication = container_of(node, struct keeper_publication, node);
        if (publication->placed && publication->generation == 0)
            publication->generation = keeper->generation;
    }
}

void keeper_challenges_acknowledged(struct keeper *keeper)
{
    LIST_EACH(&keeper->publications, node)
    {
        struct keeper_publication *publication = container_of(node, struct keeper_publication, node);
        if (!publication->told && keeper_is_acknowledged(keeper, publication->generation))
            keeper_publication_tell(publication, ERR_OK);
    }
}

void keeper_challenge_seen(struct keeper *keeper, struct slice token)
{
    LIST_EACH(&keeper->publications, node)
    {
        const struct keeper_publication *publication = container_of(node, struct keeper_publication, node);
        struct acme_publication *asked = publication->asked;
        if (publication->told && asked->seen && slice_eq(asked->token, token))
            asked->seen(asked);
    }
}
