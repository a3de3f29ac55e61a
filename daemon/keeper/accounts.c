/* SPDX-License-Identifier: ISC */
#include "keeper/accounts.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/str.h"
#include "digest/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_FILE_MAX (64u << 10)
#define SHELVED_S (30 * INT64_C(86400))

struct accounts {
    const struct statedir *dir;
    struct map *map;
};

static const struct file_attr private_file = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};

struct accounts *accounts_new(const struct statedir *s)
{
    struct accounts *a = xnew(struct accounts);
    a->dir = s;
    a->map = map_new();
    return a;
}

static void account_free(struct account *acc)
{
    if (!acc)
        return;
    pkey_free(acc->key);
    pkey_free(acc->pending);
    free(acc->url);
    free(acc->eab_kid);
    secret_free(acc->eab_key);
    free(acc);
}

void accounts_free(struct accounts *a)
{
    void *acc;
    if (!a)
        return;
    for (size_t i = 0; map_next(a->map, &i, NULL, &acc);)
        account_free(acc);
    map_free(a->map);
    free(a);
}

/* The texts are kept apart by NULs, which none of them holds. */
static void make_id(const struct conf_ca *ca, char out[33])
{
    CLEANUP_BUF struct buf b;
    uint8_t digest[SHA256_LEN];
    buf_init(&b, 1u << 20);
    buf_put(&b, ca->directory, strlen(ca->directory) + 1);
    buf_put(&b, ca->eab_kid, strlen(ca->eab_kid) + 1);
    buf_puts(&b, ca->account);
    sha256(buf_str(&b), b.len, digest);
    hex_encode(digest, 16, out);
}

static int read_key(int dirfd, const char *name, struct pkey **ret, struct err *e)
{
    CLEANUP_BUF struct buf pem = {0};
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        return 0;
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (file_read_at(dirfd, name, false, &pem, NULL, e))
        return -1;
    *ret = pkey_from_pem(buf_str(&pem), pem.len, e);
    return *ret ? 0 : err_prefix(e, "%s", name);
}

/* A damaged account.json costs one question to the CA, no more: its URL is asked for again. */
static struct json *read_json(int dirfd, const char *name)
{
    CLEANUP_BUF struct buf text = {0};
    buf_init_secret(&text, JSON_FILE_MAX);
    if (file_read_at(dirfd, name, false, &text, NULL, NULL))
        return NULL;
    return json_parse(buf_str(&text), text.len, NULL);
}

static int64_t read_time(const struct json *j, const char *key)
{
    int64_t ms = 0;
    const char *text = json_text(j, key);
    return text && str_to_time(text, &ms) ? ms : 0;
}

static void read_facts(int dirfd, struct account *acc)
{
    CLEANUP_JSON struct json *j = read_json(dirfd, "account.json");
    const char *url = json_text(j, "url");
    acc->created_ms = read_time(j, "created");
    acc->deactivated_ms = read_time(j, "deactivated");
    if (!url || !acc->key)
        return;
    free(acc->url);
    acc->url = xstrdup(url);
}

static void take_eab(struct account *acc, const char *kid, const char *key)
{
    free(acc->eab_kid);
    secret_free(acc->eab_key);
    acc->eab_kid = xstrdup(kid);
    acc->eab_key = secret_new(key, strlen(key));
}

static void read_eab(int dirfd, struct account *acc)
{
    CLEANUP_JSON struct json *j = read_json(dirfd, "eab.json");
    const char *kid = json_text(j, "kid"), *key = json_text(j, "hmac_key");
    if (kid && key)
        take_eab(acc, kid, key);
}

static int open_existing(const struct statedir *s, const char *id)
{
    return openat(s->accounts, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* A pending key that was cut short was never sent to anybody. */
static int read_account(const struct statedir *s, struct account *acc, struct err *e)
{
    CLEANUP_CLOSE int dir = open_existing(s, acc->id);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "cannot open accounts/%s", acc->id);
    if (read_key(dir, "key.pem", &acc->key, e) || read_key(dir, "pending.pem", &acc->pending, e))
        return err_prefix(e, "%s/accounts/%s", s->path, acc->id);
    read_facts(dir, acc);
    read_eab(dir, acc);
    return 0;
}

static struct account *get_by_id(struct accounts *a, const char *id, struct err *e)
{
    struct account *acc = map_get(a->map, id);
    if (acc)
        return acc;
    acc = xnew(struct account);
    str_copy(acc->id, sizeof(acc->id), id);
    acc->url = xstrdup("");
    if (read_account(a->dir, acc, e)) {
        account_free(acc);
        return NULL;
    }
    map_put(a->map, id, acc);
    return acc;
}

struct account *accounts_get(struct accounts *a, const struct conf_ca *ca, struct err *e)
{
    char id[33];
    make_id(ca, id);
    struct account *acc = get_by_id(a, id, e);
    if (!acc)
        err_activity(e, "reading the account of CA %s", ca->name);
    return acc;
}

static int open_folder(struct accounts *a, const struct account *acc, struct err *e)
{
    if (file_mkdir_at(a->dir->accounts, acc->id, 0700, e))
        return -1;
    return file_open_dir_at(a->dir->accounts, acc->id, e);
}

int accounts_need_key(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                      struct err *e)
{
    CLEANUP_BUF struct buf pem = {0};
    if (acc->key)
        return 0;
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0)
        return -1;
    struct pkey *key = pkey_generate((enum key_type)ca->account_key, e);
    if (!key)
        return -1;
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (pkey_to_pem(key, &pem, e) ||
        file_create_at(dir, "key.pem", pem.data, pem.len, &private_file, e)) {
        pkey_free(key);
        return err_activity(e, "making an account key");
    }
    acc->key = key;
    return 0;
}

static void add_time(struct json *j, const char *key, int64_t ms)
{
    char text[32];
    if (ms)
        json_add_text(j, key, str_from_time(ms, text, sizeof(text)));
}

static int store_facts(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                       const char *url, struct err *e)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "directory", ca->directory);
    json_add_text(j, "name", ca->account);
    if (ca->eab_kid[0])
        json_add_text(j, "kid", ca->eab_kid);
    json_add_text(j, "url", url);
    add_time(j, "created", acc->created_ms);
    add_time(j, "deactivated", acc->deactivated_ms);
    CLEANUP_FREE char *text = json_print(j, true);
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0 || file_replace_at(dir, "account.json", text, strlen(text), &private_file, e))
        return err_activity(e, "storing the account of CA %s", ca->name);
    return 0;
}

int accounts_set_eab(struct accounts *a, struct account *acc, const char *kid, const char *hmac_key,
                     struct err *e)
{
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "kid", kid);
    json_add_text(j, "hmac_key", hmac_key);
    char *text = json_print(j, true);
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    int r = dir < 0 ? -1 : file_replace_at(dir, "eab.json", text, strlen(text), &private_file, e);
    secret_wipe(text, strlen(text));
    free(text);
    if (r)
        return err_activity(e, "storing an external account");
    take_eab(acc, kid, hmac_key);
    return 0;
}

int accounts_set_url(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                     const char *url, struct err *e)
{
    if (str_eq(acc->url, url))
        return 0;
    if (!acc->created_ms)
        acc->created_ms = clock_wall_ms(&clock_system);
    if (store_facts(a, acc, ca, url, e))
        return -1;
    free(acc->url);
    acc->url = xstrdup(url);
    return 0;
}

int accounts_deactivate(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                        int64_t now_ms, struct err *e)
{
    int64_t before = acc->deactivated_ms;
    acc->deactivated_ms = now_ms;
    if (store_facts(a, acc, ca, acc->url, e) == 0)
        return 0;
    acc->deactivated_ms = before;
    return -1;
}

int accounts_check_active(const struct account *acc, const struct conf_ca *ca, struct err *e)
{
    char at[32];
    if (!acc->deactivated_ms)
        return 0;
    return err_set(e, ERR_CONFIG,
                   "the account at CA %s was deactivated on %s, for good: write `account: NAME` "
                   "with a new NAME for this CA to get another one",
                   ca->name, str_from_time(acc->deactivated_ms, at, sizeof(at)));
}

/* ---- another key ---- */

int accounts_put_pending(struct accounts *a, struct account *acc, struct pkey *key, struct err *e)
{
    CLEANUP_BUF struct buf pem = {0};
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (dir < 0 || pkey_to_pem(key, &pem, e) ||
        file_replace_at(dir, "pending.pem", pem.data, pem.len, &private_file, e)) {
        pkey_free(key);
        return err_activity(e, "storing a new account key");
    }
    pkey_free(acc->pending);
    acc->pending = key;
    return 0;
}

/* At every instant key.pem is there, and what it held is there as well. */
static int keep_previous(int dir, struct err *e)
{
    if (unlinkat(dir, "previous.pem", 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot remove previous.pem");
    if (linkat(dir, "key.pem", dir, "previous.pem", 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot keep key.pem as previous.pem");
    return file_fsync_dir(dir, e);
}

int accounts_adopt_pending(struct accounts *a, struct account *acc, struct err *e)
{
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0 || keep_previous(dir, e))
        return -1;
    if (renameat(dir, "pending.pem", dir, "key.pem"))
        return err_sys(e, errno, "cannot rename pending.pem to key.pem");
    pkey_free(acc->key);
    acc->key = acc->pending;
    acc->pending = NULL;
    if (unlinkat(dir, "next.pem", 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot remove next.pem");
    return file_fsync_dir(dir, e);
}

int accounts_drop_pending(struct accounts *a, struct account *acc, struct err *e)
{
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0)
        return -1;
    if (unlinkat(dir, "pending.pem", 0) && errno != ENOENT)
        return err_sys(e, errno, "cannot remove pending.pem");
    pkey_free(acc->pending);
    acc->pending = NULL;
    return file_fsync_dir(dir, e);
}

/* renameat() of two names of one file does nothing. */
int accounts_shelve_pending(struct accounts *a, struct account *acc, struct err *e)
{
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0)
        return -1;
    if (renameat(dir, "pending.pem", dir, "next.pem"))
        return err_sys(e, errno, "cannot rename pending.pem to next.pem");
    return accounts_drop_pending(a, acc, e);
}

int accounts_unshelve(struct accounts *a, struct account *acc, enum key_type type, int64_t now_ms,
                      bool *ret_taken, struct err *e)
{
    struct pkey *key = NULL;
    struct stat st;
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0)
        return -1;
    *ret_taken = false;
    if (fstatat(dir, "next.pem", &st, AT_SYMLINK_NOFOLLOW) ||
        now_ms / 1000 - st.st_mtime > SHELVED_S)
        return 0;
    if (read_key(dir, "next.pem", &key, e))
        return -1;
    if (pkey_type(key) != type) {
        pkey_free(key);
        return 0;
    }
    if (linkat(dir, "next.pem", dir, "pending.pem", 0)) {
        pkey_free(key);
        return err_sys(e, errno, "cannot link next.pem to pending.pem");
    }
    pkey_free(acc->pending);
    acc->pending = key;
    *ret_taken = true;
    return file_fsync_dir(dir, e);
}

/* ---- all of them ---- */

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static void tell_one(struct accounts *a, const char *id,
                     void (*fn)(void *arg, const struct account_found *), void *arg)
{
    CLEANUP_CLOSE int dir = open_existing(a->dir, id);
    CLEANUP_JSON struct json *j = dir < 0 ? NULL : read_json(dir, "account.json");
    struct err ignored = ERR_INIT;
    const struct account *acc = get_by_id(a, id, &ignored);
    const struct account_found found = {
        .id = id,
        .directory = or_empty(json_text(j, "directory")),
        .name = or_empty(json_text(j, "name")),
        .kid = or_empty(json_text(j, "kid")),
        .url = or_empty(json_text(j, "url")),
        .account = acc,
    };
    if (dir >= 0)
        fn(arg, &found);
}

int accounts_each(struct accounts *a, void (*fn)(void *arg, const struct account_found *),
                  void *arg, struct err *e)
{
    int fd = openat(a->dir->accounts, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *d;
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return err_sys(e, errno, "cannot list %s/accounts", a->dir->path);
    }
    while ((d = readdir(dir))) {
        if (strlen(d->d_name) == 32 && d->d_name[0] != '.')
            tell_one(a, d->d_name, fn, arg);
    }
    closedir(dir);
    return 0;
}
