/* finding: what a check of the world around us found: a value with the cause in words, and the cure. Preflights and `doctor`
 * make them; the hint beside a CA's answer, a table and JSON are made of them. Pure; any thread, one at a time. */
#ifndef CERTS_FINDING_H
#define CERTS_FINDING_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json_write.h"

enum finding_level {
    FINDING_OK,
    FINDING_WARN, /* odd, or not to be told from here */
    FINDING_FAIL  /* certificates will not come like this */
};

struct finding {
    const char *check; /* what was looked at: "port 80"; a literal */
    const char *kind;  /* what was found: "redirect-loop"; a literal, for programs */
    enum finding_level level;
    struct slice subject;  /* the name, URL or path that it is about; may be empty */
    struct slice address;  /* without port; may be empty */
    unsigned status;       /* of HTTP; 0: none */
    struct slice body;     /* its beginning, printable ASCII; may be empty */
    struct slice sentence; /* what is so, without a full stop */
    struct slice cure;     /* what to do; empty where nothing is to be done */
};

/* A zeroed one is empty. The texts of its findings live in its arena. */
struct findings {
    struct arena arena;
    struct finding *items;
    size_t num, cap;
};

void findings_cleanup(struct findings *findings);
/* One more, to be filled in; valid until the next is added. */
struct finding *findings_add(struct findings *findings, const char *check, const char *kind, enum finding_level level);
/* A deep copy of all of them, behind what is there. */
void findings_append(struct findings *findings, const struct findings *more);
/* The worst; OK where there is none. */
enum finding_level findings_level(const struct findings *findings);

/* What failed, with its cures, in one line of at most FINDING_HINT_BYTES; nothing where nothing failed. */
enum { FINDING_HINT_BYTES = 1000 };
void findings_write_hint(const struct findings *findings, struct buf *out);
/* An array. */
void findings_write_json(const struct findings *findings, struct json_writer *w);
const char *finding_level_text(enum finding_level level);

/* A stranger's text in printable ASCII, white space joined, cut at max bytes. In the arena. */
struct slice finding_quote(struct arena *arena, struct slice text, size_t max);

#endif
