#include "certs/preflight_internal.h"

#include <errno.h>

enum { WORDS_BODY_BYTES = 60, WORDS_URL_BYTES = 200 };

static const char dns_check[] = "dns", http_check[] = "port 80", caa_check[] = "caa";

/* "%.*s" of a slice. */
#define TEXT(slice) (int)(slice).len, (slice).len ? (slice).ptr : ""

static struct finding *add(struct preflight_job *job, const char *check, const char *kind, enum finding_level level)
{
    struct finding *finding = findings_add(&job->findings, check, kind, level);
    finding->subject = job->question.name;
    return finding;
}

/* ---- what the name resolves to ---- */

static const char *dns_cure(enum dns_status status)
{
    if (status == DNS_SERVFAIL)
        return "look at the zone's DNS servers and at its DNSSEC: the CA's resolver most likely fails as well";
    return "look at the network and the DNS servers of this machine (/etc/resolv.conf): the CA uses its own, so that "
           "this "
           "says nothing of what it will find";
}

static bool is_absent(enum dns_status status)
{
    return status == DNS_NODATA || status == DNS_NXDOMAIN;
}

static void say_lookup_failed(struct preflight_job *job, const char *type, enum dns_status status)
{
    struct finding *finding = add(job, dns_check, "dns-failed", status == DNS_SERVFAIL ? FINDING_FAIL : FINDING_WARN);
    finding->sentence = arena_printf(&job->findings.arena, "the %s record of %.*s %s", type, TEXT(job->question.name),
                                     dns_status_text(status));
    finding->cure = slice_str(dns_cure(status));
}

void preflight_say_resolved(struct preflight_job *job)
{
    struct arena *arena = &job->findings.arena;
    struct slice name = job->question.name;
    bool a_failed = job->status_a != DNS_FOUND && !is_absent(job->status_a);
    bool aaaa_failed = job->status_aaaa != DNS_FOUND && !is_absent(job->status_aaaa);
    if (a_failed)
        say_lookup_failed(job, "A", job->status_a);
    if (aaaa_failed)
        say_lookup_failed(job, "AAAA", job->status_aaaa);
    if (job->addresses.len) {
        struct finding *finding = add(job, dns_check, "resolves", FINDING_OK);
        finding->sentence = arena_printf(arena, "%.*s resolves to %s", TEXT(name), buf_cstr(&job->addresses));
    } else if (!a_failed && !aaaa_failed) {
        struct finding *finding = add(job, dns_check, "not-resolving", FINDING_FAIL);
        finding->sentence = job->status_a == DNS_NXDOMAIN
                                ? arena_printf(arena, "%.*s %s", TEXT(name), dns_status_text(DNS_NXDOMAIN))
                                : arena_printf(arena, "%.*s has neither an A nor an AAAA record", TEXT(name));
        finding->cure = arena_printf(
            arena, "add an A record for %.*s that holds the public address of this machine, and AAAA where it has IPv6",
            TEXT(name));
    }
}

void preflight_say_local(struct preflight_job *job, const struct address *address)
{
    char text[ADDRESS_TEXT_BYTES];
    struct arena *arena = &job->findings.arena;
    bool private_ca = job->question.private_ca;
    struct finding *finding = add(job, dns_check, "address-local", private_ca ? FINDING_WARN : FINDING_FAIL);
    finding->address = arena_copy(arena, slice_str(address_ip_text(address, text)));
    finding->sentence = arena_printf(arena, "%s is not an address of the internet%s", text,
                                     private_ca ? ", and was not contacted: the CA has to reach it"
                                                : ", and no public CA can reach it");
    if (!private_ca)
        finding->cure =
            slice_str("point the name at this machine's public address; where DNS here differs from the public "
                      "one, look at that: the CA does");
}

/* ---- what answers on port 80 ---- */

static const char *unreachable_kind(const struct probe_answer *answer)
{
    bool refused = answer->err.kind == ERR_SYSTEM && answer->err.code == ECONNREFUSED;
    return refused ? "refused" : answer->err.kind == ERR_TIMEOUT ? "timeout" : "no-answer";
}

static const char *fetch_kind(enum fetch_verdict verdict, const struct probe_answer *answer)
{
    switch (verdict) {
    case FETCH_OURS:
    case FETCH_ANY_ACCOUNT: return "answers";
    case FETCH_FOREIGN: return "foreign-account";
    case FETCH_OTHER: return "other-server";
    case FETCH_UNREACHABLE: return unreachable_kind(answer);
    case FETCH_NO_ROUTE: return "no-route";
    case FETCH_REDIRECT_LOOP: return "redirect-loop";
    case FETCH_REDIRECT_REFUSED:
    case FETCH_REDIRECT_LOST: return "redirect-astray";
    }
    return "";
}

static enum finding_level fetch_level(enum fetch_verdict verdict)
{
    if (verdict == FETCH_OURS || verdict == FETCH_ANY_ACCOUNT)
        return FINDING_OK;
    return verdict == FETCH_NO_ROUTE ? FINDING_WARN : FINDING_FAIL;
}

static struct slice why_unreachable(struct arena *arena, const struct probe_answer *answer)
{
    char text[160];
    bool timeout = answer->err.kind == ERR_TIMEOUT;
    if (answer->opened)
        return timeout ? SLICE_LIT("takes the connection and does not answer")
                       : arena_printf(arena, "takes the connection and does not answer in HTTP (%s)",
                                      err_text(answer->err, text, sizeof text));
    if (timeout)
        return SLICE_LIT("does not answer: packets are lost on the way");
    return arena_printf(arena, "cannot be reached (%s)", err_text(answer->err, text, sizeof text));
}

static struct slice fetch_sentence(const struct preflight_fetch *fetch, enum fetch_verdict verdict,
                                   const struct probe_answer *answer, const struct finding *finding)
{
    struct arena *arena = &fetch->job->findings.arena;
    struct slice at = arena_printf(arena, "%.*s port 80", TEXT(finding->address));
    struct slice url = finding_quote(arena, buf_slice(&fetch->url), WORDS_URL_BYTES);
    struct slice location = finding_quote(arena, answer->location, WORDS_URL_BYTES), why;
    if (fetch->num_redirects)
        at = arena_printf(arena, "%.*s, behind a redirect to %.*s,", TEXT(at), TEXT(url));
    switch (verdict) {
    case FETCH_OURS: return arena_printf(arena, "%.*s answers as the CA wants it", TEXT(at));
    case FETCH_ANY_ACCOUNT:
        return arena_printf(arena, "%.*s answers a challenge; which account's answer it should be is not known here",
                            TEXT(at));
    case FETCH_FOREIGN:
        return arena_printf(arena, "%.*s is answered by another ACME client or replica, with another account",
                            TEXT(at));
    case FETCH_OTHER:
        return arena_printf(arena, "%.*s answers %u \"%.*s\" instead of the challenge's answer", TEXT(at),
                            answer->status, TEXT(slice_first(finding->body, WORDS_BODY_BYTES)));
    case FETCH_UNREACHABLE:
        why = why_unreachable(arena, answer);
        return arena_printf(arena, "%.*s %.*s", TEXT(at), TEXT(why));
    case FETCH_NO_ROUTE:
        return arena_printf(arena, "%.*s was not looked at: this machine has no route to it", TEXT(at));
    case FETCH_REDIRECT_LOOP:
        return arena_printf(arena, "%.*s port 80 redirects in a loop (%u times, at last to %.*s)",
                            TEXT(finding->address), fetch->num_redirects, TEXT(location));
    case FETCH_REDIRECT_REFUSED:
        return arena_printf(arena, "%.*s redirects to %.*s, where no CA follows", TEXT(at), TEXT(location));
    case FETCH_REDIRECT_LOST:
        return arena_printf(arena, "%.*s port 80 redirects to %.*s, whose host has no public address",
                            TEXT(finding->address), TEXT(url));
    }
    return SLICE_NONE;
}

static const char *unreachable_cure(const char *kind)
{
    if (strcmp(kind, "refused") == 0)
        return "let port 80 of that address lead to Portico: publish it where it runs in a container, forward it where "
               "a router "
               "is in front";
    return "open port 80 in the firewalls on the way and forward it to Portico; a router that does not lead its own "
           "network "
           "back to itself looks the same from here";
}

static const char *fetch_cure(const struct preflight_fetch *fetch, enum fetch_verdict verdict, const char *kind)
{
    bool v6 = fetch->address.at.any.sa_family == AF_INET6;
    switch (verdict) {
    case FETCH_OURS:
    case FETCH_ANY_ACCOUNT: return "";
    case FETCH_FOREIGN:
        return "let port 80 lead to this Portico alone; replicas share an account by PORTICO_ACME_ACCOUNT_KEY";
    case FETCH_OTHER:
        return v6 ? "correct the AAAA record, or remove it: the CA tries IPv6 first, and goes no further where "
                    "something "
                    "answers there"
                  : "let that address lead to Portico, or let the server that has port 80 there pass "
                    "/.well-known/acme-challenge/ on to it";
    case FETCH_UNREACHABLE:
        return v6 ? "let port 80 of that address lead to Portico, or remove the AAAA record: the CA tries IPv6 first"
                  : unreachable_cure(kind);
    case FETCH_NO_ROUTE:
        return v6 ? "make sure that it leads here, or remove the AAAA record: the CA tries IPv6 first"
                  : "look at the routes of this machine";
    case FETCH_REDIRECT_LOOP:
        return "except /.well-known/acme-challenge/ from the redirects of what stands in front of Portico (a CDN that "
               "asks the "
               "origin over plain HTTP and redirects to HTTPS does this)";
    case FETCH_REDIRECT_REFUSED:
    case FETCH_REDIRECT_LOST:
        return "except /.well-known/acme-challenge/ from the redirects of what stands in front of Portico: CAs follow "
               "them to "
               "public addresses alone, by http and https on ports 80 and 443";
    }
    return "";
}

void preflight_say_fetched(const struct preflight_fetch *fetch, enum fetch_verdict verdict,
                           const struct probe_answer *answer)
{
    char text[ADDRESS_TEXT_BYTES];
    struct preflight_job *job = fetch->job;
    struct arena *arena = &job->findings.arena;
    struct finding *finding = add(job, http_check, fetch_kind(verdict, answer), fetch_level(verdict));
    finding->address = arena_copy(arena, slice_str(address_ip_text(&fetch->address, text)));
    finding->status = answer->status;
    finding->body = finding_quote(arena, answer->body, PROBE_BODY_BYTES);
    finding->sentence = fetch_sentence(fetch, verdict, answer, finding);
    bool down = job->question.not_running && finding->level == FINDING_FAIL;
    finding->cure =
        arena_printf(arena, "%s%s", down ? "Portico is not running here: start it and look again; then " : "",
                     fetch_cure(fetch, verdict, finding->kind));
}

/* ---- CAA ---- */

static struct slice write_records(struct arena *arena, const struct dns_answer *answer)
{
    struct buf text = {0};
    for (size_t i = 0; i < answer->num; i++) {
        if (i)
            buf_append_str(&text, ", ");
        caa_write(&text, &answer->caa[i]);
    }
    struct slice quoted = finding_quote(arena, buf_slice(&text), 400);
    buf_cleanup(&text);
    return quoted;
}

static const char *caa_reason(enum caa_verdict verdict)
{
    switch (verdict) {
    case CAA_ALLOWED: return "lets the CA issue";
    case CAA_FORBIDS_CA: return "does not let this CA issue";
    case CAA_FORBIDS_ACCOUNT: return "lets this CA issue, but not for this account";
    case CAA_FORBIDS_METHOD: return "lets this CA issue, but not after the validation that is configured";
    case CAA_CRITICAL: return "holds a critical property that CAs do not know, so that none issues";
    case CAA_UNDECIDED: return "was found; whether it lets this CA issue cannot be told from here";
    }
    return "";
}

static enum finding_level caa_level(const struct preflight_job *job, enum caa_verdict verdict)
{
    if (verdict == CAA_ALLOWED || (verdict == CAA_UNDECIDED && job->question.private_ca))
        return FINDING_OK;
    return verdict == CAA_UNDECIDED ? FINDING_WARN : FINDING_FAIL;
}

static void say_caa_found(struct preflight_job *job, const struct dns_answer *answer)
{
    const struct preflight_question *asked = &job->question;
    struct arena *arena = &job->findings.arena;
    struct caa_question question = {.identities = asked->identities,
                                    .num_identities = asked->num_identities,
                                    .account_url = asked->account_url,
                                    .method = asked->method,
                                    .wildcard = job->wildcard};
    enum caa_verdict verdict = caa_judge(answer->caa, answer->num, &question);
    struct slice records = write_records(arena, answer);
    struct finding *finding = add(job, caa_check,
                                  verdict == CAA_ALLOWED     ? "caa-allows"
                                  : verdict == CAA_UNDECIDED ? "caa-unclear"
                                                             : "caa-forbids",
                                  caa_level(job, verdict));
    finding->sentence =
        arena_printf(arena, "CAA of %.*s (%.*s) %s", TEXT(job->caa_name), TEXT(records), caa_reason(verdict));
    if (finding->level == FINDING_FAIL)
        finding->cure =
            arena_printf(arena, "add to the zone: %.*s. CAA 0 %s \"%.*s\"; `portico dns` prints the whole record",
                         TEXT(job->caa_name), job->wildcard ? "issuewild" : "issue",
                         TEXT(asked->num_identities ? asked->identities[0] : SLICE_LIT("the CA's name")));
}

void preflight_say_caa(struct preflight_job *job, const struct dns_answer *answer)
{
    struct arena *arena = &job->findings.arena;
    if (!answer) {
        struct finding *finding = add(job, caa_check, "caa-none", FINDING_OK);
        finding->sentence = SLICE_LIT("no CAA record: every CA may issue");
    } else if (answer->status == DNS_FOUND) {
        say_caa_found(job, answer);
    } else {
        bool servfail = answer->status == DNS_SERVFAIL; /* Baseline Requirements, 3.2.2.8 */
        struct finding *finding = add(job, caa_check, "caa-failed", servfail ? FINDING_FAIL : FINDING_WARN);
        finding->sentence =
            arena_printf(arena, "CAA of %.*s %s%s", TEXT(job->caa_name), dns_status_text(answer->status),
                         servfail ? ", and a CA that finds the same does not issue" : "");
        finding->cure = slice_str(dns_cure(answer->status));
    }
}
