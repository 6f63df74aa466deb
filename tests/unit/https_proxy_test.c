#include "check.h"
#include "client/https_proxy.h"

static bool goes_by_proxy(const char *no_proxy, const char *host, uint16_t port)
{
    struct https_proxy proxy;
    struct https_proxy_options options = {SLICE_LIT("http://p.test:3128"), slice_str(no_proxy)};
    CHECK(!err_is(https_proxy_init(&proxy, &options)));
    bool applies = https_proxy_applies(&proxy, slice_str(host), port);
    https_proxy_cleanup(&proxy);
    return applies;
}

static void who_is_asked_directly(void)
{
    CHECK(goes_by_proxy("", "ca.example", 443));
    CHECK(!goes_by_proxy("*", "ca.example", 443));
    CHECK(!goes_by_proxy("other, ca.example", "CA.example", 443));
    CHECK(!goes_by_proxy(".example", "ca.example", 443));
    CHECK(!goes_by_proxy("example", "ca.example", 443));
    CHECK(goes_by_proxy("a.example", "ca.example", 443));
    CHECK(goes_by_proxy(",,", "ca.example", 443));
    CHECK(!goes_by_proxy("ca.example:443", "ca.example", 443));
    CHECK(goes_by_proxy("ca.example:444", "ca.example", 443));
    CHECK(!goes_by_proxy("192.0.2.7", "192.0.2.7", 443));
    CHECK(!goes_by_proxy("2001:db8::1", "2001:db8::1", 443));
    CHECK(!goes_by_proxy("[2001:db8::1]:443", "2001:db8::1", 443));
    CHECK(goes_by_proxy("[2001:db8::1]:8443", "2001:db8::1", 443));
}

static void which_proxies_can_be_used(void)
{
    static const char *const bad[] = {"https://p.test:1", "http://u:p@p.test:1", "http://p.test:99999", "p.test:x"};
    struct https_proxy proxy;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct https_proxy_options options = {slice_str(bad[i]), SLICE_NONE};
        CHECK(err_is(https_proxy_init(&proxy, &options)));
    }
    struct https_proxy_options options = {SLICE_LIT("p.test"), SLICE_NONE};
    CHECK(!err_is(https_proxy_init(&proxy, &options)));
    CHECK_SLICE(proxy.host, "p.test");
    CHECK_INT(proxy.port, 3128);
    https_proxy_cleanup(&proxy);
    CHECK(!err_is(https_proxy_init(&proxy, NULL)));
    CHECK(!https_proxy_applies(&proxy, SLICE_LIT("ca.example"), 443));
    https_proxy_cleanup(&proxy);
}

int main(void)
{
    RUN(who_is_asked_directly);
    RUN(which_proxies_can_be_used);
    return checks_done();
}
