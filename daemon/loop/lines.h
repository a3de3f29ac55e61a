/* SPDX-License-Identifier: ISC */
/*
 * Sockets on which people's tools speak: a listener on a UNIX socket, and connections that carry
 * one JSON object a line both ways. The peer's uid and gids come from the kernel (SO_PEERCRED).
 * Bounded: line length, output queue, number of connections; a peer that does not read is closed.
 */
#ifndef RENEWD_LOOP_LINES_H
#define RENEWD_LOOP_LINES_H

#include "base/json.h"
#include "loop/loop.h"

#include <sys/types.h>

#define LINES_MAX_INPUT (64u << 10)
#define LINES_MAX_OUTPUT (64u << 20)

struct lines;      /* a listener with its connections */
struct lines_peer; /* one connection */

struct lines_handler {
    /* A request. `request` lives for the call. Answer now or later with lines_send; end with
     * lines_finish. One request at a time: the next line is read after lines_finish. */
    void (*request)(void *arg, struct lines_peer *p, const struct json *request);
    /* The peer went away: nothing may be sent to it any more. Also called by lines_free. */
    void (*gone)(void *arg, struct lines_peer *p);
};

/* Takes fd, a listening socket. */
struct lines *lines_new(struct loop *l, int fd, unsigned max_peers, const struct lines_handler *h,
                        void *arg);
void lines_free(struct lines *l);

uid_t lines_uid(const struct lines_peer *p);
void lines_send(struct lines_peer *p,
                const struct json *object); /* one line; too much: the peer goes */
void lines_finish(struct lines_peer *p);
void lines_set_data(struct lines_peer *p, void *data); /* the handler's own */
void *lines_data(const struct lines_peer *p);

/* A listening socket at path with that mode and group ((gid_t)-1: leave); an old one is replaced.
 * -1: *e */
int lines_listen(const char *path, mode_t mode, gid_t gid, struct err *e);

#endif
