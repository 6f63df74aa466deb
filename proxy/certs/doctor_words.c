#include "certs/doctor_internal.h"

/* "%.*s" of a slice. */
#define TEXT(slice) (int)(slice).len, (slice).len ? (slice).ptr : ""

static struct finding *add(struct doctor *doctor, const char *check, const char *kind, enum finding_level level,
                           struct slice subject)
{
    struct finding *finding = findings_add(&doctor->findings, check, kind, level);
    finding->subject = subject;
    return finding;
}

/* ---- the account ---- */

static void say_account(struct doctor *doctor, const struct issuer_look *issuer)
{
    struct arena *arena = &doctor->findings.arena;
    struct slice url = buf_slice(&issuer->account_url);
    if (issuer->account == STORE_OK && url.len) {
        struct finding *finding = add(doctor, "account", "account-known", FINDING_OK, issuer->url);
        finding->sentence = arena_printf(arena, "the account at the CA is %.*s", TEXT(url));
    } else if (issuer->account == STORE_OK || issuer->account == STORE_NOT_FOUND) {
        struct finding *finding = add(doctor, "account", "account-none", FINDING_OK, issuer->url);
        finding->sentence = SLICE_LIT("there is no account at the CA yet: it is made with the first order");
    } else {
        struct finding *finding = add(doctor, "account", "account-unreadable", FINDING_FAIL, issuer->url);
        finding->sentence =
            arena_printf(arena, "the account's record cannot be read (%s), and nothing is ordered without it",
                         store_result_text(issuer->account));
        finding->cure =
            SLICE_LIT("run this as the user of the service; look at PORTICO_STORAGE_KEY, and at the modes below "
                      "PORTICO_STORAGE");
    }
}

/* ---- the CA ---- */

static const char *unreachable_cure(struct slice detail)
{
    static const struct {
        const char *word, *cure;
    } cures[] = {
        {"not yet valid", "set this machine's clock: by it, the CA's certificate is not valid yet"},
        {"expired", "look at this machine's clock first: by it, the CA's certificate has expired"},
        {"PORTICO_ACME_CA_FILE", "see whether PORTICO_ACME_DIRECTORY is the CA that is meant"},
        {"resolve", "look at PORTICO_ACME_DIRECTORY, and at the DNS servers of this machine (/etc/resolv.conf)"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof cures[0]; i++)
        if (detail.len && memmem(detail.ptr, detail.len, cures[i].word, strlen(cures[i].word)))
            return cures[i].cure;
    return "look at PORTICO_ACME_DIRECTORY, and at what lies between: firewalls for outgoing connections, HTTPS_PROXY";
}

static void say_unreachable(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply)
{
    struct arena *arena = &doctor->findings.arena;
    struct finding *finding = add(doctor, "ca", "ca-unreachable", FINDING_FAIL, issuer->url);
    finding->sentence =
        arena_printf(arena, "the CA cannot be reached: %s", reply->detail ? reply->detail : reply->err.what);
    finding->cure = slice_str(unreachable_cure(finding->sentence));
}

static void say_no_directory(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply)
{
    struct arena *arena = &doctor->findings.arena;
    struct finding *finding = add(doctor, "ca", "ca-no-directory", FINDING_FAIL, issuer->url);
    finding->status = (unsigned)reply->status;
    finding->body = finding_quote(arena, reply->body, 200);
    finding->sentence = reply->status == 200
                            ? arena_printf(arena, "%.*s is %s", TEXT(issuer->url), issuer->directory_err.what)
                            : arena_printf(arena, "%.*s answers %d", TEXT(issuer->url), reply->status);
    finding->cure =
        reply->status / 100 == 5
            ? SLICE_LIT("the CA has trouble of its own: it is asked again by itself")
            : SLICE_LIT("PORTICO_ACME_DIRECTORY takes the URL of the CA's directory, as its documentation has it");
}

static void say_clock(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply)
{
    struct arena *arena = &doctor->findings.arena;
    int64_t theirs_s, now_ms = doctor->options.clock->wall_ms(doctor->options.clock);
    if (!reply->date.ptr || !clock_parse_http_date(reply->date, &theirs_s))
        return;
    int64_t ahead_s = now_ms / 1000 - theirs_s, off_s = ahead_s < 0 ? -ahead_s : ahead_s;
    bool odd = off_s * 1000 > DOCTOR_SKEW_MS, invalid = off_s * 1000 > DOCTOR_INVALID_MS;
    struct finding *finding = add(doctor, "clock", odd ? "clock-off" : "clock",
                                  invalid ? FINDING_FAIL
                                  : odd   ? FINDING_WARN
                                          : FINDING_OK,
                                  issuer->url);
    if (!odd) {
        finding->sentence = SLICE_LIT("this machine's clock agrees with the CA's");
        return;
    }
    finding->sentence = arena_printf(arena, "this machine's clock is %lld s %s the CA's", (long long)off_s,
                                     ahead_s > 0 ? "ahead of" : "behind");
    finding->cure =
        SLICE_LIT("set it, and keep it set by NTP (timedatectl set-ntp true; on a virtual machine, the host's): "
                  "with a wrong clock new certificates look invalid, and valid ones are renewed at the wrong time");
}

static void say_terms(struct doctor *doctor, const struct issuer_look *issuer)
{
    struct arena *arena = &doctor->findings.arena;
    struct slice terms = issuer->directory.terms_url;
    bool accepted = doctor->options.config->acme.accept_terms;
    if (!terms.ptr)
        return;
    struct finding *finding = add(doctor, "terms", accepted ? "terms-accepted" : "terms-not-accepted",
                                  accepted ? FINDING_OK : FINDING_FAIL, issuer->url);
    struct slice quoted = finding_quote(arena, terms, 200);
    finding->sentence = accepted ? SLICE_LIT("the CA's terms of service are accepted")
                                 : arena_printf(arena,
                                                "the CA's terms of service are not accepted (%.*s), and it makes no "
                                                "account without",
                                                TEXT(quoted));
    if (!accepted)
        finding->cure = SLICE_LIT("read them, then set PORTICO_ACME_ACCEPT_TERMS=true");
}

/* A failure that concerns the account is every name's: the first will do. */
static struct slice account_problem(const struct doctor *doctor)
{
    for (size_t i = 0; i < doctor->num_names; i++)
        if (slice_eq(doctor->names[i].known.problem_class, slice_str(problem_class_name(PROBLEM_ACCOUNT))))
            return doctor->names[i].known.problem_sentence;
    return SLICE_NONE;
}

static void say_binding(struct doctor *doctor, const struct issuer_look *issuer)
{
    struct arena *arena = &doctor->findings.arena;
    struct slice problem = account_problem(doctor);
    bool given = issuer->eab_kid.len > 0, known = issuer->account_url.len > 0;
    struct slice url = issuer->url;
    if (!issuer->directory.external_account_required && !given)
        return;
    if (!given) {
        struct finding *finding = add(doctor, "eab", "eab-missing", FINDING_FAIL, url);
        finding->sentence =
            SLICE_LIT("the CA makes accounts for its customers alone (external account binding), and no "
                      "binding is set");
        finding->cure =
            SLICE_LIT("get a key identifier and an HMAC key on the CA's pages, and set PORTICO_ACME_EAB_KID and "
                      "PORTICO_ACME_EAB_HMAC_KEY");
    } else if (known) {
        struct finding *finding = add(doctor, "eab", "eab", FINDING_OK, url);
        finding->sentence = SLICE_LIT("the account is there, so that its external binding was taken");
    } else if (problem.len) {
        struct finding *finding = add(doctor, "eab", "eab-refused", FINDING_FAIL, url);
        finding->sentence =
            arena_printf(arena, "the CA refused the account with its external binding: %.*s", TEXT(problem));
        finding->cure =
            SLICE_LIT("copy PORTICO_ACME_EAB_KID and PORTICO_ACME_EAB_HMAC_KEY anew from the CA's pages, both of "
                      "one pair; some CAs take each pair once, and for a while");
    } else {
        struct finding *finding = add(doctor, "eab", "eab-untried", FINDING_OK, url);
        finding->sentence = SLICE_LIT("an external account binding is set, and has not been tried yet");
    }
}

static void say_directory(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply)
{
    bool is_one = issuer->directory.new_order.ptr != NULL;
    if (is_one) {
        struct finding *finding = add(doctor, "ca", "ca", FINDING_OK, issuer->url);
        finding->sentence = arena_printf(&doctor->findings.arena, "the CA answers at %.*s", TEXT(issuer->url));
    } else {
        say_no_directory(doctor, issuer, reply);
    }
    say_clock(doctor, issuer, reply);
    if (!is_one)
        return;
    say_terms(doctor, issuer);
    say_binding(doctor, issuer);
}

void doctor_say_issuer(struct doctor *doctor, const struct issuer_look *issuer, const struct acme_reply *reply)
{
    say_account(doctor, issuer);
    if (err_is(reply->err))
        say_unreachable(doctor, issuer, reply);
    else
        say_directory(doctor, issuer, reply);
}

/* ---- names ---- */

static struct finding *add_to_name(struct doctor_name *name, const char *check, const char *kind,
                                   enum finding_level level)
{
    struct finding *finding = findings_add(&name->findings, check, kind, level);
    finding->subject = name->text;
    return finding;
}

static void say_not_configured(struct doctor_name *name)
{
    struct finding *finding = add_to_name(name, "certificate", "not-configured", FINDING_FAIL);
    finding->sentence =
        arena_printf(&name->findings.arena, "PORTICO_DOMAINS does not have %.*s, so that nothing is ordered for it",
                     TEXT(name->text));
    finding->cure = SLICE_LIT("add it to PORTICO_DOMAINS, or see whether it is spelt as there");
}

static void say_not_ordered(struct doctor_name *name)
{
    struct finding *finding = add_to_name(name, "certificate", "not-ordered", FINDING_OK);
    bool own = name->config->issuer == CONFIG_ISSUER_OWN;
    finding->sentence = arena_printf(&name->findings.arena, "%.*s gets its certificate %s: no CA is asked",
                                     TEXT(name->text), own ? "of one's own" : "from the local CA");
}

static bool serves_issued(const struct doctor_name *name)
{
    const struct clock *clock = name->doctor->options.clock;
    return slice_eq(name->known.source, SLICE_LIT("issued")) && name->known.not_after_s > clock->wall_ms(clock) / 1000;
}

static void say_problem(struct doctor_name *name)
{
    char next[CLOCK_TEXT_BYTES];
    struct arena *arena = &name->findings.arena;
    const struct doctor_known *known = &name->known;
    struct finding *finding =
        add_to_name(name, "certificate", "order-failed", serves_issued(name) ? FINDING_WARN : FINDING_FAIL);
    finding->sentence =
        arena_printf(arena, "the last order of %.*s failed: %.*s", TEXT(name->text), TEXT(known->problem_sentence));
    finding->cure = known->next_s ? arena_printf(arena, "mend what is said above or below; the next attempt is at %s",
                                                 clock_rfc3339(known->next_s * 1000, next))
                                  : SLICE_LIT("mend what is said above or below");
}

void doctor_say_certificate(struct doctor_name *name)
{
    char until[CLOCK_TEXT_BYTES];
    struct arena *arena = &name->findings.arena;
    const struct doctor_known *known = &name->known;
    if (!name->config) {
        say_not_configured(name);
    } else if (name->config->issuer != CONFIG_ISSUER_ACME) {
        say_not_ordered(name);
    } else if (known->problem_sentence.len) {
        say_problem(name);
    } else if (serves_issued(name)) {
        struct finding *finding = add_to_name(name, "certificate", "certificate", FINDING_OK);
        finding->sentence = arena_printf(arena, "%.*s has a certificate of %.*s until %s", TEXT(name->text),
                                         TEXT(known->issuer), clock_rfc3339(known->not_after_s * 1000, until));
    } else if (name->is_known && name->doctor->options.running) {
        struct finding *finding = add_to_name(name, "certificate", "no-certificate", FINDING_WARN);
        finding->sentence = arena_printf(arena, "%.*s has no certificate of the CA yet", TEXT(name->text));
    }
}

void doctor_say_persist(struct doctor_name *name)
{
    bool failed = err_is(name->persist_err);
    struct finding *finding =
        add_to_name(name, "dns-persist", failed ? "persist-missing" : "persist", failed ? FINDING_FAIL : FINDING_OK);
    finding->sentence =
        failed ? slice_str(name->persist_err.what) : SLICE_LIT("the record of dns-persist-01 is in DNS");
    if (failed)
        finding->cure = SLICE_LIT("`portico dns` prints the record to paste; a zone may take minutes to show it");
}
