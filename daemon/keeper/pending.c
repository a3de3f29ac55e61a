/* SPDX-License-Identifier: ISC */
#include "keeper/pending.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/base64.h"
#include "digest/pem.h"
#include "keeper/archive.h"
#include "keeper/own_csr.h"
#include "keys/csr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CSR_MAX (512u << 10)
#define FILE_MAX (2u << 20)

struct pendings {
    const struct statedir *dir;
    struct map *map;
};

static const char csr_head[] = "-----BEGIN CERTIFICATE REQUEST-----";

const char **pending_names(const struct conf_cert *cert)
{
    const char **names = xcalloc(cert->n_names + 1, sizeof(*names));
    for (size_t i = 0; i < cert->n_names; i++)
        names[i] = cert->names[i].name;
    return names;
}

void pending_free(struct pending *k)
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

static char *file_name(const char *name)
{
    return xasprintf("%s.pem", name);
}

/* ---- reading ---- */

static int take_meta(struct pending *k, const struct json *meta)
{
    const struct json *names = json_get(meta, "names");
    k->must_staple = json_bool(meta, "must_staple", false);
    k->names = xcalloc(json_len(names) + 1, sizeof(*k->names));
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        if (!name)
            return -1;
        k->names[k->n_names++] = xstrdup(name);
    }
    return k->n_names ? 0 : -1;
}

static int take_key(struct pending *k, const char *pem, size_t n, struct err *e)
{
    CLEANUP_PKEY struct pkey *key = pkey_from_pem(pem, n, e);
    if (!key || buf_put(&k->pem, pem, n))
        return -1;
    memcpy(k->spki, pkey_spki(key), SHA256_LEN);
    k->type = pkey_type(key);
    return 0;
}

static int take_csr(struct pending *k, const char *pem, size_t n, struct err *e)
{
    CLEANUP_BUF struct buf der;
    uint8_t spki[SHA256_LEN];
    char **names;
    size_t n_names;
    buf_init(&der, CSR_MAX);
    if (csr_read(pem, n, &der, &names, &n_names, spki, e))
        return -1;
    for (size_t i = 0; i < n_names; i++)
        free(names[i]);
    free(names);
    if (memcmp(spki, k->spki, SHA256_LEN) != 0)
        return err_set(e, ERR_LOCAL, "key and CSR do not belong together");
    k->csr = base64url(der.data, der.len);
    return 0;
}

static int take_parts(struct pending *k, const struct buf *text, struct err *e)
{
    const char *p = buf_str(text), *end = p + text->len;
    const char *key = strchr(p, '\n'), *csr = strstr(p, csr_head);
    if (!key || !csr || csr < key)
        return err_set(e, ERR_LOCAL, "it was not written to its end");
    CLEANUP_JSON struct json *meta = json_parse(p, (size_t)(key - p), e);
    if (!meta || take_meta(k, meta))
        return err_set(e, ERR_LOCAL, "its first line is damaged");
    if (take_key(k, key + 1, (size_t)(csr - key - 1), e))
        return -1;
    return take_csr(k, csr, (size_t)(end - csr), e);
}

static struct pending *read_pending(const struct statedir *s, const char *name, struct err *e)
{
    CLEANUP_FREE char *file = file_name(name);
    CLEANUP_BUF struct buf text;
    struct stat st;
    buf_init_secret(&text, FILE_MAX);
    if (fstatat(s->pending, file, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        return NULL;
    struct pending *k = xnew(struct pending);
    buf_init_secret(&k->pem, PKEY_PEM_MAX);
    if (file_read_at(s->pending, file, false, &text, NULL, e) == 0 && take_parts(k, &text, e) == 0)
        return k;
    err_prefix(e, "pending/%s", file);
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

static void copy_names(struct pending *k, const struct conf_cert *cert)
{
    k->names = xcalloc(cert->n_names + 1, sizeof(*k->names));
    for (; k->n_names < cert->n_names; k->n_names++)
        k->names[k->n_names] = xstrdup(cert->names[k->n_names].name);
}

static struct pending *from_csr(const struct conf_cert *cert, struct err *e)
{
    struct csr_info *c = own_csr_read(cert, e);
    if (!c) {
        err_prefix(e, "%s", cert->csr);
        return NULL;
    }
    struct pending *k = xnew(struct pending);
    buf_init_secret(&k->pem, PKEY_PEM_MAX);
    copy_names(k, cert);
    k->csr = xstrdup(c->base64url);
    memcpy(k->spki, c->spki, SHA256_LEN);
    csr_info_free(c);
    return k;
}

const struct pending *pending_of(struct pendings *p, const struct conf_cert *cert, struct err *e)
{
    const struct pending *known = map_get(p->map, cert->name);
    if (known && known->pem.len == 0)
        pending_put(p, cert->name, NULL); /* of a CSR that the configuration may have no more */
    if (!cert->csr[0])
        return pending_get(p, cert->name, e);
    err_clear(e);
    struct pending *k = from_csr(cert, e);
    if (k)
        pending_put(p, cert->name, k);
    return k;
}

bool pending_fits(const struct pending *k, const struct conf_cert *cert)
{
    if (k->n_names != cert->n_names || (int)k->type != (int)cert->key ||
        k->must_staple != cert->must_staple)
        return false;
    for (size_t i = 0; i < k->n_names; i++) {
        if (!str_eq(k->names[i], cert->names[i].name))
            return false;
    }
    return true;
}

/* ---- writing ---- */

static int make_text(const struct pending *k, const struct buf *csr, struct buf *out)
{
    CLEANUP_JSON struct json *m = json_object();
    json_add_int(m, "version", 1);
    json_add_text(m, "key", key_type_name(k->type));
    if (k->must_staple)
        json_add_bool(m, "must_staple", true);
    struct json *names = json_add_array(m, "names");
    for (size_t i = 0; i < k->n_names; i++)
        json_add_text(names, NULL, k->names[i]);
    json_add_int(m, "made_ms", clock_wall_ms(&clock_system));
    CLEANUP_FREE char *line = json_print(m, false);
    buf_puts(out, line);
    buf_putc(out, '\n');
    buf_put(out, k->pem.data, k->pem.len);
    return pem_put(out, "CERTIFICATE REQUEST", csr->data, csr->len);
}

struct pending *pending_make(const struct conf_cert *cert, struct pkey *key, struct buf *ret_text,
                             struct err *e)
{
    CLEANUP_FREE const char **names = pending_names(cert);
    const struct csr_want want = {names, cert->n_names, cert->must_staple};
    CLEANUP_BUF struct buf csr;
    buf_init(&csr, CSR_MAX);
    buf_init_secret(ret_text, FILE_MAX);
    struct pending *k = xnew(struct pending);
    buf_init_secret(&k->pem, PKEY_PEM_MAX);
    k->type = pkey_type(key);
    k->must_staple = cert->must_staple;
    memcpy(k->spki, pkey_spki(key), SHA256_LEN);
    copy_names(k, cert);
    if (csr_put_want(key, &want, &csr, e) || pkey_to_pem(key, &k->pem, e)) {
        pending_free(k);
        return NULL;
    }
    if (make_text(k, &csr, ret_text)) {
        err_set(e, ERR_LOCAL, "a CSR for so many names is too long");
        pending_free(k);
        return NULL;
    }
    k->csr = base64url(csr.data, csr.len);
    return k;
}

void pending_put(struct pendings *p, const char *name, struct pending *k)
{
    pending_free(k ? map_put(p->map, name, k) : map_remove(p->map, name));
}

/* The file of an older key goes before the new one comes. */
int pending_write(const struct statedir *s, const char *name, const struct buf *text,
                  struct disk_batch *b, struct disk_job *j, struct err *e)
{
    static const struct file_attr secret = {.mode = 0600, .uid = (uid_t)-1, .gid = (gid_t)-1};
    CLEANUP_FREE char *file = file_name(name);
    if (!statedir_name_ok(name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", name);
    int fd = archive_put_file(s->pending, file, text->data, text->len, &secret, e);
    if (fd < 0 && e->sys == EEXIST && unlinkat(s->pending, file, 0) == 0)
        fd = archive_put_file(s->pending, file, text->data, text->len, &secret, e);
    if (fd < 0)
        return err_prefix(e, "pending/");
    err_clear(e);
    disk_keep(b, j, fd);
    disk_touch(b, NULL, s->pending);
    return 0;
}

void pending_remove(const struct statedir *s, const char *name)
{
    CLEANUP_FREE char *file = file_name(name);
    unlinkat(s->pending, file, 0);
}
