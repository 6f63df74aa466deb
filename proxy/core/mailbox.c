#include "core/mailbox.h"

#include "base/mem.h"

struct mailbox {
    uv_mutex_t mutex;
    uv_async_t wake;
    void (*read)(void *ctx, const struct mail *mail);
    void *ctx;
    size_t first, num;
    struct mail mails[MAILBOX_MAILS];
};

static bool mailbox_take(struct mailbox *mailbox, struct mail *out_mail)
{
    uv_mutex_lock(&mailbox->mutex);
    bool any = mailbox->num > 0;
    if (any) {
        *out_mail = mailbox->mails[mailbox->first];
        mailbox->first = (mailbox->first + 1) % MAILBOX_MAILS;
        mailbox->num--;
    }
    uv_mutex_unlock(&mailbox->mutex);
    return any;
}

static void mailbox_drain(struct mailbox *mailbox)
{
    struct mail mail;
    while (mailbox_take(mailbox, &mail))
        mailbox->read(mailbox->ctx, &mail);
}

static void mailbox_woken(uv_async_t *wake)
{
    mailbox_drain(container_of(wake, struct mailbox, wake));
}

struct mailbox *mailbox_new(uv_loop_t *loop, void (*read)(void *ctx, const struct mail *mail), void *ctx)
{
    struct mailbox *mailbox = MEM_NEW(struct mailbox);
    uv_mutex_init(&mailbox->mutex);
    uv_async_init(loop, &mailbox->wake, mailbox_woken);
    mailbox->read = read;
    mailbox->ctx = ctx;
    return mailbox;
}

static void mailbox_closed(uv_handle_t *handle)
{
    struct mailbox *mailbox = container_of((uv_async_t *)(void *)handle, struct mailbox, wake);
    uv_mutex_destroy(&mailbox->mutex);
    mem_free(mailbox);
}

void mailbox_close(struct mailbox *mailbox)
{
    mailbox_drain(mailbox);
    uv_close((uv_handle_t *)&mailbox->wake, mailbox_closed);
}

bool mailbox_post(struct mailbox *mailbox, const struct mail *mail)
{
    uv_mutex_lock(&mailbox->mutex);
    bool room = mailbox->num < MAILBOX_MAILS;
    if (room)
        mailbox->mails[(mailbox->first + mailbox->num++) % MAILBOX_MAILS] = *mail;
    uv_mutex_unlock(&mailbox->mutex);
    if (room)
        uv_async_send(&mailbox->wake);
    return room;
}
