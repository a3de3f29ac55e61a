/* SPDX-License-Identifier: ISC */
/*
 * The step `verify`: does every server present the certificate that was installed? Asked again,
 * 0.5 s later at first, until the step's time is over, for servers reload in their own time;
 * believed when two rounds 0.5 s apart agree. An address that takes no connection is only told of
 * when another one of the same host serves the certificate.
 */
#ifndef RENEWD_RENEW_VERIFY_H
#define RENEWD_RENEW_VERIFY_H

#include "base/err.h"
#include "conf/conf.h"
#include "io/probe.h"
#include "loop/loop.h"

struct verify;
struct verify_spec {
    struct loop *loop;
    struct http *http;
    const struct conf_step *step; /* outlives the call */
    const char *sni;
    const char *fingerprint; /* copied */
    enum probe_key key;      /* the certificate's, where it has siblings of other keys */
};
/* text: what was seen, for the history. Exactly once. */
typedef void verify_done_fn(void *arg, const char *text, const struct err *err);
struct verify *verify_start(const struct verify_spec *s, verify_done_fn *done, void *arg);
void verify_cancel(struct verify *v); /* NULL is fine */

#endif
