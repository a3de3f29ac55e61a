/* SPDX-License-Identifier: ISC */
#include "keeper/notify.h"
#include "base/mem.h"
#include "base/str.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int open_socket(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(sa.sun_path) || (path[0] != '/' && path[0] != '@'))
        return -1;
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@')
        sa.sun_path[0] = '\0'; /* an abstract name */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, len)) {
        close(fd);
        return -1;
    }
    return fd;
}

void notify_init(struct notify *n, const char *socket_path, const char *watchdog_usec,
                 const char *watchdog_pid)
{
    int64_t usec, pid;
    *n = (struct notify){.fd = open_socket(socket_path)};
    if (n->fd < 0 || !watchdog_usec || !str_to_i64(watchdog_usec, 1000, INT64_MAX / 2, &usec))
        return;
    if (watchdog_pid && (!str_to_i64(watchdog_pid, 1, INT32_MAX, &pid) || pid != getpid()))
        return;
    n->watchdog_ms = usec / 1000;
}

void notify_done(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

static void tell(const struct notify *n, const char *text)
{
    if (n->fd >= 0)
        (void)!send(n->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void notify_ready(const struct notify *n)
{
    tell(n, "READY=1");
}

void notify_reloading(const struct notify *n)
{
    struct timespec now;
    char text[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(n, text);
}

void notify_stopping(const struct notify *n)
{
    tell(n, "STOPPING=1");
}

void notify_alive(const struct notify *n)
{
    tell(n, "WATCHDOG=1");
}

void notify_status(const struct notify *n, const char *text)
{
    CLEANUP_FREE char *line = xasprintf("STATUS=%s", text);
    for (char *p = line; *p; p++) {
        if (*p == '\n' || *p == '\r')
            *p = ' ';
    }
    tell(n, line);
}
