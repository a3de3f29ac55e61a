/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/ip.h"
#include "base/mem.h"

#include <string.h>

/* RFC 5952 sections 1 and 4. */
static void addresses_have_one_form(void **state)
{
    (void)state;
    static const char *const v[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:db8::0:1", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"::", "::"},
        {"0:0:0:0:0:FFFF:192.0.2.1", "::ffff:192.0.2.1"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        char out[IP_TEXT];
        assert_true(ip_is(v[i][0]));
        assert_true(ip_normalise(v[i][0], out));
        assert_string_equal(out, v[i][1]);
    }
}

static void octets_are_in_network_order(void **state)
{
    (void)state;
    uint8_t octets[IP_OCTETS];
    size_t n;
    assert_true(ip_parse("192.0.2.1", octets, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(octets, "\xc0\0\2\1", 4);
    assert_true(ip_parse("2001:db8::1", octets, &n));
    assert_int_equal(n, 16);
    assert_memory_equal(octets, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

static void other_texts_are_none(void **state)
{
    (void)state;
    static const char *const v[] = {"",           "example.org",   "192.0.2",       "192.0.2.256",
                                    "192.0.2.01", "[2001:db8::1]", "fe80::1%eth0",  "192.0.2.1:80",
                                    "1:2:3",      "192.0.2.1 ",    "2001:db8::1::", "0x7f.1"};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        char out[IP_TEXT] = "kept", name[IP_REVERSE] = "kept";
        assert_false(ip_is(v[i]));
        assert_false(ip_normalise(v[i], out));
        assert_false(ip_reverse(v[i], name));
        assert_string_equal(out, "kept");
        assert_string_equal(name, "kept");
    }
}

/* RFC 3596 section 2.5 and RFC 8738 section 6. */
static void reverse_names(void **state)
{
    (void)state;
    char name[IP_REVERSE];
    assert_true(ip_reverse("192.0.2.1", name));
    assert_string_equal(name, "1.2.0.192.in-addr.arpa");
    assert_true(ip_reverse("255.254.253.252", name));
    assert_string_equal(name, "252.253.254.255.in-addr.arpa");
    assert_true(ip_reverse("4321:0:1:2:3:4:567:89AB", name));
    assert_string_equal(name,
                        "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");
    assert_int_equal(strlen(name), IP_REVERSE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_have_one_form),
        cmocka_unit_test(octets_are_in_network_order),
        cmocka_unit_test(other_texts_are_none),
        cmocka_unit_test(reverse_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
