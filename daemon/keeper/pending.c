/* SPDX-License-Identifier: ISC */
#include "keeper/pending.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "keys/csr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CSR_MAX (512u << 10)
#define META_MAX (512u << 10)

struct pendings {
    const struct statedir *dir;
    struct map *map;
};

static const struct file_attr private_file = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};

const char **pending_names(const struct conf_cert *cert)
{
    const char **names = xcalloc(cert->n_names + 1, sizeof(*names));
    for (size_t i = 0; i < cert->n_names; i++)
        names[i] = cert->names[i].name;
    return names;
}

static void pending_free(struct pending *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n_names; i++)
        free(k->names[i]);
    free(k->names);
    free(k->csr);
    buf_free(&k->pem);
    free(k);
}

struct pendings *pendings_new(const struct statedir *s)
{
    struct pendings *p = xnew(struct pendings);
    p->dir = s;
    p->map = map_new();
    return p;
}

void pendings_free(struct pendings *p)
{
    void *k;
    if (!p)
        return;
    for (size_t i = 0; map_next(p->map, &i, NULL, &k);)
        pending_free(k);
    map_free(p->map);
    free(p);
}

/* ---- reading ---- */

static int take_names(struct pending *k, const struct json *meta)
{
    const struct json *names = json_get(meta, "names");
    k->names = xcalloc(json_len(names) + 1, sizeof(*k->names));
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        if (!name)
            return -1;
        k->names[k->n_names++] = xstrdup(name);
    }
    return k->n_names ? 0 : -1;
}

static int take_key(struct pending *k, struct err *e)
{
    CLEANUP_PKEY struct pkey *key = pkey_from_pem(buf_str(&k->pem), k->pem.len, e);
    if (!key)
        return -1;
    memcpy(k->spki, pkey_spki(key), SHA256_LEN);
    k->type = pkey_type(key);
    return 0;
}

static int read_files(int dirfd, struct pending *k, struct err *e)
{
    CLEANUP_BUF struct buf csr, text;
    buf_init(&csr, CSR_MAX);
    buf_init(&text, META_MAX);
    if (file_read_at(dirfd, "privkey.pem", false, &k->pem, NULL, e) || take_key(k, e) ||
        file_read_at(dirfd, "csr.der", false, &csr, NULL, e) ||
        file_read_at(dirfd, "meta.json", false, &text, NULL, e))
        return -1;
    CLEANUP_JSON struct json *meta = json_parse(buf_str(&text), text.len, e);
    if (!meta || take_names(k, meta))
        return err_set(e, ERR_LOCAL, "its meta.json is damaged");
    k->csr = base64url(csr.data, csr.len);
    return 0;
}

static struct pending *read_pending(const struct statedir *s, const char *name, struct err *e)
{
    CLEANUP_CLOSE int dir = openat(s->pending, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        if (errno != ENOENT)
            err_sys(e, errno, "cannot open pending/%s", name);
        return NULL;
    }
    struct pending *k = xnew(struct pending);
    buf_init_secret(&k->pem, PKEY_PEM_MAX);
    if (read_files(dir, k, e) == 0)
        return k;
    err_prefix(e, "pending/%s", name);
    pending_free(k);
    return NULL;
}

const struct pending *pending_get(struct pendings *p, const char *name, struct err *e)
{
    err_clear(e);
    struct pending *k = map_get(p->map, name);
    if (k)
        return k;
    if (!statedir_name_ok(name)) {
        err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", name);
        return NULL;
    }
    k = read_pending(p->dir, name, e);
    if (k)
        map_put(p->map, name, k);
    return k;
}

bool pending_fits(const struct pending *k, const struct conf_cert *cert)
{
    if (k->n_names != cert->n_names || (int)k->type != (int)cert->key)
        return false;
    for (size_t i = 0; i < k->n_names; i++) {
        if (!str_eq(k->names[i], cert->names[i].name))
            return false;
    }
    return true;
}

/* ---- writing ---- */

static char *make_meta(const struct pending *k)
{
    CLEANUP_JSON struct json *m = json_object();
    json_add_int(m, "version", 1);
    json_add_text(m, "key", key_type_name(k->type));
    struct json *names = json_add_array(m, "names");
    for (size_t i = 0; i < k->n_names; i++)
        json_add_text(names, NULL, k->names[i]);
    json_add_int(m, "made_ms", clock_wall_ms(&clock_system));
    return json_print(m, true);
}

static int write_files(int dirfd, const struct pending *k, const struct buf *csr, struct err *e)
{
    CLEANUP_FREE char *meta = make_meta(k);
    if (file_create_at(dirfd, "privkey.pem", k->pem.data, k->pem.len, &private_file, e) ||
        file_create_at(dirfd, "csr.der", csr->data, csr->len, &private_file, e) ||
        file_create_at(dirfd, "meta.json", meta, strlen(meta), &private_file, e))
        return -1;
    return 0;
}

/* The new folder takes the place of the old one at once; the old one then lies under tmp. */
static int put_in_place(const struct statedir *s, const char *tmp, const char *name, struct err *e)
{
    int rc = renameat2(s->pending, tmp, s->pending, name, RENAME_EXCHANGE);
    if (rc && errno != ENOENT && file_remove_tree_at(s->pending, name, e))
        return -1;
    if (rc && renameat(s->pending, tmp, s->pending, name))
        return err_sys(e, errno, "cannot put a key into pending/%s", name);
    if (file_fsync_dir(s->pending, e))
        return -1;
    return rc ? 0 : file_remove_tree_at(s->pending, tmp, e);
}

static int store(const struct statedir *s, const char *name, const struct pending *k,
                 const struct buf *csr, struct err *e)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", name);
    if (file_remove_tree_at(s->pending, tmp, e))
        return -1;
    if (mkdirat(s->pending, tmp, 0700))
        return err_sys(e, errno, "cannot make a folder in pending/");
    CLEANUP_CLOSE int dir = file_open_dir_at(s->pending, tmp, e);
    if (dir < 0 || write_files(dir, k, csr, e) || put_in_place(s, tmp, name, e))
        return -1;
    return 0;
}

int pending_put(struct pendings *p, const struct conf_cert *cert, struct pkey *key, struct err *e)
{
    CLEANUP_FREE const char **names = pending_names(cert);
    CLEANUP_BUF struct buf csr;
    buf_init(&csr, CSR_MAX);
    if (!statedir_name_ok(cert->name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", cert->name);
    struct pending *k = xnew(struct pending);
    buf_init_secret(&k->pem, PKEY_PEM_MAX);
    k->type = pkey_type(key);
    memcpy(k->spki, pkey_spki(key), SHA256_LEN);
    k->names = xcalloc(cert->n_names + 1, sizeof(*k->names));
    for (; k->n_names < cert->n_names; k->n_names++)
        k->names[k->n_names] = xstrdup(names[k->n_names]);
    if (csr_put(key, names, cert->n_names, &csr, e) || pkey_to_pem(key, &k->pem, e) ||
        store(p->dir, cert->name, k, &csr, e)) {
        pending_free(k);
        return err_activity(e, "making a key for %s", cert->name);
    }
    k->csr = base64url(csr.data, csr.len);
    pending_free(map_put(p->map, cert->name, k));
    return 0;
}

int pending_remove(struct pendings *p, const char *name, struct err *e)
{
    CLEANUP_FREE char *tmp = xasprintf(STATEDIR_NEW "%s", name);
    pending_free(map_remove(p->map, name));
    if (file_remove_tree_at(p->dir->pending, tmp, e))
        return -1;
    if (renameat(p->dir->pending, name, p->dir->pending, tmp))
        return errno == ENOENT ? 0 : err_sys(e, errno, "cannot remove pending/%s", name);
    return file_remove_tree_at(p->dir->pending, tmp, e);
}
