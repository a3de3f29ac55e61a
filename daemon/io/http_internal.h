/* SPDX-License-Identifier: ISC */
/* What others of io/ use of the HTTP client. */
#ifndef RENEWD_IO_HTTP_INTERNAL_H
#define RENEWD_IO_HTTP_INTERNAL_H

#include "io/hosts.h"
#include "io/http.h"

struct loop *http_loop(const struct http *h);
struct hosts *http_hosts(const struct http *h);

#endif
