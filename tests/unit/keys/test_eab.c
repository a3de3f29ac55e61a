/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/base64.h"
#include "digest/hash.h"
#include "keys/eab.h"

#include <string.h>

static struct secret *decode(const char *text, size_t n, struct err *e)
{
    struct secret *s = secret_new(text, n);
    struct secret *key = eab_key_decode(s, e);
    secret_free(s);
    return key;
}

static void every_way_to_write_a_key(void **state)
{
    (void)state;
    static const uint8_t key[] = {0xfb, 0xff, 0xfe, 0, 1, 2, 3, 4, 5, 6};
    static const char *const v[] = {
        "-__-AAECAwQFBg",     "-__-AAECAwQFBg==",        "+//+AAECAwQFBg==",
        "+//+AAECAwQFBg",     "  -__-AAECAwQFBg\n",      "\"-__-AAECAwQFBg\"",
        "'+//+AAECAwQFBg=='", " \"+//+AAECAwQFBg\"\r\n", "-__-AAEC\n AwQFBg",
    };
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;
        struct secret *s = decode(v[i], strlen(v[i]), &e);
        if (!s)
            fail_msg("%s: %s", v[i], e.detail);
        assert_true(secret_eq(s, key, sizeof(key)));
        secret_free(s);
    }
}

static void what_is_neither_is_explained(void **state)
{
    (void)state;
    static const char *const v[] = {"sEcReT!",      "kid:AAECAwQFBgcICQ", "-__-AAECAwQFBg=",
                                    "AAECAwQFBgc$", "\"AAECAwQFBgcI",     "A=AECAwQFBgcI"};
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        struct err e = ERR_INIT;
        assert_null(decode(v[i], strlen(v[i]), &e));
        assert_int_equal(e.cls, ERR_CONFIG);
        assert_non_null(strstr(e.detail, "copy it again"));
        assert_null(strstr(e.detail, v[i]));
    }
    struct err e = ERR_INIT;
    assert_null(decode("", 0, &e));
    assert_null(decode("AAECAwQFBgcI\0AAAA", 17, &e));
    assert_null(decode("AAECAwQF", 8, &e));
    assert_non_null(strstr(e.detail, "only 6 bytes"));
}

/* RFC 7515 appendix A.1: the key's own JWK form is base64url. */
static void hs256_of_rfc_7515(void **state)
{
    (void)state;
    static const char text[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    static const char input[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
        "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    uint8_t mac[HASH_MAX];
    struct secret *key = decode(text, sizeof(text) - 1, NULL);
    assert_non_null(key);
    size_t n = hmac(HASH_SHA256, secret_bytes(key), secret_len(key), input, sizeof(input) - 1, mac);
    CLEANUP_FREE char *got = base64url(mac, n);
    assert_string_equal(got, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    secret_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_write_a_key),
        cmocka_unit_test(what_is_neither_is_explained),
        cmocka_unit_test(hs256_of_rfc_7515),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
