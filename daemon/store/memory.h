/* SPDX-License-Identifier: ISC */
/* A state store that lives in memory, for tests: the same semantics and deferred completions. */
#ifndef RENEWD_STORE_MEMORY_H
#define RENEWD_STORE_MEMORY_H

#include "loop/loop.h"
#include "store/store.h"

struct store *store_memory_new(struct loop *l); /* ends with store_close() */

#endif
