#include "acme/engine.h"
#include "acme/order.h"

void order_withdraw(struct acme_order *order)
{
    if (!order->published)
        return;
    order->published = false;
    order->acme->world.withdraw(order->acme->world.ctx, &order->publication);
}

static const char *order_unpublished_text(enum acme_challenge challenge)
{
    if (challenge == ACME_DNS_01)
        return "the challenge's TXT record could not be put in place";
    if (challenge == ACME_DNS_PERSIST_01)
        return "the TXT record that lets this account have certificates for the name is not there";
    return "the challenge's answer could not be served by every worker in time";
}

static void order_is_published(struct acme_publication *publication, struct err err)
{
    struct acme_order *order = container_of(publication, struct acme_order, publication);
    if (order->phase != ORDER_AT_PUBLISHING)
        return;
    if (err_is(err))
        order_fail_with(order, PROBLEM_LOCAL, err,
                        publication->why.len ? publication->why
                                             : slice_str(order_unpublished_text(publication->challenge)));
    else
        order_ask(order);
}

static void order_is_seen(struct acme_publication *publication)
{
    struct acme_order *order = container_of(publication, struct acme_order, publication);
    if (!challenge_is_seen(publication->challenge))
        return;
    order->seen = true;
    order_hurry(order);
}

void order_publish(struct acme_order *order, enum order_step next)
{
    const struct order_progress *progress = &order->progress;
    order_withdraw(order);
    order->step = next;
    order->phase = ORDER_AT_PUBLISHING;
    order->published = true;
    order->seen = false;
    order->publication = (struct acme_publication){
        .challenge = progress->challenge,
        .name = progress->challenge_name,
        .token = progress->token,
        .key_authorization = progress->key_authorization,
        .dns_value = progress->dns_value,
        .issuer_names = progress->issuer_names,
        .num_issuer_names = progress->num_issuer_names,
        .account = progress->account,
        .done = order_is_published,
        .seen = order_is_seen,
    };
    order->publication.account.url = buf_slice(&order->account_url);
    order->acme->world.publish(order->acme->world.ctx, &order->publication);
}
