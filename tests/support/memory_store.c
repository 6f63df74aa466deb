#include "memory_store.h"

#include "base/mem.h"

#include <stdlib.h>

struct memory_call {
    struct list node;
    struct store_call *call;
    bool is_get, is_list, is_done;
    char *key; /* of is_list: the prefix */
    struct store_lock *lock;
    enum store_result result;
    struct store_write *writes;
    size_t num_writes;
};

static struct memory_store *memory_store_of(struct store *store)
{
    return container_of(store, struct memory_store, store);
}

static struct memory_record *memory_find(const struct memory_store *store, struct slice key)
{
    for (size_t i = 0; i < store->num_records; i++)
        if (slice_eq(slice_str(store->records[i].key), key))
            return (struct memory_record *)&store->records[i];
    return NULL;
}

static void memory_remove(struct memory_store *store, struct memory_record *record)
{
    mem_free(record->key);
    mem_free_secret(record->value, record->value_len);
    *record = store->records[--store->num_records];
}

void memory_store_put(struct memory_store *store, struct slice key, struct slice value)
{
    struct memory_record *record = memory_find(store, key);
    if (record)
        memory_remove(store, record);
    if (!value.ptr)
        return;
    if (store->num_records == MEMORY_STORE_MAX_RECORDS)
        __builtin_trap();
    store->records[store->num_records++] = (struct memory_record){
        mem_dup(key.ptr, key.len), mem_dup(value.ptr, value.len), value.len, ++store->next_version};
}

struct slice memory_store_value(const struct memory_store *store, const char *key)
{
    const struct memory_record *record = memory_find(store, slice_str(key));
    return record ? slice_make(record->value, record->value_len) : SLICE_NONE;
}

static bool memory_condition_holds(const struct memory_store *store, const struct store_write *write)
{
    const struct memory_record *record = memory_find(store, write->key);
    switch (write->condition) {
    case STORE_ANY: return true;
    case STORE_ABSENT: return !record;
    case STORE_VERSION: return record && record->version == write->version;
    }
    return false;
}

static enum store_result memory_apply(struct memory_store *store, const struct store_write *writes, size_t num_writes)
{
    enum store_result fault = store->write_fault;
    if (fault != STORE_OK && store->num_faults > 0 && --store->num_faults == 0)
        store->write_fault = STORE_OK;
    if (fault != STORE_OK && !(fault == STORE_UNKNOWN && store->unknown_writes))
        return fault;
    for (size_t i = 0; i < num_writes; i++)
        if (!memory_condition_holds(store, &writes[i]))
            return STORE_CONFLICT;
    for (size_t i = 0; i < num_writes; i++)
        memory_store_put(store, writes[i].key, writes[i].value);
    store->num_commits++;
    return fault;
}

static void memory_call_free(struct memory_call *pending)
{
    list_remove(&pending->node);
    for (size_t i = 0; i < pending->num_writes; i++) {
        mem_free((char *)pending->writes[i].key.ptr);
        mem_free_secret((char *)pending->writes[i].value.ptr, pending->writes[i].value.len);
    }
    mem_free(pending->writes);
    mem_free(pending->key);
    mem_free(pending);
}

static struct memory_call *memory_call_new(struct memory_store *store, struct store_call *call)
{
    struct memory_call *pending = MEM_NEW(struct memory_call);
    pending->call = call;
    call->pending = pending;
    list_append(&store->pending, &pending->node);
    return pending;
}

static void memory_get(struct store *base, struct slice key, struct store_call *call)
{
    struct memory_call *pending = memory_call_new(memory_store_of(base), call);
    pending->is_get = true;
    pending->key = mem_dup(key.ptr, key.len);
}

static void memory_list(struct store *base, struct slice prefix, struct store_call *call)
{
    struct memory_call *pending = memory_call_new(memory_store_of(base), call);
    pending->is_list = true;
    pending->key = mem_dup(prefix.ptr, prefix.len);
}

static void memory_commit(struct store *base, const struct store_write *writes, size_t num_writes,
                          struct store_call *call)
{
    struct memory_store *store = memory_store_of(base);
    struct memory_call *pending = memory_call_new(store, call);
    pending->num_writes = num_writes;
    pending->writes = mem_calloc(num_writes, sizeof *writes);
    for (size_t i = 0; i < num_writes; i++) {
        pending->writes[i] = writes[i];
        pending->writes[i].key.ptr = mem_dup(writes[i].key.ptr, writes[i].key.len);
        if (writes[i].value.ptr)
            pending->writes[i].value.ptr = mem_dup(writes[i].value.ptr, writes[i].value.len);
    }
    if (store->eager) {
        pending->result = memory_apply(store, pending->writes, num_writes);
        pending->is_done = true;
    }
}

static void memory_lock(struct store *base, struct store_lock *lock)
{
    struct memory_store *store = memory_store_of(base);
    struct memory_call *pending = MEM_NEW(struct memory_call);
    pending->lock = lock;
    store->num_locks++;
    list_append(&store->pending, &pending->node);
}

static void memory_unlock(struct store *base)
{
    struct memory_store *store = memory_store_of(base);
    store->num_unlocks++;
    LIST_EACH(&store->pending, node)
    {
        struct memory_call *pending = container_of(node, struct memory_call, node);
        if (pending->lock)
            memory_call_free(pending);
    }
}

static void memory_watch(struct store *base, struct store_watch *watch)
{
    memory_store_of(base)->watch = watch;
}

static void memory_free(struct store *base)
{
    struct memory_store *store = memory_store_of(base);
    store->freed = true;
    while (!list_empty(&store->pending))
        memory_call_free(container_of(list_first(&store->pending), struct memory_call, node));
}

static void memory_cancel(struct store *base, struct store_call *call)
{
    (void)base;
    memory_call_free(call->pending);
}

static int memory_compare(const void *a, const void *b)
{
    const struct store_record *left = a, *right = b;
    return strcmp(left->key.ptr, right->key.ptr);
}

static void memory_answer_list(struct memory_store *store, struct memory_call *pending)
{
    struct store_record records[MEMORY_STORE_MAX_RECORDS];
    struct slice prefix = slice_str(pending->key);
    struct store_call *call = pending->call;
    size_t num = 0;
    for (size_t i = 0; i < store->num_records; i++) {
        const struct memory_record *record = &store->records[i];
        bool kept = strncmp(record->key, "previous/", 9) == 0 && prefix.len == 0;
        if (!kept && slice_starts(slice_str(record->key), prefix))
            records[num++] = (struct store_record){slice_str(record->key), slice_make(record->value, record->value_len),
                                                   record->version};
    }
    qsort(records, num, sizeof *records, memory_compare);
    memory_call_free(pending);
    call->done(call, store->read_fault, num && store->read_fault == STORE_OK ? records : NULL,
               store->read_fault == STORE_OK ? num : 0);
}

static void memory_grant(struct memory_call *pending)
{
    struct store_lock *lock = pending->lock;
    memory_call_free(pending);
    lock->granted(lock);
}

bool memory_store_answer(struct memory_store *store)
{
    struct list *node = list_first(&store->pending);
    if (!node)
        return false;
    struct memory_call *pending = container_of(node, struct memory_call, node);
    struct store_call *call = pending->call;
    struct store_record answer = {0};
    size_t num = 0;
    if (pending->lock || pending->is_list) {
        if (pending->lock)
            memory_grant(pending);
        else
            memory_answer_list(store, pending);
        return true;
    }
    if (pending->is_get) {
        const struct memory_record *record = memory_find(store, slice_str(pending->key));
        pending->result = store->read_fault != STORE_OK ? store->read_fault : record ? STORE_OK : STORE_NOT_FOUND;
        num = pending->result == STORE_OK;
        if (num)
            answer = (struct store_record){slice_str(record->key), slice_make(record->value, record->value_len),
                                           record->version};
    } else if (!pending->is_done) {
        pending->result = memory_apply(store, pending->writes, pending->num_writes);
    }
    enum store_result result = pending->result;
    memory_call_free(pending);
    call->done(call, result, num ? &answer : NULL, num);
    return true;
}

static const struct store_ops memory_ops = {.get = memory_get,
                                            .list = memory_list,
                                            .commit = memory_commit,
                                            .cancel = memory_cancel,
                                            .lock = memory_lock,
                                            .unlock = memory_unlock,
                                            .watch = memory_watch,
                                            .free = memory_free};

void memory_store_init(struct memory_store *store)
{
    *store = (struct memory_store){.store = {&memory_ops}};
    list_init(&store->pending);
}

void memory_store_cleanup(struct memory_store *store)
{
    while (!list_empty(&store->pending))
        memory_call_free(container_of(list_first(&store->pending), struct memory_call, node));
    while (store->num_records)
        memory_remove(store, &store->records[0]);
}
