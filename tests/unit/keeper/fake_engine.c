/* SPDX-License-Identifier: ISC */
/* An engine for the keeper's tests: does as FAKE_MODE says, writes what happens to FAKE_LOG. */
#include "base/mem.h"
#include "base/str.h"
#include "link/keeper_client.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct fake {
    struct loop *loop;
    struct keeper_client *client;
    const char *mode;
    int log;
    bool again; /* not the first engine of this test */
    unsigned left;
};

static void say(struct fake *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct fake *f, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
    va_end(ap);
    line[n++] = '\n';
    if (write(f->log, line, (size_t)n) != n)
        _exit(99);
}

static void on_start(void *arg, const struct keeper_client_start *s)
{
    struct fake *f = arg;
    int signal_number = 0;
    prctl(PR_GET_PDEATHSIG, &signal_number);
    say(f, "start once=%d dir=%d pdeathsig=%d listen=%d uid=%d", s->once,
        access(s->engine_dir, W_OK) == 0, signal_number == SIGKILL, fcntl(4, F_GETFD) >= 0,
        (int)geteuid());
}

static void on_step(void *arg, const char *text, const struct err *err)
{
    struct fake *f = arg;
    say(f, "step %s: %s", err_class_name(err->cls), text);
}

static void on_installed(void *arg, const struct keeper_installed *i, const struct err *err)
{
    struct fake *f = arg;
    if (i)
        say(f, "item %s %d", i->cert, i->present);
    else
        say(f, "list end %d", err == NULL);
}

static void on_prepared(void *arg, const struct err *err)
{
    struct fake *f = arg;
    say(f, "prepared %s", err_class_name(err->cls));
}

static void on_account(void *arg, const struct keeper_account *a, const struct err *err)
{
    struct fake *f = arg;
    say(f, "account %s [%s] [%s]", err_class_name(err->cls), a->url, a->thumbprint);
}

static void on_signed(void *arg, const char *jws, size_t n, const struct err *err)
{
    struct fake *f = arg;
    say(f, "signed %s %d", err_class_name(err->cls), n > 100 && jws[0] == '{');
}

static void ask(struct fake *f)
{
    struct keeper *k = keeper_client_keeper(f->client);
    static const char *const certs[] = {"a.example.org"};
    struct keeper_sign_request r = {
        .what = KEEPER_NEW_ACCOUNT, .ca = "test", .cert = "", .url = "https://x/", .nonce = "n"};
    k->ops->list(k, on_installed, f);
    k->ops->account(k, "test", on_account, f);
    k->ops->account(k, "nothing", on_account, f);
    k->ops->sign(k, &r, on_signed, f);
    k->ops->prepare(k, "a.example.org", false, on_prepared, f);
    k->ops->prepare(k, "a.example.org", true, on_prepared, f); /* each waits for the one before */
    k->ops->prepare(k, "a.example.org", false, on_prepared, f);
    k->ops->prepare(k, "a.example.org", true, on_prepared, f);
    k->ops->prepare(k, "rsa.example.org", false, on_prepared, f);
    k->ops->step(k, "#1", 0, certs, 1, on_step, f);
    k->ops->step(k, "#1", 9, certs, 1, on_step, f);
}

static void misbehave(struct fake *f)
{
    if (str_eq(f->mode, "crash"))
        _exit(7);
    if (str_eq(f->mode, "malformed") &&
        write(3, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12) == 12)
        pause();
}

static void on_config(void *arg, uint64_t generation, const void *p, size_t n)
{
    struct fake *f = arg;
    say(f, "config %d %d", (int)generation, p && n > 50);
    if (str_eq(f->mode, "reject") || (str_eq(f->mode, "reject-second") && generation > 1)) {
        struct err e = ERR_INIT;
        err_set(&e, ERR_CONFIG, "the engine cannot do that");
        keeper_client_reject(f->client, generation, &e);
        return;
    }
    if (!f->again && str_eq(f->mode, "die-first"))
        _exit(9);
    keeper_client_accept(f->client, generation);
    keeper_client_status(f->client, "all is well");
    if (str_eq(f->mode, "once"))
        keeper_client_once_done(f->client, 1);
    if (str_eq(f->mode, "ask"))
        ask(f);
}

/* A signal of the test's: the moment to misbehave. */
static void on_signal(void *arg, int sig)
{
    (void)sig;
    misbehave(arg);
}

static void on_ping(void *arg)
{
    struct fake *f = arg;
    say(f, "ping");
    keeper_client_pong(f->client);
}

static void on_stop(void *arg)
{
    struct fake *f = arg;
    say(f, "stop");
    loop_stop(f->loop);
}

static void on_closed(void *arg, const struct err *why)
{
    struct fake *f = arg;
    say(f, "closed: %s", why->detail);
    _exit(3);
}

int main(void)
{
    static const struct keeper_client_handler handler = {.start = on_start,
                                                         .config = on_config,
                                                         .ping = on_ping,
                                                         .stop = on_stop,
                                                         .closed = on_closed};
    struct fake f = {.mode = getenv("FAKE_MODE")};
    f.log = open(getenv("FAKE_LOG"), O_WRONLY | O_CLOEXEC);
    CLEANUP_FREE char *mark = xasprintf("%s.again", getenv("FAKE_LOG"));
    int fd = open(mark, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    f.again = fd < 0;
    if (fd >= 0)
        close(fd);
    f.loop = loop_new();
    say(&f, "pid %d", (int)getpid());
    f.client = keeper_client_new(f.loop, 3, &handler, &f);
    struct watch_signal *w = watch_signal_new(f.loop, SIGUSR1, on_signal, &f);
    loop_run(f.loop);
    watch_signal_free(w);
    keeper_client_free(f.client);
    loop_free(f.loop);
    close(f.log);
    return 0;
}
