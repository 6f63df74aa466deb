#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct err err_errno(const char *what)
{
    return err_make(ERR_SYSTEM, errno, what);
}

/* Codes that libuv adds to the negated errno values; base does not see uv.h, and they are part of its stable ABI. */
static const char *uv_own_text(int code)
{
    switch (code) {
    case -3000: return "address family not supported";
    case -3001: return "temporary failure of name resolution";
    case -3003: return "name resolution canceled";
    case -3004: return "permanent failure of name resolution";
    case -3006: return "out of memory";
    case -3007: return "the name has no address";
    case -3008: return "unknown name";
    case -4095: return "end of file";
    default: return code <= -3000 ? "unknown error" : NULL;
    }
}

/* libuv's codes are negated errno values on every system we run on. */
static const char *uv_text(int code, char *scratch, size_t size)
{
    const char *own = uv_own_text(code);
    return own ? own : strerror_r(code < 0 ? -code : 0, scratch, size);
}

/* A code that is the module's own is shown as it is: the place in a document, an HTTP status. */
static const char *input_text(int code, char *scratch, size_t size)
{
    if (code == 0)
        return "refused input";
    snprintf(scratch, size, "refused input (%d)", code);
    return scratch;
}

static const char *detail_text(struct err err, char *scratch, size_t size)
{
    switch ((enum err_kind)err.kind) {
    case ERR_NONE: return "no error";
    case ERR_SYSTEM: return strerror_r(err.code, scratch, size);
    case ERR_UV: return uv_text(err.code, scratch, size);
    case ERR_TLS: return "TLS error";
    case ERR_INPUT: return input_text(err.code, scratch, size);
    case ERR_LIMIT: return "limit reached";
    case ERR_TIMEOUT: return "timed out";
    case ERR_EOF: return "ended early";
    case ERR_STATE: return "not possible now";
    case ERR_CANCELED: return "canceled";
    }
    return "unknown error";
}

const char *err_text(struct err err, char *out, size_t size)
{
    char scratch[64];
    const char *detail = detail_text(err, scratch, sizeof scratch);
    if (err.what)
        snprintf(out, size, "%s: %s", err.what, detail);
    else
        snprintf(out, size, "%s", detail);
    return out;
}
