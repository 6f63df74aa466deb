/* Which answers are compressed, with what, and what their heads say then: tables. */
#include "exchange/compress.h"

#include "check.h"

#include <stdio.h>

#define GZIP CONFIG_ENCODING_GZIP
#define BR CONFIG_ENCODING_BR
#define ZSTD CONFIG_ENCODING_ZSTD
#define NONE NUM_CONFIG_ENCODINGS

static struct arena arena;

/* COMPRESS with the first `num` of these. */
static const struct config *config_of(size_t num, enum config_encoding first, enum config_encoding second)
{
    static struct config config;
    config.policy.compress[0] = first;
    config.policy.compress[1] = second;
    config.policy.compress[2] = CONFIG_ENCODING_GZIP;
    config.policy.num_compress = num;
    return &config;
}

/* "Name: value" lines. */
static void add_fields(struct fields *fields, const char *text)
{
    for (struct slice rest = slice_str(text), line; rest.len;) {
        line = slice_split(&rest, '\n');
        struct slice name = slice_split(&line, ':');
        fields_add(fields, &arena, name, slice_trim(line));
    }
}

static struct head request_with(const char *fields)
{
    struct head head = {.method = METHOD_GET, .version = 11};
    add_fields(&head.fields, fields);
    return head;
}

static struct head answer_with(unsigned status, const char *fields)
{
    struct head head = {.status = (uint16_t)status, .version = 11, .body = BODY_CHUNKED};
    add_fields(&head.fields, fields);
    return head;
}

static const char *text_of(const struct fields *fields)
{
    struct buf text = {0};
    FIELDS_EACH(fields, field)
    buf_printf(&text, "%.*s: %.*s\n", (int)field->name.len, field->name.ptr, (int)field->value.len, field->value.ptr);
    const char *copy = arena_copy(&arena, buf_slice(&text)).ptr;
    buf_cleanup(&text);
    return copy;
}

/* ---- what the client takes ---- */

static void the_weights_decide_then_our_order(void)
{
    static const struct {
        const char *accept;
        enum config_encoding want; /* configured: zstd, br, gzip */
    } rows[] = {
        {"gzip", GZIP},
        {"br", BR},
        {"zstd", ZSTD},
        {"GZip", GZIP},
        {"x-gzip", GZIP},
        {"gzip, deflate, br, zstd", ZSTD}, /* a tie: ours */
        {"gzip, br", BR},
        {"gzip;q=1.0, br;q=0.9, zstd;q=0.8", GZIP},
        {"gzip;q=0.5, br;q=0.501", BR},
        {"gzip ; q=0.2 , br ; Q=0.1", GZIP},
        {"*", ZSTD},
        {"*;q=0.1, gzip", GZIP},
        {"zstd;q=0, *", BR},
        {"zstd;q=0, br;q=0, *;q=0.1", GZIP},
        {"gzip, *;q=0", GZIP},
        {"br;q=0.001", BR},
        {"gzip,,br,", BR},
        {"identity;q=0, gzip", GZIP},
        {"identity;q=0.5, gzip;q=0.5", GZIP},
        {"deflate, compress, gzip;q=0.1", GZIP},
        {"br;q=1.000", BR},
        {"br;q=0.", NONE},
        {"", NONE},
        {"identity", NONE},
        {"identity, gzip;q=0.9", NONE},
        {"deflate", NONE},
        {"gzip;q=0", NONE},
        {"gzip;q=0.000", NONE},
        {"*;q=0", NONE},
        {"identity;q=0", NONE},
        {"gzip2, xgzip, br-1, zstdx", NONE},
        /* malformed weights refuse */
        {"gzip;q=1.001", NONE},
        {"gzip;q=2", NONE},
        {"gzip;q=0.1234", NONE},
        {"gzip;q=-1", NONE},
        {"gzip;q=.5", NONE},
        {"gzip;q=", NONE},
        {"gzip;q", NONE},
        {"gzip;q=1;q=1", NONE},
        {"gzip;level=9", NONE},
        {"gzip;q=0,5", NONE},
        {"gzip;q=\"1\"", NONE},
        {"gzip;q=1e0", NONE},
        {"gzip q=1", NONE},
        {"gzip;q=x, br", BR},
        {"gzip, gzip;q=0", NONE}, /* said twice: the lower one */
        {"gzip;q=0, gzip", NONE},
        {";q=1", NONE},
        {"*/*", NONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head request = {0};
        enum config_encoding encoding = NONE;
        head_add(&request, &arena, SLICE_LIT("Accept-Encoding"), slice_str(rows[i].accept));
        bool any = compress_negotiate(config_of(3, ZSTD, BR), &request, &encoding);
        enum config_encoding got = any ? encoding : NONE;
        if (got != rows[i].want)
            fprintf(stderr, "Accept-Encoding: %s\n", rows[i].accept);
        CHECK_INT(got, rows[i].want);
    }
}

static void only_what_is_configured_is_offered(void)
{
    enum config_encoding encoding = NONE;
    struct head all = request_with("Accept-Encoding: gzip, br, zstd"), br = request_with("Accept-Encoding: br");
    CHECK(compress_negotiate(config_of(1, GZIP, BR), &all, &encoding) && encoding == GZIP);
    CHECK(!compress_negotiate(config_of(1, GZIP, BR), &br, &encoding));
    CHECK(compress_negotiate(config_of(2, GZIP, BR), &all, &encoding) && encoding == GZIP);
    CHECK(compress_negotiate(config_of(2, BR, GZIP), &all, &encoding) && encoding == BR);
    CHECK(!compress_negotiate(config_of(0, GZIP, BR), &all, &encoding));
}

static void several_lines_are_one_list_and_none_is_none(void)
{
    enum config_encoding encoding = NONE;
    struct head two = request_with("Accept-Encoding: gzip;q=0.1\nX: y\naccept-encoding: br;q=0.2"),
                none = request_with("X: y");
    CHECK(compress_negotiate(config_of(3, ZSTD, BR), &two, &encoding) && encoding == BR);
    CHECK(!compress_negotiate(config_of(3, ZSTD, BR), &none, &encoding));
}

/* ---- what gains by it ---- */

static void types_that_gain(void)
{
    static const char *const yes[] = {"text/html",
                                      "text/html; charset=utf-8",
                                      "TEXT/CSS",
                                      "text/plain;charset=x",
                                      "application/json",
                                      "application/json ;v=1",
                                      "application/javascript",
                                      "application/problem+json",
                                      "application/atom+xml",
                                      "image/svg+xml",
                                      "application/wasm",
                                      "font/ttf",
                                      "application/manifest+json",
                                      "application/xml"};
    static const char *const no[] = {"",
                                     "text",
                                     "image/png",
                                     "application/octet-stream",
                                     "font/woff2",
                                     "video/mp4",
                                     "text/event-stream",
                                     "Text/Event-Stream; charset=utf-8",
                                     "application/grpc",
                                     "application/grpc+json",
                                     "application/grpc-web+json",
                                     "APPLICATION/GRPC+XML",
                                     "+json",
                                     "application/zip",
                                     "application/jsonx",
                                     "multipart/form-data; x=text/html",
                                     "application/octet-stream; name=\"x+json\""};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        CHECK(compress_type_gains(slice_str(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        CHECK(!compress_type_gains(slice_str(no[i])));
}

/* ---- the decision ---- */

static enum compress_verdict verdict(const struct head *request, const struct head *answer)
{
    return compress_decide(config_of(3, ZSTD, BR), request, answer).verdict;
}

static void answers_and_their_verdicts(void)
{
    static const struct {
        unsigned status;
        const char *fields;
        enum compress_verdict want;
    } rows[] = {
        {200, "Content-Type: text/html", COMPRESS_NOW},
        {201, "Content-Type: application/json", COMPRESS_NOW},
        {203, "Content-Type: text/html", COMPRESS_NOW},
        {204, "Content-Type: text/html", COMPRESS_NOT},
        {205, "Content-Type: text/html", COMPRESS_NOT},
        {206, "Content-Type: text/html\nContent-Range: bytes 0-999/2000", COMPRESS_NOT},
        {206, "Content-Type: text/html", COMPRESS_NOT},
        {301, "Content-Type: text/html", COMPRESS_NOT},
        {304, "Content-Type: text/html", COMPRESS_NOT},
        {404, "Content-Type: text/html", COMPRESS_NOT},
        {500, "Content-Type: text/html", COMPRESS_NOT},
        {200, "Content-Type: image/png", COMPRESS_NOT},
        {200, "X: no type", COMPRESS_NOT},
        {200, "Content-Type: text/event-stream", COMPRESS_NOT},
        {200, "Content-Type: application/grpc", COMPRESS_NOT},
        {200, "Content-Type: text/html\nContent-Encoding: gzip", COMPRESS_NOT},
        {200, "Content-Type: text/html\nContent-Encoding: identity", COMPRESS_NOT},
        {200, "Content-Type: text/html\nContent-Range: bytes 0-999/2000", COMPRESS_NOT},
        {200, "Content-Type: text/html\nCache-Control: no-transform", COMPRESS_NOT},
        {200, "Content-Type: text/html\nCache-Control: private\nCache-Control: max-age=1, No-Transform", COMPRESS_NOT},
        {200, "Content-Type: text/html\nCache-Control: no-store", COMPRESS_NOW},
        {200, "Content-Type: text/html\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==", COMPRESS_NOT},
        {200, "Content-Type: text/html\nDigest: sha-256=x", COMPRESS_NOT},
        {200, "Content-Type: text/html\nContent-Digest: sha-256=:x:", COMPRESS_NOT},
        {200, "Content-Type: text/html\nrepr-digest: sha-256=:x:", COMPRESS_NOT},
        {200, "Content-Type: text/html\nSignature-Input: s=(\"etag\")", COMPRESS_NOT},
        {200, "Content-Type: text/html\nTrailer: X-T, Content-Digest", COMPRESS_NOT},
        {200, "Content-Type: text/html\nTrailer: X-T", COMPRESS_NOW},
    };
    struct head takes = request_with("Accept-Encoding: gzip"), leaves = request_with("X: y");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head answer = answer_with(rows[i].status, rows[i].fields);
        enum compress_verdict other = rows[i].want == COMPRESS_NOW ? COMPRESS_VARIES : rows[i].want;
        if (verdict(&takes, &answer) != rows[i].want)
            fprintf(stderr, "%u, %s\n", rows[i].status, rows[i].fields);
        CHECK_INT(verdict(&takes, &answer), rows[i].want);
        CHECK_INT(verdict(&leaves, &answer), other);
        CHECK_INT(compress_decide(config_of(0, GZIP, BR), &takes, &answer).verdict, COMPRESS_NOT);
    }
}

static void lengths_that_gain(void)
{
    struct head request = request_with("Accept-Encoding: gzip"), answer = answer_with(200, "Content-Type: text/html");
    answer.body = BODY_UNTIL_CLOSE;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOW);
    answer.body = BODY_LENGTH;
    answer.length_given = true;
    answer.length = COMPRESS_LEAST_BYTES - 1;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOT);
    answer.length = COMPRESS_LEAST_BYTES;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOW);
    answer.body = BODY_NONE;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOT);
}

/* RFC 9110 §9.3.2: the fields that GET would get. */
static void head_is_decided_as_get_is(void)
{
    struct head request = request_with("Accept-Encoding: gzip"), answer = answer_with(200, "Content-Type: text/html");
    request.method = METHOD_HEAD;
    answer.body = BODY_NONE;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOW);
    answer.length_given = true;
    answer.length = COMPRESS_LEAST_BYTES - 1;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOT);
    answer.length = COMPRESS_LEAST_BYTES;
    CHECK_INT(verdict(&request, &answer), COMPRESS_NOW);
}

static void requests_that_are_not_for_it(void)
{
    struct head answer = answer_with(200, "Content-Type: text/html");
    struct head old = request_with("Accept-Encoding: gzip"),
                strict = request_with("Accept-Encoding: gzip\nCache-Control: no-transform"),
                ranged = request_with("Accept-Encoding: gzip\nRange: bytes=0-9");
    old.version = 10;
    CHECK_INT(verdict(&old, &answer), COMPRESS_VARIES);
    CHECK_INT(verdict(&strict, &answer), COMPRESS_VARIES);
    CHECK_INT(verdict(&ranged, &answer), COMPRESS_NOW); /* the backend ignored the range */
    old.version = 20;
    CHECK_INT(verdict(&old, &answer), COMPRESS_NOW);
}

static void a_304_for_a_tag_of_ours(void)
{
    static const struct {
        const char *asked, *tag;
        enum compress_verdict want;
    } rows[] = {
        {"If-None-Match: W/\"x\"", "ETag: \"x\"", COMPRESS_WEAKER},
        {"If-None-Match: \"y\", W/\"x\"", "ETag: \"x\"", COMPRESS_WEAKER},
        {"If-None-Match: \"x\"", "ETag: \"x\"", COMPRESS_NOT},
        {"If-None-Match: W/\"y\"", "ETag: \"x\"", COMPRESS_NOT},
        {"If-None-Match: W/\"x\"", "ETag: W/\"x\"", COMPRESS_NOT},
        {"If-None-Match: *", "ETag: \"x\"", COMPRESS_NOT},
        {"If-None-Match: W/\"x\"", "X: y", COMPRESS_NOT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct head request = request_with(rows[i].asked), answer = answer_with(304, rows[i].tag);
        answer.body = BODY_NONE;
        CHECK_INT(verdict(&request, &answer), rows[i].want);
    }
}

/* ---- the head ---- */

static void heads_before_and_after(void)
{
    static const struct {
        enum compress_verdict verdict;
        const char *before, *after;
    } rows[] = {
        {COMPRESS_NOT, "ETag: \"x\"\nAccept-Ranges: bytes\n", "ETag: \"x\"\nAccept-Ranges: bytes\n"},
        {COMPRESS_NOW, "A: b\nETag: \"x\"\nAccept-Ranges: bytes\nC: d\n",
         "A: b\nETag: W/\"x\"\nC: d\nVary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "ETag: W/\"x\"\n", "ETag: W/\"x\"\nVary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "ETag: \"\"\n", "ETag: W/\"\"\nVary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "ETag: x\n", "Vary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "ETag: \n", "Vary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "Vary: Origin\n", "Vary: Origin, Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "Vary: Origin\nvary: Cookie, accept-encoding\n",
         "Vary: Origin\nvary: Cookie, accept-encoding\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "Vary: Origin\nVary: *\n", "Vary: Origin\nVary: *\nContent-Encoding: br\n"},
        {COMPRESS_NOW, "Vary: \n", "Vary: \nVary: Accept-Encoding\nContent-Encoding: br\n"},
        {COMPRESS_VARIES, "ETag: \"x\"\nAccept-Ranges: bytes\n",
         "ETag: \"x\"\nAccept-Ranges: bytes\nVary: Accept-Encoding\n"},
        {COMPRESS_VARIES, "Vary: Origin\n", "Vary: Origin, Accept-Encoding\n"},
        {COMPRESS_WEAKER, "ETag: \"x\"\nAccept-Ranges: bytes\n",
         "ETag: W/\"x\"\nAccept-Ranges: bytes\nVary: Accept-Encoding\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fields fields = {0};
        struct compress_plan plan = {rows[i].verdict, CONFIG_ENCODING_BR};
        add_fields(&fields, rows[i].before);
        compress_fields(&plan, &fields, &arena);
        CHECK_STR(text_of(&fields), rows[i].after);
    }
}

int main(void)
{
    RUN(the_weights_decide_then_our_order);
    RUN(only_what_is_configured_is_offered);
    RUN(several_lines_are_one_list_and_none_is_none);
    RUN(types_that_gain);
    RUN(answers_and_their_verdicts);
    RUN(lengths_that_gain);
    RUN(head_is_decided_as_get_is);
    RUN(requests_that_are_not_for_it);
    RUN(a_304_for_a_tag_of_ours);
    RUN(heads_before_and_after);
    arena_cleanup(&arena);
    return checks_done();
}
