#include "exchange/reply.h"

#include "http/h1_writer.h"

static struct reply reply_make(struct arena *arena, unsigned status, struct slice type, struct slice body)
{
    struct head *head = arena_calloc(arena, 1, sizeof *head);
    head->version = 11;
    head->status = (uint16_t)status;
    head->reason = h1_reason(status);
    head->keep_alive = true;
    head->body = BODY_LENGTH;
    head->length_given = true;
    head->length = body.len;
    head_add(head, arena, SLICE_LIT("Content-Type"), type);
    return (struct reply){head, body};
}

/* What a visitor can do about it. */
static const char *reply_hint(unsigned status)
{
    switch (status) {
    case 400: return "The request was not understood.";
    case 401: return "A name and a password are asked for here.";
    case 403: return "This site is not open to your address.";
    case 404: return "Nothing is served at this address.";
    case 408: return "The request took too long to arrive.";
    case 413: return "The request is larger than this site allows.";
    case 414: return "The address of the request is too long.";
    case 421: return "This name is not served on this connection.";
    case 431: return "The header of the request is too large.";
    case 501: return "The request asks for something that this server does not do.";
    case 502: return "The site behind this server did not answer properly. Please try again soon.";
    case 503: return "The site is not available right now. Please try again soon.";
    case 504: return "The site behind this server took too long to answer. Please try again soon.";
    default: return "The request could not be served.";
    }
}

static bool reply_wants_json(const struct head *request)
{
    if (!request)
        return false;
    struct slice accept = head_get(request, FIELD_ACCEPT), range;
    while (field_list_next(&accept, &range)) { /* whichever of the two is named first */
        struct slice type = slice_trim(slice_split(&range, ';'));
        if (slice_ieq(type, SLICE_LIT("application/json")) || slice_ieq(type, SLICE_LIT("application/problem+json")))
            return true;
        if (slice_ieq(type, SLICE_LIT("text/html")))
            return false;
    }
    return false;
}

static struct reply reply_json(struct arena *arena, unsigned status)
{
    struct slice reason = h1_reason(status);
    struct slice body = arena_printf(arena, "{\"status\":%u,\"title\":\"%.*s\",\"detail\":\"%s\"}\n", status,
                                     (int)reason.len, reason.ptr, reply_hint(status));
    return reply_make(arena, status, SLICE_LIT("application/problem+json"), body);
}

static struct slice reply_html(struct arena *arena, unsigned status)
{
    struct slice reason = h1_reason(status);
    return arena_printf(arena,
                        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                        "content=\"width=device-width\"><title>%u %.*s</title>\n<body "
                        "style=\"font-family:system-ui,sans-serif;max-width:"
                        "36em;margin:15vh auto;padding:0 1em\"><h1>%u %.*s</h1>\n<p>%s</p>\n</html>\n",
                        status, (int)reason.len, reason.ptr, status, (int)reason.len, reason.ptr, reply_hint(status));
}

struct reply reply_error(struct arena *arena, unsigned status, unsigned retry_after_s, const struct head *request,
                         struct slice page)
{
    bool own_page = page.len && status >= 502 && status <= 504;
    struct reply reply = reply_wants_json(request) ? reply_json(arena, status)
                                                   : reply_make(arena, status, SLICE_LIT("text/html; charset=utf-8"),
                                                                own_page ? page : reply_html(arena, status));
    if (status == 401)
        head_add(reply.head, arena, SLICE_LIT("WWW-Authenticate"),
                 SLICE_LIT("Basic realm=\"restricted\", charset=\"UTF-8\""));
    if (status == 503 || retry_after_s)
        head_add(reply.head, arena, SLICE_LIT("Retry-After"),
                 arena_printf(arena, "%u", retry_after_s ? retry_after_s : 1));
    return reply;
}

struct reply reply_redirect(struct arena *arena, struct slice location)
{
    struct reply reply = reply_make(arena, 308, SLICE_LIT("text/plain"), SLICE_NONE);
    head_add(reply.head, arena, SLICE_LIT("Location"), location);
    return reply;
}

struct reply reply_text(struct arena *arena, struct slice text)
{
    struct reply reply = reply_make(arena, 200, SLICE_LIT("text/plain"), text);
    head_add(reply.head, arena, SLICE_LIT("Cache-Control"), SLICE_LIT("no-store"));
    return reply;
}
