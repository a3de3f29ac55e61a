/* SPDX-License-Identifier: ISC */
#include "keeper/keygen.h"
#include "base/mem.h"
#include "base/secret.h"
#include "loop/channel.h"
#include "loop/child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIMIT_MS 120000
#define FD 3

struct keygen {
    struct child *child;
    int fd;
    keygen_fn *fn;
    void *arg;
};

void keygen_cancel(struct keygen *g)
{
    if (!g)
        return;
    child_free(g->child);
    close(g->fd);
    free(g);
}

/* The whole text is in the socket by now: it is smaller than any socket's buffer. */
static struct pkey *read_key(int fd, struct err *e)
{
    CLEANUP_BUF struct buf pem;
    char chunk[PKEY_PEM_MAX];
    ssize_t n;
    buf_init_secret(&pem, PKEY_PEM_MAX);
    while ((n = read(fd, chunk, sizeof(chunk))) > 0 && buf_put(&pem, chunk, (size_t)n) == 0)
        ;
    secret_wipe(chunk, sizeof(chunk));
    return pkey_from_pem(buf_str(&pem), pem.len, e);
}

static void ended(void *arg, const struct child_end *c)
{
    struct keygen *g = arg;
    keygen_fn *fn = g->fn;
    void *fn_arg = g->arg;
    struct err e = ERR_INIT;
    struct pkey *key = NULL;
    char how[64];
    if (c->status || c->timed_out)
        err_set(&e, ERR_LOCAL, "the process that makes keys %s",
                child_end_text(c, how, sizeof(how)));
    else
        key = read_key(g->fd, &e);
    keygen_cancel(g);
    fn(fn_arg, key, &e);
}

struct keygen *keygen_start(struct loop *l, const char *program, enum key_type type, keygen_fn *fn,
                            void *arg, struct err *e)
{
    const char *const argv[] = {program, "--generate-key", key_type_name(type), NULL};
    int pair[2];
    if (channel_pair(pair, e))
        return NULL;
    struct keygen *g = xnew(struct keygen);
    g->fd = pair[0];
    g->fn = fn;
    g->arg = arg;
    struct child_spec spec = {.argv = argv,
                              .uid = (uid_t)-1,
                              .inherit_output = true,
                              .timeout_ms = LIMIT_MS,
                              .fds = &pair[1],
                              .n_fds = 1,
                              .own_group = true,
                              .die_with_parent = true};
    g->child = child_start(l, &spec, ended, g, e);
    close(pair[1]);
    if (!g->child) {
        keygen_cancel(g);
        return NULL;
    }
    return g;
}

int keygen_main(const char *type)
{
    CLEANUP_BUF struct buf pem = {0};
    struct err e = ERR_INIT;
    enum key_type t;
    if (!key_type_parse(type, &t))
        return 2;
    CLEANUP_PKEY struct pkey *key = pkey_generate(t, &e);
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (!key || pkey_to_pem(key, &pem, &e)) {
        fprintf(stderr, "renewd: %s\n", e.detail);
        return 1;
    }
    return write(FD, pem.data, pem.len) == (ssize_t)pem.len ? 0 : 1;
}
