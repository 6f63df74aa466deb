/* h1_rules: what an HTTP/1.x head must be, beyond its syntax (HARDENING R1-R3, R6, R7, R11, R12, B5; RFC 9112 §3, §6).
 *
 * The judgement of h1_reader, apart from its mechanics. Pure functions on a head; every err is ERR_INPUT or ERR_LIMIT
 * with the status to answer as its code. Any thread. */
#ifndef HTTP_H1_RULES_H
#define HTTP_H1_RULES_H

#include "http/head.h"

/* Start lines without their CRLF. Set method, target and version, or version, status and reason. The request's line may
 * be an unfinished one that is too long already: it then fails as the whole would. */
MUST_CHECK struct err h1_rules_request_line(struct head *head, struct slice line, size_t target_max);
MUST_CHECK struct err h1_rules_status_line(struct head *head, struct slice line);

/* The longest request line that can still be a good one. */
size_t h1_rules_line_max(size_t target_max);

/* Content-Length and Transfer-Encoding (R1-R3) and Connection: body, length, keep_alive as the fields alone say. */
MUST_CHECK struct err h1_rules_framing(struct head *head);
/* The rest of a request: target's form, Host, Expect, Upgrade. */
MUST_CHECK struct err h1_rules_request(struct head *head, struct arena *arena);
/* The rest of a response: what it answers decides whether it has a body (RFC 9112 §6.3). */
MUST_CHECK struct err h1_rules_response(struct head *head, enum method asked, bool upgrade_asked);

#endif
