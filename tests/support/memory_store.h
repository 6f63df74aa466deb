/* memory_store: acme/store.h in memory, for tests: it answers when it is told to, and can be told to fail. */
#ifndef SUPPORT_MEMORY_STORE_H
#define SUPPORT_MEMORY_STORE_H

#include "acme/store.h"
#include "base/list.h"

enum { MEMORY_STORE_MAX_RECORDS = 1024 };

struct memory_store {
    struct store store;
    struct memory_record {
        char *key, *value;
        size_t value_len;
        uint64_t version;
    } records[MEMORY_STORE_MAX_RECORDS];
    size_t num_records;
    uint64_t next_version;
    struct list pending;
    size_t num_commits;
    size_t num_locks, num_unlocks; /* each lock is granted when it is answered */
    struct store_watch *watch;
    bool freed;

    bool eager;                    /* a commit takes effect when it is asked for, not when it is answered */
    enum store_result read_fault;  /* every get and list ends so, unless STORE_OK */
    enum store_result write_fault; /* every commit ends so, unless STORE_OK; STORE_UNKNOWN: see unknown_writes */
    bool unknown_writes;           /* what ends in STORE_UNKNOWN has been written */
    size_t num_faults;             /* how many commits fail; 0: all */
};

void memory_store_init(struct memory_store *store);
void memory_store_cleanup(struct memory_store *store);
/* Answers the oldest call; false where there is none. */
bool memory_store_answer(struct memory_store *store);
/* The value, or ptr NULL. */
struct slice memory_store_value(const struct memory_store *store, const char *key);
/* At once, whatever the faults. value NULL removes. */
void memory_store_put(struct memory_store *store, struct slice key, struct slice value);

#endif
