#include "certs/keeper_challenge.h"
#include "certs/persist.h"

/* The TXT record that somebody has put into DNS for good: there is nothing to make, and nothing to take away (ACME-123). */
struct persist {
    struct persist_look look;
    struct keeper_publication *publication;
    struct buf why;
};

static void persist_looked_for(struct persist_look *look, struct err err)
{
    struct persist *persist = container_of(look, struct persist, look);
    struct acme_publication *asked = persist->publication->asked;
    if (err_is(err)) {
        buf_printf(&persist->why, "%s; what DNS has to have: ", err.what);
        persist_write_record(asked->name, asked->issuer_names[0], &asked->account, &persist->why);
        asked->why = buf_slice(&persist->why);
    }
    keeper_publication_tell(persist->publication, err);
}

void keeper_persist_publish(struct keeper_publication *publication)
{
    const struct keeper *keeper = publication->keeper;
    const struct acme_publication *asked = publication->asked;
    if (!keeper->world.dns) {
        keeper_publication_refuse(publication, err_make(ERR_STATE, 0, "there is no DNS to look for the record"));
        return;
    }
    struct persist_question question = {.name = asked->name,
                                        .issuers = asked->issuer_names,
                                        .num_issuers = asked->num_issuer_names,
                                        .account = asked->account,
                                        .now_s = keeper_wall_ms(keeper) / 1000};
    struct persist *persist = MEM_NEW(struct persist);
    persist->publication = publication;
    persist->look.done = persist_looked_for;
    publication->own = persist;
    persist_look_start(&persist->look, keeper->world.dns, &question);
}

void keeper_persist_withdraw(struct keeper_publication *publication)
{
    struct persist *persist = publication->own;
    if (!persist)
        return;
    persist_look_cancel(&persist->look);
    buf_cleanup(&persist->why);
    mem_free(persist);
}
