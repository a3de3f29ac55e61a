/* SPDX-License-Identifier: ISC */
/* An HTTP/1.1 server on the loop of the test. The path says how it behaves; see http_server.c. */
#ifndef RENEWD_TESTS_HTTP_SERVER_H
#define RENEWD_TESTS_HTTP_SERVER_H

#include "base/buf.h"
#include "loop/loop.h"

#include <netinet/in.h>

struct http_peer;

struct http_server {
    struct loop *loop;
    int fd;
    uint16_t port;
    struct watch *watch;
    struct list peers;
    unsigned connections, requests;
    struct buf last;  /* the last request, whole */
    bool close_after; /* without saying so */
};

void http_server_start(struct http_server *s, struct loop *l, const char *address);
void http_server_stop(struct http_server *s);

#endif
