#include "certs/registered_domain.h"

#include "base/url.h"

#include <arpa/inet.h>
#include <libpsl.h>

enum { MAX_NAME_BYTES = 253, PREFIX_BYTES = 8 };

static bool write_prefix(const char *text, struct buf *out)
{
    struct in6_addr address;
    char prefix[INET6_ADDRSTRLEN];
    if (inet_pton(AF_INET6, text, &address) != 1)
        return false;
    memset(address.s6_addr + PREFIX_BYTES, 0, sizeof address.s6_addr - PREFIX_BYTES);
    inet_ntop(AF_INET6, &address, prefix, sizeof prefix);
    buf_printf(out, "%s/64", prefix);
    return true;
}

void registered_domain_write(struct slice name, struct buf *out)
{
    char text[MAX_NAME_BYTES + 1];
    struct slice plain = slice_starts(name, SLICE_LIT("*.")) ? slice_skip(name, 2) : name;
    if (plain.len == 0 || plain.len > MAX_NAME_BYTES) {
        buf_append_slice(out, slice_first(plain, MAX_NAME_BYTES));
        return;
    }
    memcpy(text, plain.ptr, plain.len);
    text[plain.len] = '\0';
    if (write_prefix(text, out))
        return;
    const char *domain = name_is_ip(plain) ? NULL : psl_registrable_domain(psl_builtin(), text);
    buf_append_str(out, domain ? domain : text);
}
