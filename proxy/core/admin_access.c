#include "core/admin_access.h"

#include "net/address.h"

/* An address or localhost: names that nobody can point elsewhere. */
static bool host_is_ours(const struct head *head)
{
    struct address address;
    return head->host_is_ipv6 || slice_eq(head->host, SLICE_LIT("localhost")) ||
           address_parse_ip(head->host, 0, &address);
}

/* In a time that tells nothing of where the two differ; their lengths may be known. */
static bool same_secret(struct slice a, struct slice b)
{
    volatile unsigned char differs = a.len != b.len;
    for (size_t i = 0; i < a.len && a.len == b.len; i++)
        differs = (unsigned char)(differs | (a.ptr[i] ^ b.ptr[i]));
    return !differs;
}

/* RFC 6750 §2.1. */
static bool token_shown(const struct head *head, struct slice token)
{
    struct slice given = head_get_named(head, SLICE_LIT("Authorization")), scheme = slice_split(&given, ' ');
    return token.len && slice_ieq(scheme, SLICE_LIT("Bearer")) && same_secret(slice_trim(given), token);
}

static bool by_tcp(const struct admin_request *request)
{
    return request->peer == ADMIN_PEER_REMOTE || request->peer == ADMIN_PEER_LOOPBACK;
}

static enum admin_verdict want_token(const struct admin_request *request, struct slice token)
{
    if (token_shown(request->head, token))
        return ADMIN_GRANTED;
    return token.len ? ADMIN_TOKEN_WANTED : ADMIN_TOKEN_UNSET;
}

static enum admin_verdict access_command(const struct admin_request *request, struct slice token)
{
    if (head_get_named(request->head, SLICE_LIT("Origin")).ptr)
        return ADMIN_ORIGIN_REFUSED;
    if (by_tcp(request) && !host_is_ours(request->head))
        return ADMIN_HOST_REFUSED;
    return request->peer == ADMIN_PEER_CONTROL ? ADMIN_GRANTED : want_token(request, token);
}

static enum admin_verdict access_local(const struct admin_request *request, struct slice token)
{
    if (!by_tcp(request) || token_shown(request->head, token))
        return ADMIN_GRANTED;
    if (request->peer == ADMIN_PEER_REMOTE)
        return want_token(request, token);
    return host_is_ours(request->head) ? ADMIN_GRANTED : ADMIN_HOST_REFUSED;
}

enum admin_verdict admin_access(const struct admin_request *request, enum admin_right right, struct slice token)
{
    switch (right) {
    case ADMIN_RIGHT_ALL: return ADMIN_GRANTED;
    case ADMIN_RIGHT_LOCAL: return access_local(request, token);
    case ADMIN_RIGHT_COMMAND: return access_command(request, token);
    }
    return ADMIN_TOKEN_WANTED;
}
