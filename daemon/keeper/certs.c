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

int certs_prepared(const struct certs_env *env, const struct conf_cert *cert, struct pkey *key,
                   struct err *e)
{
    return pending_put(env->pendings, cert, key, e);
}

int certs_prepare(const struct certs_env *env, const struct conf_cert *cert, bool fresh,
                  bool *ret_generate, struct err *e)
{
    struct err damaged = ERR_INIT; /* what cannot be read is made anew */
    const struct pending *k = pending_get(env->pendings, cert->name, &damaged);
    *ret_generate = false;
    if (k && !fresh && pending_fits(k, cert) && (cert->reuse_key || !is_installed(env, cert, k)))
        return 0;
    CLEANUP_PKEY struct pkey *key = cert->reuse_key ? installed_key(env, cert) : NULL;
    if (!key && is_slow(cert->key)) {
        *ret_generate = true;
        return 0;
    }
    if (!key)
        key = pkey_generate((enum key_type)cert->key, e);
    return key ? certs_prepared(env, cert, key, e) : -1;
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

static int write_files(struct installation *i, const struct pending *k, struct err *e)
{
    CLEANUP_BUF struct buf leaf, rest, full;
    struct file_attr attr;
    char set[64];
    buf_init(&leaf, CERT_PEM_MAX);
    buf_init(&rest, CERT_PEM_MAX);
    buf_init(&full, CERT_PEM_MAX);
    int64_t now = clock_wall_ms(i->env->clock);
    struct live_origin origin = {.name = i->cert->name,
                                 .ca = i->ca->name,
                                 .directory = i->ca->directory,
                                 .account = i->m->account_url,
                                 .staging = sign_ca_is_staging(i->env->conf, i->ca),
                                 .now_ms = now};
    if (key_attr(i->cert, &attr, e) || cert_chain_split(i->chain, &leaf, &rest, &full))
        return -1;
    CLEANUP_FREE char *meta = live_meta(&origin, i->chain->certs[0]);
    struct install_files files = {
        .key = &k->pem, .cert = &leaf, .chain = &rest, .fullchain = &full, .meta = meta};
    install_set_name(i->chain->certs[0], set);
    return install_set(i->env->dir, i->cert->name, set, &files, &attr, now, e);
}

static int install(struct installation *i, bool *ret_changed, struct err *e)
{
    const struct pending *k = pending_get(i->env->pendings, i->cert->name, e);
    const struct cert_info *leaf = i->chain->certs[0];
    bool there = i->before.ours && str_eq(i->before.fingerprint, leaf->fingerprint);
    *ret_changed = !there;
    if (!there) {
        if (!k && e->cls == ERR_NONE)
            err_set(e, ERR_LOCAL, "there is no key for this certificate: it is ordered again");
        if (!k || check(i, k, e) || write_files(i, k, e))
            return -1;
        install_prune(i->env->dir, i->cert->name, i->env->conf->archive_keep,
                      clock_wall_ms(i->env->clock), NULL);
    }
    if (k && memcmp(k->spki, leaf->spki, SHA256_LEN) == 0)
        return pending_remove(i->env->pendings, i->cert->name, e);
    return 0;
}

int certs_install(const struct certs_env *env, const struct keeper_msg_install *m, struct live *ret,
                  bool *ret_changed, struct err *e)
{
    struct installation i = {.env = env, .m = m};
    int rc = -1;
    err_clear(e);
    if (find_subject(&i, e))
        goto out;
    i.chain = cert_chain_read(m->chain.p, m->chain.n, env->cache, e);
    if (!i.chain)
        goto out;
    if (live_read(env->dir, i.cert->name, &i.before, NULL))
        i.before = (struct live){0}; /* damaged: replaced */
    rc = install(&i, ret_changed, e);
    if (rc == 0)
        rc = live_read(env->dir, i.cert->name, ret, e);
out:
    if (rc)
        err_activity(e, "installing the certificate of %s", m->cert);
    live_done(&i.before);
    cert_chain_free(i.chain);
    return rc;
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
