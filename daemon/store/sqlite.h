/* SPDX-License-Identifier: ISC */
/* The embedded state store: SQLite in a thread of its own, commits grouped, so that neither many
 * writes nor a slow disk stop the loop. */
#ifndef RENEWD_STORE_SQLITE_H
#define RENEWD_STORE_SQLITE_H

#include "base/err.h"
#include "loop/loop.h"
#include "store/store.h"

/*
 * Opens `state.db` (0600) in the folder dir, making it if need be; blocks while it looks the file
 * over. A file that is damaged or no database is moved aside as state.db.corrupt-TIME (its -wal
 * too) and a new one begun: the store is returned and *e, otherwise class ERR_NONE then, says so.
 * NULL and *e when there can be no store (permissions, a newer schema, disk full).
 */
struct store *store_sqlite_open(struct loop *l, const char *dir, struct err *e);

#endif
