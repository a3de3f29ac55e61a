/* SPDX-License-Identifier: ISC */
#include "respond/http_conn.h"
#include "respond/request.h"
#include "respond/table.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX 1024u

struct http_conn {
    struct conn conn; /* first */
    struct table *tokens;
    size_t seen; /* of what has come */
};

static struct conn *make(void *arg)
{
    struct http_conn *h = xnew(struct http_conn);
    h->tokens = arg;
    return &h->conn;
}

static void unmake(struct conn *c)
{
    free(CONTAINER_OF(c, struct http_conn, conn));
}

static const char *reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 431:
        return "Request Header Fields Too Large";
    default:
        return "Bad Request";
    }
}

static bool answer(struct conn *c, int status, bool head, const char *body)
{
    CLEANUP_BUF struct buf out;
    buf_init(&out, ANSWER_MAX);
    buf_putf(&out,
             "HTTP/1.1 %d %s\r\n"
             "Content-Type: %s\r\n"
             "Content-Length: %zu\r\n"
             "%s"
             "Cache-Control: no-store\r\n"
             "Connection: close\r\n"
             "\r\n",
             status, reason(status), status == 200 ? "application/octet-stream" : "text/plain",
             strlen(body), status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (!head)
        buf_puts(&out, body);
    return !buf_failed(&out) && conn_send(c, out.data, out.len);
}

static enum conn_verdict ready(struct conn *c)
{
    struct http_conn *h = CONTAINER_OF(c, struct http_conn, conn);
    struct request r;
    bool complete = request_read(c->in.data, c->in.len, h->seen, &r);
    h->seen = c->in.len;
    if (!complete)
        return CONN_WAIT;
    struct entry *found = r.status == 200 ? table_find(h->tokens, r.token) : NULL;
    if (!found)
        answer(c, r.status == 200 ? 404 : r.status, r.head, "no such challenge\n");
    else if (answer(c, 200, r.head, found->content))
        table_answered(h->tokens, r.token);
    return CONN_LINGER;
}

static void full(struct conn *c)
{
    answer(c, 431, false, "too much\n");
}

const struct conn_kind http_kind = {
    .in_max = REQUEST_HEAD_MAX, .make = make, .ready = ready, .full = full, .unmake = unmake};
