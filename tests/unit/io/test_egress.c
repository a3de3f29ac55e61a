/* SPDX-License-Identifier: ISC */
#include "io/dns.h"
#include "io/egress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static bool inside(const char *text)
{
    struct dns_addr a;

    if (!dns_addr_parse(text, 443, &a))
        fail_msg("%s is no address", text);
    return egress_is_inside((const struct sockaddr *)&a.sa);
}

static void addresses_that_no_provider_may_reach(void **state)
{
    static const char *const list[] = {
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fdff::1",
        "ff02::1",
        "100::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (!inside(list[i]))
            fail_msg("%s passed", list[i]);
}

static void public_addresses(void **state)
{
    static const char *const list[] = {
        "1.1.1.1",        "9.255.255.255",   "11.0.0.0",         "100.63.255.255",
        "100.128.0.0",    "126.255.255.255", "128.0.0.1",        "169.253.255.255",
        "172.15.255.255", "172.32.0.0",      "192.167.255.255",  "192.169.0.0",
        "198.17.255.255", "198.20.0.0",      "223.255.255.255",  "2606:4700::1111",
        "2a00::1",        "::ffff:1.1.1.1",  "64:ff9b::1.1.1.1", "2002:101:101::1",
    };
    struct sockaddr_storage other = {.ss_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (inside(list[i]))
            fail_msg("%s was refused", list[i]);
    assert_true(egress_is_inside((const struct sockaddr *)&other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_that_no_provider_may_reach),
        cmocka_unit_test(public_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
