/* SPDX-License-Identifier: ISC */
/*
 * renewd-worker: one plugin in a sandbox.
 *
 *     renewd-worker --describe [--no-sandbox] PATH            fd 3: what the plugin says of itself
 *     renewd-worker --instance NAME [--no-sandbox] PATH       fd 3: engine, fd 4: keeper
 *
 * Started with its final user id by the keeper, which has opened the plugin for it (--opened: the
 * descriptor after the channels), because that user need not be able to reach the file.
 * --no-sandbox is for debuggers and sanitizers.
 */
#include "base/mem.h"
#include "base/str.h"
#include "wire/worker_msg.h"
#include "worker/descriptor.h"
#include "worker/host.h"
#include "worker/load.h"
#include "worker/sandbox.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct args {
    bool describe;
    bool open;   /* no sandbox */
    bool opened; /* the plugin is there as the descriptor after the channels */
    const char *instance, *path;
};

static bool parse(int argc, char **argv, struct args *a)
{
    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "--describe"))
            a->describe = true;
        else if (str_eq(argv[i], "--no-sandbox"))
            a->open = true;
        else if (str_eq(argv[i], "--opened"))
            a->opened = true;
        else if (str_eq(argv[i], "--instance") && i + 1 < argc)
            a->instance = argv[++i];
        else if (argv[i][0] == '-' || a->path)
            return false;
        else
            a->path = argv[i];
    }
    return a->path && a->describe == !a->instance;
}

static int plugin_fd(const struct args *a)
{
    if (!a->opened)
        return -1;
    return a->describe ? WORKER_FD_ENGINE + 1 : WORKER_FD_KEEPER + 1;
}

/* No descriptor but the channels (and, for people who debug, stderr). */
static void tidy_descriptors(const struct args *a)
{
    unsigned first = a->describe ? WORKER_FD_ENGINE + 1 : WORKER_FD_KEEPER + 1;
    first += a->opened;
#ifdef __NR_close_range
    if (syscall(__NR_close_range, first, ~0u, 0) != 0)
#endif
        for (unsigned fd = first; fd < 1024; fd++)
            close((int)fd);
    int null = open("/dev/null", O_RDWR);
    if (null < 0)
        return;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
#ifndef RENEWD_SANITIZE
    if (!a->open)
        dup2(null, STDERR_FILENO);
#endif
    if (null > WORKER_FD_KEEPER)
        close(null);
}

/* Everything of the library that would open files later. */
static void warm_up(void)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n;
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    EVP_Digest("", 0, sum, &n, EVP_sha256(), NULL);
}

static int start(const struct args *a, struct sandbox *s, struct renewd_plugin *ret, struct err *e)
{
    char folder[PATH_MAX];
    int fd = load_open(a->path, plugin_fd(a), folder, e);
    if (fd < 0)
        return -1;
    if (a->open)
        snprintf(s->text, sizeof(s->text), "no sandbox (asked for)");
    else
        sandbox_enter(s, fd, folder);
    int rc = load_plugin(fd, a->open ? a->path : NULL, ret, e);
    close(fd);
    if (rc == 0 && !a->open)
        rc = sandbox_complete(s, e);
    return rc;
}

static int send_failure(int fd, const struct err *e)
{
    struct pipe p;
    pipe_init(&p, fd, WORKER_KEEPER_MAX);
    worker_failed_encode(&p.out, e);
    pipe_flush(&p);
    return 1;
}

static int describe(const struct renewd_plugin *plugin)
{
    struct worker_descriptor d;
    struct pipe p;
    descriptor_of(plugin, &d);
    pipe_init(&p, WORKER_FD_ENGINE, WORKER_KEEPER_MAX);
    worker_descriptor_encode(&p.out, &d);
    return pipe_flush(&p) == 0 ? 0 : 1;
}

static int serve(const struct args *a, const struct sandbox *s, const struct renewd_plugin *plugin)
{
    struct err e = ERR_INIT;
    struct host *h = xnew(struct host);
    host_init(h, plugin);
    if (host_configure(h, a->instance, s->text, &e) != 0)
        return send_failure(WORKER_FD_KEEPER, &e);
    return host_run(h);
}

int main(int argc, char **argv)
{
    struct args a = {0};
    if (!parse(argc, argv, &a)) {
        fputs("usage: renewd-worker --describe|--instance NAME [--no-sandbox] PATH\n"
              "It is started by renewd; see renewd-plugin(3).\n",
              stderr);
        return 2;
    }
    struct err e = ERR_INIT;
    struct sandbox s = {0};
    struct renewd_plugin plugin;
    tidy_descriptors(&a);
    signal(SIGPIPE, SIG_IGN);
    warm_up();
    int status = 0;
    if (start(&a, &s, &plugin, &e) != 0)
        status = send_failure(a.describe ? WORKER_FD_ENGINE : WORKER_FD_KEEPER, &e);
    else
        status = a.describe ? describe(&plugin) : serve(&a, &s, &plugin);
    _exit(status); /* no destructors of plugins */
}
