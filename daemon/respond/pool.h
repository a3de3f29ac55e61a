/* SPDX-License-Identifier: ISC */
/*
 * Connections of strangers, bounded: at most POOL_CONNS at once, POOL_LIMIT_MS each whatever it
 * drips, POOL_LINGER_MS for it to take its answer. One more than that is let in all the same, and
 * the oldest connection of the source (IPv4 address, IPv6 /64) that holds most goes: ten thousand
 * idle connections of a few hosts cost the CA nothing, since a request that comes along with its
 * connection is answered at once.
 *
 *     accepted -> OPEN (its kind reads) -> LINGER (sent; what still comes is dropped) -> closed
 *                    `-------------------------- evicted, out of time, EOF -----------> closed
 *
 * Why not libevent's evhttp: 2.1 bounds headers and bodies, but counts no connections, has a
 * time-out from byte to byte only (a drip keeps a connection for ever), gives no way to close the
 * one that matters least, and its listener spins when descriptors run out. What is left of HTTP for
 * one GET is smaller than what would have to be put around it.
 */
#ifndef RENEWD_RESPOND_POOL_H
#define RENEWD_RESPOND_POOL_H

#include "base/buf.h"
#include "loop/loop.h"

#include <stddef.h>
#include <stdint.h>

#define POOL_CONNS 256u
#define POOL_LIMIT_MS 10000
#define POOL_LINGER_MS 2000
#define POOL_BUCKETS 256u
#define POOL_PAUSE_MS 1000 /* when descriptors or memory are out */

struct pool;

/* Embedded in what its kind needs. */
struct conn {
    struct list node; /* oldest first */
    struct pool *pool;
    struct watch *watch;
    struct timer limit;
    int fd;
    uint8_t bucket;
    bool lingers;
    size_t dropped; /* while it lingers */
    struct buf in;  /* max is the kind's */
};

struct conn_kind {
    size_t in_max;
    struct conn *(*make)(void *arg); /* zeroed but for what is the kind's own */
    /* More has come and stands in c->in. Whether the connection ends there, or stays or lingers is
     * the verdict. */
    enum conn_verdict { CONN_WAIT, CONN_LINGER, CONN_CLOSE } (*ready)(struct conn *c);
    /* c->in is full: more than this kind takes. What is to be said is sent here. */
    void (*full)(struct conn *c);
    void (*unmake)(struct conn *c); /* frees c; the descriptor is closed already */
};

struct pool *pool_new(struct loop *l, const struct conn_kind *kind, void *arg);
void pool_free(struct pool *p);
void pool_close_all(struct pool *p);
size_t pool_len(const struct pool *p);

/* Accepts for a pool from a listening socket. */
struct acceptor;
struct acceptor *acceptor_new(struct pool *p, int fd); /* takes fd */
void acceptor_free(struct acceptor *a);

/* Answers are shorter than a new socket's buffer: what does not fit at once is not sent. */
bool conn_send(struct conn *c, const void *p, size_t n);

#endif
