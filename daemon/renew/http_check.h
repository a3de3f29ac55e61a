/* SPDX-License-Identifier: ISC */
/*
 * Asks for an http-01 answer as a CA does (RFC 8555 8.3): every address of the name, port 80,
 * redirects followed. Addresses that cannot be connected to are unknown, since this machine may be
 * behind the very gateway that it asks for; wrong answers are waited for.
 */
#ifndef RENEWD_RENEW_HTTP_CHECK_H
#define RENEWD_RENEW_HTTP_CHECK_H

#include "io/dns.h"
#include "io/http.h"
#include "loop/loop.h"

struct http_check;

struct http_check_spec { /* copied */
    struct loop *loop;
    struct dns *dns;
    struct http_site *site; /* allow_http, no_verify */
    const char *name;       /* or an address */
    const char *token, *content;
    int64_t timeout_ms;
};
struct http_check_handler {
    void (*changed)(void *arg, const char *text); /* what is waited for */
    /* Once; frees it. err: which address served what. warning: what could not be asked, or "". */
    void (*done)(void *arg, const struct err *err, const char *warning);
};
struct http_check *http_check_start(const struct http_check_spec *s,
                                    const struct http_check_handler *h, void *arg);
void http_check_cancel(struct http_check *c); /* NULL is fine */

#endif
