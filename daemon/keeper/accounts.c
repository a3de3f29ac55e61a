/* SPDX-License-Identifier: ISC */
#include "keeper/accounts.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JSON_FILE_MAX (64u << 10)

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
    free(acc->url);
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

/* The texts are kept apart by NULs, which none of them holds. External accounts add their kid. */
static void make_id(const struct conf_ca *ca, char out[33])
{
    static const char kid[] = "";
    CLEANUP_BUF struct buf b;
    uint8_t digest[SHA256_LEN];
    buf_init(&b, 1u << 20);
    buf_put(&b, ca->directory, strlen(ca->directory) + 1);
    buf_put(&b, kid, sizeof(kid));
    buf_puts(&b, ca->account);
    sha256(buf_str(&b), b.len, digest);
    hex_encode(digest, 16, out);
}

static int read_key(int dirfd, struct account *acc, struct err *e)
{
    CLEANUP_BUF struct buf pem = {0};
    struct stat st;
    if (fstatat(dirfd, "key.pem", &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        return 0;
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (file_read_at(dirfd, "key.pem", false, &pem, NULL, e))
        return -1;
    acc->key = pkey_from_pem(buf_str(&pem), pem.len, e);
    return acc->key ? 0 : -1;
}

/* A damaged account.json costs one question to the CA, no more: its URL is asked for again. */
static void read_url(int dirfd, struct account *acc)
{
    CLEANUP_BUF struct buf text;
    buf_init(&text, JSON_FILE_MAX);
    if (file_read_at(dirfd, "account.json", false, &text, NULL, NULL))
        return;
    CLEANUP_JSON struct json *j = json_parse(buf_str(&text), text.len, NULL);
    const char *url = json_text(j, "url");
    if (url && acc->key) {
        free(acc->url);
        acc->url = xstrdup(url);
    }
}

static int read_account(const struct statedir *s, struct account *acc, struct err *e)
{
    CLEANUP_CLOSE int dir = openat(s->accounts, acc->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? 0 : err_sys(e, errno, "cannot open accounts/%s", acc->id);
    if (read_key(dir, acc, e))
        return err_prefix(e, "%s/accounts/%s", s->path, acc->id);
    read_url(dir, acc);
    return 0;
}

struct account *accounts_get(struct accounts *a, const struct conf_ca *ca, struct err *e)
{
    char id[33];
    make_id(ca, id);
    struct account *acc = map_get(a->map, id);
    if (acc)
        return acc;
    acc = xnew(struct account);
    memcpy(acc->id, id, sizeof(id));
    acc->url = xstrdup("");
    if (read_account(a->dir, acc, e)) {
        err_activity(e, "reading the account of CA %s", ca->name);
        account_free(acc);
        return NULL;
    }
    map_put(a->map, id, acc);
    return acc;
}

static int open_folder(struct accounts *a, const struct account *acc, struct err *e)
{
    if (file_mkdir_at(a->dir->accounts, acc->id, 0700, e))
        return -1;
    return file_open_dir_at(a->dir->accounts, acc->id, e);
}

int accounts_need_key(struct accounts *a, struct account *acc, struct err *e)
{
    CLEANUP_BUF struct buf pem = {0};
    if (acc->key)
        return 0;
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0)
        return -1;
    struct pkey *key = pkey_generate(KEY_ECDSA_P256, e);
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

int accounts_set_url(struct accounts *a, struct account *acc, const struct conf_ca *ca,
                     const char *url, struct err *e)
{
    if (str_eq(acc->url, url))
        return 0;
    CLEANUP_JSON struct json *j = json_object();
    json_add_text(j, "directory", ca->directory);
    json_add_text(j, "name", ca->account);
    json_add_text(j, "url", url);
    CLEANUP_FREE char *text = json_print(j, true);
    CLEANUP_CLOSE int dir = open_folder(a, acc, e);
    if (dir < 0 || file_replace_at(dir, "account.json", text, strlen(text), &private_file, e))
        return err_activity(e, "storing the account of CA %s", ca->name);
    free(acc->url);
    acc->url = xstrdup(url);
    return 0;
}
