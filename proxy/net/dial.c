#include "net/dial.h"

#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

enum { DIAL_STAGGER_MS = 250 };

/* A socket on its way; freed in its poll handle's close callback. */
struct dial_attempt {
    uv_poll_t poll;
    struct dial *dial; /* NULL once canceled */
    struct dial_attempt *next;
    struct address address;
    int fd;
};

static void dial_try_next(struct dial *dial);

static void attempt_closed(uv_handle_t *handle)
{
    mem_free(container_of((uv_poll_t *)(void *)handle, struct dial_attempt, poll));
}

/* Ends an attempt; its socket too, unless it was handed over (fd -1). */
static void attempt_end(struct dial_attempt *attempt)
{
    uv_poll_stop(&attempt->poll);
    if (attempt->fd >= 0)
        close(attempt->fd);
    uv_close((uv_handle_t *)&attempt->poll, attempt_closed);
}

static void dial_unlink(struct dial *dial, struct dial_attempt *attempt)
{
    for (struct dial_attempt **at = &dial->attempts; *at; at = &(*at)->next)
        if (*at == attempt) {
            *at = attempt->next;
            return;
        }
}

void dial_cancel(struct dial *dial)
{
    while (dial->attempts) {
        struct dial_attempt *attempt = dial->attempts;
        dial->attempts = attempt->next;
        attempt_end(attempt);
    }
    resolve_wait_cancel(&dial->resolving);
    tick_stop(&dial->deadline);
    tick_stop(&dial->stagger);
    deferred_stop(&dial->deferred);
    dial->active = false;
}

static void dial_fail(struct dial *dial, struct err err)
{
    dial_cancel(dial);
    dial->done(dial, -1, NULL, err);
}

static void dial_succeed(struct dial *dial, struct dial_attempt *attempt)
{
    struct address address = attempt->address;
    int fd = attempt->fd;
    attempt->fd = -1;
    dial_cancel(dial);
    dial->done(dial, fd, &address, ERR_OK);
}

static void attempt_failed(struct dial_attempt *attempt, int error)
{
    struct dial *dial = attempt->dial;
    dial->last_err = err_make(ERR_SYSTEM, error, "connect");
    dial_unlink(dial, attempt);
    attempt_end(attempt);
    dial_try_next(dial);
}

static void attempt_ready(uv_poll_t *poll, int status, int events)
{
    struct dial_attempt *attempt = container_of(poll, struct dial_attempt, poll);
    int error = 0;
    socklen_t len = sizeof error;
    (void)events;
    getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error == 0 && status < 0) /* libuv tells EBADF whatever it was: the socket knows better */
        error = -status;
    if (error)
        attempt_failed(attempt, error);
    else
        dial_succeed(attempt->dial, attempt);
}

/* 0, or an errno value. */
static int dial_attempt_start(struct dial *dial, const struct address *address)
{
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, &address->at.any, address->len) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        return error;
    }
    struct dial_attempt *attempt = MEM_NEW(struct dial_attempt);
    attempt->dial = dial;
    attempt->address = *address;
    attempt->fd = fd;
    int status = uv_poll_init(dial->loop->uv, &attempt->poll, fd);
    if (status < 0) {
        close(fd);
        mem_free(attempt);
        return -status;
    }
    attempt->next = dial->attempts;
    dial->attempts = attempt;
    status = uv_poll_start(&attempt->poll, UV_WRITABLE, attempt_ready);
    if (status < 0) {
        dial_unlink(dial, attempt);
        attempt_end(attempt);
    }
    return status < 0 ? -status : 0;
}

static void dial_try_next(struct dial *dial)
{
    while (dial->next < dial->answer.num) {
        int error = dial_attempt_start(dial, &dial->answer.addresses[dial->next++]);
        if (error == 0) {
            if (dial->next < dial->answer.num)
                tick_start(&dial->loop->ticker, &dial->stagger, DIAL_STAGGER_MS);
            return;
        }
        dial->last_err = err_make(ERR_SYSTEM, error, "connect");
    }
    if (!dial->attempts)
        dial_fail(dial, dial->last_err);
}

static void dial_stagger_expired(struct tick *tick)
{
    dial_try_next(container_of(tick, struct dial, stagger));
}

static void dial_deadline_expired(struct tick *tick)
{
    dial_fail(container_of(tick, struct dial, deadline), err_make(ERR_TIMEOUT, 0, "connect"));
}

/* Alternates the families, beginning with IPv6 where there is one, and keeps the resolver's order within each. */
static void dial_interleave(const struct resolve_answer *answer, uint16_t port, struct resolve_answer *out)
{
    size_t at[2] = {0, 0};
    sa_family_t families[2] = {AF_INET6, AF_INET};
    out->num = 0;
    for (size_t turn = 0; out->num < answer->num && turn < 2 * (size_t)LIMIT_DNS_ADDRESSES; turn++) {
        size_t *i = &at[turn % 2];
        while (*i < answer->num && answer->addresses[*i].at.any.sa_family != families[turn % 2])
            ++*i;
        if (*i == answer->num)
            continue;
        out->addresses[out->num] = answer->addresses[(*i)++];
        address_set_port(&out->addresses[out->num++], port);
    }
}

static void dial_resolved(struct dial *dial, const struct resolve_answer *answer)
{
    dial->last_err = err_is(answer->err) ? answer->err : err_make(ERR_STATE, 0, "resolve: no usable address");
    dial_interleave(answer, dial->port, &dial->answer);
    dial_try_next(dial);
}

static void dial_resolve_done(struct resolve_wait *wait, const struct resolve_answer *answer)
{
    dial_resolved(container_of(wait, struct dial, resolving), answer);
}

static void dial_begin(struct deferred *deferred)
{
    dial_try_next(container_of(deferred, struct dial, deferred));
}

void dial_init(struct dial *dial, struct net_loop *loop,
               void (*done)(struct dial *dial, int fd, const struct address *address, struct err err))
{
    *dial = (struct dial){.loop = loop, .done = done};
    resolve_wait_init(&dial->resolving, dial_resolve_done);
    tick_init(&dial->deadline, dial_deadline_expired);
    tick_init(&dial->stagger, dial_stagger_expired);
    deferred_init(&dial->deferred, dial_begin);
}

static void dial_reset(struct dial *dial, uint16_t port, uint64_t timeout_ms)
{
    dial_cancel(dial);
    dial->active = true;
    dial->next = 0;
    dial->port = port;
    dial->last_err = ERR_OK;
    tick_start(&dial->loop->ticker, &dial->deadline, timeout_ms);
}

void dial_start(struct dial *dial, struct resolver *resolver, struct slice host, uint16_t port, uint64_t timeout_ms)
{
    struct resolve_answer answer;
    dial_reset(dial, port, timeout_ms);
    if (!resolver_ask(resolver, host, &dial->resolving, &answer))
        return;
    dial->last_err = err_is(answer.err) ? answer.err : err_make(ERR_STATE, 0, "resolve: no usable address");
    dial_interleave(&answer, port, &dial->answer);
    deferred_start(dial->loop, &dial->deferred);
}

void dial_start_address(struct dial *dial, const struct address *address, uint64_t timeout_ms)
{
    dial_reset(dial, address_port(address), timeout_ms);
    dial->answer.addresses[0] = *address;
    dial->answer.num = 1;
    deferred_start(dial->loop, &dial->deferred);
}
