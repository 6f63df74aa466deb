#include "net/resolve.h"

#include "base/map.h"

#include <netdb.h>

struct resolve_name {
    struct list waits;
    struct resolve_answer answer;
    uint64_t fresh_until_ms;
    size_t turn;             /* who asks next begins with this address: load is spread over all of them */
    struct resolve_job *job; /* in flight */
};

struct resolve_job {
    struct offload_job job;
    struct resolver *resolver; /* NULL once the resolver is gone */
    struct resolve_name *name;
    struct resolve_answer answer;
    char host[256];
};

struct resolver {
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    uint64_t ttl_ms;
    struct map names;
};

enum { RESOLVE_RETRY_MS = 1000 }; /* after a failure: the backend's name may come with its container */

struct resolver *resolver_new(struct net_loop *loop, struct offload_pool *pool, struct offload_port *port,
                              uint64_t ttl_ms)
{
    struct resolver *resolver = MEM_NEW(struct resolver);
    *resolver = (struct resolver){.loop = loop, .pool = pool, .port = port, .ttl_ms = ttl_ms};
    return resolver;
}

void resolver_set_ttl(struct resolver *resolver, uint64_t ttl_ms)
{
    resolver->ttl_ms = ttl_ms;
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    struct map_entry *entry;
    for (size_t at = 0; (entry = map_next(&resolver->names, &at));) {
        struct resolve_name *name = entry->value;
        LIST_EACH(&name->waits, node)
        list_remove(node);
        if (name->job)
            name->job->resolver = NULL;
        mem_free(name);
    }
    map_cleanup(&resolver->names);
    mem_free(resolver);
}

void resolve_wait_init(struct resolve_wait *wait,
                       void (*done)(struct resolve_wait *wait, const struct resolve_answer *answer))
{
    list_init(&wait->node);
    wait->done = done;
}

void resolve_wait_cancel(struct resolve_wait *wait)
{
    list_remove(&wait->node);
}

static void resolve_collect(struct resolve_answer *answer, const struct addrinfo *found)
{
    for (; found && answer->num < LIMIT_DNS_ADDRESSES; found = found->ai_next) {
        struct address *address = &answer->addresses[answer->num];
        if (found->ai_addrlen > sizeof address->at)
            continue;
        *address = (struct address){.len = found->ai_addrlen};
        memcpy(&address->at, found->ai_addr, found->ai_addrlen);
        answer->num++;
    }
}

static void resolve_work(struct offload_job *offload)
{
    struct resolve_job *job = container_of(offload, struct resolve_job, job);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found = NULL;
    int status = getaddrinfo(job->host, NULL, &hints, &found);
    if (status != 0) { /* loopback alone is no address to AI_ADDRCONFIG: ask once more without it */
        hints.ai_flags = 0;
        status = getaddrinfo(job->host, NULL, &hints, &found);
    }
    if (status == 0)
        resolve_collect(&job->answer, found);
    if (found)
        freeaddrinfo(found);
    if (job->answer.num == 0)
        job->answer.err = err_make(ERR_STATE, status, "resolve: the name has no address");
}

static void resolve_done(struct offload_job *offload)
{
    struct resolve_job *job = container_of(offload, struct resolve_job, job);
    if (job->resolver) {
        struct resolve_name *name = job->name;
        bool failed = err_is(job->answer.err);
        name->job = NULL;
        name->fresh_until_ms =
            net_loop_now_ms(job->resolver->loop) + (failed ? RESOLVE_RETRY_MS : job->resolver->ttl_ms);
        if (!failed || name->answer.num == 0)
            name->answer = job->answer;
        struct list waits; /* whoever asks again from within its callback waits for the next answer */
        list_init(&waits);
        struct list *node;
        while ((node = list_first(&name->waits))) {
            list_remove(node);
            list_append(&waits, node);
        }
        while ((node = list_first(&waits))) {
            list_remove(node);
            struct resolve_wait *wait = container_of(node, struct resolve_wait, node);
            wait->done(wait, &name->answer);
        }
    }
    mem_free(job);
}

static void resolve_start(struct resolver *resolver, struct resolve_name *name, struct slice host)
{
    struct resolve_job *job = MEM_NEW(struct resolve_job);
    job->resolver = resolver;
    job->name = name;
    job->job.work = resolve_work;
    job->job.done = resolve_done;
    memcpy(job->host, host.ptr, host.len);
    if (offload_submit(resolver->pool, resolver->port, &job->job))
        name->job = job;
    else
        mem_free(job); /* shed: whoever waits has a deadline, and the next to ask tries again */
}

/* The next address first, the others behind it. */
static void resolve_rotate(struct resolve_name *name, struct resolve_answer *out_answer)
{
    size_t num = name->answer.num, first = num ? name->turn++ % num : 0;
    *out_answer = name->answer;
    for (size_t i = 0; i < num; i++)
        out_answer->addresses[i] = name->answer.addresses[(first + i) % num];
}

static struct resolve_name *resolver_name(struct resolver *resolver, struct slice host)
{
    struct resolve_name *name = map_get(&resolver->names, host);
    if (!name) {
        name = MEM_NEW(struct resolve_name);
        list_init(&name->waits);
        map_put(&resolver->names, host, name);
    }
    return name;
}

bool resolver_ask(struct resolver *resolver, struct slice host, struct resolve_wait *wait,
                  struct resolve_answer *out_answer)
{
    *out_answer = (struct resolve_answer){0};
    if (address_parse_ip(host, 0, &out_answer->addresses[0])) {
        out_answer->num = 1;
        return true;
    }
    if (host.len == 0 || host.len >= sizeof((struct resolve_job *)0)->host) {
        out_answer->err = err_make(ERR_INPUT, 0, "resolve: not a host name");
        return true;
    }
    struct resolve_name *name = resolver_name(resolver, host);
    bool fresh = net_loop_now_ms(resolver->loop) < name->fresh_until_ms;
    if (!fresh && !name->job)
        resolve_start(resolver, name, host);
    if (name->answer.num || (fresh && err_is(name->answer.err))) {
        resolve_rotate(name, out_answer);
        return true;
    }
    list_append(&name->waits, &wait->node);
    return false;
}
