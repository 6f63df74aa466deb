/* The smallest unit-test kit: CHECK reports and counts, RUN names the test, checks_done() is main's result. */
#ifndef SUPPORT_CHECK_H
#define SUPPORT_CHECK_H

#include <stdio.h>
#include <string.h>

static int checks_failed;
static const char *checks_test = "";

#define CHECK(cond)                                                                                        \
    do {                                                                                                   \
        if (!(cond)) {                                                                                     \
            fprintf(stderr, "%s:%d: %s: failed: %s\n", __FILE__, __LINE__, checks_test, #cond);            \
            checks_failed++;                                                                               \
        }                                                                                                  \
    } while (0)

#define CHECK_INT(got, want)                                                                               \
    do {                                                                                                   \
        long long got_ = (long long)(got), want_ = (long long)(want);                                      \
        if (got_ != want_) {                                                                               \
            fprintf(stderr, "%s:%d: %s: %s is %lld, want %lld\n", __FILE__, __LINE__, checks_test, #got,   \
                    got_, want_);                                                                          \
            checks_failed++;                                                                               \
        }                                                                                                  \
    } while (0)

#define CHECK_MEM(got, got_len, want, want_len)                                                            \
    do {                                                                                                   \
        size_t gl_ = (got_len), wl_ = (want_len);                                                          \
        const char *g_ = (const char *)(got), *w_ = (const char *)(want);                                  \
        if (gl_ != wl_ || (gl_ && memcmp(g_, w_, gl_) != 0)) {                                             \
            fprintf(stderr, "%s:%d: %s: %s is '%.*s', want '%.*s'\n", __FILE__, __LINE__, checks_test,     \
                    #got, (int)gl_, gl_ ? g_ : "", (int)wl_, wl_ ? w_ : "");                               \
            checks_failed++;                                                                               \
        }                                                                                                  \
    } while (0)

/* A struct slice against a string literal or a C string. */
#define CHECK_SLICE(got, want)                                                                             \
    do {                                                                                                   \
        struct slice gs_ = (got);                                                                          \
        const char *ws_ = (want);                                                                          \
        CHECK_MEM(gs_.ptr, gs_.len, ws_, strlen(ws_));                                                     \
    } while (0)

#define CHECK_STR(got, want)                                                                               \
    do {                                                                                                   \
        const char *gc_ = (got), *wc_ = (want);                                                            \
        CHECK_MEM(gc_ ? gc_ : "(null)", strlen(gc_ ? gc_ : "(null)"), wc_, strlen(wc_));                   \
    } while (0)

#define RUN(test)                                                                                          \
    do {                                                                                                   \
        checks_test = #test;                                                                               \
        test();                                                                                            \
    } while (0)

static inline int checks_done(void)
{
    if (checks_failed)
        fprintf(stderr, "%d checks failed\n", checks_failed);
    return checks_failed != 0;
}

#endif
