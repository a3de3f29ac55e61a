/* SPDX-License-Identifier: ISC */
/* A worker for the keeper's tests: does as the name of the plugin's file says. */
#include "base/mem.h"
#include "base/str.h"
#include "wire/worker_msg.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void send_frame(int fd, struct buf *b)
{
    if (write(fd, b->data, b->len) != (ssize_t)b->len)
        _exit(99);
    buf_free(b);
}

static struct worker_hello hello(void)
{
    static char id[] = "fake", empty[] = "", name[] = "token", choice[] = "mode", choices[] = "a|b";
    static struct worker_option options[2];
    options[0] = (struct worker_option){.name = name,
                                        .type = WORKER_OPT_SECRET,
                                        .required = true,
                                        .dflt = empty,
                                        .choices = empty,
                                        .help = empty};
    options[1] = (struct worker_option){
        .name = choice, .type = WORKER_OPT_ENUM, .dflt = empty, .choices = choices, .help = empty};
    return (struct worker_hello){.sandbox = "none, this is a test",
                                 .descriptor = {.id = id,
                                                .name = id,
                                                .version = empty,
                                                .license = empty,
                                                .author = empty,
                                                .homepage = empty,
                                                .model = WORKER_MODEL_RECORD,
                                                .callbacks = WORKER_CB_ADD | WORKER_CB_REMOVE,
                                                .propagation_s = 42,
                                                .apply_max = 1,
                                                .options = options,
                                                .n_options = 2}};
}

static void fail_over(int fd, const char *text)
{
    struct err e = ERR_INIT;
    struct buf b;
    err_set(&e, ERR_CONFIG, "%s", text);
    buf_init(&b, 1 << 20);
    worker_failed_encode(&b, &e);
    send_frame(fd, &b);
    _exit(1);
}

/* What goes wrong in the same way whatever is asked. */
static void misbehave(const char *mode, int fd)
{
    if (str_eq(mode, "failed.so"))
        fail_over(fd, "this plugin is sad");
    if (str_eq(mode, "garbage.so") && write(fd, "nonsense nonsense", 17) == 17)
        pause();
    if (str_eq(mode, "exit.so"))
        _exit(5);
    if (str_eq(mode, "killed.so"))
        raise(SIGKILL);
    if (str_eq(mode, "hang.so"))
        pause();
}

static void describe(const char *mode)
{
    struct worker_hello h = hello();
    struct buf b;
    misbehave(mode, WORKER_FD_ENGINE);
    buf_init(&b, 1 << 20);
    worker_descriptor_encode(&b, &h.descriptor);
    send_frame(WORKER_FD_ENGINE, &b);
    _exit(0);
}

/* The whole CONFIG frame; the payload's length. */
static size_t read_config(char *p, size_t size)
{
    size_t n = 0;
    struct frame_head h;
    while (n < FRAME_HEADER || frame_head_read(p, n, WORKER_KEEPER_MAX, &h) != 1 ||
           n < FRAME_HEADER + h.len) {
        ssize_t got = read(WORKER_FD_KEEPER, p + n, size - n);
        if (got <= 0)
            _exit(98);
        n += (size_t)got;
    }
    return h.len;
}

static void serve(const char *mode)
{
    static char frame[WORKER_KEEPER_MAX + FRAME_HEADER];
    struct worker_hello h = hello();
    struct worker_config *c;
    struct buf b;
    misbehave(mode, WORKER_FD_KEEPER);
    buf_init(&b, 1 << 20);
    worker_ready_encode(&b, &h);
    send_frame(WORKER_FD_KEEPER, &b);
    size_t n = read_config(frame, sizeof(frame));
    if (worker_config_decode(frame + FRAME_HEADER, n, &c))
        _exit(97);
    if (str_eq(mode, "refuse.so"))
        fail_over(WORKER_FD_KEEPER, "this token is not one");
    char said[256];
    int len = snprintf(said, sizeof(said), "%s %u %u %s=%s/%d", c->instance, c->ttl, c->n_settings,
                       c->settings[0].name, c->settings[0].value, c->settings[0].secret);
    if (write(WORKER_FD_ENGINE, said, (size_t)len) != len)
        _exit(96);
    buf_init(&b, 1 << 20);
    worker_created_encode(&b);
    send_frame(WORKER_FD_KEEPER, &b);
    char byte;
    while (read(WORKER_FD_ENGINE, &byte, 1) == 1)
        ;
    _exit(0);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[argc - 1] : "";
    const char *mode = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    for (int fd = WORKER_FD_ENGINE; fd <= WORKER_FD_KEEPER; fd++)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    if (argc == 4 && str_eq(argv[2], "--describe"))
        describe(mode);
    if (argc == 5 && str_eq(argv[2], "--instance"))
        serve(mode);
    return 2;
}
