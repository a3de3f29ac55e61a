/* SPDX-License-Identifier: ISC */
/*
 * Changes of the state folder that must be durable before they are told. What is there together is
 * done together, so that the disk is waited for twice, however many certificates there are:
 *
 *     write    new files, which nobody looks at yet      | of each job
 *     ...      durable                                   | once
 *     show     links are switched to them                | of each job
 *     ...      durable                                   | once
 *     end      what is no longer needed goes             | of each job
 *
 * All of it runs in one thread; the loop goes on meanwhile, and what comes meanwhile is the next
 * batch. A small batch waits for its own files and folders; a larger one for the whole file system
 * (syncfs), where the kernel tells of errors then (5.8). A job that fails fails alone, but for an
 * error of syncfs itself.
 */
#ifndef RENEWD_KEEPER_DISK_H
#define RENEWD_KEEPER_DISK_H

#include "base/err.h"
#include "base/list.h"
#include "keeper/statedir.h"
#include "loop/loop.h"

#define DISK_SMALL 4u

struct disk_job;
struct disk_batch;

/* Run in the thread: they may touch nothing but their job, and files. */
struct disk_work {
    int (*write)(struct disk_job *j, struct disk_batch *b, struct err *e);
    int (*show)(struct disk_job *j, struct disk_batch *b, struct err *e); /* NULL: none */
    /* write() has failed, or what it wrote may not be on the disk: it must go, so that a later run
     * does not take it for durable. The job may be written anew. */
    void (*undo)(struct disk_job *j);
    void (*end)(struct disk_job *j); /* of success only */
};

/* Embedded in its owner, zeroed. Idle but between disk_start() and its callback. */
struct disk_job {
    const struct disk_work *work;
    void (*done)(struct disk_job *j); /* on the loop; err tells how it went */
    struct err err;
    struct list node;
};

struct disk;
struct disk *disk_new(struct loop *l, const struct statedir *dir); /* dir must live as long */
/* Waits for what is under way. Nobody is called back any more: the jobs are their owners' again. */
void disk_free(struct disk *d);
void disk_start(struct disk *d, struct disk_job *j);

/* The same at once, in this thread, without callbacks. small: up to how many jobs are a small
 * batch. */
void disk_run(const struct statedir *dir, struct list *jobs, unsigned small);

/* ---- for the functions of a job ---- */

/* To be durable at the end of the step; takes fd. */
void disk_keep(struct disk_batch *b, struct disk_job *j, int fd);
/* A folder; fd stays the caller's and must stay open until the job has ended. j NULL: jobs share
 * it. */
void disk_touch(struct disk_batch *b, struct disk_job *j, int fd);

#endif
