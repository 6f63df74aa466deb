#include "core/pages.h"

#include "core/admin_access.h"
#include "core/commands.h"
#include "core/metrics.h"
#include "core/status.h"
#include "core/status_page.h"

struct page {
    const char *path;
    enum method method; /* GET: HEAD too */
    enum admin_right right;
    void (*write)(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer);
};

static void page_health(struct admin_answer *answer, const char *trouble)
{
    answer->status = trouble ? 503 : 200;
    buf_append_str(&answer->body, trouble ? trouble : "ok");
    buf_append_char(&answer->body, '\n');
}

static void page_livez(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    page_health(answer, view->alive ? NULL : "a worker has not turned for 10 s");
}

static void page_readyz(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    page_health(answer, !view->started ? "starting" : view->stats.draining ? "draining" : view->not_ready);
}

static void page_startupz(const struct pages_view *view, const struct admin_request *request,
                          struct admin_answer *answer)
{
    (void)request;
    page_health(answer, view->started ? NULL : "the store is being loaded");
}

static bool asks_open_metrics(const struct head *head)
{
    static const char type[] = "application/openmetrics-text";
    struct slice accept = head_get_named(head, SLICE_LIT("Accept"));
    return accept.len && memmem(accept.ptr, accept.len, type, sizeof type - 1);
}

static void page_metrics(const struct pages_view *view, const struct admin_request *request,
                         struct admin_answer *answer)
{
    bool open_metrics = asks_open_metrics(request->head);
    answer->content_type = open_metrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                        : "text/plain; version=0.0.4; charset=utf-8";
    answer->more = metrics_write(&view->stats, open_metrics, &answer->cursor, &answer->body);
}

static void page_status(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    answer->content_type = "application/json";
    answer->more = status_write_json(&view->stats, &answer->cursor, &answer->body);
}

static void page_traffic(const struct pages_view *view, const struct admin_request *request,
                         struct admin_answer *answer)
{
    (void)request;
    answer->content_type = "application/json";
    status_write_traffic(&view->stats, &answer->body);
}

static void page_lines(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    answer->content_type = "text/tab-separated-values; charset=utf-8";
    answer->more = status_write_lines(&view->stats, &answer->cursor, &answer->body);
}

static void page_shell(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    answer->content_type = "text/html; charset=utf-8";
    status_page_write(view->nonce, answer);
}

static void page_drain(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    (void)request;
    view->drain(view->ctx);
    buf_append_str(&answer->body, "draining\n");
}

static void page_renew(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    commands_renew(view->keeper, request, answer);
}

static void page_revoke(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    commands_revoke(view->keeper, request, answer);
}

static void page_account(const struct pages_view *view, const struct admin_request *request,
                         struct admin_answer *answer)
{
    commands_account(view->keeper, request, answer);
}

static void page_show_account(const struct pages_view *view, const struct admin_request *request,
                              struct admin_answer *answer)
{
    commands_show_account(view->keeper, request, answer);
}

static void page_dry_run(const struct pages_view *view, const struct admin_request *request,
                         struct admin_answer *answer)
{
    commands_dry_run(view->keeper, request, answer);
}

static void page_command(const struct pages_view *view, const struct admin_request *request,
                         struct admin_answer *answer)
{
    commands_look(view->keeper, request, answer);
}

/* The shell of the page tells nothing: what it shows it asks for with the token that is typed into it. */
static const struct page pages[] = {
    {"/livez", METHOD_GET, ADMIN_RIGHT_ALL, page_livez},
    {"/readyz", METHOD_GET, ADMIN_RIGHT_ALL, page_readyz},
    {"/startupz", METHOD_GET, ADMIN_RIGHT_ALL, page_startupz},
    {"/metrics", METHOD_GET, ADMIN_RIGHT_ALL, page_metrics},
    {"/", METHOD_GET, ADMIN_RIGHT_ALL, page_shell},
    {"/status", METHOD_GET, ADMIN_RIGHT_LOCAL, page_status},
    {"/status/traffic", METHOD_GET, ADMIN_RIGHT_LOCAL, page_traffic},
    {"/status/lines", METHOD_GET, ADMIN_RIGHT_LOCAL, page_lines},
    {"/drain", METHOD_POST, ADMIN_RIGHT_COMMAND, page_drain},
    {"/renew", METHOD_POST, ADMIN_RIGHT_COMMAND, page_renew},
    {"/revoke", METHOD_POST, ADMIN_RIGHT_COMMAND, page_revoke},
    {"/account/change", METHOD_POST, ADMIN_RIGHT_COMMAND, page_account},
    {"/account", METHOD_GET, ADMIN_RIGHT_LOCAL, page_show_account},
    {"/dry-run", METHOD_POST, ADMIN_RIGHT_COMMAND, page_dry_run},
    {"/command", METHOD_GET, ADMIN_RIGHT_COMMAND, page_command},
};

static const struct page *page_at(struct slice path)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (slice_eq(path, slice_str(pages[i].path)))
            return &pages[i];
    return NULL;
}

static void page_refuse(struct admin_answer *answer, unsigned status, const char *field, const char *text)
{
    answer->status = status;
    buf_append_str(&answer->fields, field);
    buf_append_str(&answer->body, text);
}

static bool page_allowed(const struct page *page, const struct head *head, struct admin_answer *answer)
{
    if (head->method == page->method || (head->method == METHOD_HEAD && page->method == METHOD_GET))
        return true;
    if (page->method == METHOD_POST)
        page_refuse(answer, 405, "Allow: POST\r\n", "POST only\n");
    else
        page_refuse(answer, 405, "Allow: GET, HEAD\r\n", "GET and HEAD only\n");
    return false;
}

static bool page_granted(enum admin_verdict verdict, struct admin_answer *answer)
{
    switch (verdict) {
    case ADMIN_GRANTED: return true;
    case ADMIN_TOKEN_WANTED:
        page_refuse(answer, 401, "WWW-Authenticate: Bearer realm=\"portico\"\r\n",
                    "this needs PORTICO_ADMIN_TOKEN: Authorization: Bearer TOKEN\n");
        return false;
    case ADMIN_TOKEN_UNSET:
        page_refuse(answer, 403, "",
                    "this needs a token: set PORTICO_ADMIN_TOKEN, or use the commands of `portico help`\n");
        return false;
    case ADMIN_ORIGIN_REFUSED:
        page_refuse(answer, 403, "", "commands are not taken from web pages (Origin)\n");
        return false;
    case ADMIN_HOST_REFUSED:
        page_refuse(answer, 403, "", "use an address or localhost: other names in Host are refused here\n");
        return false;
    }
    return false;
}

void pages_answer(const struct pages_view *view, const struct admin_request *request, struct admin_answer *answer)
{
    const struct page *page = page_at(request->path);
    bool granted = answer->more; /* by the first step */
    if (!page)
        page_refuse(answer, 404, "",
                    "not found; there are / /livez /readyz /startupz /metrics /status /drain, and the commands'\n");
    else if (granted || (page_granted(admin_access(request, page->right, view->token), answer) &&
                         page_allowed(page, request->head, answer)))
        page->write(view, request, answer);
}
