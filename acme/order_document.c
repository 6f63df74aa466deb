#include "acme/order_document.h"

#include "acme/request.h"
#include "base/clock.h"
#include "base/json_read.h"
#include "base/json_write.h"
#include "base/limits.h"
#include "base/url.h"

enum { ORDER_MAX_ID_BYTES = 256 };

static const char *const order_statuses[] = {
    [ORDER_PENDING] = "pending", [ORDER_READY] = "ready",     [ORDER_PROCESSING] = "processing",
    [ORDER_VALID] = "valid",     [ORDER_INVALID] = "invalid",
};

void order_document_cleanup(struct order_document *document)
{
    arena_cleanup(&document->arena);
    *document = (struct order_document){0};
}

static enum order_status order_status_from(struct slice text)
{
    for (enum order_status status = ORDER_PENDING; status <= ORDER_INVALID; status++)
        if (slice_eq(text, slice_str(order_statuses[status])))
            return status;
    return ORDER_UNKNOWN;
}

static bool order_has_name(const struct slice *names, size_t num_names, struct slice name)
{
    for (size_t i = 0; i < num_names; i++)
        if (name_same(names[i], name))
            return true;
    return false;
}

static bool order_lists_name(const struct json *identifiers, struct slice name)
{
    for (const struct json *at = identifiers; at; at = at->next)
        if (name_same(json_get_string(at, "value"), name))
            return true;
    return false;
}

/* The same set both ways, whatever the sequence. */
static bool order_identifiers_match(const struct json *json, const struct slice *names, size_t num_names)
{
    const struct json *identifiers = json_get_array(json, "identifiers");
    for (const struct json *at = identifiers; at; at = at->next)
        if (!order_has_name(names, num_names, json_get_string(at, "value")))
            return false;
    for (size_t i = 0; i < num_names; i++)
        if (!order_lists_name(identifiers, names[i]))
            return false;
    return true;
}

static struct err order_read_authzs(const struct json *json, struct order_document *document)
{
    const struct json *list = json_get(json, "authorizations");
    if (!list || list->kind != JSON_ARRAY)
        return ERR_OK;
    if (list->num > ORDER_MAX_AUTHZS)
        return err_make(ERR_LIMIT, ORDER_MAX_AUTHZS, "order with too many authorizations");
    document->authz_urls = arena_calloc(&document->arena, list->num + 1, sizeof *document->authz_urls);
    for (const struct json *at = list->first; at; at = at->next) {
        if (at->kind != JSON_STRING || !request_url_is_valid(at->string))
            return err_make(ERR_INPUT, 0, "order with an authorization that is not an https URL");
        document->authz_urls[document->num_authzs++] = arena_copy(&document->arena, at->string);
    }
    return ERR_OK;
}

static struct slice order_read_url(struct arena *arena, const struct json *json, const char *key)
{
    struct slice url = json_get_string(json, key);
    return request_url_is_valid(url) ? arena_copy(arena, url) : SLICE_NONE;
}

static struct err order_read_json(const struct json *json, const struct slice *names, size_t num_names,
                                  struct order_document *document)
{
    document->status = order_status_from(json_get_string(json, "status"));
    if (document->status == ORDER_UNKNOWN)
        return err_make(ERR_INPUT, 0, "order without a status that we know");
    if (!order_identifiers_match(json, names, num_names))
        return err_make(ERR_INPUT, 0, "the CA changed the names of the order"); /* ACME-41 */
    document->finalize_url = order_read_url(&document->arena, json, "finalize");
    document->certificate_url = order_read_url(&document->arena, json, "certificate");
    if (!clock_parse_rfc3339(json_get_string(json, "expires"), &document->expires_s))
        document->expires_s = 0;
    document->replaces =
        arena_copy(&document->arena, slice_first(json_get_string(json, "replaces"), ORDER_MAX_ID_BYTES));
    const struct json *error = json_get(json, "error");
    document->has_error = error && error->kind == JSON_OBJECT;
    document->error = problem_of_json(&document->arena, error, PROBLEM_AT_VALIDATION);
    return order_read_authzs(json, document);
}

struct err order_document_read(struct slice body, const struct slice *names, size_t num_names,
                               struct order_document *out_document)
{
    struct order_document document = {0};
    struct arena scratch = {0};
    struct json *json = NULL;
    struct err err = json_parse(&scratch, body, LIMIT_JSON_BYTES, &json);
    if (err_is(err))
        err = err_make(ERR_INPUT, err.code, "order that is not JSON");
    else
        err = order_read_json(json, names, num_names, &document);
    arena_cleanup(&scratch);
    if (err_is(err)) {
        order_document_cleanup(&document);
        return err;
    }
    *out_document = document;
    return ERR_OK;
}

void order_document_write_new(const struct order_request *request, struct buf *out)
{
    struct json_writer w = json_writer_on(out);
    json_object(&w);
    json_key(&w, "identifiers");
    json_array(&w);
    for (size_t i = 0; i < request->num_names; i++) {
        json_object(&w);
        json_put_str(&w, "type", name_is_ip(request->names[i]) ? "ip" : "dns");
        json_put_string(&w, "value", request->names[i]);
        json_end_object(&w);
    }
    json_end_array(&w);
    if (request->profile.len)
        json_put_string(&w, "profile", request->profile);
    if (request->replaces.len)
        json_put_string(&w, "replaces", request->replaces);
    json_end_object(&w);
}
