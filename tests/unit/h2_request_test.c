#include "front/h2_request.h"

#include "base/limits.h"
#include "check.h"

#include <stdio.h>

enum { MAX_BYTES = 4096 };

static struct arena arena;

/* "name=value" lines; the worst verdict. */
static enum h2_verdict feed(struct h2_request *request, const char *fields)
{
    enum h2_verdict worst = H2_FIELD_TAKEN;
    struct slice rest = slice_str(fields);
    arena_cleanup(&arena);
    h2_request_begin(request, &arena, MAX_BYTES);
    while (rest.len) {
        struct slice value = slice_split(&rest, '\n');
        const char *at = memmem(value.ptr, value.len, "=", 1);
        struct slice name = slice_first(value, (size_t)(at - value.ptr));
        enum h2_verdict verdict = h2_request_field(request, name, slice_skip(value, name.len + 1));
        worst = verdict > worst ? verdict : worst;
    }
    return worst;
}

/* The status of the refusal, 0 for none. */
static int judge(struct h2_request *request, const char *fields, bool ended)
{
    CHECK_INT(feed(request, fields), H2_FIELD_TAKEN);
    return h2_request_finish(request, ended, true).code;
}

#define GET ":method=GET\n:scheme=https\n:authority=A.test:8443\n:path=/x?y\n"
#define POST ":method=POST\n:scheme=https\n:authority=a.test\n:path=/\n"
#define CONNECT ":method=CONNECT\n:scheme=https\n:authority=a.test\n:path=/ws\n"

static void a_good_head(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, GET "accept=*/*\nx-empty=\n", true), 0);
    const struct head *head = request.head;
    CHECK_INT(head->method, METHOD_GET);
    CHECK_INT(head->version, 20);
    CHECK_INT(head->body, BODY_NONE);
    CHECK_SLICE(head->target, "/x?y");
    CHECK_SLICE(head->authority, "A.test:8443");
    CHECK_SLICE(head->host, "a.test");
    CHECK_INT(head->port, 8443);
    CHECK_SLICE(head->scheme, "https");
    CHECK_SLICE(head_get(head, FIELD_ACCEPT), "*/*");
    CHECK_INT(head->upgrade, UPGRADE_NONE);
}

static void framing_is_what_the_frames_say(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, POST, false), 0);
    CHECK_INT(request.head->body, BODY_CHUNKED);
    CHECK_INT(judge(&request, POST "content-length=7\n", false), 0);
    CHECK_INT(request.head->body, BODY_LENGTH);
    CHECK_INT(request.head->length, 7);
    CHECK_INT(judge(&request, POST, true), 0); /* Content-Length: 0 upstream */
    CHECK_INT(request.head->body, BODY_LENGTH);
    CHECK_INT(request.head->length, 0);
    CHECK_INT(judge(&request, POST "content-length=7\n", true), 400); /* H2 */
    CHECK_INT(judge(&request, POST "content-length=7\ncontent-length=7\n", false), 400);
    CHECK_INT(judge(&request, POST "content-length=0x7\n", false), 400);
}

/* H1. */
static void malformed_fields(void)
{
    static const char *const malformed[] = {
        GET "X-A=1\n",
        GET "x a=1\n",
        GET "=1\n",
        GET "x-a= 1\n",
        GET "x-a=1\t\n",
        GET "x-a=a\rb\n",
        GET "x-a=\x7f\n",
        GET ":path=/\n",
        GET ":odd=1\n",
        GET "x-a=1\n:protocol=x\n",
        GET "te=gzip\n",
        GET "connection=\n",
        GET "upgrade=h2c\n",
        GET "keep-alive=300\n",
        GET "transfer-encoding=chunked\n",
        GET "x-a:b=1\n",
        GET "proxy-connection=close\n",
    };
    struct h2_request request;
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        CHECK_INT(feed(&request, malformed[i]), H2_FIELD_MALFORMED);
    CHECK_INT(feed(&request, GET "te=trailers\n"), H2_FIELD_TAKEN);
    h2_request_begin(&request, &arena, MAX_BYTES);
    CHECK_INT(h2_request_field(&request, SLICE_LIT("x-a"), slice_make("a\0b", 3)), H2_FIELD_MALFORMED);
}

/* H3. */
static void one_authority(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, GET "host=A.test:8443\n", true), 0);
    CHECK_INT(judge(&request, GET "host=b.test\n", true), 400);
    CHECK_INT(judge(&request, GET "host=A.test:8443\nhost=A.test:8443\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:path=/\nhost=a.test\n", true), 0);
    CHECK_SLICE(request.head->authority, "a.test");
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:path=/\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:path=/\n:authority=\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=http\n:path=/\n:authority=a.test\n", true), 400);
}

static void targets(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, ":method=OPTIONS\n:scheme=https\n:authority=a.test\n:path=*\n", true), 0);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=*\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=https://b.test/\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=x\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=/ x\n", true), 400);
    CHECK_INT(judge(&request, ":method=GET\n:scheme=https\n:authority=a.test\n:path=/#x\n", true), 400);
}

static void methods(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, ":method=TRACE\n:scheme=https\n:authority=a.test\n:path=/\n", true), 405);
    CHECK_INT(judge(&request, ":method=CONNECT\n:authority=a.test\n", true), 501);
    CHECK_INT(judge(&request, ":method=BREW\n:scheme=https\n:authority=a.test\n:path=/\n", true),
              501); /* as in HTTP/1.1 */
    CHECK_INT(judge(&request, ":method=get\n:scheme=https\n:authority=a.test\n:path=/\n", true), 501);
    CHECK_INT(judge(&request, ":method=PROPFIND\n:scheme=https\n:authority=a.test\n:path=/\n", true), 0);
    CHECK_INT(judge(&request, ":method=PRI\n:scheme=https\n:authority=a.test\n:path=/\n", true), 501);
    CHECK_INT(judge(&request, ":method=G=T\n:scheme=https\n:authority=a.test\n:path=/\n", true), 400);
    CHECK_INT(judge(&request, ":method=\n:scheme=https\n:authority=a.test\n:path=/\n", true), 400);
    CHECK_INT(judge(&request, ":scheme=https\n:authority=a.test\n:path=/\n", true), 400);
}

/* RFC 8441, R12. */
static void extended_connect_is_an_upgrade(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, CONNECT ":protocol=websocket\nsec-websocket-key=theirs\n", false), 0);
    CHECK_INT(request.head->method, METHOD_GET);
    CHECK_SLICE(request.head->method_name, "GET");
    CHECK_INT(request.head->upgrade, UPGRADE_WEBSOCKET);
    CHECK_INT(request.head->body, BODY_NONE);
    CHECK(!fields_find(&request.head->fields, FIELD_SEC_WEBSOCKET_KEY));
    CHECK_INT(judge(&request, CONNECT ":protocol=connect-udp\n", false), 501);
    CHECK_INT(judge(&request, CONNECT ":protocol=WebSocket\n", false), 501);
    CHECK_INT(judge(&request, CONNECT ":protocol=websocket\ncontent-length=1\n", false), 400);
    CHECK_INT(judge(&request, GET ":protocol=websocket\n", true), 400);
}

static void cookies_are_joined(void)
{
    struct h2_request request;
    CHECK_INT(judge(&request, GET "x-a=1\ncookie=a=1\nx-b=2\ncookie=\ncookie=b=2\nx-c=3\n", true), 0);
    CHECK_INT(request.head->fields.num, 5); /* with Host */
    CHECK_SLICE(head_get(request.head, FIELD_COOKIE), "a=1; ; b=2");
    CHECK_SLICE(request.head->fields.at[1].value, "a=1; ; b=2");
    CHECK_SLICE(request.head->fields.at[3].value, "3");
    CHECK_INT(judge(&request, GET "cookie=only\n", true), 0);
    CHECK_SLICE(head_get(request.head, FIELD_COOKIE), "only");
}

/* R10, H5. */
static void what_is_too_much(void)
{
    struct h2_request request;
    char value[1000];
    memset(value, 'v', sizeof value);
    feed(&request, GET);
    for (int i = 0; i < 200; i++) /* crumbs do not count as fields */
        CHECK_INT(h2_request_field(&request, SLICE_LIT("cookie"), SLICE_LIT("")), H2_FIELD_TAKEN);
    CHECK_INT(h2_request_finish(&request, true, true).code, 431); /* but their bytes do: 200 * 38 > 4096 */
    arena_cleanup(&arena);
    h2_request_begin(&request, &arena, 1 << 20);
    for (int i = 0; i <= LIMIT_HEAD_FIELDS; i++)
        CHECK_INT(h2_request_field(&request, SLICE_LIT("x-a"), SLICE_LIT("1")), H2_FIELD_TAKEN);
    CHECK_INT(h2_request_finish(&request, true, true).code, 431);
    CHECK_INT(request.head->fields.num, LIMIT_HEAD_FIELDS);
    feed(&request, GET);
    enum h2_verdict verdict = H2_FIELD_TAKEN;
    int num = 0;
    for (; num < 2000 && verdict == H2_FIELD_TAKEN; num++)
        verdict = h2_request_field(&request, SLICE_LIT("x-a"), slice_make(value, sizeof value));
    CHECK_INT(verdict, H2_FIELD_BOMB);
    CHECK(num > 1000 && request.head->fields.num < 5);
}

static void trailers(void)
{
    struct h2_request request;
    char value[3000];
    memset(value, 'v', sizeof value);
    CHECK_INT(judge(&request, POST, false), 0);
    CHECK_INT(h2_request_trailer(&request, SLICE_LIT("x-t"), SLICE_LIT("1")), H2_FIELD_TAKEN);
    CHECK_INT(h2_request_trailer(&request, SLICE_LIT(":path"), SLICE_LIT("/")), H2_FIELD_MALFORMED);
    CHECK_INT(h2_request_trailer(&request, SLICE_LIT("X-T"), SLICE_LIT("1")), H2_FIELD_MALFORMED);
    CHECK_INT(h2_request_trailer(&request, SLICE_LIT("te"), SLICE_LIT("gzip")), H2_FIELD_MALFORMED);
    CHECK_INT(request.head->trailers.num, 1);
    CHECK(!h2_request_trailers_refused(&request));
    for (int i = 0; i < 3; i++)
        CHECK_INT(h2_request_trailer(&request, SLICE_LIT("x-t"), slice_make(value, sizeof value)), H2_FIELD_TAKEN);
    CHECK(h2_request_trailers_refused(&request));
    CHECK_INT(request.head->trailers.num, 3);
}

int main(void)
{
    RUN(a_good_head);
    RUN(framing_is_what_the_frames_say);
    RUN(malformed_fields);
    RUN(one_authority);
    RUN(targets);
    RUN(methods);
    RUN(extended_connect_is_an_upgrade);
    RUN(cookies_are_joined);
    RUN(what_is_too_much);
    RUN(trailers);
    arena_cleanup(&arena);
    return checks_done();
}
