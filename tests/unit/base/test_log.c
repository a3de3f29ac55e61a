/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int64_t fixed_wall(const struct clock *c)
{
    (void)c;
    return INT64_C(1795293840123);
}
static const struct clock fixed_clock = {.wall_ms = fixed_wall, .mono_ms = fixed_wall};

struct pipe_log {
    struct log log;
    struct log_ctx ctx;
    int read_fd;
};

/* A datagram socket, so that each write(2) arrives as one message. */
static int open_log(void **state)
{
    static struct pipe_log p;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
        return -1;
    log_init(&p.log, "test");
    p.log.fd = fds[1];
    p.log.clock = &fixed_clock;
    p.log.journal = false;
    p.read_fd = fds[0];
    p.ctx = (struct log_ctx){.log = &p.log, .scope = "example.org"};
    *state = &p;
    return 0;
}

static int close_log(void **state)
{
    struct pipe_log *p = *state;
    close(p->read_fd);
    close(p->log.fd);
    return 0;
}

static const char *take_line(struct pipe_log *p)
{
    static char line[4096];
    ssize_t n = read(p->read_fd, line, sizeof(line) - 1);
    if (n < 0)
        return NULL;
    line[n] = '\0';
    return line;
}

static void lines_have_time_level_and_scope(void **state)
{
    struct pipe_log *p = *state;
    log_warn(&p->ctx, "%d left", 3);
    assert_string_equal(take_line(p), "2026-11-21T20:44:00.123Z test warn example.org: 3 left\n");
    p->log.clock = NULL;
    p->log.program = NULL;
    log_error(&p->ctx, "x");
    assert_string_equal(take_line(p), "error example.org: x\n");
    p->ctx.scope = NULL;
    log_info(&p->ctx, "x");
    assert_string_equal(take_line(p), "info: x\n");
}

static void the_journal_gets_priorities(void **state)
{
    struct pipe_log *p = *state;
    p->log.journal = true;
    p->log.level = LOG_LEVEL_DEBUG;
    log_error(&p->ctx, "x");
    assert_string_equal(take_line(p), "<3>test error example.org: x\n");
    log_debug(&p->ctx, "x");
    assert_string_equal(take_line(p), "<7>test debug example.org: x\n");
}

static void levels_filter(void **state)
{
    struct pipe_log *p = *state;
    p->log.level = LOG_LEVEL_WARN;
    log_info(&p->ctx, "x");
    log_debug(&p->ctx, "x");
    assert_null(take_line(p));
    log_warn(&p->ctx, "x");
    assert_non_null(take_line(p));
    p->log.fd = dup(p->log.fd);
    close(p->log.fd);
    p->log.fd = -1;
    log_error(&p->ctx, "x");
    assert_null(take_line(p));
    struct log_ctx none = {0};
    log_error(&none, "x");
    log_debug(&none, "x");
}

static void a_line_is_one_write_of_at_most_1000_bytes(void **state)
{
    struct pipe_log *p = *state;
    char text[3000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (size_t n = 900; n < 1000; n++) {
        log_error(&p->ctx, "%.*s", (int)n, text);
        const char *line = take_line(p);
        size_t len = strlen(line),
               head = strlen("2026-11-21T20:44:00.123Z test error example.org: ");
        assert_int_equal(len, head + n + 1 <= 1000 ? head + n + 1 : 1000);
        assert_int_equal(line[len - 1], '\n');
        assert_true(str_ends(line, "...\n") == (head + n + 1 > 1000));
    }
    log_error(&p->ctx, "%s", text);
    assert_int_equal(strlen(take_line(p)), 1000);
    p->ctx.scope = text;
    log_error(&p->ctx, "%s", text);
    assert_int_equal(strlen(take_line(p)), 1000);
    assert_null(take_line(p));
}

static void control_characters_do_not_pass(void **state)
{
    struct pipe_log *p = *state;
    errno = EAGAIN;
    log_error(&p->ctx, "a\nb\x1b[31m");
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(take_line(p),
                        "2026-11-21T20:44:00.123Z test error example.org: a b [31m\n");
}

static void names_of_levels(void **state)
{
    (void)state;
    enum log_level l = LOG_LEVEL_ERROR;
    assert_true(log_level_parse("debug", &l));
    assert_int_equal(l, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("error", &l));
    assert_int_equal(l, LOG_LEVEL_ERROR);
    assert_false(log_level_parse("Debug", &l));
    assert_false(log_level_parse("", &l));
}

static void the_journal_is_known_by_its_inode(void **state)
{
    (void)state;
    struct log l;
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_init(&l, "x");
    assert_false(l.journal);
    unsetenv("JOURNAL_STREAM");
    log_init(&l, "x");
    assert_false(l.journal);
    assert_int_equal(l.level, LOG_LEVEL_INFO);
}

#define with_log(test) cmocka_unit_test_setup_teardown(test, open_log, close_log)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_log(lines_have_time_level_and_scope),
        with_log(the_journal_gets_priorities),
        with_log(levels_filter),
        with_log(a_line_is_one_write_of_at_most_1000_bytes),
        with_log(control_characters_do_not_pass),
        cmocka_unit_test(names_of_levels),
        cmocka_unit_test(the_journal_is_known_by_its_inode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
