/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "digest/pem.h"

#include <string.h>

static int count_blocks(const char *text, size_t n, struct err *e)
{
    struct pem_reader r;
    int blocks = 0;
    pem_reader_init(&r, text, n);
    for (;;) {
        CLEANUP_BUF struct buf der;
        buf_init(&der, 100);
        int got = pem_next(&r, "THING", &der, e);
        if (got <= 0)
            return got < 0 ? -1 : blocks;
        assert_string_equal(buf_str(&der), "foo");
        blocks++;
    }
}

#define BLOCK "-----BEGIN THING-----\nZm9v\n-----END THING-----"

static void blocks_are_read(void **state)
{
    (void)state;
    static const char *const good[] = {
        BLOCK, BLOCK "\n", "\r\n \t" BLOCK "  \r\n",
        "-----BEGIN THING-----\r\nZm\r\n9v\r\n-----END THING-----\r\n",
        "-----BEGIN THING-----\rZm9v\r-----END THING-----\r"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(count_blocks(good[i], strlen(good[i]), NULL), 1);
    assert_int_equal(count_blocks("", 0, NULL), 0);
    assert_int_equal(count_blocks(" \n", 2, NULL), 0);
    assert_int_equal(count_blocks(BLOCK "\n\n" BLOCK BLOCK, 3 * strlen(BLOCK) + 2, NULL), 3);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "x" BLOCK,
        BLOCK "x",
        "# comment\n" BLOCK,
        BLOCK "\nx\n" BLOCK,
        "-----BEGIN OTHER-----\nZm9v\n-----END OTHER-----\n",
        BLOCK "\n-----BEGIN OTHER-----\nZm9v\n-----END OTHER-----\n",
        "-----BEGIN THING-----\nZm9v\n-----END OTHER-----\n",
        "-----BEGIN THINGS-----\nZm9v\n-----END THINGS-----\n",
        "-----BEGIN THING-----\nZm9v\n",
        "-----BEGIN THING-----\nZm9v",
        "-----BEGIN THING-----",
        "-----BEGIN THING----\nZm9v\n-----END THING-----\n",
        "-----BEGIN THING-----Zm9v\n-----END THING-----\n",
        "-----BEGIN THING-----\nZm9v-----END THING-----\n",
        "-----BEGIN THING-----\n\n-----END THING-----\n",
        "-----BEGIN THING-----\nZm9\n-----END THING-----\n",
        "-----BEGIN THING-----\nHeader: x\n\nZm9v\n-----END THING-----\n",
        "-----begin THING-----\nZm9v\n-----end THING-----\n",
        " ----BEGIN THING-----\nZm9v\n-----END THING-----\n",
        "-----END THING-----\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = ERR_INIT;
        if (count_blocks(bad[i], strlen(bad[i]), &e) != -1)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(e.cls, ERR_PEER);
    }
    static const char nul[] = BLOCK "\0";
    assert_int_equal(count_blocks(nul, sizeof(nul), NULL), -1);
}

static void every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t n = 1; n < strlen(BLOCK); n++)
        assert_int_equal(count_blocks(BLOCK, n, NULL), -1);
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(pem_put(&b, "THING", "foo", 3), 0);
    assert_string_equal(buf_str(&b), BLOCK "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(every_cut_is_refused),
        cmocka_unit_test(what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
