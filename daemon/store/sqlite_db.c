/* SPDX-License-Identifier: ISC */
#include "store/sqlite_db.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define BUSY_MS 5000

enum statement {
    SQL_GET,
    SQL_LIST,
    SQL_REVISION,
    SQL_PUT,
    SQL_DELETE,
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_SAVE,
    SQL_RELEASE,
    SQL_COUNT
};
static const char *const sql[SQL_COUNT] = {
    [SQL_GET] = "SELECT key, value, revision FROM kv WHERE key = ?1",
    [SQL_LIST] = "SELECT key, value, revision FROM kv WHERE key >= ?1 ORDER BY key",
    [SQL_REVISION] = "SELECT revision FROM kv WHERE key = ?1",
    [SQL_PUT] = ("INSERT INTO kv (key, value, revision) VALUES (?1, ?2, 1) "
                 "ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = revision + 1"),
    [SQL_DELETE] = "DELETE FROM kv WHERE key = ?1",
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_SAVE] = "SAVEPOINT batch",
    [SQL_RELEASE] = "RELEASE batch",
};

struct sqlite_db {
    sqlite3 *db;
    sqlite3_stmt *st[SQL_COUNT];
    char *path;
};

static int db_error(const struct sqlite_db *d, int rc, struct err *e)
{
    const char *text = d->db ? sqlite3_errmsg(d->db) : sqlite3_errstr(rc);
    int sys = d->db ? sqlite3_system_errno(d->db) : 0;
    if ((rc & 0xff) == SQLITE_FULL)
        err_set(e, ERR_LOCAL, "the disk that holds %.200s is full", d->path);
    else if ((rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB)
        err_set(e, ERR_LOCAL,
                "%.200s is damaged (%.100s): restart renewd, which moves it aside and begins anew",
                d->path, text);
    else if (sys)
        err_sys(e, sys, "%.200s: %.100s", d->path, text);
    else
        err_set(e, ERR_LOCAL, "%.200s: %.100s", d->path, text);
    return -1;
}

static int db_exec(struct sqlite_db *d, const char *text, struct err *e)
{
    int rc = sqlite3_exec(d->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(d, rc, e);
}

/* One without parameters and results. */
static int db_do(struct sqlite_db *d, enum statement which, struct err *e)
{
    int rc = sqlite3_step(d->st[which]);
    if (rc != SQLITE_DONE)
        db_error(d, rc, e);
    sqlite3_reset(d->st[which]);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* One integer or text: the first column of the first row. */
static int db_first(struct sqlite_db *d, const char *text, int64_t *ret_int, char *ret_text,
                    size_t size)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(d->db, text, -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && ret_int)
        *ret_int = sqlite3_column_int64(st, 0);
    if (rc == SQLITE_ROW && ret_text) {
        const unsigned char *found = sqlite3_column_text(st, 0);
        str_copy(ret_text, size, found ? (const char *)found : "");
    }
    sqlite3_finalize(st);
    return rc;
}

/* The file must be ours and plain; its mode passes on to the -wal and -shm beside it. */
static int prepare_file(const char *path, struct err *e)
{
    struct stat st;
    CLEANUP_CLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return err_sys(e, errno, "%.200s", path);
    if (fstat(fd, &st))
        return err_sys(e, errno, "%.200s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_LOCAL, "%.200s is no plain file: move it away", path);
    if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600))
        return err_sys(e, errno, "%.200s: cannot set its mode to 0600", path);
    return 0;
}

static int db_setup(struct sqlite_db *d, struct err *e)
{
    static const char pragmas[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                  "PRAGMA temp_store = MEMORY; PRAGMA cell_size_check = ON;"
                                  "PRAGMA trusted_schema = OFF;"
                                  "PRAGMA journal_size_limit = 4194304;";
    sqlite3_busy_timeout(d->db, BUSY_MS);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return db_exec(d, pragmas, e);
}

static int db_migrate(struct sqlite_db *d, struct err *e)
{
    int64_t version = 0;
    int rc = db_first(d, "PRAGMA user_version", &version, NULL, 0);
    if (rc != SQLITE_ROW)
        return db_error(d, rc, e);
    if (version > SCHEMA_VERSION)
        return err_set(e, ERR_LOCAL,
                       "%.200s was written by a newer renewd (schema %lld; this one knows %d): "
                       "install that version, or move the file away to begin anew",
                       d->path, (long long)version, SCHEMA_VERSION);
    if (version == SCHEMA_VERSION)
        return 0;
    return db_exec(d,
                   "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS kv (key TEXT PRIMARY KEY NOT NULL, "
                   "value BLOB NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;"
                   "PRAGMA user_version = 1; COMMIT",
                   e);
}

static bool is_damage(int rc)
{
    return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

/* *ret_damaged: the file itself is at fault, not its surroundings. */
static int db_open(struct sqlite_db *d, bool *ret_damaged, struct err *e)
{
    char verdict[128] = "";
    int rc = sqlite3_open_v2(d->path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return db_error(d, rc, e);
    sqlite3_extended_result_codes(d->db, 1);
    if (db_setup(d, e) || db_migrate(d, e)) {
        *ret_damaged = is_damage(sqlite3_errcode(d->db));
        return -1;
    }
    rc = db_first(d, "PRAGMA quick_check(1)", NULL, verdict, sizeof(verdict));
    if (rc != SQLITE_ROW || !str_eq(verdict, "ok")) {
        *ret_damaged = rc == SQLITE_ROW || is_damage(rc);
        return err_set(e, ERR_LOCAL, "%.200s: %.120s", d->path,
                       rc == SQLITE_ROW ? verdict : sqlite3_errmsg(d->db));
    }
    for (int i = 0; i < SQL_COUNT; i++) {
        rc = sqlite3_prepare_v3(d->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &d->st[i], NULL);
        if (rc != SQLITE_OK) { /* a table of another shape */
            *ret_damaged = (rc & 0xff) == SQLITE_ERROR || is_damage(rc);
            return db_error(d, rc, e);
        }
    }
    return 0;
}

static void db_shut(struct sqlite_db *d)
{
    for (int i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(d->st[i]);
        d->st[i] = NULL;
    }
    sqlite3_close(d->db);
    d->db = NULL;
}

/* "20261121T210225Z": a time that may stand in a file's name. */
static void file_stamp(int64_t wall_ms, char *buf, size_t size)
{
    char text[40];
    size_t n = 0;
    str_from_time(wall_ms, text, sizeof(text));
    for (const char *p = text; *p && n + 1 < size; p++)
        if (*p != '-' && *p != ':')
            buf[n++] = *p;
    buf[n] = '\0';
}

static int move_aside(struct sqlite_db *d, int64_t wall_ms, struct err *e)
{
    char stamp[32];
    file_stamp(wall_ms, stamp, sizeof(stamp));
    CLEANUP_FREE char *to = xasprintf("%s.corrupt-%s", d->path, stamp);
    CLEANUP_FREE char *wal = xasprintf("%s-wal", d->path);
    CLEANUP_FREE char *wal_to = xasprintf("%s-wal", to);
    CLEANUP_FREE char *shm = xasprintf("%s-shm", d->path);
    struct err why = *e;
    if (rename(d->path, to))
        return err_sys(e, errno, "cannot move the damaged %.200s aside", d->path);
    if (rename(wal, wal_to) && errno != ENOENT)
        return err_sys(e, errno, "cannot move the damaged %.200s aside", wal);
    unlink(shm);
    err_set(e, ERR_LOCAL,
            "the state store was damaged and is now %.150s; a new one was begun, and what live/ "
            "holds is adopted (%.150s)",
            to, why.detail);
    return 0;
}

struct sqlite_db *sqlite_db_open(const char *dir, int64_t wall_ms, struct err *e)
{
    struct sqlite_db *d = xnew(struct sqlite_db);
    bool damaged = false;
    struct err first = ERR_INIT;
    *e = first;
    d->path = xasprintf("%s/state.db", dir);
    if (prepare_file(d->path, e))
        goto fail;
    if (db_open(d, &damaged, &first) == 0)
        return d;
    *e = first;
    db_shut(d);
    if (!damaged || move_aside(d, wall_ms, e))
        goto fail;
    if (prepare_file(d->path, &first) || db_open(d, &damaged, &first)) {
        *e = first;
        goto fail;
    }
    return d;
fail:
    err_activity(e, "opening the state store");
    sqlite_db_close(d);
    return NULL;
}

void sqlite_db_close(struct sqlite_db *d)
{
    if (!d)
        return;
    db_shut(d);
    free(d->path);
    free(d);
}

static int read_rows(struct sqlite_db *d, struct store_call *c)
{
    sqlite3_stmt *st = d->st[c->kind == STORE_CALL_GET ? SQL_GET : SQL_LIST];
    int rc = sqlite3_bind_text(st, 1, c->key, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(st);
        if (rc != SQLITE_ROW)
            break;
        const char *key = (const char *)sqlite3_column_text(st, 0);
        if (!key || (c->kind == STORE_CALL_LIST && !str_starts(key, c->key)))
            break;
        store_call_add_item(c, key, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1),
                            (uint64_t)sqlite3_column_int64(st, 2));
    }
    if (rc != SQLITE_DONE && rc != SQLITE_ROW)
        db_error(d, rc, &c->err);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return c->err.cls ? -1 : 0;
}

static int check_revision(struct sqlite_db *d, const struct store_op *op, struct err *e)
{
    sqlite3_stmt *st = d->st[SQL_REVISION];
    sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    uint64_t found = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    int result = 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = db_error(d, rc, e);
    else if (found != op->expected)
        result = store_conflict(e, op->key);
    sqlite3_reset(st);
    return result;
}

static int apply(struct sqlite_db *d, const struct store_op *op, struct err *e)
{
    sqlite3_stmt *st = d->st[op->value ? SQL_PUT : SQL_DELETE];
    if (op->expected != STORE_ANY && check_revision(d, op, e))
        return -1;
    sqlite3_bind_text(st, 1, op->key, -1, SQLITE_STATIC);
    if (op->value)
        sqlite3_bind_blob64(st, 2, op->value, op->len, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE)
        db_error(d, rc, e);
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* A statement that fails alone leaves nothing of itself: one needs no savepoint. */
static int write_batch(struct sqlite_db *d, struct store_call *c)
{
    if (c->n_ops == 1)
        return apply(d, &c->ops[0], &c->err);
    if (db_do(d, SQL_SAVE, &c->err))
        return -1;
    for (size_t i = 0; i < c->n_ops; i++) {
        if (apply(d, &c->ops[i], &c->err)) {
            if (!sqlite3_get_autocommit(d->db))
                db_exec(d, "ROLLBACK TO batch; RELEASE batch", NULL);
            return -1;
        }
    }
    return db_do(d, SQL_RELEASE, &c->err);
}

static void run_call(struct sqlite_db *d, struct store_call *c)
{
    if (c->refused)
        return;
    if (c->kind == STORE_CALL_BATCH)
        write_batch(d, c);
    else if (c->kind != STORE_CALL_COPY)
        read_rows(d, c);
}

static bool has_writes(const struct list *calls)
{
    list_each(it, calls)
    {
        const struct store_call *c = list_item(it, struct store_call, node);
        if (c->kind == STORE_CALL_BATCH && !c->refused)
            return true;
    }
    return false;
}

/* -1: nothing of it was kept; *e says why. A batch that fails alone leaves the others standing. */
static int run_together(struct sqlite_db *d, struct list *calls, struct err *e)
{
    bool writes = has_writes(calls);
    if (writes && db_do(d, SQL_BEGIN, e))
        return -1;
    list_each(it, calls)
    {
        struct store_call *c = list_item(it, struct store_call, node);
        run_call(d, c);
        if (writes && sqlite3_get_autocommit(d->db)) { /* SQLite gave the transaction up */
            *e = c->err;
            return -1;
        }
    }
    if (writes && db_do(d, SQL_COMMIT, e)) {
        if (!sqlite3_get_autocommit(d->db))
            db_exec(d, "ROLLBACK", NULL);
        return -1;
    }
    return 0;
}

static void run_alone(struct sqlite_db *d, struct store_call *c)
{
    struct list one;
    struct err why = ERR_INIT;
    list_init(&one);
    list_append(&one, &c->node);
    store_call_clear(c);
    if (run_together(d, &one, &why) && c->err.cls == ERR_NONE)
        c->err = why;
    list_remove(&c->node);
}

/* Not inside a transaction. The file may be there if it is empty, so it has its mode from the
 * first instant. */
static void copy_to(struct sqlite_db *d, struct store_call *c)
{
    sqlite3_stmt *st = NULL;
    unlink(c->key);
    int fd = open(c->key, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_sys(&c->err, errno, "cannot make %.200s", c->key);
        return;
    }
    close(fd);
    int rc = sqlite3_prepare_v2(d->db, "VACUUM INTO ?1", -1, &st, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(st, 1, c->key, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_DONE)
        db_error(d, rc, &c->err);
    sqlite3_finalize(st);
}

static void run_copies(struct sqlite_db *d, struct list *calls)
{
    list_each(it, calls)
    {
        struct store_call *c = list_item(it, struct store_call, node);
        if (c->kind == STORE_CALL_COPY)
            copy_to(d, c);
    }
}

static void run_all(struct sqlite_db *d, struct list *calls)
{
    struct err why = ERR_INIT;
    if (run_together(d, calls, &why) == 0)
        return;
    struct list done;
    list_init(&done);
    list_each(it, calls)
    {
        list_remove(it);
        run_alone(d, list_item(it, struct store_call, node));
        list_append(&done, it);
    }
    list_each(it2, &done)
    {
        list_remove(it2);
        list_append(calls, it2);
    }
}

void sqlite_db_run(struct sqlite_db *d, struct list *calls)
{
    run_all(d, calls);
    run_copies(d, calls);
}
