/* SPDX-License-Identifier: ISC */
#include "ctl/client.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REPLY_MAX (256u << 20)

static int unreachable(const char *socket, int error)
{
    fprintf(stderr, "renewctl: cannot reach the daemon at %s: %s\n", socket, strerror(error));
    if (error == EACCES)
        fprintf(stderr, "Only root, the daemon's user and members of control_group may look.\n");
    else
        fprintf(stderr, "Is renewd running (systemctl status renewd)? Another socket: -s SOCKET\n");
    return EXIT_UNREACHABLE;
}

static int connect_to(const char *path, int *ret_fd)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!str_copy(sa.sun_path, sizeof(sa.sun_path), path))
        return unreachable(path, ENAMETOOLONG);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return unreachable(path, error);
    }
    *ret_fd = fd;
    return 0;
}

static int send_all(int fd, const char *text, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return -1;
        if (sent > 0) {
            text += sent;
            n -= (size_t)sent;
        }
    }
    return 0;
}

/* Reads more into in; calls tick while waiting. 1: got some, 0: end, -1: error. */
static int read_more(int fd, struct buf *in, const struct client_handler *h)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = poll(&p, 1, h && h->tick ? 1000 : -1);
        if (ready == 0) {
            h->tick(h->arg);
            continue;
        }
        if (ready < 0 && errno != EINTR)
            return -1;
        if (ready > 0)
            break;
    }
    char chunk[65536];
    ssize_t n = recv(fd, chunk, sizeof(chunk), 0);
    if (n <= 0)
        return n == 0 ? 0 : -1;
    return buf_put(in, chunk, (size_t)n) < 0 ? -1 : 1;
}

/* Takes the whole lines out of in; true when the last one was among them. */
static bool take_lines(struct buf *in, const struct client_handler *h, struct json **ret_reply)
{
    size_t used = 0;
    bool done = false;
    while (!done && used < in->len) {
        char *end = memchr(in->data + used, '\n', in->len - used);
        if (!end)
            break;
        struct err e = ERR_INIT;
        struct json *line =
            json_parse_upto(in->data + used, (size_t)(end - in->data) - used, REPLY_MAX, &e);
        used = (size_t)(end - in->data) + 1;
        done = !line || json_bool(line, "done", false);
        if (done) {
            *ret_reply = line;
        } else {
            if (h && h->event)
                h->event(h->arg, line);
            json_free(line);
        }
    }
    buf_consume(in, used);
    return done;
}

int client_ask(const char *socket, const struct json *request, const struct client_handler *h,
               struct json **ret_reply)
{
    CLEANUP_CLOSE int fd = -1;
    int exit = connect_to(socket, &fd);
    if (exit)
        return exit;
    CLEANUP_FREE char *text = json_print(request, false);
    CLEANUP_BUF struct buf in;
    buf_init(&in, REPLY_MAX);
    struct json *reply = NULL;
    bool done = false;
    if (send_all(fd, text, strlen(text)) == 0 && send_all(fd, "\n", 1) == 0)
        while (!done && read_more(fd, &in, h) > 0)
            done = take_lines(&in, h, &reply);
    if (!reply) {
        fprintf(stderr, "renewctl: the daemon at %s ended the conversation without an answer\n",
                socket);
        return EXIT_UNREACHABLE;
    }
    *ret_reply = reply;
    return 0;
}

int client_simple(struct ctl *ctl, const struct json *request, struct json **ret_reply)
{
    *ret_reply = NULL;
    struct json *reply = NULL;
    int exit = client_ask(ctl->socket, request, NULL, &reply);
    if (exit)
        return exit;
    exit = (int)json_int(reply, "exit", EXIT_FAILED);
    const char *error = json_text(reply, "error");
    if (ctl->json) {
        CLEANUP_FREE char *text = json_print(reply, true);
        puts(text);
    } else if (error) {
        fprintf(stderr, "renewctl: %s\n", error);
    }
    if (ctl->json || error)
        json_free(reply);
    else
        *ret_reply = reply;
    return exit;
}

char *client_admin_socket(const struct ctl *ctl)
{
    const char *slash = strrchr(ctl->socket, '/');
    if (!slash)
        return xstrdup("admin.sock");
    return xasprintf("%.*s/admin.sock", (int)(slash - ctl->socket), ctl->socket);
}
