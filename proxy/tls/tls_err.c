#include "tls/tls_err.h"

#include <openssl/err.h>

struct err tls_err_take(const char *what)
{
    uint32_t packed = ERR_peek_last_error();
    ERR_clear_error();
    return err_make(ERR_TLS, (int)packed, what);
}

const char *tls_err_reason(struct err err)
{
    const char *reason = err.kind == ERR_TLS && err.code ? ERR_reason_error_string((uint32_t)err.code) : NULL;
    return reason ? reason : "unknown";
}
