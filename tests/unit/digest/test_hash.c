/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/hash.h"

#include <string.h>

static void assert_hex(const void *p, size_t n, const char *expect)
{
    char text[2 * HASH_MAX + 1];
    hex_encode(p, n, text);
    assert_string_equal(text, expect);
}

static void digests_of_abc(void **state) /* FIPS 180-4 */
{
    (void)state;
    uint8_t out[HASH_MAX];
    assert_int_equal(hash(HASH_SHA256, "abc", 3, out), 32);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(hash(HASH_SHA384, "abc", 3, out), 48);
    assert_hex(out, 48,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
               "8086072ba1e7cc2358baeca134c825a7");
    assert_int_equal(hash(HASH_SHA512, "abc", 3, out), 64);
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
    char text[SHA256_HEX];
    sha256_hex("", 0, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void macs_of_rfc_4231(void **state)
{
    (void)state;
    uint8_t out[HASH_MAX];
    static const char data[] = "what do ya want for nothing?"; /* test case 2 */
    assert_int_equal(hmac(HASH_SHA256, "Jefe", 4, data, strlen(data), out), 32);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(hmac(HASH_SHA384, "Jefe", 4, data, strlen(data), out), 48);
    assert_hex(out, 48,
               "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
               "8e2240ca5e69e2c78b3239ecfab21649");
    assert_int_equal(hmac(HASH_SHA512, "Jefe", 4, data, strlen(data), out), 64);
    assert_hex(out, 64,
               "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    assert_int_equal(hmac(HASH_SHA256, NULL, 0, "", 0, out), 32);
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void hexadecimal(void **state)
{
    (void)state;
    uint8_t out[4];
    size_t n = 99;
    assert_true(hex_decode("00fFAb", out, sizeof(out), &n));
    assert_int_equal(n, 3);
    assert_memory_equal(out, "\x00\xff\xab", 3);
    assert_true(hex_decode("", out, sizeof(out), &n));
    assert_int_equal(n, 0);
    static const char *const bad[] = {"0", "0g", "0x00", "00 0", "0011223344", "-1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(hex_decode(bad[i], out, sizeof(out), &n));
}

static void lengths(void **state)
{
    (void)state;
    assert_int_equal(hash_len(HASH_SHA256), SHA256_LEN);
    assert_int_equal(hash_len(HASH_SHA384), 48);
    assert_int_equal(hash_len(HASH_SHA512), HASH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_of_abc),
        cmocka_unit_test(macs_of_rfc_4231),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
