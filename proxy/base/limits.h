/* limits: every bound on what a peer decides, by name, with its reason. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* HTTP messages */
    LIMIT_HEAD_BYTES = 32 * 1024,          /* default of MAX_HEADER; what NGINX takes in all (4 x 8 KiB) */
    LIMIT_HEAD_FIELDS = 100,               /* more is an attack on linear look-up */
    LIMIT_RESPONSE_HEAD_BYTES = 64 * 1024, /* backends are trusted further: large cookies and CSPs */
    LIMIT_RESPONSE_FIELDS = 200,
    LIMIT_INTERIM_ANSWERS = 16,    /* 1xx before the answer; endless ones would hold a client for ever */
    LIMIT_TARGET_BYTES = 8 * 1024, /* RFC 9110 §4.1 asks for 8000 at least */
    LIMIT_METHOD_BYTES = 24,
    LIMIT_CONNECTION_TOKENS = 32,        /* options of Connection: each is compared with each field */
    LIMIT_CHUNK_EXTENSION_BYTES = 256,   /* of one chunk */
    LIMIT_CHUNK_EXTENSIONS_BYTES = 4096, /* of a message: ignored, so a cheap flood otherwise */
    LIMIT_TRAILER_BYTES = 8 * 1024,
    LIMIT_ERROR_PAGE_BYTES = 64 * 1024, /* of ERROR_PAGE: it is held in memory and sent for every failure */
    LIMIT_FORWARDED_HOPS = 32, /* proxies in a row that are asked who the client is; real chains have two or three */
    LIMIT_REQUEST_ID_BYTES = 128,
    LIMIT_LOCAL_BODY_BYTES = 64 * 1024, /* request body drained behind an early answer; retained for a retry */

    /* HTTP/2 of clients */
    LIMIT_H2_STREAMS = 100,                    /* at a time; RFC 9113 §5.1.2 advises no fewer */
    LIMIT_H2_BUDGET_MS = 10000,                /* the window of the three budgets below */
    LIMIT_H2_RESETS = 100,                     /* by the client, or provoked by it: each one costs a request upstream */
    LIMIT_H2_CONTROL_FRAMES = 100,             /* SETTINGS and PING, each of which we must answer */
    LIMIT_H2_IDLE_FRAMES = 1000,               /* empty DATA, PRIORITY, unknown types: they move nothing */
    LIMIT_H2_CONTINUATIONS = 16,               /* frames of one header block */
    LIMIT_H2_REFUSED_HEAD_BYTES = 1024 * 1024, /* decoded behind a head that is too large already: a bomb */
    LIMIT_H2_ACKS = 200,                       /* queued answers to SETTINGS and PING */
    LIMIT_H2_QUEUED_FRAMES = 400,              /* above this, a connection that takes nothing is not read either */
    LIMIT_H2_WINDOW_BYTES = 64 * 1024,         /* of a stream, at first */
    LIMIT_H2_MAX_WINDOW_BYTES = 1024 * 1024,   /* where its backend keeps up: 10 MB/s at 100 ms */
    LIMIT_H2_WINDOW_FACTOR = 4,                /* the connection's: one stopped stream must not starve the others */
    LIMIT_H2_QUEUE_BYTES = 1024 * 1024, /* answers queued on a connection; above it a stream has one read buffer */

    /* Backends */
    LIMIT_UPSTREAM_QUEUE = 1024,  /* requests that wait for MAX_CONNS, of one route and worker: about 20 MiB of heads */
    LIMIT_UPSTREAM_STREAMS = 100, /* requests on one HTTP/2 connection: what servers usually allow (RFC 9113 §6.5.2) */
    LIMIT_UPSTREAM_WINDOW_BYTES = 256 * 1024, /* of one answer in HTTP/2: what a client that takes nothing can cost */

    /* Flow */
    FLOW_HIGH_BYTES = 64 * 1024,   /* queued above this stops the source */
    FLOW_LOW_BYTES = 16 * 1024,    /* and below this starts it again */
    READ_BUFFER_BYTES = 64 * 1024, /* one per worker; half as large costs a fifth more CPU per MiB */

    /* Connections */
    LIMIT_ACCEPT_BATCH = 64, /* a turn: a flood of connections must not starve established ones */
    LIMIT_LISTEN_BACKLOG = 4096,
    LIMIT_LINGER_MS = 2000, /* discard after our close, so that no RST overtakes the answer */
    LIMIT_LINGER_BYTES = 256 * 1024,
    LIMIT_HANDSHAKE_MS = 10000,
    LIMIT_PROXY_LINE_BYTES = 4 * 1024, /* a PROXY protocol header; what NGINX takes, load balancers send some 500 */
    LIMIT_PROXY_TEXT_BYTES = 255,      /* a text in one of ours: names are shorter */
    LIMIT_DRAIN_FIRST_MS = 1000,       /* for the first request of a connection that was made just before a drain */
    LIMIT_WRITE_STALL_MS = 60000,      /* no progress of a queue: the reader is gone or hostile */
    LIMIT_BODY_RATE_BYTES_S = 500,     /* a body slower than this, after the grace, holds a backend hostage */
    LIMIT_BODY_RATE_GRACE_MS = 20000,
    LIMIT_DNS_ADDRESSES = 16,
    LIMIT_DNS_RECORDS = 32,           /* TXT or CAA of a name: a busy domain has a dozen */
    LIMIT_DNS_TEXT_BYTES = 16 * 1024, /* of those together */
    LIMIT_PARSED_KEYS = 1024,         /* per worker: EVP_PKEYs kept parsed */

    /* Passwords */
    LIMIT_PASSWORD_COST = 16,          /* of bcrypt: 2^16 rounds take some seconds, and a log-in waits for them */
    LIMIT_AUTHORIZATION_BYTES = 680,   /* base64 of what crypt takes: 511 bytes, the name among them */
    LIMIT_PASSWORDS_QUEUED = 64,       /* of the process: some seconds of work for its two threads; more are shed */
    LIMIT_PASSWORDS_PER_CLIENT = 16,   /* and worker, at a time: one address must not keep all others from logging in */
    LIMIT_PASSWORDS_REMEMBERED = 1024, /* per worker, 40 bytes each */
    LIMIT_PASSWORD_REMEMBERED_MS = 5 * 60 * 1000,

    /* Admin endpoint */
    LIMIT_ADMIN_TOKEN_MIN = 16, /* characters: 64 bits where they are hex digits */
    LIMIT_ADMIN_TOKEN_MAX = 256,
    LIMIT_COMMANDS = 32,        /* of people, that run or are remembered */
    LIMIT_METRIC_NAMES = 10000, /* that have series of their own: a scrape of more would be tens of megabytes */

    /* Client certificates; chains as below */
    LIMIT_CLIENT_LEAF_BYTES = 8 * 1024,      /* it goes on to the backend in one field, a third longer */
    LIMIT_CLIENT_SUBJECT_BYTES = 4 * 1024,   /* escaped, so up to three times the characters */
    LIMIT_CLIENT_NAME_BYTES = 256,           /* X.520 gives a common name 64 characters */
    LIMIT_CLIENT_CA_NAMES_BYTES = 16 * 1024, /* told to clients; beyond, none are: they would not fit a message */

    /* Compression */
    LIMIT_ENCODERS_BYTES = 128 * 1024 * 1024, /* per worker, of answers read slowly: 64 br, 120 zstd, 490 gzip */

    /* ACME and JSON */
    LIMIT_ACME_BODY_BYTES = 256 * 1024,
    LIMIT_JSON_BYTES = 64 * 1024,
    LIMIT_JSON_DEPTH = 16,
    LIMIT_JSON_NODES = 16 * 1024,
    LIMIT_CHAIN_BYTES = 64 * 1024,
    LIMIT_CHAIN_CERTS = 10,
    LIMIT_TOKEN_MIN = 16, /* base64url characters of an HTTP-01 token */
    LIMIT_TOKEN_MAX = 84,
    LIMIT_PROFILES = 8, /* of ACME_PROFILE; CAs have three or four */
    LIMIT_PROFILE_BYTES = 64,

    /* ACME_DNS_HOOK */
    LIMIT_HOOK_MS = 2 * 60 * 1000,      /* of a call: hooks that wait for all name servers take a minute */
    LIMIT_HOOK_LOOK_MS = 2 * 60 * 1000, /* until its record can be seen */
    LIMIT_HOOK_LEAVE_MS = 10 * 1000,    /* for removing records at the end of the process */
    LIMIT_HOOK_RUNNING = 4,             /* calls at a time */

    /* ON_DEMAND_ASK: names that strangers may invent */
    LIMIT_DEMAND_MAILS_S = 50,     /* told to control by each worker in a second */
    LIMIT_DEMAND_ASKING = 8,       /* questions at a time */
    LIMIT_DEMAND_QUESTIONS_S = 10, /* in a second */
    LIMIT_DEMAND_ASK_MS = 10 * 1000,
    LIMIT_DEMAND_ANSWERS = 4096, /* remembered, some 500 bytes each */
    LIMIT_DEMAND_YES_MS = 10 * 60 * 1000,
    LIMIT_DEMAND_NO_MS = 60 * 1000, /* a customer who has just been entered waits no longer */
    LIMIT_DEMAND_UNKNOWN_MS = 10 * 1000,
    LIMIT_DEMAND_NAMES = 10 * 1000,   /* served at a time */
    LIMIT_DEMAND_NAMES_H = 100,       /* new ones in an hour: Let's Encrypt's orders are 100 an hour and account */
    LIMIT_DEMAND_DOMAIN_NAMES_H = 20, /* of one registered domain: its certificates are 50 a week (ACME-105) */

    /* Storage */
    LIMIT_STORE_VALUE_BYTES = 256 * 1024, /* a record: key and longest chain twice over; a larger file is not ours */
    LIMIT_STORE_WRITES = 16,              /* of one commit */

    /* Configuration */
    LIMIT_ENV_DIR_FILES = 1024,
    LIMIT_CERT_DIR_FILES = 2048, /* certificates and keys: at a start, each pair is tried for some milliseconds */
    LIMIT_LINE_BYTES = 256,      /* of a name that a person writes */

    /* Logs */
    LIMIT_LOG_STRING_BYTES = 256,
    LIMIT_LOG_LINE_BYTES = 8 * 1024,
    LIMIT_LOG_RING_BYTES = 256 * 1024 /* per thread, about a thousand lines */
};

#endif
