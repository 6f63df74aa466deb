/* mailbox: messages from the workers to control, bounded, in order. One of the five places where threads meet. A lock,
 * because nothing on a handshake's or a request's way comes here but a challenge's answer. */
#ifndef CORE_MAILBOX_H
#define CORE_MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

enum mail_kind {
    MAIL_RETIRED_CERTSET, /* ptr: the worker's reference to a certset that was displaced; control frees */
    MAIL_RETIRED_CONFIG,  /* ptr: the same of a config */
    MAIL_NAME_WANTED,     /* ptr: a struct name_wish; control frees */
    MAIL_CHALLENGE_SEEN,  /* text: the token */
    MAIL_SERVING,         /* number: the worker's generation has grown to it */
    MAIL_ENDED            /* the worker's thread is about to end: its last mail */
};

enum { MAIL_TEXT_BYTES = 96, MAILBOX_MAILS = 1024 };

struct mail {
    enum mail_kind kind;
    unsigned worker; /* index of the sender */
    void *ptr;
    uint64_t number;
    char text[MAIL_TEXT_BYTES];
};

/* A name that nobody serves, and who asked for it. */
struct name_wish {
    char name[256], client[48];
};

struct mailbox;

/* `read` is called on the loop's thread for each mail. */
struct mailbox *mailbox_new(uv_loop_t *loop, void (*read)(void *ctx, const struct mail *mail), void *ctx);
/* Reads what is left, then closes; frees itself. Nobody posts any more. */
void mailbox_close(struct mailbox *mailbox);
/* Any thread. False: full; the sender keeps what it had. */
bool mailbox_post(struct mailbox *mailbox, const struct mail *mail);

#endif
