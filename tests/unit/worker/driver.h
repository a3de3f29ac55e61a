/* SPDX-License-Identifier: ISC */
/* Plays keeper and engine to one renewd-worker, blocking: for tests of workers and plugins. */
#ifndef TESTS_WORKER_DRIVER_H
#define TESTS_WORKER_DRIVER_H

#include "wire/worker_msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DRIVER_CACHE 8

struct driver {
    pid_t pid;
    int engine, keeper;
    uint32_t next_id;
    struct worker_hello hello;
    const char *zone, *handle; /* of the next operations; "example.org", "" */
    uint32_t deadline_ms;
    /* What the engine does; NULL: the request is refused. Replies' texts must live until the next.
     */
    void (*http)(struct driver *d, const struct worker_http *q, struct worker_http_reply *ret);
    void (*exchange)(struct driver *d, const struct worker_exchange *x,
                     struct worker_exchange_reply *ret);
    void *arg;
    char log[8192]; /* lines of the plugin */
    unsigned n_logs;
    struct {
        char key[128];
        char value[1024];
    } cache[DRIVER_CACHE];
    char scratch[70000];
};

struct driver_option {
    const char *name, *value;
    bool secret;
};

/* --describe; -1: *e says what the worker said. */
int driver_describe(const char *path, struct worker_descriptor *ret, struct err *e);
/* Up to CREATED: HELLO waits in d->engine. */
int driver_spawn(struct driver *d, const char *path, const struct driver_option *options,
                 struct err *e);
/* driver_start() with --no-sandbox. */
int driver_start_open(struct driver *d, const char *path, const struct driver_option *options,
                      struct err *e);
/* Up to CREATED and HELLO. options end with name NULL. */
int driver_start(struct driver *d, const char *path, const struct driver_option *options,
                 struct err *e);
/* Sends one operation, serves the worker until it is done. -1: the worker died. */
int driver_op(struct driver *d, enum worker_op_kind kind, const char *fqdn, const char *value,
              struct worker_done *ret);
int driver_batch(struct driver *d, const struct worker_change *changes, uint32_t n,
                 struct worker_done *ret);
uint32_t driver_send(struct driver *d, const struct worker_change *changes, uint32_t n);
void driver_cancel(struct driver *d, uint32_t id);
int driver_wait(struct driver *d, uint32_t id, struct worker_done *ret);
/* Closes; returns the exit status as waitpid gives it. The process is killed if it does not end. */
int driver_stop(struct driver *d);
/* Directory of the build: bin/, plugins/, tests/plugins/ lie below it. */
const char *driver_build(void);
const char *driver_path(const char *below); /* static buffer: absolute path in the build */

#endif
