#include "certs/dns_hook.h"
#include "certs/keeper_challenge.h"

/* A TXT record that the hook makes. */
struct dns01 {
    struct dns_hook_publication base;
    struct keeper_publication *publication;
};

static void dns01_done(struct dns_hook_publication *base, struct err err, struct slice sentence)
{
    struct keeper_publication *publication = container_of(base, struct dns01, base)->publication;
    publication->asked->why = sentence;
    keeper_publication_tell(publication, err);
}

void keeper_dns01_publish(struct keeper_publication *publication)
{
    struct dns_hook *hook = publication->keeper->world.dns_hook;
    struct slice name = publication->asked->name;
    if (!hook) {
        keeper_publication_refuse(publication,
                                  err_make(ERR_STATE, 0, "there is no PORTICO_ACME_DNS_HOOK to make records"));
        return;
    }
    if (slice_starts(name, SLICE_LIT("*.")))
        name = slice_skip(name, 2);
    struct dns01 *dns01 = MEM_NEW(struct dns01);
    *dns01 = (struct dns01){.base.done = dns01_done, .publication = publication};
    publication->own = dns01;
    dns_hook_present(hook, name, publication->asked->dns_value, &dns01->base);
}

/* The hook outlives the keeper: what was made is removed, whoever ends. */
void keeper_dns01_withdraw(struct keeper_publication *publication)
{
    struct dns01 *dns01 = publication->own;
    if (!dns01)
        return;
    dns_hook_withdraw(&dns01->base);
    mem_free(dns01);
}
