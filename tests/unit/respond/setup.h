/* SPDX-License-Identifier: ISC */
/* Responders with a keeper that opens sockets of this process, and clients in a thread of theirs.
 */
#ifndef RENEWD_TESTS_RESPOND_SETUP_H
#define RENEWD_TESTS_RESPOND_SETUP_H

#include "respond/respond.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define THUMB "nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
#define TOKEN "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"

struct world {
    struct loop *loop;
    struct keeper keeper;
    struct responders *responders;
    struct err refuse; /* class not NONE: what the keeper says to refuse_addr */
    const char *refuse_addr;
    struct conf_strs listen; /* of one address, free when it was chosen */
    char addr[32];
    unsigned short port;
    unsigned opened, open_calls;
    struct list calls;
};

struct told { /* by a responder */
    struct loop *loop;
    unsigned times;
    struct err err;
};

void world_init(struct world *w);
void world_done(struct world *w);
responder_fn world_told; /* arg: struct told; ends world_run() */
void world_run(struct world *w);
/* fn runs in a thread, with blocking sockets, while the loop runs here. */
void world_client(struct world *w, void (*fn)(void *arg), void *arg);
void world_wait(struct world *w, int64_t ms); /* the loop runs for so long */

int client_connect(const struct world *w, const char *from); /* from: source address or NULL */
bool port_is_open(unsigned short port);

/* By how much a crowd may make this process grow. */
#define WORLD_RSS_ROOM_KB 4096
#ifdef RENEWD_SANITIZE
#define WORLD_MEASURED 0 /* what is freed stays in quarantine */
#else
#define WORLD_MEASURED 1
#endif
long world_rss_kb(void);
bool world_room_for(unsigned files); /* of both sides; false: not allowed here */

#endif
