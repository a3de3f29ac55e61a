/* SPDX-License-Identifier: ISC */
/*
 * http-01 by other means than our own server (RFC 8555 section 8.3): a file in the webroot of a
 * server that has port 80, or a command that brings the answer to where it is asked for.
 *
 * A webroot may belong to somebody else than us: nothing outside of it is ever touched, wherever
 * its links lead (openat2, RESOLVE_BENEATH).
 */
#ifndef RENEWD_KEEPER_HTTP01_H
#define RENEWD_KEEPER_HTTP01_H

#include "base/err.h"
#include "conf/conf.h"
#include "keeper/accounts.h"
#include "wire/keeper_msg.h"

#include <stdbool.h>

#define HTTP01_RUN_TIMEOUT_MS 60000

/* May this be done? *ret_content: the key authorization (RFC 8555 section 8.1); "" for a removal
 * when the account has no key any more. The caller frees. */
int http01_check(const struct conf *c, struct accounts *accounts, const struct keeper_msg_http01 *m,
                 char **ret_content, struct err *e);

/* base64url of at least 128 bits (RFC 8555 section 8): nothing else becomes the name of a file. */
bool http01_token_ok(const char *token);

/* What the keeper has written to webroots, so that it finds it again when the configuration has
 * changed meanwhile, and takes along the folders that it made. */
struct webroots;
struct webroots *webroots_new(void);
void webroots_free(struct webroots *w); /* leaves the files */
/* .well-known/acme-challenge/TOKEN below path, complete from the first instant, the webroot's
 * owner's. Writing it again is fine. */
int webroots_add(struct webroots *w, const char *path, const char *token, const char *content,
                 struct err *e);
/* path: the configured webroot, "" when there is none any more. Absent is success. */
int webroots_remove(struct webroots *w, const char *path, const char *token, struct err *e);

/* What the command reads: a JSON object (renewd.yaml(5)). The caller frees. */
char *http01_input(const struct conf_cert *cert, const char *name, const char *token,
                   const char *content, bool add);

#endif
