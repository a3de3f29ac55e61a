/* SPDX-License-Identifier: ISC */
#include "keeper/sign.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"
#include "keeper/live.h"
#include "keeper/rehearsals.h"
#include "keys/eab.h"
#include "keys/jws.h"

#include <string.h>

struct job {
    const struct sign_env *env;
    const struct keeper_msg_sign *m;
    const struct conf_ca *ca;
    const struct conf_cert *cert; /* NULL where the kind has none */
    struct account *account;
};

int sign_check_url(const char *url, struct err *e)
{
    if (!str_starts(url, "https://") || !url[8])
        return err_set(e, ERR_PEER, "the CA gave a URL that is not https");
    for (const char *p = url; *p; p++) {
        if (*p <= ' ' || *p > '~' || p - url >= (ptrdiff_t)KEEPER_MSG_URL_MAX)
            return err_set(e, ERR_PEER, "the CA gave a URL with a character that none may have");
    }
    return 0;
}

static int check_nonce(const char *nonce, struct err *e)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (!nonce[0] || nonce[strspn(nonce, allowed)])
        return err_set(e, ERR_PEER, "the CA gave a nonce with a character that none may have");
    return 0;
}

bool sign_ca_of_cert(const struct conf *c, const struct conf_cert *cert, const struct conf_ca *ca)
{
    for (size_t i = 0; i < cert->cas.n; i++) {
        const struct conf_ca *own = conf_find_ca(c, cert->cas.v[i]);
        if (str_eq(cert->cas.v[i], ca->name) || (own && str_eq(own->staging, ca->name)))
            return true;
    }
    return false;
}

bool sign_ca_is_staging(const struct conf *c, const struct conf_ca *ca)
{
    for (size_t i = 0; i < c->n_cas; i++) {
        if (str_eq(c->cas[i].staging, ca->name))
            return true;
    }
    return false;
}

/* ---- payloads: JSON text, or NULL and *e; POST-as-GET has none ---- */

static char *print(struct json *j)
{
    char *text = json_print(j, false);
    json_free(j);
    return text;
}

/* The configured binding, else the one that the CA gave for an address; the key must exist. */
static int add_binding(struct job *j, struct json *p, struct err *e)
{
    const struct account *a = j->account;
    bool own = j->ca->eab_kid[0] && j->ca->eab_hmac_key.value;
    const struct secret *text = own ? j->ca->eab_hmac_key.value : a->eab_key;
    const char *kid = own ? j->ca->eab_kid : a->eab_kid;
    CLEANUP_BUF struct buf out = {0};
    if (!text) {
        err_set(e, ERR_CONFIG,
                "CA %s gives accounts only to holders of an external account: write its `eab`",
                j->ca->name);
        str_copy(e->type, sizeof(e->type), KEEPER_NO_BINDING);
        return -1;
    }
    struct secret *mac = eab_key_decode(text, e);
    buf_init(&out, KEEPER_MSG_JWS_MAX);
    int r = !mac ? -1
                 : jws_bind_account(kid, j->m->url, secret_bytes(mac), secret_len(mac),
                                    pkey_jwk(a->key), &out, e);
    secret_free(mac);
    struct json *binding = r ? NULL : json_parse(buf_str(&out), out.len, e);
    if (!binding)
        return -1;
    json_add(p, "externalAccountBinding", binding);
    return 0;
}

static char *new_account(struct job *j, struct err *e)
{
    bool bind = j->m->flags & KEEPER_F_EAB;
    if ((j->m->flags & KEEPER_F_TERMS) && !j->ca->agree_tos) {
        err_set(e, ERR_CONFIG,
                "CA %s has terms of service: read them, then write `agree_tos: true` for it or "
                "under defaults",
                j->ca->name);
        return NULL;
    }
    struct json *p = json_object();
    if (j->m->flags & KEEPER_F_TERMS)
        json_add_bool(p, "termsOfServiceAgreed", true);
    if (j->ca->email[0]) {
        CLEANUP_FREE char *mailto = xasprintf("mailto:%s", j->ca->email);
        json_add_text(json_add_array(p, "contact"), NULL, mailto);
    }
    if (bind &&
        (accounts_need_key(j->env->accounts, j->account, j->ca, e) || add_binding(j, p, e))) {
        json_free(p);
        return NULL;
    }
    return print(p);
}

static char *find_account(struct job *j, struct err *e)
{
    (void)j;
    (void)e;
    return xstrdup("{\"onlyReturnExisting\":true}");
}

static const struct pending *need_pending(struct job *j, struct err *e)
{
    bool dry = (j->m->flags & KEEPER_F_DRY) && !j->cert->csr[0];
    const struct pending *k = dry ? rehearsals_get(j->env->rehearsals, j->cert->name)
                                  : pending_of(j->env->pendings, j->cert, e);
    if (!k && e->cls == ERR_NONE)
        err_set(e, ERR_LOCAL, "there is no key for the order of %s: it begins again",
                j->cert->name);
    return k;
}

/* RFC 9773, section 5: the predecessor must be of the same account. */
static void add_replaces(struct job *j, struct json *p)
{
    struct live l;
    if (live_read(j->env->dir, j->cert->name, &l, NULL))
        return;
    if (l.present && l.cert_id[0] && str_eq(l.directory, j->ca->directory) &&
        str_eq(l.account, j->account->url))
        json_add_text(p, "replaces", l.cert_id);
    live_done(&l);
}

static char *new_order(struct job *j, struct err *e)
{
    const struct pending *k = need_pending(j, e);
    if (!k)
        return NULL;
    struct json *p = json_object();
    struct json *ids = json_add_array(p, "identifiers");
    for (size_t i = 0; i < k->n_names; i++) {
        struct json *id = json_add_object(ids, NULL);
        json_add_text(id, "type", ip_is(k->names[i]) ? "ip" : "dns");
        json_add_text(id, "value", k->names[i]);
    }
    const char *profile = j->cert->profile[0] ? j->cert->profile : j->ca->profile;
    if ((j->m->flags & KEEPER_F_PROFILE) && profile[0])
        json_add_text(p, "profile", profile);
    if (j->m->flags & KEEPER_F_REPLACES)
        add_replaces(j, p);
    return print(p);
}

static char *answer(struct job *j, struct err *e)
{
    (void)j;
    (void)e;
    return xstrdup("{}");
}

static char *finalize(struct job *j, struct err *e)
{
    const struct pending *k = need_pending(j, e);
    if (!k)
        return NULL;
    struct json *p = json_object();
    json_add_text(p, "csr", k->csr);
    return print(p);
}

/*
 * The same payload to the account's URL would end the account, for good. So neither that URL nor
 * anything that a server might take for it: one that begins with it, or is written in a way that
 * no authorization's is.
 */
static char *deactivate(struct job *j, struct err *e)
{
    const char *path = j->m->url + strlen("https://");
    size_t n = strlen(j->account->url);
    bool odd = strpbrk(path, "?#%\\;@") || strstr(path, "//") || strstr(path, "/.");
    if (odd || (n && strncasecmp(j->m->url, j->account->url, n) == 0)) {
        err_set(e, ERR_DENIED, "refused: this could deactivate the account");
        return NULL;
    }
    return xstrdup("{\"status\":\"deactivated\"}");
}

/* ---- payloads of tasks ---- */

static int own_url(const struct job *j, struct err *e)
{
    if (str_eq(j->m->url, j->account->url))
        return 0;
    return err_set(e, ERR_DENIED, "refused: that is not the account's URL");
}

static void add_contact(const struct job *j, struct json *p)
{
    struct json *contact = json_add_array(p, "contact");
    CLEANUP_FREE char *mailto = xasprintf("mailto:%s", j->ca->email);
    if (j->ca->email[0])
        json_add_text(contact, NULL, mailto);
}

static char *update_account(struct job *j, struct err *e)
{
    if (own_url(j, e))
        return NULL;
    struct json *p = json_object();
    add_contact(j, p);
    if (j->ca->agree_tos)
        json_add_bool(p, "termsOfServiceAgreed", true);
    return print(p);
}

static char *deactivate_account(struct job *j, struct err *e)
{
    return own_url(j, e) ? NULL : xstrdup("{\"status\":\"deactivated\"}");
}

static char *text_of(const struct buf *b, int rc)
{
    return rc ? NULL : xstrndup((const char *)b->data, b->len);
}

static char *key_change(struct job *j, struct err *e)
{
    CLEANUP_BUF struct buf inner;
    buf_init(&inner, KEEPER_MSG_JWS_MAX);
    if (!j->account->pending) {
        err_set(e, ERR_BUG, "there is no key to change to");
        return NULL;
    }
    return text_of(&inner, jws_key_change(j->account->pending, j->account->key, j->account->url,
                                          j->m->url, &inner, e));
}

/* The old one is revoked only once another one, with another key, stands in its place. */
static int check_replaced(const struct job *j, struct err *e)
{
    const struct sign_task *t = j->env->task;
    struct live l;
    if (t->kind != KEEPER_TASK_REPLACE)
        return 0;
    if (live_read(j->env->dir, t->cert, &l, e))
        return -1;
    bool other = l.present && !str_eq(l.fingerprint, t->fingerprint);
    bool fresh = other && !str_eq(l.spki, t->spki);
    live_done(&l);
    if (!other)
        return err_set(e, ERR_DENIED, "refused: %s has not been replaced yet", t->cert);
    if (!fresh)
        return err_set(e, ERR_LOCAL,
                       "the certificate that was issued has the same key as the old one: run the "
                       "command again");
    return 0;
}

static char *revoke(struct job *j, struct err *e)
{
    const struct sign_task *t = j->env->task;
    CLEANUP_BUF struct buf out;
    buf_init(&out, KEEPER_MSG_JWS_MAX);
    if (check_replaced(j, e))
        return NULL;
    return text_of(&out, jws_revocation(t->der.data, t->der.len, t->reason, &out, e));
}

/* ---- kinds ---- */

static const struct kind {
    char *(*payload)(struct job *, struct err *); /* NULL: POST-as-GET */
    bool new_key; /* may make the account's key; signed with the key itself, not the account */
    bool by_key;
    bool cert;
    unsigned tasks; /* bits of those kinds in which alone it is signed; 0: always */
} kinds[KEEPER_SIGN_KINDS] = {
    [KEEPER_READ] = {NULL, false, false, false, 0},
    [KEEPER_NEW_ACCOUNT] = {new_account, true, true, false, 0},
    [KEEPER_FIND_ACCOUNT] = {find_account, false, true, false, 0},
    [KEEPER_NEW_ORDER] = {new_order, false, false, true, 0},
    [KEEPER_ANSWER] = {answer, false, false, false, 0},
    [KEEPER_FINALIZE] = {finalize, false, false, true, 0},
    [KEEPER_DEACTIVATE_AUTHZ] = {deactivate, false, false, false, 0},
    [KEEPER_UPDATE_ACCOUNT] = {update_account, false, false, false, 1u << KEEPER_TASK_UPDATE},
    [KEEPER_DEACTIVATE_ACCOUNT] = {deactivate_account, false, false, false,
                                   1u << KEEPER_TASK_DEACTIVATE},
    [KEEPER_KEY_CHANGE] = {key_change, false, false, false, 1u << KEEPER_TASK_CHANGE_KEY},
    [KEEPER_REVOKE] = {revoke, false, false, false,
                       1u << KEEPER_TASK_REVOKE | 1u << KEEPER_TASK_REPLACE},
};

/* What came over the admin socket, and nothing else, and about nobody else. */
static int check_task(const struct job *j, const struct kind *kind, struct err *e)
{
    const struct sign_task *t = j->env->task;
    bool pending = j->m->flags & KEEPER_F_PENDING;
    if (kind->tasks && (!t || !(kind->tasks >> t->kind & 1)))
        return err_set(e, ERR_DENIED,
                       "refused: only the operator may ask for this, over the "
                       "admin socket");
    if (pending && (!t || (t->kind != KEEPER_TASK_CHANGE_KEY && t->kind != KEEPER_TASK_WHICH_KEY) ||
                    j->m->what != KEEPER_FIND_ACCOUNT))
        return err_set(e, ERR_DENIED, "refused: the pending key is for changes of keys");
    return 0;
}

static int find_subject(struct job *j, const struct kind *kind, struct err *e)
{
    j->ca = conf_find_ca(j->env->conf, j->m->ca);
    if (!j->ca)
        return err_set(e, ERR_BUG, "the configuration has no CA \"%s\"", j->m->ca);
    if (!kind->cert)
        return 0;
    j->cert = conf_find_cert(j->env->conf, j->m->cert);
    if (!j->cert)
        return err_set(e, ERR_BUG, "the configuration has no certificate \"%s\"", j->m->cert);
    if (!sign_ca_of_cert(j->env->conf, j->cert, j->ca))
        return err_set(e, ERR_DENIED, "certificate %s is not one for CA %s", j->cert->name,
                       j->ca->name);
    if ((j->m->flags & KEEPER_F_DRY) && !sign_ca_is_staging(j->env->conf, j->ca))
        return err_set(e, ERR_DENIED, "CA %s is nobody's staging", j->ca->name);
    return 0;
}

static bool by_cert_key(const struct job *j)
{
    return j->m->what == KEEPER_REVOKE && j->env->task->cert_key;
}

static int find_account_key(struct job *j, const struct kind *kind, struct err *e)
{
    const struct sign_task *t = j->env->task;
    j->account = accounts_get(j->env->accounts, j->ca, e);
    if (!j->account)
        return -1;
    if (by_cert_key(j))
        return 0;
    if (t && t->account != j->account)
        return err_set(e, ERR_LOCAL, "CA %s has another account by now: try again", j->ca->name);
    if (!t && accounts_check_active(j->account, j->ca, e))
        return -1;
    if (j->m->flags & KEEPER_F_PENDING)
        return j->account->pending ? 0 : err_set(e, ERR_BUG, "there is no pending key");
    if (!j->account->key && !kind->new_key)
        return err_set(e, ERR_LOCAL, "there is no account at CA %s yet", j->ca->name);
    if (!kind->by_key && !j->account->url[0])
        return err_set(e, ERR_LOCAL, "the account at CA %s is not known yet", j->ca->name);
    return 0;
}

static int sign(const struct job *j, const struct kind *kind, const char *payload, struct buf *out,
                struct err *e)
{
    bool own = by_cert_key(j), pending = j->m->flags & KEEPER_F_PENDING;
    struct pkey *key = own       ? j->env->task->cert_key
                       : pending ? j->account->pending
                                 : j->account->key;
    struct jws_protected protect = {.nonce = j->m->nonce,
                                    .url = j->m->url,
                                    .kid = own || kind->by_key ? NULL : j->account->url};
    return jws_sign(key, &protect, payload, out, e);
}

int sign_request(const struct sign_env *env, const struct keeper_msg_sign *m, struct buf *out,
                 struct err *e)
{
    struct job j = {.env = env, .m = m};
    const struct kind *kind = m->what < ARRAY_LEN(kinds) ? &kinds[m->what] : NULL;
    if (!kind)
        return err_set(e, ERR_BUG, "an unknown kind of signature");
    if (check_task(&j, kind, e) || sign_check_url(m->url, e) || check_nonce(m->nonce, e) ||
        find_subject(&j, kind, e) || find_account_key(&j, kind, e))
        return -1;
    CLEANUP_FREE char *payload = kind->payload ? kind->payload(&j, e) : NULL;
    if (kind->payload && !payload)
        return -1;
    if (kind->new_key && accounts_need_key(env->accounts, j.account, j.ca, e))
        return -1;
    return sign(&j, kind, payload, out, e);
}
