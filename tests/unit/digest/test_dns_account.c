/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "digest/dns_account.h"

/* The draft's own vector. */
static void label_of_an_account(void **state)
{
    (void)state;
    char label[DNS_ACCOUNT_LABEL];
    dns_account_label("https://example.com/acme/acct/ExampleAccount", label);
    assert_string_equal(label, "_ujmmovf2vn55tgye");
    dns_account_label("https://example.com/acme/acct/exampleAccount", label);
    assert_string_not_equal(label, "_ujmmovf2vn55tgye");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(label_of_an_account)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
