/* SPDX-License-Identifier: ISC */
#include "keeper/live.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define META_MAX (64u << 10)

int live_open_set(const struct statedir *s, const char *name, struct err *e)
{
    if (!statedir_name_ok(name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", name);
    CLEANUP_CLOSE int dir = openat(s->live, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_sys(e, errno, "cannot open %s/live/%s", s->path, name);
    int set = openat(dir, ".current", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (set < 0 && errno == ENOENT)
        set = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    return set < 0 ? err_sys(e, errno, "cannot open %s/live/%s/.current", s->path, name) : set;
}

/* ---- meta.json ---- */

char *live_meta(const struct live_origin *o, const struct cert_info *leaf)
{
    CLEANUP_JSON struct json *m = json_object();
    char spki[SHA256_HEX];
    hex_encode(leaf->spki, sizeof(leaf->spki), spki);
    json_add_int(m, "version", 1);
    json_add_text(m, "name", o->name);
    struct json *names = json_add_array(m, "names");
    for (size_t i = 0; i < leaf->dns_n; i++)
        json_add_text(names, NULL, leaf->dns[i]);
    for (size_t i = 0; i < leaf->ips_n; i++)
        json_add_text(names, NULL, leaf->ips[i]);
    json_add_int(m, "not_before_ms", leaf->not_before_ms);
    json_add_int(m, "not_after_ms", leaf->not_after_ms);
    json_add_text(m, "serial", leaf->serial);
    json_add_text(m, "fingerprint", leaf->fingerprint);
    json_add_text(m, "spki", spki);
    json_add_text(m, "key", leaf->key_type);
    json_add_text(m, "cert_id", leaf->cert_id);
    json_add_text(m, "issuer", leaf->issuer_cn);
    json_add_text(m, "ca", o->ca);
    json_add_text(m, "directory", o->directory);
    json_add_text(m, "account", o->account);
    json_add_bool(m, "staging", o->staging);
    json_add_int(m, "installed_ms", o->now_ms);
    return json_print(m, true);
}

static char *dup_text(const struct json *m, const char *key)
{
    const char *text = json_text(m, key);
    return xstrdup(text ? text : "");
}

/* false: it is not about the certificate with this fingerprint. */
static bool take_meta(const struct json *m, const char *fingerprint, struct live *l)
{
    const char *said = json_text(m, "fingerprint"), *spki = json_text(m, "spki");
    const struct json *names = json_get(m, "names");
    if (json_int(m, "version", 0) != 1 || !str_eq(said, fingerprint) || !spki ||
        strlen(spki) + 1 != sizeof(l->spki) || json_len(names) == 0)
        return false;
    l->not_before_ms = json_int(m, "not_before_ms", 0);
    l->not_after_ms = json_int(m, "not_after_ms", 0);
    str_copy(l->spki, sizeof(l->spki), spki);
    l->serial = dup_text(m, "serial");
    l->cert_id = dup_text(m, "cert_id");
    l->issuer = dup_text(m, "issuer");
    l->directory = dup_text(m, "directory");
    l->account = dup_text(m, "account");
    l->staging = json_bool(m, "staging", false);
    l->ours = true;
    l->names = xcalloc(json_len(names), sizeof(*l->names));
    for (const struct json *it = json_first(names); it; it = json_after(it)) {
        const char *name = json_as_text(it);
        l->names[l->n_names++] = xstrdup(name ? name : "");
    }
    return true;
}

static bool read_meta(int dirfd, struct live *l)
{
    CLEANUP_BUF struct buf text;
    buf_init(&text, META_MAX);
    if (file_read_at(dirfd, "meta.json", false, &text, NULL, NULL))
        return false;
    CLEANUP_JSON struct json *m = json_parse(buf_str(&text), text.len, NULL);
    return m && take_meta(m, l->fingerprint, l);
}

/* ---- the certificate itself ---- */

static void take_leaf(const struct cert_info *c, struct live *l)
{
    l->not_before_ms = c->not_before_ms;
    l->not_after_ms = c->not_after_ms;
    l->serial = xstrdup(c->serial);
    l->cert_id = xstrdup(c->cert_id);
    l->issuer = xstrdup(c->issuer_cn);
    l->directory = xstrdup("");
    l->account = xstrdup("");
    hex_encode(c->spki, sizeof(c->spki), l->spki);
    l->names = xcalloc(c->dns_n + c->ips_n, sizeof(*l->names));
    for (size_t i = 0; i < c->dns_n; i++)
        l->names[l->n_names++] = xstrdup(c->dns[i]);
    for (size_t i = 0; i < c->ips_n; i++)
        l->names[l->n_names++] = xstrdup(c->ips[i]);
}

void live_make(const struct live_origin *o, const struct cert_info *leaf, const char *leaf_pem,
               struct live *ret)
{
    struct live l = {.present = true, .ours = true, .staging = o->staging};
    take_leaf(leaf, &l);
    free(l.directory);
    free(l.account);
    l.directory = xstrdup(o->directory);
    l.account = xstrdup(o->account);
    l.leaf_pem = xstrdup(leaf_pem);
    memcpy(l.fingerprint, leaf->fingerprint, sizeof(l.fingerprint));
    *ret = l;
}

/* Only the first block of a text is looked at: what else a foreign file holds is not ours. */
static size_t first_block(const char *pem, size_t n)
{
    static const char tail[] = "-----END CERTIFICATE-----";
    const char *end = memmem(pem, n, tail, sizeof(tail) - 1);
    return end ? (size_t)(end - pem) + sizeof(tail) - 1 : n;
}

static int read_leaf(const char *pem, size_t n, struct live *l, struct err *e)
{
    struct cert_chain *c = cert_chain_read(pem, n, NULL, e);
    if (!c)
        return err_prefix(e, "cert.pem");
    take_leaf(c->certs[0], l);
    cert_chain_free(c);
    return 0;
}

static void absent(struct live *l)
{
    *l = (struct live){0};
    char **texts[] = {&l->serial,  &l->cert_id, &l->directory,
                      &l->account, &l->issuer,  &l->leaf_pem};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = xstrdup("");
}

static bool is_there(int dirfd, const char *name)
{
    struct stat st;
    return fstatat(dirfd, name, &st, 0) == 0;
}

int live_read_set(int dirfd, struct live *ret, struct err *e)
{
    const char *file = is_there(dirfd, "cert.pem") ? "cert.pem" : "fullchain.pem";
    struct live l = {.present = true};
    CLEANUP_BUF struct buf pem;
    buf_init(&pem, CERT_PEM_MAX);
    if (!is_there(dirfd, file)) {
        absent(ret);
        return 0;
    }
    if (file_read_at(dirfd, file, true, &pem, NULL, e))
        return -1;
    size_t n = first_block(buf_str(&pem), pem.len);
    if (cert_pem_fingerprint(buf_str(&pem), n, l.fingerprint, e))
        return err_prefix(e, "%s", file);
    if (!read_meta(dirfd, &l) && read_leaf(buf_str(&pem), n, &l, e))
        return -1;
    l.leaf_pem = xasprintf("%.*s\n", (int)n, buf_str(&pem));
    *ret = l;
    return 0;
}

int live_read(const struct statedir *s, const char *name, struct live *ret, struct err *e)
{
    struct stat st;
    if (!statedir_name_ok(name))
        return err_set(e, ERR_CONFIG, "\"%s\" cannot be the name of a folder", name);
    if (fstatat(s->live, name, &st, 0) && errno == ENOENT) {
        absent(ret);
        return 0;
    }
    CLEANUP_CLOSE int dir = live_open_set(s, name, e);
    if (dir < 0 || live_read_set(dir, ret, e))
        return err_prefix(e, "live/%s", name);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool live_has_names(const struct live *l, const char *const *names, size_t n)
{
    bool same = l->n_names == n;
    if (!same || n == 0)
        return same;
    CLEANUP_FREE const char **a = xmemdup(l->names, n * sizeof(*a));
    CLEANUP_FREE const char **b = xmemdup(names, n * sizeof(*b));
    qsort(a, n, sizeof(*a), compare);
    qsort(b, n, sizeof(*b), compare);
    for (size_t i = 0; same && i < n; i++)
        same = str_eq(a[i], b[i]);
    return same;
}

void live_done(struct live *l)
{
    for (size_t i = 0; i < l->n_names; i++)
        free(l->names[i]);
    free(l->names);
    free(l->serial);
    free(l->cert_id);
    free(l->directory);
    free(l->account);
    free(l->issuer);
    free(l->leaf_pem);
    *l = (struct live){0};
}
