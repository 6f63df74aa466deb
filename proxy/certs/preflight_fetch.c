#include "certs/preflight_internal.h"

#include <errno.h>

#include "base/b64url.h"

static void fetch_send(struct preflight_fetch *fetch);

/* ---- the end ---- */

static void fetch_end(struct preflight_fetch *fetch, enum fetch_verdict verdict, const struct probe_answer *answer)
{
    static const struct probe_answer none = {0};
    struct preflight_job *job = fetch->job;
    preflight_say_fetched(fetch, verdict, answer ? answer : &none);
    preflight_fetch_stop(fetch);
    preflight_job_ended_one(job);
}

void preflight_fetch_stop(struct preflight_fetch *fetch)
{
    probe_cancel(&fetch->probe);
    dns_cancel(&fetch->query);
    buf_cleanup(&fetch->url);
}

/* ---- what was answered ---- */

static struct slice without_end(struct slice body)
{
    while (body.len &&
           (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r' || body.ptr[body.len - 1] == ' '))
        body.len--;
    return body;
}

static enum fetch_verdict judge_answer(const struct preflight_job *job, const struct probe_answer *answer)
{
    struct slice body = without_end(answer->body), token = slice_str(job->token), ours = job->question.thumbprint;
    if (answer->status != 200 || !slice_starts(body, token) || body.len == token.len || body.ptr[token.len] != '.')
        return FETCH_OTHER; /* ACME-71 */
    struct slice thumbprint = slice_skip(body, token.len + 1);
    if (thumbprint.len != PREFLIGHT_TOKEN_BYTES || !b64url_valid(thumbprint))
        return FETCH_OTHER;
    if (ours.len == 0)
        return FETCH_ANY_ACCOUNT;
    return slice_eq(thumbprint, ours) ? FETCH_OURS : FETCH_FOREIGN;
}

static bool is_no_route(struct err err)
{
    return err.kind == ERR_SYSTEM && (err.code == ENETUNREACH || err.code == EHOSTUNREACH || err.code == EAFNOSUPPORT ||
                                      err.code == EADDRNOTAVAIL);
}

/* ---- redirects ---- */

static bool has_scheme(struct slice location)
{
    struct slice scheme = slice_split(&location, ':');
    return location.ptr && scheme.len && !memchr(scheme.ptr, '/', scheme.len) && !memchr(scheme.ptr, '?', scheme.len);
}

/* The URL that a Location means (RFC 3986 §5.2, as far as servers use it); without a fragment. */
static void resolve_location(const struct url *base, struct slice location, struct buf *out)
{
    struct slice target = base->target;
    location = slice_split(&location, '#');
    if (location.len && location.ptr[0] == '/' && !slice_starts(location, SLICE_LIT("//"))) {
        buf_append_str(out, base->https ? "https://" : "http://");
        buf_append_slice(out, base->authority);
    } else if (slice_starts(location, SLICE_LIT("//"))) {
        buf_append_str(out, base->https ? "https:" : "http:");
    } else if (!has_scheme(location)) {
        while (target.len && target.ptr[target.len - 1] != '/')
            target.len--;
        buf_append_str(out, base->https ? "https://" : "http://");
        buf_append_slice(out, base->authority);
        buf_append_slice(out, target);
    }
    buf_append_slice(out, location);
}

/* ACME-72: to 80 and 443 alone. */
static bool may_follow(const struct preflight *preflight, const struct url *url)
{
    return url->port == preflight->options.http_port || url->port == preflight->options.https_port;
}

static void fetch_go_to(struct preflight_fetch *fetch, const struct address *address)
{
    struct url url;
    struct err err = url_parse(buf_slice(&fetch->url), &url);
    if (err_is(err) || !preflight_may_contact(fetch->job->preflight, address)) {
        fetch_end(fetch, FETCH_REDIRECT_LOST, NULL);
        return;
    }
    fetch->at = *address;
    address_set_port(&fetch->at, url.port);
    fetch_send(fetch);
}

/* Of the host of a redirect: the first address, IPv6 before IPv4 (ACME-73). */
static void fetch_resolved(struct dns_query *query, const struct dns_answer *answer)
{
    struct preflight_fetch *fetch = container_of(query, struct preflight_fetch, query);
    struct url url;
    if (answer->status == DNS_FOUND) {
        fetch_go_to(fetch, &answer->addresses[0]);
    } else if (fetch->asked == DNS_AAAA && !err_is(url_parse(buf_slice(&fetch->url), &url))) {
        fetch->asked = DNS_A;
        dns_ask(fetch->job->preflight->options.dns, url.host, DNS_A, &fetch->query);
    } else {
        fetch_end(fetch, FETCH_REDIRECT_LOST, NULL);
    }
}

static void fetch_follow(struct preflight_fetch *fetch, const struct probe_answer *answer)
{
    const struct preflight *preflight = fetch->job->preflight;
    struct url from, to;
    struct buf next = {0};
    struct address literal;
    struct err err = url_parse(buf_slice(&fetch->url), &from);
    if (!err_is(err)) {
        resolve_location(&from, answer->location, &next);
        err = url_parse(buf_slice(&next), &to);
    }
    if (err_is(err) || !may_follow(preflight, &to)) {
        buf_cleanup(&next);
        fetch_end(fetch, FETCH_REDIRECT_REFUSED, answer);
        return;
    }
    bool same_host = slice_ieq(from.host, to.host);
    if (++fetch->num_redirects > PREFLIGHT_REDIRECTS || slice_eq(buf_slice(&next), buf_slice(&fetch->url))) {
        buf_cleanup(&next);
        fetch_end(fetch, FETCH_REDIRECT_LOOP, answer);
        return;
    }
    buf_cleanup(&fetch->url);
    fetch->url = next;
    if (same_host) {
        fetch_go_to(fetch, &fetch->at);
    } else if (address_parse_ip(to.host, to.port, &literal)) {
        fetch_go_to(fetch, &literal);
    } else {
        fetch->asked = DNS_AAAA;
        dns_ask(preflight->options.dns, to.host, DNS_AAAA, &fetch->query);
    }
}

/* ---- asking ---- */

static void fetch_answered(struct probe *probe, const struct probe_answer *answer)
{
    struct preflight_fetch *fetch = container_of(probe, struct preflight_fetch, probe);
    bool redirect = answer->status / 100 == 3 && answer->location.len;
    if (redirect)
        fetch_follow(fetch, answer);
    else if (answer->status)
        fetch_end(fetch, judge_answer(fetch->job, answer), answer);
    else
        fetch_end(fetch, is_no_route(answer->err) ? FETCH_NO_ROUTE : FETCH_UNREACHABLE, answer);
}

static void fetch_send(struct preflight_fetch *fetch)
{
    struct preflight *preflight = fetch->job->preflight;
    struct url url;
    if (err_is(url_parse(buf_slice(&fetch->url), &url))) { /* was parsed before, or is of our making */
        fetch_end(fetch, FETCH_REDIRECT_REFUSED, NULL);
        return;
    }
    struct probe_target target = {.address = &fetch->at,
                                  .secure = url.https,
                                  .host = url.host,
                                  .authority = url.authority,
                                  .target = url.target,
                                  .user_agent = buf_slice(&preflight->user_agent)};
    probe_send(preflight->client, &target, preflight->options.probe_ms, &fetch->probe);
}

void preflight_fetch_start(struct preflight_fetch *fetch, struct preflight_job *job, const struct address *address)
{
    struct slice name = job->question.name;
    bool literal = memchr(name.ptr, ':', name.len) != NULL;
    uint16_t port = job->preflight->options.http_port;
    *fetch = (struct preflight_fetch){.job = job, .address = *address, .at = *address};
    fetch->probe.done = fetch_answered;
    fetch->query.done = fetch_resolved;
    address_set_port(&fetch->at, port);
    buf_printf(&fetch->url, literal ? "http://[%.*s]" : "http://%.*s", (int)name.len, name.ptr);
    if (port != 80)
        buf_printf(&fetch->url, ":%u", port);
    buf_printf(&fetch->url, "/.well-known/acme-challenge/%s", job->token);
    fetch_send(fetch);
}
