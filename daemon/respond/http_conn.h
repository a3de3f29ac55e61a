/* SPDX-License-Identifier: ISC */
/* A connection of http-01: one request, one answer, closed. */
#ifndef RENEWD_RESPOND_HTTP_CONN_H
#define RENEWD_RESPOND_HTTP_CONN_H

#include "respond/pool.h"

extern const struct conn_kind http_kind; /* arg: struct table of tokens */

#endif
