/* SPDX-License-Identifier: ISC */
/*
 * A connection of tls-alpn-01 (RFC 8737): a handshake, then closed.
 *
 *     HELLO (a whole record has come) -> HANDSHAKE -> told (close_notify) -> lingers
 *       `-- no TLS: closed                 `-- alert: no_application_protocol, unrecognized_name,
 * ...
 *
 * OpenSSL works on memory, not on the descriptor: so a connection that says nothing costs no TLS
 * state, and what a peer sends is counted. It needs no more of libevent than that it may be read:
 * bufferevent_openssl would bring buffers without a bound and a library more.
 */
#ifndef RENEWD_RESPOND_TLS_CONN_H
#define RENEWD_RESPOND_TLS_CONN_H

#include "base/err.h"
#include "respond/pool.h"
#include "respond/table.h"

struct tls_server;
struct tls_server *tls_server_new(struct table *names, struct err *e); /* names must live as long */
void tls_server_free(struct tls_server *s);

extern const struct conn_kind tls_kind; /* arg: struct tls_server */

#endif
