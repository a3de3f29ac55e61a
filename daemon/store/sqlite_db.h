/* SPDX-License-Identifier: ISC */
/* The database behind store/sqlite.h: opening, repair, statements. Blocking; private to store/. */
#ifndef RENEWD_STORE_SQLITE_DB_H
#define RENEWD_STORE_SQLITE_DB_H

#include "store/call.h"

struct sqlite_db;

/* As store_sqlite_open(). May be used by one thread at a time. */
struct sqlite_db *sqlite_db_open(const char *dir, int64_t wall_ms, struct err *e);
void sqlite_db_close(struct sqlite_db *d);
/* Runs the calls of the list (store_call.node) in one durable transaction; each batch is all or
 * nothing by itself. Results and errors are left in the calls. */
void sqlite_db_run(struct sqlite_db *d, struct list *calls);

#endif
