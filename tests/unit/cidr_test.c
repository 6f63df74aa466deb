/* Addresses and ranges of them. */
#include "base/cidr.h"

#include "check.h"

static bool has(const char *range, const char *address)
{
    struct cidr cidr;
    struct ip ip;
    CHECK(cidr_parse(slice_str(range), &cidr));
    CHECK(ip_parse(slice_str(address), &ip));
    return cidr_has(&cidr, &ip);
}

static void ranges_hold_what_they_say(void)
{
    CHECK(has("10.0.0.0/8", "10.255.0.1") && !has("10.0.0.0/8", "11.0.0.1"));
    CHECK(has("192.0.2.128/25", "192.0.2.200") && !has("192.0.2.128/25", "192.0.2.127"));
    CHECK(has("192.0.2.1", "192.0.2.1") && !has("192.0.2.1", "192.0.2.2"));
    CHECK(has("0.0.0.0/0", "203.0.113.9") && !has("0.0.0.0/0", "2001:db8::1"));
    CHECK(has("::/0", "2001:db8::1") && has("2001:db8::/33", "2001:db8:7fff::1"));
    CHECK(!has("2001:db8::/33", "2001:db8:8000::1"));
    CHECK(has("10.0.0.0/8", "::ffff:10.1.2.3"));
}

static void anything_else_is_refused(void)
{
    static const char *const bad[] = {"", "/", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0.1/8", "10.0.0/8",
                                      "fe80::1%eth0", "[::1]", "::1/129", "1.2.3.4:80", "2001:db8::1/32", "a.test", "10.0.0.0/0008",
                                      "::/0 ", "::ffff:10.0.0.0/8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct cidr cidr;
        CHECK(!cidr_parse(slice_str(bad[i]), &cidr));
    }
}

static void lists_hold_what_any_of_them_holds(void)
{
    struct cidr at[2];
    struct ip ip;
    struct cidr_list list = {at, 2};
    CHECK(cidr_parse(SLICE_LIT("10.0.0.0/8"), &at[0]) && cidr_parse(SLICE_LIT("::1"), &at[1]));
    CHECK(ip_parse(SLICE_LIT("::1"), &ip) && cidr_list_has(&list, &ip));
    CHECK(ip_parse(SLICE_LIT("10.9.9.9"), &ip) && cidr_list_has(&list, &ip));
    CHECK(ip_parse(SLICE_LIT("::2"), &ip) && !cidr_list_has(&list, &ip));
    list.num = 0;
    CHECK(!cidr_list_has(&list, &ip));
}

static void addresses_have_one_text(void)
{
    static const char *const pairs[][2] = {{"10.1.2.3", "10.1.2.3"},
                                           {"::ffff:10.1.2.3", "10.1.2.3"},
                                           {"2001:DB8:0:0::1", "2001:db8::1"},
                                           {"::", "::"},
                                           {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"}};
    char text[IP_TEXT_BYTES];
    struct ip ip;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        CHECK(ip_parse(slice_str(pairs[i][0]), &ip));
        CHECK_STR(ip_text(&ip, text), pairs[i][1]);
    }
}

int main(void)
{
    RUN(ranges_hold_what_they_say);
    RUN(anything_else_is_refused);
    RUN(lists_hold_what_any_of_them_holds);
    RUN(addresses_have_one_text);
    return checks_done();
}
