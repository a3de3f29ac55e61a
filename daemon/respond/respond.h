/* SPDX-License-Identifier: ISC */
/*
 * The built-in servers that answer the CA: http-01 (RFC 8555 section 8.3) and tls-alpn-01 (RFC
 * 8737). An answer is there from put to drop. All orders share one listening socket per address: it
 * opens with the first answer that names the address and closes with the last, so that no answer
 * means nothing open and no wake-up. The keeper binds the sockets (link/keeper.h, listen), since
 * ports below 1024 are root's.
 *
 *     put -> WAITING -> fn(success) -> SERVED -> drop
 *               |  `--> fn(error) -> FAILED ---> drop
 *               `-----------------------------> drop, without fn
 *
 * Any listening socket of a kind serves all answers of that kind. Strangers that connect are
 * bounded in number, time and memory (respond/pool.h).
 */
#ifndef RENEWD_RESPOND_RESPOND_H
#define RENEWD_RESPOND_RESPOND_H

#include "base/err.h"
#include "conf/conf.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct responders; /* per engine */
struct responder;  /* one answer; its owner drops it */

struct responders_env {
    struct loop *loop;
    struct keeper *keeper;
};
struct responders *responders_new(const struct responders_env *env); /* copied */
void responders_free(struct responders *r); /* after all answers were dropped; NULL is fine */

/*
 * Every address listens, so the CA may be told; or one of them cannot, and nothing is served: the
 * detail says who has the port and what to write instead. An address family that this machine lacks
 * is left out while another one is there. Called once, later, not after drop.
 */
typedef void responder_fn(void *arg, const struct err *err);

/* Texts are copied. listen: conf_cert.http01.listen, conf_cert.alpn_listen. The same token or
 * identifier may be there more than once. Never NULL: what is wrong with the arguments (an
 * identifier that tls-alpn-01 cannot serve) is told to fn, too. */
struct responder *responders_http_put(struct responders *r, const struct conf_strs *listen,
                                      const char *token, const char *key_authorization,
                                      responder_fn *fn, void *arg);
/* identifier: a host name without "*.", or an address. */
struct responder *responders_alpn_put(struct responders *r, const struct conf_strs *listen,
                                      const char *identifier, const char *key_authorization,
                                      responder_fn *fn, void *arg);
void responder_drop(struct responder *a); /* also while it waits; NULL is fine */
/* How often the CA (or whoever asked for it) got this answer; for the history. */
unsigned responder_answered(const struct responder *a);

#endif
