/* SPDX-License-Identifier: ISC */
/*
 * renewd-engine: started by renewd, never by hand. Descriptor 3 is the channel to the keeper,
 * descriptor 4 the listening control socket.
 */
#include "engine/wiring.h"
#include "link/harden.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool is_socket(int fd)
{
    int type;
    socklen_t n = sizeof(type);
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0;
}

/* Nothing that the keeper had open may be open here. */
static void close_others(void)
{
    syscall(SYS_close_range, ENGINE_FD_CONTROL + 1, ~0U, 0);
}

/* The keeper decides when it is over; a signal to the whole group is not for us. */
static void ignore_signals(void)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
}

/* Requests come and go by the hundred: without this the heap's end moves with each of them, which
 * costs a system call and page faults. One arena: only the store has a thread. */
static void set_heap(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_TRIM_THRESHOLD, 4 << 20);
    mallopt(M_TOP_PAD, 512 << 10);
}

static int harden(struct err *e)
{
    if (harden_process(e))
        return -1;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_set(e, ERR_LOCAL, "cannot give up new privileges");
    return 0;
}

int main(void)
{
    struct err e = ERR_INIT;
    struct log log;
    log_init(&log, "engine");
    struct log_ctx ctx = {&log, NULL};
    if (!is_socket(ENGINE_FD_KEEPER)) {
        fprintf(stderr, "renewd-engine: is started by renewd, not by hand\n");
        return 2;
    }
    set_heap();
    close_others();
    ignore_signals();
    if (harden(&e)) {
        log_error(&ctx, "%s", e.detail);
        return 1;
    }
    struct loop *loop = loop_new();
    int control = is_socket(ENGINE_FD_CONTROL) ? ENGINE_FD_CONTROL : -1;
    struct wiring *w = wiring_new(loop, &log, ENGINE_FD_KEEPER, control);
    int failed = loop_run(loop);
    int code = wiring_exit_code(w);
    wiring_free(w);
    loop_free(loop);
    return failed ? 1 : code;
}
