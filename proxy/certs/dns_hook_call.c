#include "certs/dns_hook_call.h"

#include "base/json_write.h"
#include "base/limits.h"
#include "base/url.h"
#include "certs/dns_hook.h"

#include <openssl/base64.h>

enum { SHOWN_BYTES = 160 }; /* of an answer or an output: a line of the log has room for so much of a sentence */

/* ---- a program ---- */

static struct slice trim_lines(struct slice text)
{
    while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* The end of what it said, from the beginning of a line on where there is one. */
static struct slice output_end(struct slice output)
{
    output = trim_lines(output);
    if (output.len <= SHOWN_BYTES)
        return output;
    output = slice_skip(output, output.len - SHOWN_BYTES);
    const char *line = memchr(output.ptr, '\n', output.len);
    return line ? slice_skip(output, (size_t)(line - output.ptr) + 1) : output;
}

static void program_say(const struct hook_callee *callee, const struct child_result *result, struct buf *out)
{
    char text[160];
    struct slice said = output_end(result->output);
    buf_append_slice(out, buf_slice(&callee->shown));
    if (err_is(result->err))
        buf_printf(out, ": %s", err_text(result->err, text, sizeof text));
    else
        buf_printf(out, " ended with exit code %d", result->exit_code);
    if (said.len)
        buf_printf(out, ": %.*s", (int)said.len, said.ptr);
}

static void program_ended(struct runner_call *run, const struct child_result *result)
{
    struct hook_call *call = container_of(run, struct hook_call, run);
    struct buf sentence = {0};
    struct err err = result->err;
    if (!err_is(err) && result->exit_code != 0)
        err = err_make(ERR_INPUT, result->exit_code, "the program of PORTICO_ACME_DNS_HOOK failed");
    if (err_is(err))
        program_say(call->callee, result, &sentence);
    call->done(call, err, buf_slice(&sentence));
    buf_cleanup(&sentence);
}

/* ---- a URL ---- */

static void url_say(const struct https_answer *answer, const struct hook_callee *callee, struct buf *out)
{
    struct slice body = trim_lines(slice_first(answer->body, SHOWN_BYTES));
    if (err_is(answer->err)) {
        buf_append_str(out, answer->sentence);
        return;
    }
    buf_append_slice(out, buf_slice(&callee->shown));
    buf_printf(out, " answered %u", answer->head->status);
    if (body.len)
        buf_printf(out, ": %.*s", (int)body.len, body.ptr);
}

static void url_answered(struct https_call *https, const struct https_answer *answer)
{
    struct hook_call *call = container_of(https, struct hook_call, https);
    struct buf sentence = {0};
    struct err err = answer->err;
    if (!err_is(err) && answer->head->status / 100 != 2)
        err = err_make(ERR_INPUT, (int)answer->head->status, "the URL of PORTICO_ACME_DNS_HOOK refused");
    if (err_is(err))
        url_say(answer, call->callee, &sentence);
    call->done(call, err, buf_slice(&sentence));
    buf_cleanup(&sentence);
}

static void url_start(struct hook_call *call, struct slice action, struct slice fqdn, struct slice value)
{
    const struct hook_callee *callee = call->callee;
    struct buf url = {0}, body = {0};
    struct json_writer w = json_writer_on(&body);
    struct https_field fields[] = {{SLICE_LIT("User-Agent"), buf_slice(&callee->user_agent)},
                                   {SLICE_LIT("Content-Type"), SLICE_LIT("application/json")},
                                   {SLICE_LIT("Authorization"), buf_slice(&callee->authorization)}};
    buf_append_slice(&url, buf_slice(&callee->url));
    buf_append_slice(&url, action);
    buf_append_slice(&url, buf_slice(&callee->query));
    json_object(&w);
    json_put_string(&w, "fqdn", fqdn);
    json_put_string(&w, "value", value);
    json_end_object(&w);
    /* Making the same record twice, and removing it twice, come to the same. */
    struct https_request request = {.method = SLICE_LIT("POST"),
                                    .url = buf_slice(&url),
                                    .fields = fields,
                                    .num_fields = callee->authorization.len ? 3 : 2,
                                    .body = buf_slice(&body),
                                    .repeatable = true};
    https_send(callee->client, &request, &call->https);
    buf_cleanup(&url);
    buf_cleanup(&body);
}

/* ---- calls ---- */

void hook_call_start(struct hook_call *call, const struct hook_callee *callee, struct slice action, struct slice fqdn,
                     struct slice value)
{
    struct slice words[RUNNER_WORDS] = {action, fqdn, value};
    call->callee = callee;
    call->run.done = program_ended;
    call->https.done = url_answered;
    if (callee->runner)
        runner_run(callee->runner, words, callee->call_ms, &call->run);
    else
        url_start(call, action, fqdn, value);
}

void hook_call_stop(struct hook_call *call)
{
    if (!call->callee)
        return;
    if (call->callee->runner)
        runner_forget(&call->run);
    else
        https_cancel(&call->https);
}

/* ---- what is called ---- */

static int hex_value(char c)
{
    c = slice_lower_char(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A `%` that begins no escape stands for itself. */
static void append_unescaped(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool room = text.ptr[i] == '%' && text.len - i > 2;
        int high = room ? hex_value(text.ptr[i + 1]) : -1, low = room ? hex_value(text.ptr[i + 2]) : -1;
        bool escape = high >= 0 && low >= 0;
        buf_append_char(out, escape ? (char)(high * 16 + low) : text.ptr[i]);
        i += escape ? 2 : 0;
    }
}

/* RFC 7617 §2; a user without a colon has an empty password. */
static void write_basic(struct buf *out, struct slice userinfo)
{
    struct slice password = userinfo, user = slice_split(&password, ':');
    struct buf plain = {0};
    buf_reserve(&plain, userinfo.len + 2);
    append_unescaped(&plain, user);
    buf_append_char(&plain, ':');
    append_unescaped(&plain, password);
    buf_reserve(out, sizeof "Basic " + 4 * (plain.len / 3 + 1) + 1);
    buf_append_str(out, "Basic ");
    out->len += EVP_EncodeBlock((uint8_t *)out->ptr + out->len, (const uint8_t *)plain.ptr, plain.len);
    buf_cleanup_secret(&plain);
}

static void callee_read_url(struct hook_callee *callee, const struct dns_hook_options *options)
{
    struct buf whole = {0};
    struct url url;
    struct slice userinfo = url_take_userinfo(options->hook, &whole), query = buf_slice(&whole);
    struct slice path = slice_split(&query, '?');
    if (userinfo.len)
        write_basic(&callee->authorization, userinfo);
    if (!err_is(url_parse(buf_slice(&whole), &url)))
        buf_append_slice(&callee->shown, url.authority);
    buf_append_slice(&callee->url, path);
    if (!slice_ends(path, SLICE_LIT("/")))
        buf_append_char(&callee->url, '/');
    if (query.len)
        buf_printf(&callee->query, "?%.*s", (int)query.len, query.ptr);
    buf_cleanup(&whole);
    buf_printf(&callee->user_agent, "portico/%s", options->version);
}

struct err hook_callee_init(struct hook_callee *callee, const struct dns_hook_options *options)
{
    *callee = (struct hook_callee){.call_ms = options->call_ms ? options->call_ms : LIMIT_HOOK_MS};
    if (options->hook.len && options->hook.ptr[0] == '/') {
        if (!options->runner || !slice_eq(runner_program(options->runner), options->hook))
            return err_make(ERR_INPUT, 0, "a program of PORTICO_ACME_DNS_HOOK is chosen when Portico starts");
        callee->runner = runner_ref(options->runner);
        buf_append_slice(&callee->shown, options->hook);
        return ERR_OK;
    }
    struct https_options https = {.loop = options->loop,
                                  .resolver = options->resolver,
                                  .extra_roots_pem = options->extra_roots_pem,
                                  .proxy = options->proxy,
                                  .call_ms = callee->call_ms,
                                  .plain_http = true};
    size_t num_roots;
    struct err err = https_client_new(&https, &callee->client, &num_roots);
    if (!err_is(err))
        callee_read_url(callee, options);
    return err;
}

void hook_callee_cleanup(struct hook_callee *callee)
{
    runner_unref(callee->runner);
    https_client_close(callee->client);
    buf_cleanup(&callee->url);
    buf_cleanup(&callee->query);
    buf_cleanup(&callee->shown);
    buf_cleanup_secret(&callee->authorization);
    buf_cleanup(&callee->user_agent);
    *callee = (struct hook_callee){0};
}
