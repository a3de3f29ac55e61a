/* SPDX-License-Identifier: ISC */
/* What an engine may have done to prove a name by http-01, asked as it asks. */
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/fixture.h"
#include "keeper/services.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define NAME "www.example.org"

static const struct log silent = {.program = "test", .fd = -1};

struct world {
    struct fixture f;
    struct loop *loop;
    struct programs programs;
    struct services *services;
    struct timer limit;
    unsigned answers;
    enum keeper_msg_type type;
    uint32_t id;
    struct err err; /* of FAILED */
    char content[256];
    char *argv[4];
    char program[128], webroot[128], out[128];
};

static void on_answer(void *arg, enum keeper_msg_type type, uint32_t id, const void *msg, int fd)
{
    struct world *w = arg;
    w->answers++;
    w->type = type;
    w->id = id;
    w->err = (struct err)ERR_INIT;
    if (type == KEEPER_MSG_FAILED)
        w->err = ((const struct keeper_msg_failed *)msg)->err;
    if (fd >= 0)
        close(fd);
    loop_stop(w->loop);
}

static bool is_up(void *arg)
{
    (void)arg;
    return true;
}

static void too_long(void *arg)
{
    (void)arg;
    fail_msg("nothing happened for 30 s");
}

static void make_key(struct world *w)
{
    struct err e = ERR_INIT;
    struct account *a = accounts_get(w->f.accounts, &w->f.cas[0], &e);
    assert_int_equal(accounts_need_key(w->f.accounts, a, &w->f.cas[0], &e), 0);
    snprintf(w->content, sizeof(w->content), TOKEN ".%s", pkey_thumbprint(a->key));
}

static int setup(void **state)
{
    struct world *w = xnew(struct world);
    fixture_open(&w->f);
    make_key(w);
    w->loop = loop_new();
    w->f.conf.refs = 1000000; /* never freed */
    snprintf(w->webroot, sizeof(w->webroot), "%s/www", w->f.top);
    snprintf(w->program, sizeof(w->program), "%s/push", w->f.top);
    snprintf(w->out, sizeof(w->out), "%s/out", w->f.top);
    assert_int_equal(mkdir(w->webroot, 0755), 0);
    w->services = services_new(&(struct services_env){.loop = w->loop,
                                                      .log = &silent,
                                                      .dir = &w->f.dir,
                                                      .programs = &w->programs,
                                                      .up = is_up,
                                                      .answer = on_answer,
                                                      .arg = w});
    services_configure(w->services, &w->f.conf);
    timer_after(w->loop, &w->limit, 30000, too_long, w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    timer_cancel(&w->limit);
    services_free(w->services);
    loop_free(w->loop);
    fixture_close(&w->f);
    free(w);
    return 0;
}

static void use_webroot(struct world *w)
{
    w->f.cert.http01 = (struct conf_http01){.kind = CONF_HTTP01_WEBROOT, .webroot = w->webroot};
}

static void use_program(struct world *w, const char *script)
{
    struct err e = ERR_INIT;
    const struct file_attr attr = {.mode = 0700, .uid = (uid_t)-1, .gid = (gid_t)-1};
    CLEANUP_FREE char *text = xasprintf("#!/bin/sh\n%s\n", script);
    assert_int_equal(file_replace_at(AT_FDCWD, w->program, text, strlen(text), &attr, &e), 0);
    w->argv[0] = w->program;
    w->argv[1] = w->out;
    w->f.cert.http01 = (struct conf_http01){.kind = CONF_HTTP01_RUN, .argv = {w->argv, 2}};
}

static void ask(struct world *w, const struct keeper_msg_http01 *m)
{
    static uint32_t id = 100;
    struct frame_head h = {.type = KEEPER_MSG_HTTP01, .id = ++id};
    union keeper_msg msg = {.http01 = *m};
    unsigned before = w->answers;
    assert_int_equal(services_request(w->services, &h, &msg), 0);
    if (w->answers == before)
        loop_run(w->loop);
    assert_int_equal(w->answers, before + 1);
    assert_int_equal(w->id, id);
}

static void check_text(const char *path, const char *want)
{
    struct buf text;
    read_file(path, &text);
    assert_string_equal(buf_str(&text), want);
    buf_free(&text);
}

#define ADD                                                                                        \
    {                                                                                              \
        .cert = "www", .ca = "le", .name = NAME, .token = TOKEN, .add = true                       \
    }
#define REMOVE                                                                                     \
    {                                                                                              \
        .cert = "www", .ca = "le", .name = NAME, .token = TOKEN                                    \
    }
static const struct keeper_msg_http01 add = ADD, remove_it = REMOVE;

static void test_webroot(void **state)
{
    struct world *w = *state;
    char path[256];
    use_webroot(w);
    ask(w, &add);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
    snprintf(path, sizeof(path), "%s/.well-known/acme-challenge/" TOKEN, w->webroot);
    check_text(path, w->content);
    ask(w, &remove_it);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_command(void **state)
{
    struct world *w = *state;
    use_program(w, "cat > \"$1\"; echo \"$RENEWD_NAME\" >> \"$1\"");
    ask(w, &add);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
    CLEANUP_FREE char *want =
        xasprintf("{\"action\":\"add\",\"token\":\"" TOKEN "\",\"content\":\"%s\","
                  "\"identifier\":\"" NAME "\",\"name\":\"www\",\"url\":\"http://" NAME
                  "/.well-known/acme-challenge/" TOKEN "\"}www\n",
                  w->content);
    check_text(w->out, want);
    ask(w, &remove_it);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
    struct buf text;
    read_file(w->out, &text);
    assert_true(str_starts(buf_str(&text), "{\"action\":\"remove\",\"token\":"));
    buf_free(&text);
}

static void test_a_command_that_fails(void **state)
{
    struct world *w = *state;
    use_program(w, "echo gateway 3 is gone >&2; exit 7");
    ask(w, &add);
    assert_int_equal(w->type, KEEPER_MSG_FAILED);
    assert_int_equal(w->err.cls, ERR_LOCAL);
    assert_non_null(strstr(w->err.detail, "exited with 7: gateway 3 is gone"));
}

/* The engine gives up: the whole group of the command goes, and no answer comes. */
static void test_cancelled(void **state)
{
    struct world *w = *state;
    struct frame_head h = {.type = KEEPER_MSG_HTTP01, .id = 1};
    struct frame_head cancel = {.type = KEEPER_MSG_CANCEL, .id = 1};
    union keeper_msg msg = {.http01 = add}, nothing = {.list = {0}};
    use_program(w, "sleep 60 & sleep 60");
    assert_int_equal(services_request(w->services, &h, &msg), 0);
    assert_int_equal(services_request(w->services, &cancel, &nothing), 0);
    use_webroot(w);
    ask(w, &add);
    assert_int_equal(w->answers, 1);
}

static void test_what_is_refused(void **state)
{
    static const struct keeper_msg_http01 bad[] = {
        {.cert = "other", .ca = "le", .name = NAME, .token = TOKEN, .add = true},
        {.cert = "www", .ca = "other", .name = NAME, .token = TOKEN, .add = true},
        {.cert = "www", .ca = "le-staging", .name = NAME, .token = TOKEN, .add = true}, /* no key */
        {.cert = "www", .ca = "le", .name = "example.com", .token = TOKEN, .add = true},
        {.cert = "www", .ca = "le", .name = NAME, .token = "../../../../../etc/x", .add = true},
        {.cert = "www", .ca = "le", .name = NAME, .token = "../../../../../etc/x"},
        {.cert = "www", .ca = "le", .name = NAME, .token = ""},
    };
    struct world *w = *state;
    use_webroot(w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ask(w, &bad[i]);
        assert_int_equal(w->type, KEEPER_MSG_FAILED);
    }
    w->f.cert.http01.kind = CONF_HTTP01_LISTEN;
    ask(w, &add);
    assert_int_equal(w->type, KEEPER_MSG_FAILED);
    assert_int_equal(rmdir(w->webroot), 0);
}

static void test_removed_from_the_configuration(void **state)
{
    struct world *w = *state;
    const struct keeper_msg_http01 gone = {
        .cert = "gone", .ca = "gone", .name = NAME, .token = TOKEN};
    use_webroot(w);
    ask(w, &add);
    ask(w, &gone);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
    assert_int_equal(rmdir(w->webroot), 0); /* empty again */
    ask(w, &gone);
    assert_int_equal(w->type, KEEPER_MSG_DONE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_webroot),   TEST(test_command),         TEST(test_a_command_that_fails),
        TEST(test_cancelled), TEST(test_what_is_refused), TEST(test_removed_from_the_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
