#include "acme/call.h"

#include "acme/engine.h"

static void call_waited(struct account_waiter *waiter, const struct problem *problem)
{
    struct acme_call *call = container_of(waiter, struct acme_call, waiter);
    if (problem)
        call_fail(call, problem);
    else
        call->ready(call);
}

void call_wait_again(struct acme_call *call, enum account_want want)
{
    call->waiter.done = call_waited;
    call->waiter.want = want;
    account_wait(call->acme, &call->waiter);
}

void call_start(struct acme_call *call, struct acme *acme, enum account_want want)
{
    *call = (struct acme_call){.acme = acme, .ready = call->ready, .tell = call->tell, .cleanup = call->cleanup};
    list_init(&call->waiter.node);
    list_append(&acme->calls, &call->node);
    call_wait_again(call, want);
}

void call_end(struct acme_call *call)
{
    struct acme *acme = call->acme;
    list_remove(&call->node);
    list_append(&acme->answered, &call->node);
    acme_need_wake(acme, acme_mono_ms(acme));
}

void call_fail(struct acme_call *call, const struct problem *problem)
{
    call->failed = true;
    call->problem = problem_copy(&call->arena, problem);
    call_end(call);
}

void call_fail_with(struct acme_call *call, enum problem_class class, struct err err, const char *detail)
{
    struct problem problem = problem_local(&call->arena, class, err, slice_str(detail));
    call_fail(call, &problem);
}

void call_fail_reply(struct acme_call *call, const struct acme_reply *reply, enum problem_place place)
{
    struct problem problem = problem_of_reply(&call->arena, reply, place, acme_wall_s(call->acme));
    call_fail(call, &problem);
}

/* What the arena holds must outlive `done`, in which the asker may ask again, or free the call. */
static void call_tell(struct acme_call *call)
{
    struct arena arena = call->arena;
    call->arena = (struct arena){0};
    call->acme = NULL;
    list_remove(&call->node);
    if (call->cleanup)
        call->cleanup(call);
    call->tell(call);
    arena_cleanup(&arena);
}

void call_tell_all(struct acme *acme)
{
    for (struct list *node; (node = list_first(&acme->answered));)
        call_tell(container_of(node, struct acme_call, node));
}

void call_cancel(struct acme_call *call)
{
    if (!call->acme)
        return;
    list_remove(&call->node);
    account_stop_waiting(&call->waiter);
    request_cancel(&call->request);
    if (call->cleanup)
        call->cleanup(call);
    arena_cleanup(&call->arena);
    call->acme = NULL;
}

void call_cancel_all(struct acme *acme)
{
    for (struct list *node; (node = list_first(&acme->calls)) || (node = list_first(&acme->answered));)
        call_cancel(container_of(node, struct acme_call, node));
}
