/* SPDX-License-Identifier: ISC */
/*
 * disk_start ---> waiting ---> batch (the thread's) ---> ended ---> done(), on the loop
 */
#include "keeper/disk.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define BATCH_MAX 256u
#define GATHER_US 4000 /* what comes within shares a batch, whose cost is in its end */
#define CHUNK 16u      /* of a large batch, where there is no syncfs: descriptors are few */

/* What is to be durable. */
struct mark {
    int fd;
    struct disk_job *job; /* whose failure it would be; NULL: everybody's */
    bool close;
};

struct disk_batch {
    const struct statedir *dir;
    struct list *jobs;
    struct mark *marks;
    size_t n, room;
    bool each; /* the marks are waited for one by one, else syncfs */
};

struct disk {
    const struct statedir *dir;
    struct loop *loop;
    struct wake *wake;
    struct defer start;
    struct list asked; /* the loop's; all else under the lock */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, hurry;
    struct list waiting, ended;
    bool stop;
};

/* ---- one batch ---- */

static void add_mark(struct disk_batch *b, struct disk_job *j, int fd, bool close_it)
{
    if (b->n == b->room) {
        b->room = b->room ? 2 * b->room : 32;
        b->marks = xrealloc_array(b->marks, b->room, sizeof(*b->marks));
    }
    b->marks[b->n++] = (struct mark){fd, j, close_it};
}

void disk_keep(struct disk_batch *b, struct disk_job *j, int fd)
{
    if (b->each)
        add_mark(b, j, fd, true);
    else
        close(fd);
}

void disk_touch(struct disk_batch *b, struct disk_job *j, int fd)
{
    for (size_t i = 0; !j && i < b->n; i++) {
        if (b->marks[i].fd == fd)
            return;
    }
    if (b->each)
        add_mark(b, j, fd, false);
}

static void fail(struct disk_batch *b, struct disk_job *only, int sys)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        if ((!only || j == only) && !err_is(&j->err))
            err_sys(&j->err, sys, "cannot make files of a certificate durable");
    }
}

/* All are on their way to the disk before the first is waited for. */
static void wait_each(struct disk_batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        sync_file_range(b->marks[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < b->n; i++) {
        struct mark *m = &b->marks[i];
        if ((!m->job || !err_is(&m->job->err)) && fsync(m->fd) && errno != EINVAL)
            fail(b, m->job, errno);
        if (m->close)
            close(m->fd);
    }
    b->n = 0;
}

/* false: syncfs cannot tell; nothing is said of the jobs then. */
static bool make_durable(struct disk_batch *b)
{
    if (b->each) {
        wait_each(b);
        return true;
    }
    if (syncfs(b->dir->root) == 0)
        return true;
    if (errno != EIO)
        return false;
    fail(b, NULL, EIO);
    return true;
}

static void undo_failed(struct disk_batch *b, bool all)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        if (all || err_is(&j->err))
            j->work->undo(j);
    }
}

static void show(struct disk_batch *b)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        if (!err_is(&j->err) && j->work->show && j->work->show(j, b, &j->err) && !err_is(&j->err))
            err_set(&j->err, ERR_BUG, "a failure without a reason");
    }
}

static bool any_shown(const struct disk_batch *b)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        if (!err_is(&j->err) && j->work->show)
            return true;
    }
    return false;
}

static void end(struct disk_batch *b)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        if (!err_is(&j->err))
            j->work->end(j);
    }
}

/* false: nothing was done, since syncfs cannot tell. */
static bool run_batch(struct disk_batch *b)
{
    list_each(it, b->jobs)
    {
        struct disk_job *j = list_item(it, struct disk_job, node);
        err_clear(&j->err);
        j->work->write(j, b, &j->err);
    }
    if (!make_durable(b)) {
        undo_failed(b, true);
        return false;
    }
    undo_failed(b, false);
    show(b);
    if (any_shown(b) && !make_durable(b))
        fail(b, NULL, errno);
    end(b);
    return true;
}

/* Before 5.8 it said nothing of errors. */
static bool syncfs_tells(void)
{
    struct utsname u;
    unsigned major = 0, minor = 0;
    return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

static void move(struct list *from, struct list *to, size_t n)
{
    for (; n > 0 && !list_empty(from); n--) {
        struct list *node = from->next;
        list_remove(node);
        list_append(to, node);
    }
}

static size_t count(const struct list *l)
{
    size_t n = 0;
    for (const struct list *it = l->next; it != l; it = it->next)
        n++;
    return n;
}

static void run(struct disk_batch *b, struct list *jobs, unsigned small)
{
    struct list ended, part;
    list_init(&ended);
    b->jobs = jobs;
    b->each = count(jobs) <= small || !syncfs_tells();
    if (b->each || !run_batch(b)) {
        b->each = true;
        b->jobs = &part;
        while (!list_empty(jobs)) {
            list_init(&part);
            move(jobs, &part, CHUNK);
            run_batch(b);
            move(&part, &ended, CHUNK);
        }
        move(&ended, jobs, SIZE_MAX);
    }
    free(b->marks);
}

void disk_run(const struct statedir *dir, struct list *jobs, unsigned small)
{
    struct disk_batch b = {.dir = dir};
    run(&b, jobs, small);
}

/* ---- the thread ---- */

/* For what else comes at once: until the time is over, or the end is. Under the lock. */
static void gather(struct disk *d)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_US * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (!d->stop && pthread_cond_clockwait(&d->hurry, &d->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
}

static void *work(void *arg)
{
    struct disk *d = arg;
    struct list batch;
    list_init(&batch);
    pthread_mutex_lock(&d->lock);
    for (;;) {
        while (list_empty(&d->waiting) && !d->stop)
            pthread_cond_wait(&d->work, &d->lock);
        gather(d);
        if (d->stop)
            break;
        move(&d->waiting, &batch, BATCH_MAX);
        pthread_mutex_unlock(&d->lock);
        struct disk_batch b = {.dir = d->dir};
        run(&b, &batch, DISK_SMALL);
        pthread_mutex_lock(&d->lock);
        move(&batch, &d->ended, SIZE_MAX);
        wake_send(d->wake);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void on_wake(void *arg)
{
    struct disk *d = arg;
    struct list ended;
    list_init(&ended);
    pthread_mutex_lock(&d->lock);
    move(&d->ended, &ended, SIZE_MAX);
    pthread_mutex_unlock(&d->lock);
    while (!list_empty(&ended)) {
        struct disk_job *j = list_item(ended.next, struct disk_job, node);
        list_remove(&j->node);
        j->done(j);
    }
}

/* Everything that the loop finds ready at once is in one batch. */
static void on_start(void *arg)
{
    struct disk *d = arg;
    pthread_mutex_lock(&d->lock);
    move(&d->asked, &d->waiting, SIZE_MAX);
    pthread_cond_signal(&d->work);
    pthread_mutex_unlock(&d->lock);
}

void disk_start(struct disk *d, struct disk_job *j)
{
    list_append(&d->asked, &j->node);
    if (!d->start.pending)
        loop_defer(d->loop, &d->start, on_start, d);
}

struct disk *disk_new(struct loop *l, const struct statedir *dir)
{
    struct disk *d = xnew(struct disk);
    sigset_t all, before;
    d->loop = l;
    d->dir = dir;
    d->wake = wake_new(l, on_wake, d);
    list_init(&d->asked);
    list_init(&d->waiting);
    list_init(&d->ended);
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->work, NULL);
    pthread_cond_init(&d->hurry, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (pthread_create(&d->thread, NULL, work, d))
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return d;
}

static void drop(struct list *jobs)
{
    while (!list_empty(jobs))
        list_remove(jobs->next);
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->work);
    pthread_cond_signal(&d->hurry);
    pthread_mutex_unlock(&d->lock);
    pthread_join(d->thread, NULL);
    defer_cancel(&d->start);
    wake_free(d->wake);
    drop(&d->asked);
    drop(&d->waiting);
    drop(&d->ended);
    pthread_cond_destroy(&d->work);
    pthread_cond_destroy(&d->hurry);
    pthread_mutex_destroy(&d->lock);
    free(d);
}
