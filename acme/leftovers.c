#include "acme/leftovers.h"

#include "acme/authz.h"
#include "acme/engine.h"
#include "acme/order.h"
#include "base/json_read.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

struct leftover {
    struct list node;
    struct buf url;
};

static void leftovers_go_on(struct acme *acme);

void leftovers_init(struct leftovers *leftovers)
{
    list_init(&leftovers->urls);
}

static struct leftover *leftovers_first(struct leftovers *leftovers)
{
    struct list *node = list_first(&leftovers->urls);
    return node ? container_of(node, struct leftover, node) : NULL;
}

static void leftovers_drop_first(struct leftovers *leftovers)
{
    struct leftover *first = leftovers_first(leftovers);
    list_remove(&first->node);
    leftovers->num--;
    buf_cleanup(&first->url);
    mem_free(first);
}

void leftovers_cleanup(struct leftovers *leftovers)
{
    request_cancel(&leftovers->request);
    while (leftovers_first(leftovers))
        leftovers_drop_first(leftovers);
}

static bool order_has_authz(const struct acme_order *order, struct slice url)
{
    const struct order_document *document = &order->progress.document;
    for (size_t i = 0; i < document->num_authzs; i++)
        if (slice_eq(document->authz_urls[i], url))
            return true;
    return false;
}

static bool leftover_is_wanted(const struct acme *acme, const struct leftover *leftover)
{
    LIST_EACH(&acme->running, node)
    {
        const struct acme_order *order = container_of(node, struct acme_order, node);
        bool over = order->phase == ORDER_AT_CLOSING || order->phase == ORDER_AT_FINISHED;
        if (!over && order_has_authz(order, buf_slice(&leftover->url)))
            return true;
    }
    return false;
}

static void leftover_was_deactivated(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = request->acme;
    LOG_DEBUG_EVENT(acme->world.log, "acme_authz_deactivated",
                    LOG_SLICE("authz", buf_slice(&leftovers_first(&acme->leftovers)->url)),
                    LOG_INT("status", err_is(reply->err) ? 0 : reply->status));
    leftovers_drop_first(&acme->leftovers);
    leftovers_go_on(acme);
}

static bool leftover_is_pending(const struct acme_reply *reply)
{
    struct arena arena = {0};
    struct json *json = NULL;
    struct authz authz;
    bool pending = !err_is(reply->err) && reply->status == 200 &&
                   !err_is(json_parse(&arena, reply->body, LIMIT_JSON_BYTES, &json)) &&
                   !err_is(authz_read(&arena, json, &authz)) && authz.status == AUTHZ_PENDING;
    arena_cleanup(&arena);
    return pending;
}

static void leftover_was_read(struct request *request, const struct acme_reply *reply)
{
    struct acme *acme = request->acme;
    const struct leftover *leftover = leftovers_first(&acme->leftovers);
    if (leftover_is_pending(reply) && !leftover_is_wanted(acme, leftover)) {
        request_send(request, acme, REQUEST_BY_ACCOUNT, buf_slice(&leftover->url),
                     SLICE_LIT("{\"status\":\"deactivated\"}"), false, leftover_was_deactivated);
        return;
    }
    leftovers_drop_first(&acme->leftovers);
    leftovers_go_on(acme);
}

static void leftovers_go_on(struct acme *acme)
{
    struct leftovers *leftovers = &acme->leftovers;
    for (const struct leftover *first; !leftovers->request.busy && (first = leftovers_first(leftovers));) {
        if (acme->account.state == ACCOUNT_READY && !leftover_is_wanted(acme, first))
            request_send(&leftovers->request, acme, REQUEST_BY_ACCOUNT, buf_slice(&first->url), SLICE_LIT(""), false,
                         leftover_was_read);
        else
            leftovers_drop_first(leftovers);
    }
}

void leftovers_add(struct acme *acme, const struct slice *urls, size_t num_urls)
{
    struct leftovers *leftovers = &acme->leftovers;
    for (size_t i = 0; i < num_urls && leftovers->num < LEFTOVERS_MAX; i++) {
        struct leftover *leftover = MEM_NEW(struct leftover);
        buf_append_slice(&leftover->url, urls[i]);
        list_append(&leftovers->urls, &leftover->node);
        leftovers->num++;
    }
    leftovers_go_on(acme);
}
