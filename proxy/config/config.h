/* config: what the environment asks for, read once into an immutable, counted value.
 *
 * Owns every text that it points to. Built completely or not at all: config_load reports all mistakes of a run. It is
 * never changed after that, so that a reload is the publication of another one; any thread may read what it holds.
 * The one table (variable, parser, default, help, what a reload does) is in config.c; --help, `portico check` and the
 * README's table are made from it. This module opens no socket, parses no certificate and knows no library.
 *
 * Texts are slices that a NUL follows (not counted). 0 means "off", "no limit" or "auto" where the field says so. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/cidr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "base/slice.h"

#include <stdatomic.h>

/* Where to listen. */
enum config_listen_kind { CONFIG_LISTEN_OFF, CONFIG_LISTEN_TCP, CONFIG_LISTEN_UNIX, CONFIG_LISTEN_SYSTEMD };

struct config_listen {
    enum config_listen_kind kind;
    struct slice host; /* TCP: numeric, without brackets; empty: every address, both families */
    bool host_is_ipv6;
    uint16_t port;     /* TCP; 0 lets the kernel choose */
    struct slice path; /* UNIX */
    struct slice name; /* SYSTEMD: FileDescriptorName= of the sockets that were passed at start */
    struct slice text; /* as given, for logs */
};

/* One backend. Unique within a config: the same text is the same struct. */
enum config_protocol {
    CONFIG_PROTOCOL_HTTP1, /* http://, unix: */
    CONFIG_PROTOCOL_HTTP2, /* h2c://, unix+h2c: with prior knowledge (RFC 9113 §3.3) */
    CONFIG_PROTOCOL_TCP    /* tcp://: the bytes inside TLS as they are */
};

struct config_upstream {
    enum config_protocol protocol;
    struct slice host; /* a name or a numeric address without brackets */
    uint16_t port;
    struct slice path; /* of a unix socket, instead of host and port */
    struct slice text; /* "http://app:8000", "unix:/run/app.sock": canonical; the key of pools across reloads */
    size_t index;      /* in config->upstreams */
};

struct config_group {
    const struct config_upstream **upstreams; /* at least one, no duplicates, in the order given */
    size_t num_upstreams;
    bool tcp; /* all of them are CONFIG_PROTOCOL_TCP; none otherwise */
};

/* What is done with a request for a name. */
enum config_site_kind { CONFIG_SITE_PROXY, CONFIG_SITE_REDIRECT };

struct config_site {
    enum config_site_kind kind;
    const struct config_group *group; /* PROXY */
    struct slice redirect_to;         /* REDIRECT: "https://new.example", no slash at its end: the request's target,
                                         which begins with one, is put behind it (308) */
};

/* Who may sign for a name. */
enum config_issuer {
    CONFIG_ISSUER_ACME,     /* the CA of acme.directory */
    CONFIG_ISSUER_INTERNAL, /* the built-in local CA */
    CONFIG_ISSUER_OWN       /* only a certificate of one's own can cover it; the keeper reports one that none covers */
};

/* A name of DOMAINS: lower-case A-labels without a trailing dot, "*." before a wildcard; or an address in canonical
 * text without brackets (RFC 5952). A name that a certificate of one's own covers is never ordered, whatever its issuer
 * says. */
struct config_name {
    struct slice text;
    struct slice unicode; /* as a person reads it, "*.münchen.example"; empty where that is the text itself */
    bool wildcard;
    bool ip;
    bool local; /* name_is_local: no public CA signs it */
    enum config_issuer issuer;
    const struct config_site *site;
};

enum config_http_mode {
    CONFIG_HTTP_REDIRECT, /* challenges, then 308 to https */
    CONFIG_HTTP_SERVE,    /* challenges, then proxy plain HTTP too */
    CONFIG_HTTP_OFF       /* challenges only */
};
enum config_directory_kind {
    CONFIG_DIRECTORY_PUBLIC,  /* a known public CA: local names go to the internal CA */
    CONFIG_DIRECTORY_PRIVATE, /* a CA of one's own: all names go to it */
    CONFIG_DIRECTORY_INTERNAL /* no ACME: the built-in CA signs all names */
};
/* How a CA makes sure of a name, in the order of acme/: RFC 8555 §8.3, RFC 8737, RFC 8555 §8.4, and the draft. */
enum config_challenge {
    CONFIG_CHALLENGE_HTTP_01,
    CONFIG_CHALLENGE_TLS_ALPN_01,
    CONFIG_CHALLENGE_DNS_01,
    CONFIG_CHALLENGE_DNS_PERSIST_01,
    NUM_CONFIG_CHALLENGES
};
enum config_key_type { CONFIG_KEY_P256, CONFIG_KEY_P384, CONFIG_KEY_RSA2048, CONFIG_KEY_RSA4096 };
enum {
    CONFIG_KEY_TYPES = 2,         /* at a time: one ECDSA and one RSA */
    CONFIG_STORAGE_KEY_BYTES = 32 /* AES-256 */
};
enum config_forwarded { CONFIG_FORWARDED_X, CONFIG_FORWARDED_RFC7239, CONFIG_FORWARDED_BOTH, CONFIG_FORWARDED_OFF };
enum config_proxy_out { CONFIG_PROXY_OUT_OFF, CONFIG_PROXY_OUT_V1, CONFIG_PROXY_OUT_V2, CONFIG_PROXY_OUT_V2_TLS };
enum config_trace {
    CONFIG_TRACE_OFF,     /* dropped, and none is made */
    CONFIG_TRACE_PASS,    /* the client's, if it sent one */
    CONFIG_TRACE_GENERATE /* the client's, or one of ours */
};
enum config_client_auth { CONFIG_CLIENT_AUTH_OFF, CONFIG_CLIENT_AUTH_OPTIONAL, CONFIG_CLIENT_AUTH_REQUIRE };
enum config_encoding { CONFIG_ENCODING_GZIP, CONFIG_ENCODING_BR, CONFIG_ENCODING_ZSTD, NUM_CONFIG_ENCODINGS };
enum config_tls_policy { CONFIG_TLS_INTERMEDIATE, CONFIG_TLS_MODERN };
enum config_unknown_sni { CONFIG_SNI_REJECT, CONFIG_SNI_DEFAULT };
enum config_sandbox { CONFIG_SANDBOX_AUTO, CONFIG_SANDBOX_OFF };              /* auto: what the kernel has of it */
enum config_log_format { CONFIG_LOG_AUTO, CONFIG_LOG_TEXT, CONFIG_LOG_JSON }; /* auto: text on a terminal, else JSON */
enum config_access_log { CONFIG_ACCESS_JSON, CONFIG_ACCESS_COMMON, CONFIG_ACCESS_COMBINED, CONFIG_ACCESS_OFF };

/* An entry of BASIC_AUTH. */
struct config_user {
    struct slice name; /* UTF-8 without control characters and colon; unique */
    struct slice hash; /* bcrypt, 60 characters: "$2b$10$..."; cost at most LIMIT_PASSWORD_COST */
};

/* PEM text, and the file that it came from. */
struct config_pem {
    struct slice text; /* len 0: not given */
    struct slice path; /* of the _FILE variant, to be watched; len 0: the text came from the variable itself */
};

/* Where a value came from, for `check` and for watching files later. */
enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_ENVIRONMENT, CONFIG_FROM_FILE };

/* A certificate of one's own with its key; both may be one file. */
struct config_pair {
    struct config_pem cert, key;
};

struct config_value {
    struct slice text; /* as given, or the default; secrets and PEM are masked: "(secret, 32 bytes)" */
    enum config_source source;
    struct slice path; /* FROM_FILE */
    const char *note;  /* NULL, or why the effective value is another than what was given: "there are no names" */
    uint64_t digest;   /* of the whole text, secrets too: for config/diff.h */
};

/* By which an external account binding is authenticated. */
enum config_mac { CONFIG_HS256, CONFIG_HS384, CONFIG_HS512 };

struct config {
    /* Names and routes. */
    struct config_name *names; /* in the order given */
    size_t num_names;
    bool names_from_certificate; /* no DOMAINS but certificates of one's own: the keeper takes their SANs as names */
    struct config_site default_site; /* PROXY to UPSTREAM: for names from a certificate, and without any name */
    const struct config_upstream **upstreams; /* every backend once, at its index */
    size_t num_upstreams;

    struct {
        struct config_listen http, https, admin; /* https is OFF without names, certificate and on_demand_ask */
        enum config_http_mode http_mode;         /* SERVE then */
        uint16_t https_public_port;              /* the port in redirects; 443 is left out of them */
    } listen;

    struct {
        struct slice token;  /* the bearer's; overwritten when freed; empty: none */
        bool ready_upstream; /* READY_REQUIRES, beside the listener */
        bool ready_cert;
    } admin;

    struct slice storage;     /* directory */
    struct slice storage_key; /* CONFIG_STORAGE_KEY_BYTES; overwritten when freed; empty: none */
    struct slice export_dir;  /* directory; empty: none */

    struct {
        enum config_directory_kind kind;
        struct slice directory; /* https URL; empty with DIRECTORY_INTERNAL */
        bool accept_terms;
        struct slice email;        /* may be empty */
        struct slice eab_kid;      /* may be empty */
        struct slice eab_hmac_key; /* decoded bytes; empty with eab_kid */
        enum config_mac eab_mac;
        struct config_pem account_key;
        struct slice fallback; /* https URL of another public CA; empty: none, and then neither are the next three */
        struct slice fallback_eab_kid, fallback_eab_hmac_key;
        enum config_mac fallback_eab_mac;
        struct config_pem fallback_account_key;
        struct config_pem ca;                                    /* roots added to the system's */
        enum config_challenge challenges[NUM_CONFIG_CHALLENGES]; /* in order of preference; see config_challenges_for */
        size_t num_challenges;
        struct slice dns_hook;  /* the absolute path of a program, or an http(s) URL; empty: none */
        struct slice *profiles; /* in order of preference */
        size_t num_profiles;
        enum config_key_type key_types[CONFIG_KEY_TYPES]; /* each makes a certificate of its own */
        size_t num_key_types;
        struct slice preferred_chain; /* common name of the chain's top issuer; empty: what the CA sends first */
        uint32_t renew_at_permille;   /* of the lifetime, where ARI is absent; 0: auto (2/3, 1/2 under ten days) */
        bool ledger;
    } acme;

    struct slice on_demand_ask; /* http(s) URL; empty: off */

    struct {
        struct config_pem cert, key; /* the local CA's root; both or none */
    } internal_ca;

    struct {
        struct config_pem cert, key; /* of one's own; both or none */
        struct slice cert_dir;       /* a directory of more of them; empty: none */
        struct config_pair *pairs;   /* what it holds, by path; NULL: nothing */
        size_t num_pairs;
        enum config_tls_policy policy;
        enum config_unknown_sni unknown_sni;
        int64_t ticket_rotate_s;     /* 0: no tickets */
        struct config_pem client_ca; /* roots of client certificates */
        enum config_client_auth client_auth;
        struct slice hsts; /* the field's value, "max-age=31536000; includeSubDomains"; empty: not sent */
    } tls;

    struct {
        int64_t connect_timeout_ms;
        int64_t wait_ms; /* hold while the backend starts or its name does not resolve; 0: do not */
        int64_t response_timeout_ms;
        int64_t idle_timeout_ms; /* of a pooled connection */
        uint32_t max_idle;       /* pooled connections per upstream and worker; 0: no pool */
        uint32_t max_conns; /* per upstream and worker; more requests wait, LIMIT_UPSTREAM_QUEUE of them; 0: no limit */
        uint32_t retries;
        int64_t dns_ttl_ms;
        struct slice health_path; /* asked of each backend in turn; empty: off */
    } upstream;

    /* Who the client is, and what the backend is told of it. */
    struct {
        struct cidr_list trusted_proxies;
        enum config_forwarded forwarded;
        bool proxy_protocol_in; /* from trusted_proxies alone */
        enum config_proxy_out proxy_protocol_out;
        enum config_trace request_id, traceparent;
    } identity;

    struct {
        struct config_user *users; /* BASIC_AUTH */
        size_t num_users;          /* 0: no authentication */
        struct slice users_text;   /* private to config/: what they point into, overwritten when freed */
        struct cidr_list allow_ips;
        bool allow_ips_given;
        enum config_encoding compress[NUM_CONFIG_ENCODINGS]; /* in order of preference */
        size_t num_compress;                                 /* 0: off */
        struct slice error_page;                             /* HTML for 502, 503, 504; empty: our own */
    } policy;

    struct {
        int64_t header_timeout_ms;
        int64_t idle_timeout_ms;
        int64_t stream_idle_timeout_ms;  /* tunnels, and bodies without an end in sight */
        uint64_t max_request_body_bytes; /* 0: no limit */
        size_t max_header_bytes;
        uint32_t max_conns;      /* of the process; 0: auto, from the limit of descriptors */
        int64_t max_conn_age_ms; /* 0: no limit */
        bool http2;
    } client;

    struct {
        enum log_level level;
        enum config_log_format format;
        enum config_access_log access;
    } log;

    struct {
        int64_t min_ms, quiet_ms, timeout_ms;
    } drain;

    uint32_t workers; /* 0: auto */
    enum config_sandbox sandbox;

    /* One per row of the table, in its order. */
    struct config_value *values;

    /* Private to config/. */
    atomic_uint num_refs;
    struct arena arena;
    struct map names_map; /* text of a name to its struct config_name */
};

/* One mistake, in words. Texts are owned by the list. */
struct config_mistake {
    char *variable; /* full name, or the unknown name */
    char *value;    /* cut, escaped, secrets masked; NULL where there is none */
    char *reason;
    char *example; /* "PORTICO_DOMAINS=app.example.com"; NULL where there is none */
};

struct config_mistakes {
    struct config_mistake *items;
    size_t num, cap;
};

void config_mistakes_cleanup(struct config_mistakes *mistakes);
/* All of them for a person, three lines each at most. */
void config_mistakes_print(const struct config_mistakes *mistakes, struct buf *out);

/* Reads `entries` (an environment: NAME=value, NULL-terminated) and the files that it names. True: *out_config holds
 * one reference for the caller. False: *out_mistakes has at least one, to be cleaned up by the caller. Blocks on
 * files. */
MUST_CHECK bool config_load(const char *const *entries, struct config **out_config,
                            struct config_mistakes *out_mistakes);

/* ADMIN_LISTEN and STORAGE alone, whatever the other variables hold: a health check must not fail for a file that is just
 * being replaced. Of the config only listen.admin and storage count; otherwise as config_load. */
MUST_CHECK bool config_load_admin(const char *const *entries, struct config **out_config,
                                  struct config_mistakes *out_mistakes);

/* Any thread; both take NULL. The last unref frees, and overwrites what is secret. */
const struct config *config_ref(const struct config *config);
void config_unref(const struct config *config);

/* The site of a request's host (without port; case, one trailing dot and the brackets of IPv6 do not matter): the exact
 * name, then a one-label wildcard. NULL: not served here (421). Where there are no names, or the certificate's own,
 * every host has the default site: then the caller asks the certset whether the name is served. With on_demand_ask every
 * host that is not in DOMAINS has it. No allocation; any thread. */
const struct config_site *config_site_for(const struct config *config, struct slice host);
/* Whether DOMAINS has the host, by the same rules: HTTP-01 is answered here, not by the backend. */
bool config_manages(const struct config *config, struct slice host);
/* The entry itself, or NULL. */
const struct config_name *config_name_for(const struct config *config, struct slice host);
/* The entry that an operator means: `*.` and a name is the wildcard itself, else as above; in Unicode too. Or NULL. */
const struct config_name *config_name_asked(const struct config *config, struct slice text);
/* The challenges that this configuration can answer for the name, in order of preference; returns their number. Wildcards
 * take those of DNS alone (RFC 8555 §7.1.3), addresses the others alone (RFC 8738 §7). */
size_t config_challenges_for(const struct config *config, const struct config_name *name,
                             enum config_challenge out[NUM_CONFIG_CHALLENGES]);

/* The directory of the same CA at which orders are free of its limits; empty where none is known. */
struct slice config_staging_of(struct slice directory);

/* The table, for help and check. */
enum config_reload {
    CONFIG_RELOAD_LIVE,   /* a reload applies it */
    CONFIG_RELOAD_REBIND, /* a reload opens the new listener before it closes the old one */
    CONFIG_RELOAD_RESTART /* a reload that changes it is refused by name */
};

struct config_row_text {
    const char *name;          /* "PORTICO_DOMAINS" */
    const char *default_value; /* NULL: none */
    const char *values;        /* what can be given, in short */
    const char *help;          /* one sentence */
    enum config_reload reload;
};

size_t config_num_rows(void);
/* The texts of row i, i < config_num_rows(). */
struct config_row_text config_row_at(size_t i);
const char *config_reload_text(enum config_reload reload);

#endif
