/* SPDX-License-Identifier: ISC */
/* The engine's process: started, told the configuration, restarted when it dies, stopped. */
#ifndef RENEWD_KEEPER_ENGINE_H
#define RENEWD_KEEPER_ENGINE_H

#include "base/log.h"
#include "conf/conf.h"
#include "keeper/users.h"
#include "loop/loop.h"
#include "wire/keeper_msg.h"

struct engine;

struct engine_env {
    struct loop *loop;
    const struct log *log;
    const char *program;
    const char *const *env; /* of the process */
    struct user user;
    int listen_fd;      /* control.sock, listening; the engine's descriptor 4; stays the caller's */
    const char *dir;    /* engine/ in state_dir */
    const char *run_as; /* "" or a warning about the user */
    bool once, dry_run;
};
struct engine_handler {
    /* The generation that was offered is in force from this call on. */
    void (*accepted)(void *arg, struct conf *c);
    /* The first or an offered one: the old one stays, if there is one. */
    void (*rejected)(void *arg, const struct err *why);
    void (*once_done)(void *arg, unsigned exit);
    void (*status)(void *arg, const char *text);
    void (*pong)(void *arg);
    /* As services_request(). */
    int (*request)(void *arg, const struct frame_head *h, const union keeper_msg *m);
    /* It has died: nothing may be answered any more. A new one comes by itself. */
    void (*lost)(void *arg);
    void (*stopped)(void *arg); /* after engine_stop(), once */
};

/* Env and handler are copied. */
struct engine *engine_new(const struct engine_env *env, const struct engine_handler *h, void *arg);
void engine_free(struct engine *g); /* kills */
/* Offers a snapshot; the first offer starts the process. Not while one is on offer. */
void engine_offer(struct engine *g, struct conf *c);
bool engine_is_offered(const struct engine *g);
void engine_answer(struct engine *g, enum keeper_msg_type type, uint32_t id, const void *msg,
                   int fd);                /* takes fd */
bool engine_is_up(const struct engine *g); /* one that has its configuration */
bool engine_ping(struct engine *g);        /* false: none is up that could answer */
void engine_stop(struct engine *g);        /* in order, within 10 s, else by force */

#endif
