/* What CAs count certificates by. */
#include "certs/registered_domain.h"
#include "check.h"

static void test_domains(void)
{
    static const struct {
        const char *name, *domain;
    } rows[] = {
        {"example.com", "example.com"},
        {"a.b.example.com", "example.com"},
        {"*.example.com", "example.com"},
        {"*.a.example.com", "example.com"},
        {"a.example.co.uk", "example.co.uk"},
        {"example.co.uk", "example.co.uk"},
        {"co.uk", "co.uk"},             /* a public suffix counts by itself */
        {"a.github.io", "a.github.io"}, /* of the private part of the list */
        {"b.a.github.io", "a.github.io"},
        {"xn--bcher-kva.example.de", "example.de"},
        {"a.xn--bcher-kva.de", "xn--bcher-kva.de"},
        {"a.b.unknown-tld", "b.unknown-tld"},
        {"localhost", "localhost"},
        {"203.0.113.7", "203.0.113.7"}, /* ACME-105: by itself, and by its /64 */
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"2001:db8:1:2::1", "2001:db8:1:2::/64"},
        {"2001:db8::1", "2001:db8::/64"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        registered_domain_write(slice_str(rows[i].name), &out);
        CHECK_SLICE(buf_slice(&out), rows[i].domain);
        buf_cleanup(&out);
    }
}

static void test_too_long(void)
{
    char name[1024];
    struct buf out = {0};
    memset(name, 'a', sizeof name);
    registered_domain_write(slice_make(name, sizeof name), &out);
    CHECK(out.len < 256);
    buf_cleanup(&out);
}

int main(void)
{
    RUN(test_domains);
    RUN(test_too_long);
    return checks_done();
}
