/* SPDX-License-Identifier: ISC */
/*
 * Frames over a connected stream socket, both ways, with descriptors attached where asked.
 * Writes are queued and flushed from the loop (many small frames leave in one call). A malformed
 * frame, EOF, a write error or a queue over its maximum ends the channel: closed() is called once,
 * from the loop.
 */
#ifndef RENEWD_LOOP_CHANNEL_H
#define RENEWD_LOOP_CHANNEL_H

#include "base/frame.h"
#include "loop/loop.h"

struct channel;

struct channel_handler {
    /* payload lives for the call; fd is -1 or a descriptor that now belongs to the callee.
     * Returning -1 says that the frame was malformed: the channel ends. */
    int (*frame)(void *arg, const struct frame_head *h, const void *payload, int fd);
    void (*closed)(void *arg, const struct err *why); /* may free the channel */
};

/* Takes fd (made non-blocking). max: the largest payload accepted. */
struct channel *channel_new(struct loop *l, int fd, uint32_t max, const struct channel_handler *h,
                            void *arg);
void channel_free(struct channel *c); /* closes; closed() is not called */
/* frames: one or more whole frames; copied and wiped from the queue once sent. fd -1 or a
 * descriptor that is sent with the first byte and closed after (the channel takes it). */
int channel_send(struct channel *c, const struct buf *frames, int fd);
void channel_pause(struct channel *c, bool pause); /* back-pressure: stops reading */
bool channel_idle(const struct channel *c);        /* nothing left to write */
/* Pass descriptors with frames? Off unless called; a descriptor that arrives unasked ends the
 * channel. */
void channel_accept_fds(struct channel *c);

int channel_pair(int ret_fds[2], struct err *e); /* socketpair, CLOEXEC, both ends non-blocking */

#endif
