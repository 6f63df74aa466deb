/* parse: the small values of a configuration: durations, sizes, booleans, numbers, choices, lists, addresses.
 *
 * Strict: nothing is trimmed but blanks at the ends, nothing is guessed. A parser that takes text returns NULL, or why
 * it was refused, as a literal; results are written only on success and are views into the text. Any thread. */
#ifndef CONFIG_PARSE_H
#define CONFIG_PARSE_H

#include "base/arena.h"
#include "base/err.h"
#include "config/config.h"

/* The number of a duration in its unit: "250ms", "10s", "5m", "2h", "7d"; "0" needs no unit. At most 100 years. */
MUST_CHECK const char *parse_duration_ms(struct slice text, int64_t *out_ms);
/* The same, and "1y" (365 days), which only ages of HSTS take. In whole seconds. */
MUST_CHECK const char *parse_age_s(struct slice text, int64_t *out_s);
/* "4096", "64k", "1m", "1g", in either case, in bytes. */
MUST_CHECK const char *parse_size_bytes(struct slice text, uint64_t *out_bytes);
/* true/false, yes/no, on/off, 1/0, in any case. */
MUST_CHECK const char *parse_bool(struct slice text, bool *out_value);
/* A part of a lifetime: "auto" (0), "2/3" or "70%", between a tenth and 95 percent. */
MUST_CHECK const char *parse_part_permille(struct slice text, uint32_t *out_permille);

struct parse_choice {
    const char *name;
    int value;
};

/* One of the names (in any case); choices end with a NULL name. False for anything else. */
MUST_CHECK bool parse_choice(struct slice text, const struct parse_choice *choices, int *out_value);

/* The next item of a list split at commas and newlines, without blanks at its ends; empty items are skipped.
 * False at the end. */
bool parse_list_next(struct slice *rest, struct slice *out_item);
/* The next word of an item: what blanks and tabs separate. False at the end. */
bool parse_word_next(struct slice *rest, struct slice *out_word);
/* Without blanks, tabs, CR and newlines at either end. */
struct slice parse_trim(struct slice text);

/* "host:port", "[v6]:port" or ":port" into its parts; the host is empty in the last form and has lost its brackets.
 * The port is 0 to 65535. The host is not looked at. */
struct parse_host_port {
    struct slice host;
    bool host_is_ipv6; /* was in brackets */
    uint16_t port;
};
MUST_CHECK const char *parse_host_port(struct slice text, struct parse_host_port *out_parts);

/* ":443", "127.0.0.1:8443", "[::]:443", "unix:/path", "off". Texts are copied into the arena. */
MUST_CHECK const char *parse_listen(struct arena *arena, struct slice text, struct config_listen *out_listen);
/* An absolute path that fits into a socket address. */
MUST_CHECK const char *parse_socket_path(struct slice path);
/* "http://host:port", "h2c://host:port", "tcp://host:port", "unix:/path" or "unix+h2c:/path"; path, port and text are
 * canonical copies in the arena, index is untouched. Without a port it is 80; tcp must have one. */
MUST_CHECK const char *parse_upstream(struct arena *arena, struct slice text, struct config_upstream *out_upstream);
/* "1y; includeSubDomains; preload", "off"; makes the field's value (RFC 6797 §6.1), empty for off. */
MUST_CHECK const char *parse_hsts(struct arena *arena, struct slice text, struct slice *out_value);
/* What a PEM value must hold: at least one block whose label ends in the given words. */
MUST_CHECK const char *parse_pem(struct slice text, const char *label);

#endif
