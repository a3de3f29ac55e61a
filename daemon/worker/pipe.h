/* SPDX-License-Identifier: ISC */
/* Frames over a blocking descriptor. Nothing is written before pipe_flush() or before it must wait,
 * so that small frames leave together. */
#ifndef RENEWD_WORKER_PIPE_H
#define RENEWD_WORKER_PIPE_H

#include "base/buf.h"
#include "base/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct pipe {
    int fd; /* -1: closed */
    uint32_t max;
    struct buf in, out;
    size_t taken; /* bytes at the front of in that the last frame used */
};

void pipe_init(struct pipe *p, int fd, uint32_t max); /* makes fd blocking */
void pipe_close(struct pipe *p);
int pipe_flush(struct pipe *p); /* -1: the other end is gone */

enum pipe_result { PIPE_FRAME, PIPE_TIMEOUT, PIPE_END };
/* The next frame; *ret_payload lives until the next call. timeout_ms -1: for ever; 0: what has
 * arrived already. PIPE_END: closed, or not a frame. Flushes before it waits. */
enum pipe_result pipe_read(struct pipe *p, int64_t timeout_ms, struct frame_head *ret_head,
                           const void **ret_payload);

#endif
