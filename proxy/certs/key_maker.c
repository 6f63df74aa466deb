#include "certs/key_maker.h"

#include "base/mem.h"

#include <stdatomic.h>

struct key_work {
    struct offload_job base;
    struct deferred refused; /* where the pool took nothing */
    enum key_type type;
    struct acme_key_job *asked; /* NULL: nobody waits for it any more */
    _Atomic bool abandoned;     /* the same for the pool's thread: it need not begin */
    struct evp_pkey_st *key;
    struct err err;
};

static void key_work_end(struct key_work *work)
{
    struct acme_key_job *asked = work->asked;
    struct evp_pkey_st *key = work->key;
    struct err err = work->err;
    mem_free(work);
    if (asked)
        asked->done(asked, key, err);
    else
        key_free(key);
}

static void key_work_run(struct offload_job *base)
{
    struct key_work *work = container_of(base, struct key_work, base);
    if (!work->abandoned)
        work->err = key_generate(work->type, &work->key);
}

static void key_work_done(struct offload_job *base)
{
    key_work_end(container_of(base, struct key_work, base));
}

static void key_work_refused(struct deferred *deferred)
{
    key_work_end(container_of(deferred, struct key_work, refused));
}

void key_maker_make(const struct key_maker *maker, enum key_type type, struct acme_key_job *job)
{
    struct key_work *work = MEM_NEW(struct key_work);
    work->base.work = key_work_run;
    work->base.done = key_work_done;
    work->type = type;
    work->asked = job;
    job->pending = work;
    deferred_init(&work->refused, key_work_refused);
    if (offload_submit(maker->pool, maker->port, &work->base))
        return;
    work->err = err_make(ERR_LIMIT, 0, "too many keys are being made");
    deferred_start(maker->loop, &work->refused);
}

void key_maker_cancel(struct acme_key_job *job)
{
    struct key_work *work = job->pending;
    work->asked = NULL;
    work->abandoned = true;
    job->pending = NULL;
}
