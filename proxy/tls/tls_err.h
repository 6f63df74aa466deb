/* tls_err: what BoringSSL says went wrong, as a value and as words. Any thread; reads this thread's error queue. */
#ifndef TLS_TLS_ERR_H
#define TLS_TLS_ERR_H

#include "base/err.h"

/* Takes the newest error from this thread's queue and empties it. */
struct err tls_err_take(const char *what);
/* The reason of an ERR_TLS in BoringSSL's words, a literal; "unknown" for others. */
const char *tls_err_reason(struct err err);

#endif
