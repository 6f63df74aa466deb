/* clock: the two kinds of time. Deadlines of connections are monotonic, dates of certificates are wall clock; what is
 * handed a clock can be run at a million times the speed of time. Any thread. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(const struct clock *); /* milliseconds since 1970-01-01 UTC */
    int64_t (*mono_ms)(const struct clock *); /* milliseconds, never backwards */
};

/* The machine's own clocks. */
extern const struct clock clock_system;

/* "2026-11-23T22:16:33.123Z" (RFC 3339, UTC); out has room for CLOCK_TEXT_BYTES. Returns out. */
enum { CLOCK_TEXT_BYTES = 32 };
const char *clock_rfc3339(int64_t wall_ms, char out[CLOCK_TEXT_BYTES]);

/* Seconds since 1970 of an HTTP-date in any of the three forms of RFC 9110 §5.6.7; false for anything else. A year of
 * two digits is placed by the machine's clock; the day of the week need not fit the date. */
bool clock_parse_http_date(struct slice text, int64_t *out_s);
/* Seconds since 1970 of an RFC 3339 date-time with any offset, fractions ignored; false for anything else. */
bool clock_parse_rfc3339(struct slice text, int64_t *out_s);
/* Days, hours... to seconds since 1970, proleptic Gregorian, UTC; the fields are taken as they are (month 1 to 12). */
int64_t clock_from_civil(int year, int month, int day, int hour, int minute, int second);

#endif
