/* exchange_internal: the state of an exchange, and what its parts (attempt, answer) ask of it; only exchange/ looks at it.
 *
 *   request:  HEAD ---> BODY ---> WHOLE              answer:  AWAITED ---> BODY ---> OVER
 *                 \________________^                             \---> TUNNEL -----^ */
#ifndef EXCHANGE_EXCHANGE_INTERNAL_H
#define EXCHANGE_EXCHANGE_INTERNAL_H

#include "exchange/exchange.h"
#include "exchange/identity.h"
#include "exchange/passwords.h"
#include "exchange/route.h"
#include "upstream/pool.h"

enum exchange_request { REQUEST_HEAD, REQUEST_BODY, REQUEST_WHOLE };
enum exchange_answer { ANSWER_AWAITED, ANSWER_BODY, ANSWER_TUNNEL, ANSWER_OVER };

struct exchange {
    struct exchange_env *env;
    const struct exchange_client *client;
    struct front *front;
    const struct config *config; /* held */
    struct arena arena;
    struct head *head;  /* the request's; in the arena */
    struct route route; /* of the request */
    const struct config_group *group;
    struct identity identity;
    enum exchange_request request;
    enum exchange_answer answer;
    struct http_user user;     /* gets the upstream's events */
    struct upstream *upstream; /* NULL while there is none */
    struct encoder *encoder;   /* of the answer's body; NULL: it goes out as it is */
    struct pool_wait wait;
    struct password_wait password;
    struct buf held;    /* the request's body so far, while waiting or a retry is possible */
    bool held_whole;    /* nothing of it was let go */
    bool waiting;       /* for a connection, or before that for a password to be checked */
    bool front_stopped; /* the front reads no more for now */
    bool maybe_stale;   /* its connection may have been closed by the backend before the request went out */
    bool continue_due;  /* Expect: 100-continue, neither 100 nor a byte of the body has come */
    bool aborted;
    bool upstream_reused; /* the connection of the last attempt */
    bool tunnel_client_ended, tunnel_backend_ended;
    uint32_t num_retries;
    struct tick timeout;
    struct grave grave;
    /* for the access log */
    int64_t started_wall_ms;
    uint64_t started_ms;
    uint64_t request_bytes, answer_bytes;
    uint64_t asked_ms, connected_ms, head_ms; /* of the last attempt; 0: it did not come to that */
    uint16_t status;
    struct backend *backend;   /* the last that it was given to; borrowed from the pool */
    struct slice backend_text; /* borrowed from the pool */
    const char *failure;       /* literal */
};

void exchange_count(struct exchange *exchange, enum counter counter);
void exchange_count_dropped(struct exchange *exchange, unsigned num_fields);
/* The deadline of what is waited for now: an answer, or some progress. */
void exchange_arm(struct exchange *exchange);
/* The request waits, and its body with it: the front reads no more than its head. */
void exchange_hold_up(struct exchange *exchange);
/* Backpressure of the request's body; both do nothing where it is so already. */
void exchange_stop_front(struct exchange *exchange);
void exchange_start_front(struct exchange *exchange);
/* Ends it: with an answer of ours where none has begun, else by a cut that the client sees. why: literal, for the log.
 * retry_after_s: told to the client; 0: nothing is. */
void exchange_fail(struct exchange *exchange, unsigned status, const char *why);
void exchange_fail_until(struct exchange *exchange, unsigned status, unsigned retry_after_s, const char *why);

#endif
