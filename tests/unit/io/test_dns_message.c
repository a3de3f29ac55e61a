/* SPDX-License-Identifier: ISC */
#include "io/dns_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD(flags, qd, an, ns, ar) "\0\0" flags "\0" qd "\0" an "\0" ns "\0" ar
#define QUESTION "\1a\7example\0\0\x10\0\1" /* a.example TXT */
#define RECORD(type, len) "\xc0\x0c\0" type "\0\1\0\0\1\x2c\0" len

static struct dns_reply reply;
static struct err err;

static int read_bytes(const char *msg, size_t n)
{
    dns_reply_done(&reply);
    err_clear(&err);
    /* A copy of its own, so that sanitizers see every step over its end. */
    char *copy = malloc(n ? n : 1);
    memcpy(copy, msg, n);
    int r = dns_message_read(copy, n, "A.example", DNS_TXT, &reply, &err);
    free(copy);
    return r;
}
#define READ(literal) read_bytes(literal, sizeof(literal) - 1)

static int teardown(void **state)
{
    (void)state;
    dns_reply_done(&reply);
    return 0;
}

static void good_replies(void **state)
{
    (void)state;
    assert_int_equal(READ(HEAD("\x84\x03", "\1", "\0", "\0", "\0") QUESTION), 0);
    assert_true(reply.aa);
    assert_int_equal(reply.rcode, 3);
    assert_int_equal(READ(HEAD("\x80\x00", "\1", "\2", "\0", "\1") QUESTION RECORD(
                         "\x10", "\3") "\2hi" RECORD("\x10", "\1") "\0"
                                                                   /* OPT: of class 1232 */
                                                                   "\0\0\x29\4\xd0\0\0\0\0\0\0"),
                     0);
    assert_false(reply.aa);
    assert_int_equal(reply.n, 2);
    assert_string_equal(reply.records[0].text, "hi");
    assert_int_equal(reply.records[1].text_len, 0);
    /* A refusal without the question. */
    assert_int_equal(READ(HEAD("\x80\x05", "\0", "\0", "\0", "\0")), 0);
    assert_int_equal(reply.rcode, 5);
}

static void other_questions_and_no_replies(void **state)
{
    (void)state;
    assert_int_equal(READ(HEAD("\x80\x00", "\0", "\0", "\0", "\0")), -1);
    assert_int_equal(READ(HEAD("\x00\x00", "\1", "\0", "\0", "\0") QUESTION), -1);
    assert_int_equal(READ(HEAD("\xa8\x00", "\1", "\0", "\0", "\0") QUESTION), -1);
    assert_int_equal(READ(HEAD("\x80\x00", "\1", "\0", "\0", "\0") "\1b\7example\0\0\x10\0\1"), -1);
    assert_int_equal(READ(HEAD("\x80\x00", "\1", "\0", "\0", "\0") "\1a\7example\0\0\1\0\1"), -1);
    assert_int_equal(READ(HEAD("\x80\x00", "\1", "\0", "\0", "\0") "\1a\7example\0\0\x10\0\3"), -1);
    assert_int_equal(READ(HEAD("\x80\x00", "\2", "\0", "\0", "\0") QUESTION QUESTION), -1);
    assert_int_equal(err.cls, ERR_PEER);
}

static void every_truncation_is_refused(void **state)
{
    /* clang-format off */
    static const char msg[] =
        HEAD("\x80\x00", "\1", "\5", "\1", "\1") QUESTION
        RECORD("\x10", "\3") "\2hi"
        RECORD("\5", "\5") "\2up\xc0\x0c"
        RECORD("\1", "\4") "\1\2\3\4"
        RECORD("\x1c", "\x10") "0123456789abcdef"
        RECORD("\2", "\2") "\xc0\x0c"
        RECORD("\6", "\x18") "\xc0\x0c\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"
        RECORD("\x63", "\1") "x";
    /* clang-format on */

    (void)state;
    assert_int_equal(READ(msg), 0);
    assert_int_equal(reply.n, 7);
    assert_string_equal(reply.records[1].name, "up.a.example");
    assert_int_equal(reply.records[5].section, DNS_AUTHORITY);
    assert_int_equal(reply.records[5].soa_minimum, 5);
    for (size_t n = 0; n < sizeof msg - 1; n++)
        assert_int_equal(read_bytes(msg, n), -1);
}

static void rdata_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\1", "\3") "\1\2\3"), -1);
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\1", "\5") "\1\2\3\4\5"), -1);
    assert_int_equal(READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\x10", "\0")),
                     -1);
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\x10", "\2") "\2x"), -1);
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\5", "\3") "\xc0\x0cx"), -1);
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION RECORD("\5", "\1") "\xc0\x0c"), -1);
    /* A name that points at itself. */
    assert_int_equal(
        READ(HEAD("\x80\0", "\1", "\1", "\0", "\0") QUESTION "\xc0\x1b\0\1\0\1\0\0\0\0\0\0"), -1);
}

static void records_are_bounded(void **state)
{
    static char msg[12 + 15 + 600 * 16] = "\0\0\x80\0\0\1\2\x58\0\0\0\0" QUESTION;
    size_t n = 12 + 15;

    (void)state;
    for (int i = 0; i < 600; i++, n += 16)
        memcpy(msg + n, RECORD("\1", "\4") "\1\2\3\4", 16);
    assert_int_equal(read_bytes(msg, n), 0);
    assert_int_equal(reply.n, 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_replies),
        cmocka_unit_test(other_questions_and_no_replies),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(rdata_that_does_not_fit_is_refused),
        cmocka_unit_test(records_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
