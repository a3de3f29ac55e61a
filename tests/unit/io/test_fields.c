/* SPDX-License-Identifier: ISC */
#include "io/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1795000000000 /* a wall clock, ms */
#define HOUR 3600000

static int64_t after(const char *value)
{
    struct http_header h = {.name = "retry-AFTER", .value = value};
    struct http_reply r = {.headers = &h, .n_headers = 1};

    return http_retry_after(&r, NOW, 1000, 24 * HOUR);
}

static void retry_after_in_seconds(void **state)
{
    (void)state;
    assert_int_equal(after("120"), NOW + 120000);
    assert_int_equal(after("0"), NOW + 1000);
    assert_int_equal(after("86401"), NOW + 24 * HOUR);
    assert_int_equal(after("99999999999999999999999999"), NOW + 24 * HOUR);
}

static void retry_after_as_a_date(void **state)
{
    static const char *const forms[] = {
        /* one hour after NOW */
        "Wed, 18 Nov 2026 12:06:40 GMT",
        "Wednesday, 18-Nov-26 12:06:40 GMT",
        "Wed Nov 18 12:06:40 2026",
    };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(after(forms[i]), NOW + HOUR);
    assert_int_equal(after("Sun, 06 Nov 1994 08:49:37 GMT"), NOW + 1000);
    assert_int_equal(after("Sun, 06 Nov 2094 08:49:37 GMT"), NOW + 24 * HOUR);
}

static void retry_after_of_other_kinds_is_absent(void **state)
{
    static const char *const junk[] = {
        "",
        "-1",
        "1.5",
        "5s",
        "soon",
        "+3",
        " 5",
        "5 ",
        "1e9",
        "0x5",
        "20261118Z",
        "Wed",
        "2026-11-18T12:06:40Z",
        "Wed, 99 Foo 2026 25:61:61 GMT",
    };
    struct http_reply none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
        if (after(junk[i]) != 0)
            fail_msg("%s was read", junk[i]);
    assert_int_equal(http_retry_after(&none, NOW, 0, HOUR), 0);
}

static struct http_header fields[4];
static struct http_reply reply = {.headers = fields};

/* All targets with that rel, joined by a space. */
static const char *links(const char *rel)
{
    static char all[8192];
    size_t cursor = 0;
    char *target;

    all[0] = '\0';
    while ((target = http_link(&reply, rel, &cursor))) {
        if (all[0])
            strncat(all, " ", sizeof all - strlen(all) - 1);
        strncat(all, target, sizeof all - strlen(all) - 1);
        free(target);
    }
    assert_null(http_link(&reply, rel, &cursor)); /* and stays at the end */
    return all;
}

static const char *links_of(const char *value, const char *rel)
{
    fields[0] = (struct http_header){.name = "link", .value = value};
    reply.n_headers = 1;
    return links(rel);
}

static void links_in_all_their_forms(void **state)
{
    (void)state;
    assert_string_equal(links_of("<https://a/1>;rel=\"alternate\"", "alternate"), "https://a/1");
    assert_string_equal(links_of("<a>; rel=alternate", "alternate"), "a");
    assert_string_equal(links_of("<a> ; REL = \"up ALTERNATE next\"", "alternate"), "a");
    assert_string_equal(links_of("<a>;rel=up,<b>;rel=index", "index"), "b");
    assert_string_equal(links_of("<a,b;c>;rel=up, <d>;rel=up", "up"), "a,b;c d");
    assert_string_equal(links_of("<a>;title=\"x,<y>;rel=up\\\"\";rel=up", "up"), "a");
    assert_string_equal(links_of("<a>;rel=up;rel=index", "index"), "");
    assert_string_equal(links_of("<a>;rel=upper", "up"), "");
    assert_string_equal(links_of("<a>;rel=\"upper\"", "up"), "");
    assert_string_equal(links_of("<a>;anchor=\"#x\";rel=up", "up"), "");
    assert_string_equal(links_of("<a>", "up"), "");
    assert_string_equal(links_of("<>;rel=up", "up"), "");
    assert_string_equal(links_of("  ,, <a>;rel=up ,,", "up"), "a");
}

static void broken_links_spoil_no_others(void **state)
{
    (void)state;
    assert_string_equal(links_of("junk, <a>;rel=up", "up"), "a");
    assert_string_equal(links_of("<a;rel=up", "up"), "");
    assert_string_equal(links_of("<a>;rel=\"up", "up"), "a");
    assert_string_equal(links_of("<a> junk;rel=up, <b>;rel=up", "up"), "b");
    assert_string_equal(links_of("<a>;rel=", "up"), "");
    assert_string_equal(links_of("", "up"), "");
    assert_string_equal(links_of(";;;=\"\\", "up"), "");
}

static void links_over_several_fields(void **state)
{
    (void)state;
    fields[0] = (struct http_header){.name = "Link", .value = "<a>;rel=alternate, <i>;rel=index"};
    fields[1] = (struct http_header){.name = "Other", .value = "<x>;rel=alternate"};
    fields[2] = (struct http_header){.name = "LINK", .value = "<b>;rel=alternate"};
    reply.n_headers = 3;
    assert_string_equal(links("alternate"), "a b");
    assert_string_equal(links("index"), "i");
    assert_string_equal(links("up"), "");
}

static void links_are_bounded(void **state)
{
    static char many[20000], wide[4000];
    size_t cursor = 0, n = 0;
    char *target;

    (void)state;
    for (int i = 0; i < 1000; i++)
        strcat(many + 14 * i, "<a>;rel=next, ");
    fields[0] = (struct http_header){.name = "Link", .value = many};
    reply.n_headers = 1;
    while ((target = http_link(&reply, "next", &cursor))) {
        n++;
        free(target);
    }
    assert_int_equal(n, 256);
    snprintf(wide, sizeof wide, "<%03000d>;rel=up, <b>;rel=up", 0);
    assert_string_equal(links_of(wide, "up"), "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(retry_after_in_seconds),
        cmocka_unit_test(retry_after_as_a_date),
        cmocka_unit_test(retry_after_of_other_kinds_is_absent),
        cmocka_unit_test(links_in_all_their_forms),
        cmocka_unit_test(broken_links_spoil_no_others),
        cmocka_unit_test(links_over_several_fields),
        cmocka_unit_test(links_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
