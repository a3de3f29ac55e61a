/* SPDX-License-Identifier: ISC */
#include "keeper/certs.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/chain_check.h"
#include "keeper/install.h"
#include "keeper/sign.h"
#include "keeper/users.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is on its way ---- */

struct certs_work {
    struct disk_job job;
    const struct statedir *dir;
    char *name;
    void (*done)(void *arg);
    void *arg;
    bool on_disk;            /* the job has something to do */
    struct pending *pending; /* a key, that text says */
    struct buf text;
    struct install install; /* or an installation, of these files */
    struct buf key, leaf, rest, full;
    char *meta;
    struct live live;
    bool changed;
    bool uses_pending; /* its key's file is of no more use then */
};

static struct certs_work *work_of(struct disk_job *j)
{
    return CONTAINER_OF(j, struct certs_work, job);
}

static int write_key(struct disk_job *j, struct disk_batch *b, struct err *e)
{
    struct certs_work *w = work_of(j);
    return pending_write(w->dir, w->name, &w->text, b, j, e);
}

static void undo_key(struct disk_job *j)
{
    pending_remove(work_of(j)->dir, work_of(j)->name);
}

static void end_key(struct disk_job *j)
{
    (void)j;
}

static int write_install(struct disk_job *j, struct disk_batch *b, struct err *e)
{
    return install_write(&work_of(j)->install, b, j, e);
}

static int show_install(struct disk_job *j, struct disk_batch *b, struct err *e)
{
    return install_show(&work_of(j)->install, b, j, e);
}

static void undo_install(struct disk_job *j)
{
    install_undo(&work_of(j)->install);
}

static void end_install(struct disk_job *j)
{
    struct certs_work *w = work_of(j);
    install_end(&w->install);
    if (w->uses_pending)
        pending_remove(w->dir, w->name);
}

static const struct disk_work key_work = {.write = write_key, .undo = undo_key, .end = end_key};
static const struct disk_work install_work = {
    .write = write_install, .show = show_install, .undo = undo_install, .end = end_install};

static void on_done(struct disk_job *j)
{
    struct certs_work *w = work_of(j);
    w->done(w->arg);
}

static struct certs_work *work_new(const struct statedir *dir, const char *name,
                                   const struct disk_work *what)
{
    struct certs_work *w = xnew(struct certs_work);
    w->job.work = what;
    w->job.done = on_done;
    w->on_disk = true;
    w->dir = dir;
    w->name = xstrdup(name);
    buf_init_secret(&w->text, 0);
    buf_init_secret(&w->key, PKEY_PEM_MAX);
    buf_init(&w->leaf, CERT_PEM_MAX);
    buf_init(&w->rest, CERT_PEM_MAX);
    buf_init(&w->full, CERT_PEM_MAX);
    install_init(&w->install);
    return w;
}

void certs_work_free(struct certs_work *w)
{
    if (!w)
        return;
    pending_free(w->pending);
    install_done(&w->install);
    buf_free(&w->text);
    buf_free(&w->key);
    buf_free(&w->leaf);
    buf_free(&w->rest);
    buf_free(&w->full);
    live_done(&w->live);
    free(w->meta);
    free(w->name);
    free(w);
}

struct disk_job *certs_job(struct certs_work *w, void (*done)(void *arg), void *arg)
{
    w->done = done;
    w->arg = arg;
    return w->on_disk ? &w->job : NULL;
}

/* A key that could not be stored is none, and the file of the one before it may be gone. */
static int finish_key(const struct certs_env *env, struct certs_work *w, struct err *e)
{
    struct pending *k = w->pending;
    if (err_is(&w->job.err)) {
        pending_put(env->pendings, w->name, NULL);
        *e = w->job.err;
        return err_activity(e, "making a key for %s", w->name);
    }
    w->pending = NULL;
    pending_put(env->pendings, w->name, k);
    return 0;
}

int certs_finish(const struct certs_env *env, struct certs_work *w, struct err *e)
{
    if (w->job.work == &key_work)
        return finish_key(env, w, e);
    if (err_is(&w->job.err)) {
        *e = w->job.err;
        return err_activity(e, "installing the certificate of %s", w->name);
    }
    if (w->uses_pending)
        pending_put(env->pendings, w->name, NULL);
    return 0;
}

struct live certs_take(struct certs_work *w, bool *ret_changed)
{
    struct live l = w->live;
    w->live = (struct live){0};
    *ret_changed = w->changed;
    return l;
}

/* ---- keys ---- */

/* The installed key, for reuse_key; NULL when there is none that fits. */
static struct pkey *installed_key(const struct certs_env *env, const struct conf_cert *cert)
{
    CLEANUP_BUF struct buf pem;
    CLEANUP_CLOSE int dir = live_open_set(env->dir, cert->name, NULL);
    buf_init_secret(&pem, PKEY_PEM_MAX);
    if (dir < 0 || file_read_at(dir, "privkey.pem", true, &pem, NULL, NULL))
        return NULL;
    struct pkey *key = pkey_from_pem(buf_str(&pem), pem.len, NULL);
    if (key && (int)pkey_type(key) != (int)cert->key) {
        pkey_free(key);
        return NULL;
    }
    return key;
}

/* A crash between the switch and the removal leaves a pending key that is in use. */
static bool is_installed(const struct certs_env *env, const struct conf_cert *cert,
                         const struct pending *k)
{
    char spki[SHA256_HEX];
    struct live l;
    hex_encode(k->spki, SHA256_LEN, spki);
    if (live_read(env->dir, cert->name, &l, NULL))
        return false;
    bool same = l.present && str_eq(l.spki, spki);
    live_done(&l);
    return same;
}

static bool is_slow(enum conf_key k)
{
    return k >= CONF_KEY_RSA_2048;
}

int certs_prepared(const struct conf_cert *cert, struct pkey *key, const struct statedir *dir,
                   struct certs_work **ret, struct err *e)
{
    struct certs_work *w = work_new(dir, cert->name, &key_work);
    w->pending = pending_make(cert, key, &w->text, e);
    if (!w->pending) {
        certs_work_free(w);
        return err_activity(e, "making a key for %s", cert->name);
    }
    *ret = w;
    return 0;
}

int certs_prepare(const struct certs_env *env, const struct conf_cert *cert, bool fresh,
                  bool *ret_generate, struct certs_work **ret, struct err *e)
{
    struct err damaged = ERR_INIT; /* what cannot be read is made anew */
    const struct pending *k = pending_of(env->pendings, cert, &damaged);
    bool reuse = cert->reuse_key && !env->new_key;
    *ret_generate = false;
    *ret = NULL;
    if (cert->csr[0]) {
        *e = damaged;
        return k ? 0 : -1;
    }
    if (k && !fresh && pending_fits(k, cert) && (reuse || !is_installed(env, cert, k)))
        return 0;
    CLEANUP_PKEY struct pkey *key = reuse ? installed_key(env, cert) : NULL;
    if (!key && is_slow(cert->key)) {
        *ret_generate = true;
        return 0;
    }
    if (!key)
        key = pkey_generate((enum key_type)cert->key, e);
    return key ? certs_prepared(cert, key, env->dir, ret, e) : -1;
}

/* ---- installing ---- */

static int key_attr(const struct conf_cert *cert, struct file_attr *ret, struct err *e)
{
    struct user u = {.uid = (uid_t)-1};
    gid_t gid = (gid_t)-1;
    if (cert->owner[0] && users_find(cert->owner, &u, e))
        return err_prefix(e, "owner of %s", cert->name);
    if (cert->group[0] && users_group(cert->group, &gid, e))
        return err_prefix(e, "group of %s", cert->name);
    *ret = (struct file_attr){
        .mode = cert->key_mode ? cert->key_mode : 0600, .uid = u.uid, .gid = gid};
    return 0;
}

/* The parts that an installation hands on from step to step. */
struct installation {
    const struct certs_env *env;
    const struct keeper_msg_install *m;
    const struct conf_cert *cert;
    const struct conf_ca *ca;
    struct cert_chain *chain;
    struct live before;
};

static int find_subject(struct installation *i, struct err *e)
{
    i->cert = conf_find_cert(i->env->conf, i->m->cert);
    i->ca = conf_find_ca(i->env->conf, i->m->ca);
    if (!i->cert)
        return err_set(e, ERR_BUG, "the configuration has no certificate \"%s\"", i->m->cert);
    if (!i->ca || !sign_ca_of_cert(i->env->conf, i->cert, i->ca))
        return err_set(e, ERR_DENIED, "certificate %s is not one for CA \"%s\"", i->cert->name,
                       i->m->ca);
    return sign_check_url(i->m->account_url, e);
}

static int check(struct installation *i, const struct pending *k, struct err *e)
{
    CLEANUP_FREE const char **names = pending_names(i->cert);
    struct chain_want want = {
        .spki = k->spki,
        .names = names,
        .n_names = i->cert->n_names,
        .now_ms = clock_wall_ms(i->env->clock),
        .installed = &i->before,
        .directory = i->ca->directory,
    };
    return chain_check(i->chain, &want, e);
}

/* All that the disk's thread needs, and what there will be then. */
static int fill_work(struct installation *i, const struct pending *k, struct certs_work *w,
                     struct err *e)
{
    const struct cert_info *leaf = i->chain->certs[0];
    struct install *in = &w->install;
    struct live_origin origin = {.name = i->cert->name,
                                 .ca = i->ca->name,
                                 .directory = i->ca->directory,
                                 .account = i->m->account_url,
                                 .staging = sign_ca_is_staging(i->env->conf, i->ca),
                                 .now_ms = clock_wall_ms(i->env->clock)};
    if (key_attr(i->cert, &in->key, e) ||
        cert_chain_split(i->chain, &w->leaf, &w->rest, &w->full) ||
        (k->pem.len && buf_put(&w->key, k->pem.data, k->pem.len)))
        return -1;
    w->meta = live_meta(&origin, leaf);
    live_make(&origin, leaf, buf_str(&w->leaf), &w->live);
    in->files = (struct archive_files){.key = k->pem.len ? &w->key : NULL,
                                       .cert = &w->leaf,
                                       .chain = &w->rest,
                                       .fullchain = &w->full,
                                       .meta = w->meta};
    return 0;
}

/* A crash or a failure after the switch leaves the key's file: the switch may not be durable. */
static void find_again(struct installation *i, struct certs_work *w)
{
    w->live = i->before;
    i->before = (struct live){0};
    w->on_disk = w->install.again = w->uses_pending;
}

static int make_install(struct installation *i, struct certs_work *w, struct err *e)
{
    const struct pending *k = pending_of(i->env->pendings, i->cert, e);
    const struct cert_info *leaf = i->chain->certs[0];
    w->changed = !i->before.ours || !str_eq(i->before.fingerprint, leaf->fingerprint);
    w->uses_pending = k && memcmp(k->spki, leaf->spki, SHA256_LEN) == 0;
    w->install.dir = i->env->dir;
    w->install.name = w->name;
    w->install.now_ms = clock_wall_ms(i->env->clock);
    w->install.keep = i->env->conf->archive_keep;
    archive_set_name(leaf, w->install.set);
    if (!w->changed) {
        find_again(i, w);
        return 0;
    }
    if (!k && e->cls == ERR_NONE)
        err_set(e, ERR_LOCAL, "there is no key for this certificate: it is ordered again");
    return !k || check(i, k, e) || fill_work(i, k, w, e) ? -1 : 0;
}

int certs_install(const struct certs_env *env, const struct keeper_msg_install *m,
                  struct certs_work **ret, struct err *e)
{
    struct installation i = {.env = env, .m = m};
    struct certs_work *w = work_new(env->dir, m->cert, &install_work);
    int rc = -1;
    err_clear(e);
    if (find_subject(&i, e))
        goto out;
    i.chain = cert_chain_read(m->chain.p, m->chain.n, env->cache, e);
    if (!i.chain)
        goto out;
    if (live_read(env->dir, i.cert->name, &i.before, NULL))
        i.before = (struct live){0}; /* damaged: replaced */
    rc = make_install(&i, w, e);
out:
    if (rc) {
        err_activity(e, "installing the certificate of %s", m->cert);
        certs_work_free(w);
    } else {
        *ret = w;
    }
    live_done(&i.before);
    cert_chain_free(i.chain);
    return rc;
}

/* ---- rehearsals ---- */

int certs_rehearse(const struct certs_env *env, const struct keeper_msg_install *m,
                   const struct pending *k, struct live *ret, struct err *e)
{
    struct installation i = {.env = env, .m = m};
    CLEANUP_BUF struct buf leaf, rest, full;
    int rc = -1;
    buf_init(&leaf, CERT_PEM_MAX);
    buf_init(&rest, CERT_PEM_MAX);
    buf_init(&full, CERT_PEM_MAX);
    if (find_subject(&i, e) == 0)
        i.chain = cert_chain_read(m->chain.p, m->chain.n, env->cache, e);
    if (i.chain && check(&i, k, e) == 0)
        rc = cert_chain_split(i.chain, &leaf, &rest, &full);
    if (rc == 0) {
        struct live_origin origin = {.name = i.cert->name,
                                     .ca = i.ca->name,
                                     .directory = i.ca->directory,
                                     .account = m->account_url,
                                     .staging = true,
                                     .now_ms = clock_wall_ms(env->clock)};
        live_make(&origin, i.chain->certs[0], buf_str(&leaf), ret);
    }
    cert_chain_free(i.chain);
    return rc ? err_activity(e, "checking the certificate of %s", m->cert) : 0;
}

/* ---- telling ---- */

static bool is_staging(const struct conf *c, const struct live *l)
{
    if (l->staging)
        return true;
    for (size_t i = 0; i < c->n_cas && l->directory[0]; i++) {
        if (str_eq(c->cas[i].directory, l->directory) && sign_ca_is_staging(c, &c->cas[i]))
            return true;
    }
    return false;
}

struct keeper_msg_installed_is certs_tell(const struct conf *c, const struct conf_cert *cert,
                                          const struct live *l, bool leaf)
{
    CLEANUP_FREE const char **names = pending_names(cert);
    return (struct keeper_msg_installed_is){
        .cert = cert->name,
        .present = l->present,
        .not_before_ms = l->not_before_ms,
        .not_after_ms = l->not_after_ms,
        .serial = l->serial,
        .fingerprint = l->fingerprint,
        .cert_id = l->cert_id,
        .directory = l->directory,
        .account = l->account,
        .issuer = l->issuer,
        .names_match = l->present && live_has_names(l, names, cert->n_names),
        .staging = l->present && is_staging(c, l),
        .leaf_pem = leaf ? l->leaf_pem : "",
    };
}
