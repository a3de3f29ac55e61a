/* SPDX-License-Identifier: ISC */
/*
 * Calls pass from the loop's thread to the store's and back:
 *
 *   store_get/list/batch -> [queue] -> one transaction for all that waited -> [done] -> wake ->
 * callbacks
 *
 * The store's thread takes the whole queue at once, so that everything that came while the last
 * commit was on its way to the disk shares the next one; it is told when the loop has done what it
 * found ready, and gathers what follows within GATHER_US, so that all of that shares one, too: an
 * order that waits for its commit waits for networks before and after it, and each commit costs the
 * machine as much as a request. It sleeps on a condition without a time limit.
 */
#include "store/sqlite.h"
#include "base/mem.h"
#include "store/sqlite_db.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATHER_US 2000

struct sqlite_store {
    struct store store;
    struct loop *loop;
    struct wake *wake;
    struct defer tell;
    struct sqlite_db *db; /* the thread's, once it runs */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, hurry;
    struct list queue, done; /* under the lock: store_call.node */
    bool stop;               /* under the lock */
    struct list now;         /* the loop's thread: being delivered */
    bool delivering, closed; /* closed inside a callback: freed when that is over */
};

static void splice(struct list *to, struct list *from)
{
    list_each(it, from)
    {
        list_remove(it);
        list_append(to, it);
    }
}

/* Until the time is over, or the store is closed. Under the lock. */
static void gather(struct sqlite_store *s)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (!s->stop && pthread_cond_clockwait(&s->hurry, &s->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

static void *run(void *arg)
{
    struct sqlite_store *s = arg;
    struct list group;
    list_init(&group);
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (list_empty(&s->queue) && !s->stop)
            pthread_cond_wait(&s->work, &s->lock);
        if (list_empty(&s->queue))
            break;
        gather(s);
        splice(&group, &s->queue);
        pthread_mutex_unlock(&s->lock);
        sqlite_db_run(s->db, &group);
        pthread_mutex_lock(&s->lock);
        splice(&s->done, &group);
        wake_send(s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void drop(struct list *calls)
{
    list_each(it, calls)
    {
        list_remove(it);
        store_call_free(list_item(it, struct store_call, node));
    }
}

static void sqlite_free(struct sqlite_store *s)
{
    wake_free(s->wake);
    defer_cancel(&s->tell);
    drop(&s->now);
    drop(&s->done);
    sqlite_db_close(s->db);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->hurry);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void deliver(void *arg)
{
    struct sqlite_store *s = arg;
    pthread_mutex_lock(&s->lock);
    splice(&s->now, &s->done);
    pthread_mutex_unlock(&s->lock);
    s->delivering = true;
    while (!list_empty(&s->now) && !s->closed) {
        struct store_call *c = list_item(s->now.next, struct store_call, node);
        list_remove(&c->node);
        store_call_deliver(c);
    }
    s->delivering = false;
    if (s->closed)
        sqlite_free(s);
}

static void tell(void *arg)
{
    struct sqlite_store *s = arg;
    pthread_cond_signal(&s->work);
}

static struct store_call *submit(struct store *base, struct store_call *c)
{
    struct sqlite_store *s = CONTAINER_OF(base, struct sqlite_store, store);
    pthread_mutex_lock(&s->lock);
    list_append(&s->queue, &c->node);
    pthread_mutex_unlock(&s->lock);
    if (!s->tell.pending)
        loop_defer(s->loop, &s->tell, tell, s);
    return c;
}

static struct store_call *sqlite_get(struct store *s, const char *key, store_read_fn *done,
                                     void *arg)
{
    return submit(s, store_call_read(STORE_CALL_GET, key, done, arg));
}

static struct store_call *sqlite_list(struct store *s, const char *prefix, store_read_fn *done,
                                      void *arg)
{
    return submit(s, store_call_read(STORE_CALL_LIST, prefix, done, arg));
}

static struct store_call *sqlite_batch(struct store *s, const struct store_op *ops, size_t n,
                                       store_write_fn *done, void *arg)
{
    return submit(s, store_call_batch(ops, n, done, arg));
}

static struct store_call *sqlite_copy(struct store *s, const char *path, store_write_fn *done,
                                      void *arg)
{
    return submit(s, store_call_copy(path, done, arg));
}

static void sqlite_cancel(struct store_call *c)
{
    c->cancelled = true;
}

static void sqlite_close(struct store *base)
{
    struct sqlite_store *s = CONTAINER_OF(base, struct sqlite_store, store);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_cond_signal(&s->hurry);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->closed = true;
    if (!s->delivering)
        sqlite_free(s);
}

static const struct store_ops sqlite_ops = {.get = sqlite_get,
                                            .list = sqlite_list,
                                            .batch = sqlite_batch,
                                            .copy = sqlite_copy,
                                            .cancel = sqlite_cancel,
                                            .close = sqlite_close};

/* Signals are the loop's thread's. */
static int start_thread(struct sqlite_store *s)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        pthread_setname_np(s->thread, "store");
    return rc;
}

struct store *store_sqlite_open(struct loop *l, const char *dir, struct err *e)
{
    struct sqlite_db *db = sqlite_db_open(dir, loop_wall_ms(l), e);
    if (!db)
        return NULL;
    struct sqlite_store *s = xnew(struct sqlite_store);
    s->store.ops = &sqlite_ops;
    s->db = db;
    list_init(&s->queue);
    list_init(&s->done);
    list_init(&s->now);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->hurry, NULL);
    s->loop = l;
    s->wake = wake_new(l, deliver, s);
    int rc = start_thread(s);
    if (rc == 0)
        return &s->store;
    err_sys(e, rc, "cannot start the state store's thread");
    sqlite_free(s);
    return NULL;
}
