/* SPDX-License-Identifier: ISC */
/*
 * The engine's end of the channel to the keeper (wire/keeper_msg.h): implements struct keeper of
 * link/keeper.h, and hands what the keeper says by itself to the engine's main.
 *
 * Order of events: start once, then config; the engine answers each config by exactly one
 * keeper_client_accept() or keeper_client_reject() with its generation, at once or later. Requests
 * that are made after the accept mean the new generation.
 *
 * The callbacks of calls get an err of class ERR_NONE on success, never NULL (but for the end of a
 * list); on failure all other arguments are empty, but never NULL where they are texts.
 */
#ifndef RENEWD_LINK_KEEPER_CLIENT_H
#define RENEWD_LINK_KEEPER_CLIENT_H

#include "base/log.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct keeper_client;

struct keeper_client_start {
    const char *version;    /* of the keeper: differs from ours when the files were replaced */
    bool once, dry_run;     /* --once: end with keeper_client_once_done() */
    const char *engine_dir; /* absolute, our own: state.db */
    const char *run_as;     /* "" or a warning to show: as whom we run */
    enum log_level log_level;
};
struct keeper_client_handler {
    void (*start)(void *arg, const struct keeper_client_start *s);
    /* p: what conf_decode() takes, n bytes, gone after the call. */
    void (*config)(void *arg, uint64_t generation, const void *p, size_t n);
    /* The watchdog asks: keeper_client_pong() if the scheduler has made progress, else nothing. */
    void (*ping)(void *arg);
    /* End within 10 s, by exit(0); the keeper waits no longer. */
    void (*stop)(void *arg);
    /* A task to begin, and one that has been given up. May be NULL both. */
    void (*task)(void *arg, const struct keeper_task *t);
    void (*task_end)(void *arg, uint64_t id);
    /* The keeper is gone, or what it said was malformed: all calls have failed before this (class
     * ERR_LOCAL); end at once. May free the client. */
    void (*closed)(void *arg, const struct err *why);
};

/* Takes fd. The handler is copied. */
struct keeper_client *keeper_client_new(struct loop *l, int fd,
                                        const struct keeper_client_handler *h, void *arg);
void keeper_client_free(struct keeper_client *c); /* cancels all calls; NULL is fine */
struct keeper *keeper_client_keeper(struct keeper_client *c);

void keeper_client_accept(struct keeper_client *c, uint64_t generation);
void keeper_client_reject(struct keeper_client *c, uint64_t generation, const struct err *why);
void keeper_client_pong(struct keeper_client *c);
/* --once: all has ended; the keeper answers with stop. */
void keeper_client_once_done(struct keeper_client *c, unsigned failed);
void keeper_client_task_note(struct keeper_client *c, uint64_t task, const char *text);
/* err class ERR_NONE or NULL: done. What is too long is left out. */
void keeper_client_task_done(struct keeper_client *c, uint64_t task,
                             const struct keeper_task_result *r, const struct err *err);
/* The line that `systemctl status` shows; cut at 512 bytes. */
void keeper_client_status(struct keeper_client *c, const char *text);

#endif
