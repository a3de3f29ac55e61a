/* SPDX-License-Identifier: ISC */
/* libcurl's multi interface on the loop. done() is called from the loop, never from within libcurl.
 */
#ifndef RENEWD_IO_MULTI_H
#define RENEWD_IO_MULTI_H

#include "loop/loop.h"

#include <curl/curl.h>

struct multi;

/* The transfer of `easy` has ended and is out of the multi again; what CURLOPT_PRIVATE holds is
 * priv. */
typedef void multi_done_fn(void *priv, CURL *easy, CURLcode result);

struct multi *multi_new(struct loop *l, multi_done_fn *done);
void multi_free(struct multi *m); /* transfers have been removed; closes the connections */
CURLM *multi_handle(struct multi *m);
int multi_add(struct multi *m, CURL *easy);     /* -1: out of memory */
void multi_remove(struct multi *m, CURL *easy); /* before done() only */

/* Once per process part that uses libcurl; memory that libcurl frees is wiped. */
void curl_begin(void);
void curl_end(void);

#endif
