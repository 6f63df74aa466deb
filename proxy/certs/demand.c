#include "certs/demand.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/url.h"
#include "certs/registered_domain.h"

enum { HOUR_MS = 60 * 60 * 1000, SECOND_MS = 1000, SAY_EVERY_MS = 60 * 1000 };

/* So many in a period, and so many at once; refilled evenly. */
struct budget {
    int64_t left_ms; /* what is saved up: each costs period/most */
    int64_t at_ms;
};

/* A name and what was answered. */
struct demand_entry {
    struct demand *demand;
    char *name;       /* owned */
    struct list node; /* in demand->recent, the latest first; while it is asked about in demand->asking */
    bool asking, wanted;
    enum demand_answer answer;
    int64_t until_ms; /* monotonic: the answer counts */
    struct asker_call call;
    struct list reviews; /* who waits for the answer */
};

struct demand_domain {
    char *name;       /* owned */
    struct list node; /* in demand->domains_recent */
    struct budget names;
};

struct demand {
    struct demand_world world;
    struct map entries, domains;
    struct list recent, asking, domains_recent;
    size_t num_recent, num_asking, num_domains;
    struct budget questions, names;
    uint64_t num_shed;
    int64_t said_ms, said_unanswered_ms;
};

/* ---- budgets ---- */

static bool budget_take(struct budget *budget, int64_t most, int64_t period_ms, int64_t now_ms)
{
    int64_t price_ms = period_ms / most;
    int64_t saved_ms = budget->at_ms ? budget->left_ms + (now_ms - budget->at_ms) : period_ms;
    budget->left_ms = saved_ms < period_ms ? saved_ms : period_ms;
    budget->at_ms = now_ms;
    if (budget->left_ms < price_ms)
        return false;
    budget->left_ms -= price_ms;
    return true;
}

static int64_t demand_now_ms(const struct demand *demand)
{
    int64_t now_ms = demand->world.clock->mono_ms(demand->world.clock);
    return now_ms ? now_ms : 1;
}

/* ---- names ---- */

/* Four labels or more, of which two are equal or three in a row are such as robots try (ACME-118). */
static bool name_looks_recursive(struct slice name)
{
    static const char *const tried[] = {"www",  "mail", "ftp",     "api",   "dev",  "test",    "admin",
                                        "smtp", "imap", "staging", "stage", "blog", "webmail", "autodiscover"};
    struct slice labels[128];
    size_t num = 0, in_row = 0;
    for (struct slice rest = name; rest.len && num < 128;)
        labels[num++] = slice_split(&rest, '.');
    for (size_t i = 0; num >= 4 && i < num; i++) {
        bool known = false;
        for (size_t other = 0; other < i; other++)
            if (slice_eq(labels[i], labels[other]))
                return true;
        for (size_t t = 0; t < sizeof tried / sizeof tried[0]; t++)
            known = known || slice_eq(labels[i], slice_str(tried[t]));
        in_row = known ? in_row + 1 : 0;
        if (in_row == 3)
            return true;
    }
    return false;
}

bool demand_name_is_sound(struct slice name)
{
    return name_is_dns(name, false) && memchr(name.ptr, '.', name.len) && !name_is_ip(name) && !name_is_local(name) &&
           !name_looks_recursive(name);
}

/* ---- what is remembered ---- */

static void entry_free(struct demand_entry *entry)
{
    map_remove(&entry->demand->entries, slice_str(entry->name));
    list_remove(&entry->node);
    mem_free(entry->name);
    mem_free(entry);
}

static struct demand_entry *demand_entry_of(struct demand *demand, struct slice name)
{
    struct demand_entry *entry = map_get(&demand->entries, name);
    if (entry)
        return entry;
    if (demand->num_recent >= LIMIT_DEMAND_ANSWERS) {
        entry_free(container_of(demand->recent.prev, struct demand_entry, node));
        demand->num_recent--;
    }
    entry = MEM_NEW(struct demand_entry);
    entry->demand = demand;
    entry->name = mem_dup(name.ptr, name.len);
    list_init(&entry->node);
    list_init(&entry->reviews);
    list_prepend(&demand->recent, &entry->node);
    demand->num_recent++;
    map_put(&demand->entries, name, entry);
    return entry;
}

static struct demand_domain *demand_domain_of(struct demand *demand, struct slice name)
{
    struct buf text = {0};
    registered_domain_write(name, &text);
    struct demand_domain *domain = map_get(&demand->domains, buf_slice(&text));
    if (!domain && demand->num_domains >= LIMIT_DEMAND_ANSWERS) { /* the one that is longest without a new name */
        domain = container_of(demand->domains_recent.prev, struct demand_domain, node);
        map_remove(&demand->domains, slice_str(domain->name));
        list_remove(&domain->node);
        mem_free(domain->name);
        *domain = (struct demand_domain){0};
    } else if (!domain) {
        domain = MEM_NEW(struct demand_domain);
        demand->num_domains++;
    }
    if (!domain->name) {
        list_init(&domain->node);
        domain->name = mem_dup(text.ptr, text.len);
        map_put(&demand->domains, buf_slice(&text), domain);
    }
    list_remove(&domain->node);
    list_prepend(&demand->domains_recent, &domain->node);
    buf_cleanup(&text);
    return domain;
}

/* ---- what becomes of an answer ---- */

static void demand_shed(struct demand *demand, const char *why, struct slice name)
{
    int64_t now_ms = demand_now_ms(demand);
    demand->num_shed++;
    if (demand->said_ms && now_ms - demand->said_ms < SAY_EVERY_MS)
        return;
    LOG_WARN_EVENT(demand->world.log, "on_demand_shed", LOG_SLICE("name", name), LOG_STR("reason", why),
                   LOG_INT("num", demand->num_shed),
                   LOG_STR("msg",
                           "more names are asked for than PORTICO_ON_DEMAND_ASK is asked about, or may be added: "
                           "some wait"));
    demand->said_ms = now_ms;
    demand->num_shed = 0;
}

/* Somebody wants it, and it may be had: if there is room for another one. */
static void entry_add(struct demand_entry *entry)
{
    struct demand *demand = entry->demand;
    struct slice name = slice_str(entry->name);
    int64_t now_ms = demand_now_ms(demand);
    entry->wanted = false;
    if (demand->world.num_names(demand->world.ctx) >= LIMIT_DEMAND_NAMES)
        demand_shed(demand, "there are as many names as may be", name);
    else if (!budget_take(&demand_domain_of(demand, name)->names, LIMIT_DEMAND_DOMAIN_NAMES_H, HOUR_MS, now_ms))
        demand_shed(demand, "its registered domain has had as many new names as may be in an hour", name);
    else if (!budget_take(&demand->names, LIMIT_DEMAND_NAMES_H, HOUR_MS, now_ms))
        demand_shed(demand, "there have been as many new names as may be in an hour", name);
    else
        demand->world.allowed(demand->world.ctx, name);
}

static int64_t answer_lasts_ms(enum demand_answer answer)
{
    switch (answer) {
    case DEMAND_NO: return LIMIT_DEMAND_NO_MS;
    case DEMAND_YES: return LIMIT_DEMAND_YES_MS;
    case DEMAND_UNKNOWN: break;
    }
    return LIMIT_DEMAND_UNKNOWN_MS;
}

static const char *answer_text(enum demand_answer answer)
{
    switch (answer) {
    case DEMAND_NO: return "no";
    case DEMAND_YES: return "yes";
    case DEMAND_UNKNOWN: break;
    }
    return "none";
}

static void entry_log(const struct demand_entry *entry, enum demand_answer answer, struct slice why)
{
    struct demand *demand = entry->demand;
    struct log_ring *log = demand->world.log;
    int64_t now_ms = demand_now_ms(demand);
    LOG_DEBUG_EVENT(log, "on_demand_asked", LOG_STR("name", entry->name), LOG_STR("answer", answer_text(answer)));
    if (answer != DEMAND_UNKNOWN || (demand->said_unanswered_ms && now_ms - demand->said_unanswered_ms < SAY_EVERY_MS))
        return;
    demand->said_unanswered_ms = now_ms;
    LOG_WARN_EVENT(log, "on_demand_unanswered", LOG_STR("name", entry->name), LOG_SLICE("msg", why));
}

static void entry_answered(struct asker_call *call, enum demand_answer answer, struct slice why)
{
    struct demand_entry *entry = container_of(call, struct demand_entry, call);
    struct demand *demand = entry->demand;
    struct list *node;
    entry->asking = false;
    entry->answer = answer;
    entry->until_ms = demand_now_ms(demand) + answer_lasts_ms(answer);
    list_remove(&entry->node);
    list_prepend(&demand->recent, &entry->node);
    demand->num_asking--;
    demand->num_recent++;
    entry_log(entry, answer, why);
    if (answer == DEMAND_YES && entry->wanted)
        entry_add(entry);
    while ((node = list_first(&entry->reviews))) {
        list_remove(node);
        struct demand_review *review = container_of(node, struct demand_review, node);
        review->done(review, answer);
    }
}

/* ---- questions ---- */

static void entry_ask(struct demand_entry *entry, struct slice client)
{
    struct demand *demand = entry->demand;
    list_remove(&entry->node);
    list_append(&demand->asking, &entry->node);
    demand->num_recent--;
    demand->num_asking++;
    entry->asking = true;
    entry->call = (struct asker_call){.name = slice_str(entry->name), .client = client, .done = entry_answered};
    demand->world.asker->ask(demand->world.asker, &entry->call);
}

static bool entry_is_known(const struct demand_entry *entry)
{
    return entry->until_ms && demand_now_ms(entry->demand) < entry->until_ms;
}

void demand_want(struct demand *demand, struct slice name, struct slice client)
{
    struct demand_entry *entry = map_get(&demand->entries, name);
    if (entry && entry->asking) {
        entry->wanted = true;
    } else if (entry && entry_is_known(entry)) {
        if (entry->answer == DEMAND_YES)
            entry_add(entry);
    } else if (!demand_name_is_sound(name)) {
        return;
    } else if (demand->num_asking >= LIMIT_DEMAND_ASKING ||
               !budget_take(&demand->questions, LIMIT_DEMAND_QUESTIONS_S, SECOND_MS, demand_now_ms(demand))) {
        demand_shed(demand, "as many questions are asked as may be in a second", name);
    } else {
        entry = demand_entry_of(demand, name);
        entry->wanted = true;
        entry_ask(entry, client);
    }
}

void demand_review_start(struct demand *demand, struct slice name, struct demand_review *review)
{
    struct demand_entry *entry = demand_entry_of(demand, name);
    list_init(&review->node);
    if (!entry->asking && entry_is_known(entry)) {
        review->done(review, entry->answer);
        return;
    }
    list_append(&entry->reviews, &review->node);
    if (!entry->asking)
        entry_ask(entry, SLICE_NONE);
}

void demand_review_cancel(struct demand_review *review)
{
    if (review->node.next)
        list_remove(&review->node);
}

/* ---- life ---- */

struct demand *demand_new(const struct demand_world *world)
{
    struct demand *demand = MEM_NEW(struct demand);
    demand->world = *world;
    list_init(&demand->recent);
    list_init(&demand->asking);
    list_init(&demand->domains_recent);
    return demand;
}

void demand_forget(struct demand *demand)
{
    LIST_EACH(&demand->recent, node)
    container_of(node, struct demand_entry, node)->until_ms = 0;
}

void demand_free(struct demand *demand)
{
    struct list *node;
    if (!demand)
        return;
    while ((node = list_first(&demand->asking))) {
        struct demand_entry *entry = container_of(node, struct demand_entry, node);
        demand->world.asker->cancel(demand->world.asker, &entry->call);
        LIST_EACH(&entry->reviews, review)
        list_remove(review);
        entry_free(entry);
    }
    while ((node = list_first(&demand->recent)))
        entry_free(container_of(node, struct demand_entry, node));
    while ((node = list_first(&demand->domains_recent))) {
        struct demand_domain *domain = container_of(node, struct demand_domain, node);
        list_remove(node);
        mem_free(domain->name);
        mem_free(domain);
    }
    map_cleanup(&demand->entries);
    map_cleanup(&demand->domains);
    mem_free(demand);
}
