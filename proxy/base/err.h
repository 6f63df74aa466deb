/* err: failure as a value.
 *
 * A struct err is 16 bytes, is returned by value and must be looked at. It says what kind of thing failed, a code of
 * that kind, and one literal that names what was being done. Text for people with names, values and cures is made
 * where a person reads it (a configuration mistake, an ACME problem), not here. Any thread. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum err_kind {
    ERR_NONE,    /* no failure */
    ERR_SYSTEM,  /* code is an errno value */
    ERR_UV,      /* code is a libuv status, negative */
    ERR_TLS,     /* code is BoringSSL's packed error, or 0 */
    ERR_INPUT,   /* the peer or a document broke a rule; code is the module's own, e.g. an HTTP status */
    ERR_LIMIT,   /* a named limit was reached */
    ERR_TIMEOUT, /* a deadline passed */
    ERR_EOF,     /* the peer ended where it should not have */
    ERR_STATE,   /* not possible now (closing, not connected, unavailable) */
    ERR_CANCELED /* the one who asked withdrew */
};

struct err {
    uint32_t kind; /* enum err_kind */
    int32_t code;
    const char *what; /* a literal, e.g. "bind"; never NULL in a failure */
};

#define ERR_OK ((struct err){0, 0, NULL})

#define MUST_CHECK __attribute__((warn_unused_result))

static inline bool err_is(struct err err)
{
    return err.kind != ERR_NONE;
}

static inline struct err err_make(enum err_kind kind, int code, const char *what)
{
    return (struct err){(uint32_t)kind, code, what};
}

/* The failure of a system call that has just set errno. */
struct err err_errno(const char *what);

/* One line for a log: "bind: address already in use". Writes at most size bytes, always terminated; returns out. */
const char *err_text(struct err err, char *out, size_t size);

#endif
