#include "certs/preflight_internal.h"

#include "base/b64url.h"

#include <stdlib.h>

/* ---- the end ---- */

static void job_stop(struct preflight_job *job)
{
    dns_cancel(&job->query_a);
    dns_cancel(&job->query_aaaa);
    dns_cancel(&job->query_caa);
    for (size_t i = 0; i < job->num_fetches; i++)
        preflight_fetch_stop(&job->fetches[i]);
}

static void job_free(struct preflight_job *job)
{
    list_remove(&job->node);
    findings_cleanup(&job->findings);
    buf_cleanup(&job->addresses);
    mem_free(job);
}

/* As they are read: what a name resolves to, then what answers there, then who may issue for it. */
static int compare_findings(const void *left, const void *right)
{
    static const char *const checks[] = {"dns", "port 80", "caa"};
    const struct finding *a = left, *b = right;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        bool is_a = strcmp(a->check, checks[i]) == 0, is_b = strcmp(b->check, checks[i]) == 0;
        if (is_a != is_b)
            return is_a ? -1 : 1;
    }
    return strcmp(a->address.ptr ? a->address.ptr : "", b->address.ptr ? b->address.ptr : "");
}

static void job_end(struct preflight_job *job)
{
    struct preflight *preflight = job->preflight;
    struct preflight_run *run = job->run;
    struct findings findings = job->findings;
    job->findings = (struct findings){0};
    if (findings.num)
        qsort(findings.items, findings.num, sizeof *findings.items, compare_findings);
    job_stop(job); /* nothing runs, but urls are freed */
    job_free(job);
    preflight->num_running--;
    deferred_start(preflight->options.loop, &preflight->advance);
    run->job = NULL;
    run->done(run, &findings);
    findings_cleanup(&findings);
}

void preflight_job_ended_one(struct preflight_job *job)
{
    if (--job->num_pending == 0)
        job_end(job);
}

/* ---- addresses ---- */

bool preflight_may_contact(const struct preflight *preflight, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    return preflight->options.contact_local || !name_is_local(slice_str(address_ip_text(address, text)));
}

static void job_take_address(struct preflight_job *job, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    buf_printf(&job->addresses, "%s%s", job->addresses.len ? ", " : "", address_ip_text(address, text));
    if (!preflight_may_contact(job->preflight, address)) {
        preflight_say_local(job, address);
        return;
    }
    if (!job->question.http || job->num_fetches == PREFLIGHT_ADDRESSES)
        return;
    job->num_pending++;
    preflight_fetch_start(&job->fetches[job->num_fetches++], job, address);
}

static void job_resolved(struct preflight_job *job, const struct dns_answer *answer)
{
    for (size_t i = 0; answer->addresses && i < answer->num; i++)
        job_take_address(job, &answer->addresses[i]);
    if (!job->query_a.lookup && !job->query_aaaa.lookup) /* both are there */
        preflight_say_resolved(job);
    preflight_job_ended_one(job);
}

static void job_resolved_a(struct dns_query *query, const struct dns_answer *answer)
{
    struct preflight_job *job = container_of(query, struct preflight_job, query_a);
    job->status_a = answer->status;
    job_resolved(job, answer);
}

static void job_resolved_aaaa(struct dns_query *query, const struct dns_answer *answer)
{
    struct preflight_job *job = container_of(query, struct preflight_job, query_aaaa);
    job->status_aaaa = answer->status;
    job_resolved(job, answer);
}

/* ---- CAA, from the name upwards (RFC 8659 §3) ---- */

static void job_ask_caa(struct preflight_job *job)
{
    dns_ask(job->preflight->options.dns, job->caa_name, DNS_CAA, &job->query_caa);
}

static void job_caa_answered(struct dns_query *query, const struct dns_answer *answer)
{
    struct preflight_job *job = container_of(query, struct preflight_job, query_caa);
    if (answer->status == DNS_NODATA || answer->status == DNS_NXDOMAIN) {
        slice_split(&job->caa_name, '.');
        if (job->caa_name.len) {
            job_ask_caa(job);
            return;
        }
        answer = NULL;
    }
    preflight_say_caa(job, answer);
    preflight_job_ended_one(job);
}

/* ---- questions ---- */

static void job_begin(struct preflight_job *job)
{
    struct dns *dns = job->preflight->options.dns;
    struct slice name = job->question.name;
    struct address address;
    job->num_pending = 1; /* this function */
    if (address_parse_ip(name, 0, &address)) {
        job_take_address(job, &address);
        preflight_job_ended_one(job);
        return;
    }
    if (!job->wildcard) {
        job->num_pending += 2;
        dns_ask(dns, name, DNS_A, &job->query_a);
        dns_ask(dns, name, DNS_AAAA, &job->query_aaaa);
    }
    job->num_pending++;
    job_ask_caa(job);
    preflight_job_ended_one(job);
}

static void preflight_advance(struct deferred *deferred)
{
    struct preflight *preflight = container_of(deferred, struct preflight, advance);
    struct list *node;
    while (preflight->num_running < PREFLIGHT_RUNNING && (node = list_first(&preflight->waiting))) {
        list_remove(node);
        list_append(&preflight->running, node);
        preflight->num_running++;
        job_begin(container_of(node, struct preflight_job, node));
    }
}

/* A token like a CA's: 43 characters of base64url. */
static void job_make_token(struct preflight_job *job)
{
    struct buf token = {0};
    uint8_t bytes[32];
    random_take(&job->preflight->random, bytes, sizeof bytes);
    b64url_encode(&token, slice_make(bytes, sizeof bytes));
    memcpy(job->token, token.ptr, PREFLIGHT_TOKEN_BYTES);
    buf_cleanup(&token);
}

static struct preflight_question question_copy(struct arena *arena, const struct preflight_question *from)
{
    struct preflight_question question = *from;
    if (question.num_identities > PREFLIGHT_IDENTITIES)
        question.num_identities = PREFLIGHT_IDENTITIES;
    struct slice *identities = arena_calloc(arena, PREFLIGHT_IDENTITIES, sizeof *identities);
    for (size_t i = 0; i < question.num_identities; i++)
        identities[i] = arena_copy(arena, from->identities[i]);
    question.identities = identities;
    question.name = arena_copy(arena, from->name);
    question.thumbprint = arena_copy(arena, from->thumbprint);
    question.account_url = arena_copy(arena, from->account_url);
    question.method = arena_copy(arena, from->method);
    return question;
}

void preflight_start(struct preflight *preflight, const struct preflight_question *question, struct preflight_run *run)
{
    struct preflight_job *job = MEM_NEW(struct preflight_job);
    job->preflight = preflight;
    job->run = run;
    job->question = question_copy(&job->findings.arena, question);
    job->wildcard = slice_starts(job->question.name, SLICE_LIT("*."));
    job->caa_name = job->wildcard ? slice_skip(job->question.name, 2) : job->question.name;
    job->query_a.done = job_resolved_a;
    job->query_aaaa.done = job_resolved_aaaa;
    job->query_caa.done = job_caa_answered;
    job_make_token(job);
    run->job = job;
    list_append(&preflight->waiting, &job->node);
    deferred_start(preflight->options.loop, &preflight->advance);
}

void preflight_cancel(struct preflight_run *run)
{
    struct preflight_job *job = run->job;
    if (!job)
        return;
    run->job = NULL;
    if (job->num_pending) {
        job->preflight->num_running--;
        deferred_start(job->preflight->options.loop, &job->preflight->advance);
    }
    job_stop(job);
    job_free(job);
}

/* ---- life ---- */

struct preflight *preflight_new(const struct preflight_options *options)
{
    struct preflight *preflight = MEM_NEW(struct preflight);
    preflight->options = *options;
    if (!preflight->options.probe_ms)
        preflight->options.probe_ms = PROBE_MS;
    if (!preflight->options.http_port)
        preflight->options.http_port = 80;
    if (!preflight->options.https_port)
        preflight->options.https_port = 443;
    buf_printf(&preflight->user_agent, "portico/%s (preflight)", options->version);
    preflight->client = probe_client_new(options->loop);
    list_init(&preflight->waiting);
    list_init(&preflight->running);
    deferred_init(&preflight->advance, preflight_advance);
    return preflight;
}

static void preflight_bury(struct grave *grave)
{
    struct preflight *preflight = container_of(grave, struct preflight, grave);
    buf_cleanup(&preflight->user_agent);
    mem_free(preflight);
}

void preflight_free(struct preflight *preflight)
{
    struct list *node;
    if (!preflight)
        return;
    while ((node = list_first(&preflight->waiting)) || (node = list_first(&preflight->running)))
        preflight_cancel(container_of(node, struct preflight_job, node)->run);
    deferred_stop(&preflight->advance);
    probe_client_close(preflight->client);
    graveyard_bury(&preflight->options.loop->graveyard, &preflight->grave, preflight_bury);
}
