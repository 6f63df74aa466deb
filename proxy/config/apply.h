/* apply: how the text of a row becomes a field: one function per kind of value. Private to config/. */
#ifndef CONFIG_APPLY_H
#define CONFIG_APPLY_H

#include "config/build.h"

void apply_duration_ms(struct build *build, enum row row, struct slice text);
/* Whole seconds. */
void apply_duration_s(struct build *build, enum row row, struct slice text);
void apply_size_u64(struct build *build, enum row row, struct slice text);
void apply_size(struct build *build, enum row row, struct slice text);
/* A uint32_t. */
void apply_count(struct build *build, enum row row, struct slice text);
/* The same, and "auto" for 0. */
void apply_count_or_auto(struct build *build, enum row row, struct slice text);
void apply_bool(struct build *build, enum row row, struct slice text);
/* An enum, by the row's choices. */
void apply_choice(struct build *build, enum row row, struct slice text);
void apply_listen(struct build *build, enum row row, struct slice text);
/* ":443" or "443". */
void apply_port(struct build *build, enum row row, struct slice text);
/* A bearer token (RFC 6750 §2.1), long enough that nobody guesses it. */
void apply_token(struct build *build, enum row row, struct slice text);
void apply_ready_requires(struct build *build, enum row row, struct slice text);
/* A struct slice: the path of a directory, without a slash at its end. Nothing is looked at. */
void apply_path(struct build *build, enum row row, struct slice text);
/* 32 bytes in hex, base64 or base64url. */
void apply_storage_key(struct build *build, enum row row, struct slice text);
/* environment.c has read it; a file cannot name it. */
void apply_env_dir(struct build *build, enum row row, struct slice text);
void apply_directory(struct build *build, enum row row, struct slice text);
void apply_fallback(struct build *build, enum row row, struct slice text);
void apply_email(struct build *build, enum row row, struct slice text);
void apply_eab_kid(struct build *build, enum row row, struct slice text);
void apply_eab_hmac_key(struct build *build, enum row row, struct slice text);
/* Challenges, profiles and key types in order of preference. */
void apply_challenges(struct build *build, enum row row, struct slice text);
void apply_profiles(struct build *build, enum row row, struct slice text);
void apply_key_types(struct build *build, enum row row, struct slice text);
/* A struct slice: the absolute path of a program, or an http(s) URL. */
void apply_dns_hook(struct build *build, enum row row, struct slice text);
/* A struct slice: an http(s) URL; empty for "off". */
void apply_ask_url(struct build *build, enum row row, struct slice text);
/* A struct slice: one line of UTF-8. */
void apply_line(struct build *build, enum row row, struct slice text);
void apply_renew_at(struct build *build, enum row row, struct slice text);
void apply_hsts(struct build *build, enum row row, struct slice text);
void apply_pem_certificates(struct build *build, enum row row, struct slice text);
void apply_pem_key(struct build *build, enum row row, struct slice text);
/* Encodings in order of preference, or "off". */
void apply_encodings(struct build *build, enum row row, struct slice text);
/* A struct slice of UTF-8, at most LIMIT_ERROR_PAGE_BYTES. */
void apply_html(struct build *build, enum row row, struct slice text);
/* A struct slice: the target of a request, "/healthz?full=1"; empty for "off". */
void apply_health_path(struct build *build, enum row row, struct slice text);

/* A bound as a person writes it: "10m", "64k". */
enum { BOUND_TEXT_BYTES = 32 };
const char *bound_duration_text(uint64_t ms, char out[BOUND_TEXT_BYTES]);
const char *bound_size_text(uint64_t bytes, char out[BOUND_TEXT_BYTES]);

#endif
