#include "exchange/passwords.h"

#include "base/limits.h"
#include "base/mem.h"
#include "tls/keyed_hash.h"

#include <crypt.h>
#include <stdatomic.h>

enum {
    NUM_WAYS = 4, /* places of one hash in the table */
    NUM_SETS = LIMIT_PASSWORDS_REMEMBERED / NUM_WAYS,
    HASH_BYTES = 60,       /* of bcrypt in text, as config.h promises */
    HASH_RESULT_BYTES = 31 /* at its end, behind the salt */
};

struct remembered {
    uint8_t digest[KEYED_HASH_BYTES];
    uint64_t until_ms; /* 0: free */
};

struct passwords {
    struct net_loop *loop;
    struct offload_pool *pool;
    struct offload_port *port;
    struct counters *counters;
    struct keyed_hash keyed;
    struct list jobs;         /* those that are out */
    struct remembered *table; /* NUM_SETS * NUM_WAYS; NULL before the first success */
};

struct password_job {
    struct offload_job offload;
    struct passwords *passwords;
    struct list node;  /* of passwords->jobs */
    struct list waits; /* of struct password_wait */
    struct ip client;  /* who asked first */
    uint8_t digest[KEYED_HASH_BYTES];
    atomic_bool wanted; /* somebody waits; once false it stays so */
    bool checked;       /* not skipped */
    bool known;         /* the name is a user's: otherwise the work is done for its time alone */
    bool right;
    char hash[HASH_BYTES + 1];
    size_t password_len;
    char password[]; /* and a NUL; overwritten when freed */
};

/* ---- what is remembered ---- */

static struct remembered *remembered_set(const struct passwords *passwords, const uint8_t *digest)
{
    size_t set = ((size_t)digest[0] << 8 | digest[1]) % NUM_SETS;
    return passwords->table + set * NUM_WAYS;
}

static bool passwords_remember(const struct passwords *passwords, const uint8_t *digest)
{
    if (!passwords->table)
        return false;
    const struct remembered *set = remembered_set(passwords, digest);
    for (size_t i = 0; i < NUM_WAYS; i++)
        if (set[i].until_ms > net_loop_now_ms(passwords->loop) && memcmp(set[i].digest, digest, KEYED_HASH_BYTES) == 0)
            return true;
    return false;
}

/* In the place of the oldest of its set. */
static void passwords_put(struct passwords *passwords, const uint8_t *digest)
{
    if (!passwords->table)
        passwords->table = mem_calloc((size_t)NUM_SETS * NUM_WAYS, sizeof *passwords->table);
    struct remembered *set = remembered_set(passwords, digest), *oldest = set;
    for (size_t i = 1; i < NUM_WAYS; i++)
        if (set[i].until_ms < oldest->until_ms)
            oldest = &set[i];
    memcpy(oldest->digest, digest, KEYED_HASH_BYTES);
    oldest->until_ms = net_loop_now_ms(passwords->loop) + LIMIT_PASSWORD_REMEMBERED_MS;
}

/* ---- work ---- */

/* What stands before the result is the salt as it was given, or as bcrypt would rather have written it. */
static bool results_equal(const char *made, const char *hash)
{
    return strlen(made) == HASH_BYTES &&
           memcmp(made + HASH_BYTES - HASH_RESULT_BYTES, hash + HASH_BYTES - HASH_RESULT_BYTES, HASH_RESULT_BYTES) == 0;
}

static void password_work(struct offload_job *offload)
{
    struct password_job *job = container_of(offload, struct password_job, offload);
    if (!atomic_load_explicit(&job->wanted, memory_order_relaxed))
        return;
    job->checked = true;
    struct crypt_data *data = mem_calloc(1, sizeof *data); /* 32 KiB, too much for the stack of a small thread */
    const char *made = crypt_rn(job->password, job->hash, data, (int)sizeof *data);
    job->right = made && results_equal(made, job->hash) && job->known;
    mem_free_secret(data, sizeof *data);
}

static void password_job_free(struct password_job *job)
{
    list_remove(&job->node);
    mem_free_secret(job, sizeof *job + job->password_len + 1);
}

static void password_done(struct offload_job *offload)
{
    struct password_job *job = container_of(offload, struct password_job, offload);
    struct list *node;
    if (job->checked)
        counters_add(job->passwords->counters, COUNTER_PASSWORDS_CHECKED, 1);
    if (job->right && !list_empty(&job->waits)) /* where nobody waits, the loop may be closing and its clock gone */
        passwords_put(job->passwords, job->digest);
    list_remove(&job->node); /* who asks from here on is a new question */
    while ((node = list_first(&job->waits))) {
        struct password_wait *wait = container_of(node, struct password_wait, node);
        bool right = job->right;
        list_remove(node);
        wait->job = NULL;
        wait->known(wait, right);
    }
    password_job_free(job);
}

/* ---- waiting ---- */

void password_wait_init(struct password_wait *wait, void (*known)(struct password_wait *wait, bool right))
{
    list_init(&wait->node);
    wait->job = NULL;
    wait->known = known;
}

void password_wait_cancel(struct password_wait *wait)
{
    struct password_job *job = wait->job;
    wait->job = NULL;
    list_remove(&wait->node);
    if (job && list_empty(&job->waits))
        atomic_store_explicit(&job->wanted, false, memory_order_relaxed);
}

static void password_wait_join(struct password_wait *wait, struct password_job *job)
{
    password_wait_cancel(wait);
    wait->job = job;
    list_append(&job->waits, &wait->node);
}

static struct password_job *passwords_find_job(struct passwords *passwords, const uint8_t *digest)
{
    LIST_EACH(&passwords->jobs, node)
    {
        struct password_job *job = container_of(node, struct password_job, node);
        if (!list_empty(&job->waits) && memcmp(job->digest, digest, KEYED_HASH_BYTES) == 0)
            return job;
    }
    return NULL;
}

/* The same IPv4 address, or the same /64: that many addresses are one customer's. */
static bool clients_equal(const struct ip *a, const struct ip *b)
{
    static const uint8_t none[8] = {0};
    bool ipv6 = memcmp(a->bytes, none, sizeof none) != 0;
    return memcmp(a->bytes, b->bytes, ipv6 ? sizeof none : sizeof a->bytes) == 0;
}

/* Those given up count too: a client that comes and goes must not have more than one that stays. */
static bool passwords_has_room(const struct passwords *passwords, const struct ip *client)
{
    size_t num = 0;
    for (const struct list *node = passwords->jobs.next; node != &passwords->jobs; node = node->next)
        num += clients_equal(&container_of(node, struct password_job, node)->client, client);
    return num < LIMIT_PASSWORDS_PER_CLIENT;
}

static struct password_job *password_job_new(struct passwords *passwords, struct slice hash, struct slice password)
{
    struct password_job *job = mem_calloc(1, sizeof *job + password.len + 1);
    job->offload.work = password_work;
    job->offload.done = password_done;
    job->passwords = passwords;
    atomic_init(&job->wanted, true);
    list_init(&job->waits);
    memcpy(job->hash, hash.ptr, HASH_BYTES);
    memcpy(job->password, password.ptr, password.len);
    job->password_len = password.len;
    list_append(&passwords->jobs, &job->node);
    return job;
}

/* NULL, and the job freed, where the pool is full. */
static struct password_job *password_job_submit(struct password_job *job)
{
    if (offload_submit(job->passwords->pool, job->passwords->port, &job->offload))
        return job;
    password_job_free(job);
    return NULL;
}

static const struct config_user *user_find(const struct config_user *users, size_t num_users, struct slice name)
{
    for (size_t i = 0; i < num_users; i++)
        if (slice_eq(users[i].name, name))
            return &users[i];
    return NULL;
}

enum password_verdict passwords_check(struct passwords *passwords, const struct config_user *users, size_t num_users,
                                      const struct basic_credentials *credentials, const struct ip *client,
                                      struct password_wait *wait)
{
    const struct config_user *user = user_find(users, num_users, credentials->name);
    struct slice hash = user ? user->hash : users[0].hash; /* an unknown name takes the first one's time */
    struct slice parts[] = {user ? SLICE_LIT("user") : SLICE_LIT("nobody"), credentials->name, credentials->password,
                            hash};
    uint8_t digest[KEYED_HASH_BYTES];
    keyed_hash_make(&passwords->keyed, parts, sizeof parts / sizeof parts[0], digest);
    if (passwords_remember(passwords, digest))
        return PASSWORD_RIGHT;
    struct password_job *job = passwords_find_job(passwords, digest);
    if (!job && passwords_has_room(passwords, client)) {
        job = password_job_new(passwords, hash, credentials->password);
        job->known = user != NULL;
        job->client = *client;
        memcpy(job->digest, digest, sizeof digest);
        job = password_job_submit(job);
    }
    if (!job)
        return PASSWORD_BUSY;
    password_wait_join(wait, job);
    return PASSWORD_PENDING;
}

/* ---- life ---- */

struct passwords *passwords_new(struct net_loop *loop, struct offload_pool *pool, struct offload_port *port,
                                struct counters *counters)
{
    struct passwords *passwords = MEM_NEW(struct passwords);
    passwords->loop = loop;
    passwords->pool = pool;
    passwords->port = port;
    passwords->counters = counters;
    keyed_hash_init(&passwords->keyed);
    list_init(&passwords->jobs);
    return passwords;
}

void passwords_free(struct passwords *passwords)
{
    if (!passwords)
        return;
    keyed_hash_cleanup(&passwords->keyed);
    mem_free(passwords->table);
    mem_free(passwords);
}
