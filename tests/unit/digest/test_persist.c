/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "digest/persist.h"

#include <string.h>

#define NOW INT64_C(1760000000000)
#define URI "https://ca.example/acct/1"

static const char *const issuers[] = {"ca.example", "ca2.example"};
static const char *const uris[] = {"https://ca.example/acct/0", URI};

static struct persist_want want(bool wildcard)
{
    return (struct persist_want){.issuers = issuers,
                                 .n_issuers = ARRAY_LEN(issuers),
                                 .account_uris = uris,
                                 .n_account_uris = ARRAY_LEN(uris),
                                 .wildcard = wildcard,
                                 .now_ms = NOW};
}

static void assert_matches(const char *text, bool wildcard, int64_t until_ms)
{
    const struct persist_want w = want(wildcard);
    char reason[PERSIST_REASON] = "";
    int64_t got = -1;
    if (!persist_matches(text, strlen(text), &w, &got, reason))
        fail_msg("%s: %s", text, reason);
    assert_int_equal(got, until_ms);
}

static void assert_not(const char *text, bool wildcard, const char *why)
{
    const struct persist_want w = want(wildcard);
    char reason[PERSIST_REASON] = "";
    int64_t got = -1;
    if (persist_matches(text, strlen(text), &w, &got, reason))
        fail_msg("%s: taken", text);
    assert_int_equal(got, -1);
    if (!strstr(reason, why))
        fail_msg("%s: \"%s\" says nothing of \"%s\"", text, reason, why);
}

static void records_that_satisfy(void **state)
{
    (void)state;
    assert_matches("ca.example; accounturi=" URI, false, 0);
    assert_matches("CA2.example;ACCOUNTURI=" URI, false, 0);
    assert_matches("ca.example; accounturi=https://ca.example/acct/0", false, 0);
    assert_matches("ca.example; accounturi=" URI "; policy=wildcard", true, 0);
    assert_matches("ca.example; accounturi=" URI "; policy=WildCard", true, 0);
    assert_matches("ca.example; accounturi=" URI "; policy=wildcard", false, 0);
    assert_matches("ca.example; accounturi=" URI "; policy=other", false, 0);
    assert_matches("ca.example; x=1; accounturi=" URI "; y-2=", false, 0);
    assert_matches("ca.example; accounturi=" URI "; persistUntil=1760000000", false, NOW);
    assert_matches("ca.example; accounturi=" URI "; persistuntil=01760000001", false, NOW + 1000);
}

static void records_that_do_not(void **state)
{
    (void)state;
    assert_not("", false, "malformed");
    assert_not("v=spf1 -all", false, "malformed");
    assert_not("ca.example; accounturi=" URI ";", false, "malformed");
    assert_not("ca.example; accounturi=" URI "; accounturi=" URI, false, "twice");
    assert_not("other.example; accounturi=" URI, false, "other.example");
    assert_not("ca.example", false, "no accounturi");
    assert_not("ca.example; accounturi=https://ca.example/acct/11", false, "acct/11");
    assert_not("ca.example; accounturi=HTTPS://ca.example/acct/1", false, "HTTPS");
    assert_not("ca.example; accounturi=" URI, true, "policy=wildcard");
    assert_not("ca.example; accounturi=" URI "; policy=wild", true, "policy=wildcard");
    assert_not("ca.example; accounturi=" URI "; persistUntil=1759999999", false,
               "2025-10-09T08:53:19Z");
    static const char *const times[] = {
        "", "-1", "+1", "1e9", "2027-01-01", "0x7fffffff", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        CLEANUP_FREE char *text =
            xasprintf("ca.example; accounturi=" URI "; persistUntil=%s", times[i]);
        assert_not(text, false, "UNIX seconds");
    }
}

static void long_texts_are_cut_in_the_reason(void **state)
{
    (void)state;
    char text[3000] = "ca.example; accounturi=";
    memset(text + strlen(text), 'x', sizeof(text) - strlen(text) - 1);
    assert_not(text, false, "another account");
}

static void what_is_composed_matches(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(persist_put("ca.example", URI, false, 0, &b, NULL), 0);
    assert_string_equal(buf_str(&b), "ca.example; accounturi=" URI);
    assert_matches(buf_str(&b), false, 0);
    buf_reset(&b);
    assert_int_equal(persist_put("ca.example", URI, true, NOW + 999, &b, NULL), 0);
    assert_string_equal(buf_str(&b),
                        "ca.example; accounturi=" URI "; policy=wildcard; persistUntil=1760000000");
    assert_matches(buf_str(&b), true, NOW);
}

static void what_cannot_be_composed(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 100);
    static const char *const bad_issuers[] = {"", "CA.example", "ca.example.", "*.ca", "a;b"};
    for (size_t i = 0; i < ARRAY_LEN(bad_issuers); i++)
        assert_int_equal(persist_put(bad_issuers[i], URI, false, 0, &b, &e), -1);
    static const char *const bad_uris[] = {"", "a b", "a;policy=wildcard", "\xc3\xa9", "a\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad_uris); i++)
        assert_int_equal(persist_put("ca.example", bad_uris[i], false, 0, &b, &e), -1);
    assert_int_equal(b.len, 0);
    assert_int_equal(e.cls, ERR_PEER);
    struct buf small;
    buf_init(&small, 20);
    assert_int_equal(persist_put("ca.example", URI, false, 0, &small, &e), -1);
    buf_free(&small);
}

static void issuers_of_a_challenge(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const char *many[PERSIST_ISSUERS_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = "ca.example";
    assert_int_equal(persist_issuers_check(issuers, 2, &e), 0);
    assert_int_equal(persist_issuers_check(many, PERSIST_ISSUERS_MAX, &e), 0);
    assert_int_equal(persist_issuers_check(many, PERSIST_ISSUERS_MAX + 1, &e), -1);
    assert_int_equal(persist_issuers_check(many, 0, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
    static const char *const bad[] = {"Ca.example", "ca.example.", "*.ca.example",
                                      "",           "c\xc3\xa9",   "192.0.2.1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        many[1] = bad[i];
        assert_int_equal(persist_issuers_check(many, 2, &e), -1);
    }
}

/* Computed with another library from the draft's formula. */
static void hashed_account_uris(void **state)
{
    (void)state;
    static const char thumbprint[] = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
    static const char url[] = "https://ca.example/acct/123";
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 300);
    assert_int_equal(
        persist_account_uri("https://ca.example/h/", "example.com", thumbprint, url, &b, &e), 0);
    assert_string_equal(buf_str(&b),
                        "https://ca.example/h/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw");
    CLEANUP_BUF struct buf any;
    buf_init(&any, 300);
    assert_int_equal(persist_account_uri("p:", "*", thumbprint, url, &any, &e), 0);
    assert_string_equal(buf_str(&any), "p:sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug");
    char name[300];
    memset(name, 'a', sizeof(name));
    name[256] = '\0';
    assert_int_equal(persist_account_uri("p:", name, thumbprint, url, &any, &e), -1);
    assert_int_equal(persist_account_uri("p:", "", thumbprint, url, &any, &e), -1);
    assert_int_equal(e.cls, ERR_PEER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_satisfy),
        cmocka_unit_test(records_that_do_not),
        cmocka_unit_test(long_texts_are_cut_in_the_reason),
        cmocka_unit_test(what_is_composed_matches),
        cmocka_unit_test(what_cannot_be_composed),
        cmocka_unit_test(issuers_of_a_challenge),
        cmocka_unit_test(hashed_account_uris),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
