/* build: what config_load works on until the config is complete. Private to config/. */
#ifndef CONFIG_BUILD_H
#define CONFIG_BUILD_H

#include "config/config.h"
#include "config/environment.h"
#include "config/parse.h"

/* The rows of the table, in the order of help. */
enum row {
    ROW_DOMAINS,
    ROW_UPSTREAM,
    ROW_HTTP_LISTEN,
    ROW_HTTPS_LISTEN,
    ROW_HTTP_MODE,
    ROW_HTTPS_PUBLIC,
    ROW_ADMIN_LISTEN,
    ROW_ADMIN_TOKEN,
    ROW_READY_REQUIRES,
    ROW_STORAGE,
    ROW_STORAGE_KEY,
    ROW_ENV_DIR,
    ROW_ACME_DIRECTORY,
    ROW_ACME_ACCEPT_TERMS,
    ROW_ACME_EMAIL,
    ROW_ACME_EAB_KID,
    ROW_ACME_EAB_HMAC_KEY,
    ROW_ACME_ACCOUNT_KEY,
    ROW_ACME_FALLBACK,
    ROW_ACME_FALLBACK_EAB_KID,
    ROW_ACME_FALLBACK_EAB_HMAC_KEY,
    ROW_ACME_FALLBACK_ACCOUNT_KEY,
    ROW_ACME_CA,
    ROW_ACME_CHALLENGE,
    ROW_ACME_DNS_HOOK,
    ROW_ACME_PROFILE,
    ROW_ACME_KEY_TYPE,
    ROW_ACME_PREFERRED_CHAIN,
    ROW_ACME_RENEW_AT,
    ROW_ACME_LEDGER,
    ROW_ON_DEMAND_ASK,
    ROW_INTERNAL_CA,
    ROW_INTERNAL_CA_KEY,
    ROW_TLS_CERT,
    ROW_TLS_KEY,
    ROW_TLS_CERT_DIR,
    ROW_EXPORT_DIR,
    ROW_TLS_POLICY,
    ROW_TLS_CLIENT_CA,
    ROW_TLS_CLIENT_AUTH,
    ROW_TLS_UNKNOWN_SNI,
    ROW_TLS_TICKET_ROTATE,
    ROW_HSTS,
    ROW_HTTP2,
    ROW_TRUSTED_PROXIES,
    ROW_FORWARDED,
    ROW_PROXY_PROTOCOL_IN,
    ROW_PROXY_PROTOCOL_OUT,
    ROW_UPSTREAM_CONNECT_TIMEOUT,
    ROW_UPSTREAM_WAIT,
    ROW_UPSTREAM_RESPONSE_TIMEOUT,
    ROW_UPSTREAM_IDLE_TIMEOUT,
    ROW_UPSTREAM_MAX_CONNS,
    ROW_UPSTREAM_MAX_IDLE,
    ROW_UPSTREAM_RETRIES,
    ROW_UPSTREAM_DNS_TTL,
    ROW_UPSTREAM_HEALTH,
    ROW_CLIENT_HEADER_TIMEOUT,
    ROW_CLIENT_IDLE_TIMEOUT,
    ROW_STREAM_IDLE_TIMEOUT,
    ROW_MAX_REQUEST_BODY,
    ROW_MAX_HEADER,
    ROW_MAX_CONNS,
    ROW_MAX_CONN_AGE,
    ROW_COMPRESS,
    ROW_BASIC_AUTH,
    ROW_ALLOW_IPS,
    ROW_ERROR_PAGE,
    ROW_LOG_LEVEL,
    ROW_LOG_FORMAT,
    ROW_ACCESS_LOG,
    ROW_REQUEST_ID,
    ROW_TRACEPARENT,
    ROW_WORKERS,
    ROW_DRAIN_MIN,
    ROW_DRAIN_QUIET,
    ROW_DRAIN_TIMEOUT,
    ROW_SANDBOX,
    NUM_ROWS
};

struct build {
    struct config *config;
    struct config_mistakes *mistakes;
    struct environment environment;
    struct map upstreams; /* text to struct config_upstream, in the config's arena */
};

/* How a row's text becomes fields of the config. `apply` says itself what is wrong; its text is never empty. */
struct config_row {
    struct config_row_text text;
    const char *example; /* of a good value, for mistakes */
    void (*apply)(struct build *build, enum row row, struct slice text);
    size_t field;      /* offset in struct config */
    uint64_t min, max; /* of numbers; of durations in ms, whatever the unit of the field */
    bool zero_allowed; /* though it lies below min */
    const struct parse_choice *choices;
    enum { SHOWN, SHOWN_AS_PEM, SHOWN_AS_HTML, SECRET } shown; /* all but the first: its kind and length alone */
};

extern const struct config_row config_rows[NUM_ROWS];
/* "PORTICO_DOMAINS" */
static inline const char *row_name(enum row row)
{
    return config_rows[row].text.name;
}
/* All of them, in their order. */
void rows_name(const char *out_names[NUM_ROWS]);

/* Whether the variable or its _FILE was given; whether a mistake of it was reported already, so that nothing that
 * follows from it is reported as another. */
bool build_given(const struct build *build, enum row row);
bool build_failed(const struct build *build, enum row row);
/* Adds a mistake of the row, with the value as far as it may be shown. */
void build_mistake(struct build *build, enum row row, struct slice value, const char *why);

/* Appliers that are modules of their own. */
void domains_apply(struct build *build, enum row row, struct slice text);
void upstream_apply(struct build *build, enum row row, struct slice text);
/* The group of the backends that `words` names (split at commas, newlines and blanks), or NULL, with the mistake added
 * under `row`. */
const struct config_group *upstream_group(struct build *build, enum row row, struct slice words);

/* BASIC_AUTH: config->policy.users, views into users_text. */
void users_apply(struct build *build, enum row row, struct slice text);
/* TRUSTED_PROXIES, ALLOW_IPS: a struct cidr_list. */
void ranges_apply(struct build *build, enum row row, struct slice text);

/* rules.c: what must hold between variables, and what follows from them. After all rows. */
void rules_apply(struct build *build);
/* rules_issue.c: those about who signs for a name, and how. After those about where to listen. */
void rules_issue(struct build *build);

#endif
