/* SPDX-License-Identifier: ISC */
/* The file that `renewctl issue` adds to the configuration: where it goes, and its text. */
#ifndef RENEWD_KEEPER_ISSUE_FILE_H
#define RENEWD_KEEPER_ISSUE_FILE_H

#include "base/buf.h"
#include "base/json.h"
#include "conf/conf.h"

/* The path of a new file for a certificate of this name, which the configuration's `include` would
 * take in; the caller frees. NULL: *e says what to write where. */
char *issue_file_path(const struct conf *c, const char *name, struct err *e);

/* What a request may hold, as it goes into the file: names, name, ca, challenge, provider, webroot,
 * key. *ret_name: what the certificate is called; the caller frees. */
int issue_file_check(const struct json *request, char **ret_name, struct err *e);
/* account_ca: entry of `cas` that is written as well, with these; NULL: none. */
void issue_file_text(const struct json *request, const char *account_ca, const char *email,
                     bool agree_tos, int64_t now_ms, struct buf *out);

#endif
