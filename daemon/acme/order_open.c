/* SPDX-License-Identifier: ISC */
/* The order machine's states up to the answered challenges; see order.c. */
#include "acme/order.h"

#include "base/str.h"

#include <stdlib.h>
#include <string.h>

/* --- ACCOUNT: first a place among the CA's running orders (the machine begins with EV_PLACE) ---
 */

static void have_account(void *arg, const struct err *err)
{
    order_event(arg, &(struct event){.kind = EV_ACCOUNT, .err = err});
}

struct verdict account_enter(struct acme_order *o)
{
    account_get(&o->ca->account, &o->account, have_account, o);
    return order_wait();
}

struct verdict account_event(struct acme_order *o, const struct event *ev)
{
    if (ev->kind == EV_PLACE)
        return order_next(ACME_ACCOUNT);
    if (ev->kind != EV_ACCOUNT)
        return order_wait();
    if (err_is(ev->err))
        return order_fail(o, ev->err);
    return order_next(o->url ? ACME_RESUME : o->unsure ? ACME_FIND : ACME_CREATE);
}

/* --- FIND: an order that the CA has and we do not know --- */

static void looked(void *arg, const char *url, const struct err *err)
{
    order_event(arg, &(struct event){.kind = EV_FOUND, .url = url, .err = err});
}

static const char *wanted_profile(const struct acme_order *o)
{
    return *o->cert->profile ? o->cert->profile : o->ca->cf->profile;
}

struct verdict find_enter(struct acme_order *o)
{
    size_t n = o->cert->n_names;
    char **names CLEANUP_FREE = xcalloc(n ? n : 1, sizeof(*names));

    for (size_t i = 0; i < n; i++)
        names[i] = o->names[i]->name;
    orders_find(&o->ca->orders, &o->look, orders_names(names, n),
                o->cert->profile_or_default ? "" : wanted_profile(o), looked, o);
    return order_wait();
}

struct verdict find_event(struct acme_order *o, const struct event *ev)
{
    if (ev->kind == EV_CONTINUE)
        return order_next(ACME_RESUME);
    if (ev->kind != EV_FOUND)
        return order_wait();
    if (err_is(ev->err))
        return order_fail(o, ev->err);
    o->unsure = false;
    if (!ev->url)
        return order_next(ACME_CREATE);
    timer_cancel(&o->limit);
    o->url = xstrdup(ev->url);
    o->h.created(o->arg, o->url);
    return order_wait();
}

struct verdict find_limit(struct acme_order *o)
{
    struct err e = ERR_INIT;

    err_set(&e, ERR_TRANSIENT, "the CA takes too long to tell which orders there are");
    err_activity(&e, "looking for the order of %s", order_name(o));
    return order_fail(o, &e);
}

/* --- CREATE --- */

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    order_event(arg, &(struct event){.kind = EV_DIRECTORY, .directory = doc, .err = err});
}

struct verdict create_enter(struct acme_order *o)
{
    directory_get(o->ca->server, &o->directory, have_directory, o);
    return order_wait();
}

static void list_profiles(const struct directory_doc *d, struct buf *out)
{
    for (size_t i = 0; i < d->n_profiles && out->len < 200; i++)
        buf_putf(out, "%s%s", i ? ", " : "", d->profiles[i]);
}

static int choose_profile(struct acme_order *o, const struct directory_doc *d, struct err *e)
{
    const char *profile = wanted_profile(o);
    struct buf list CLEANUP_BUF = {0};

    if (!*profile || o->no_profile)
        return 0;
    if (directory_doc_has_profile(d, profile)) {
        o->flags |= KEEPER_F_PROFILE;
        return 0;
    }
    if (o->cert->profile_or_default)
        return 0;
    if (d->n_profiles == 0)
        return err_set(e, ERR_CONFIG,
                       "profile %s is asked for, but the CA has no profiles; leave it out or set "
                       "on_missing: default",
                       profile);
    buf_init(&list, 1024);
    list_profiles(d, &list);
    return err_set(e, ERR_CONFIG, "the CA has no profile %s; it has: %s", profile, buf_str(&list));
}

static struct verdict send_new_order(struct acme_order *o, const struct directory_doc *d)
{
    struct request_spec spec = {.where = ACME_AT_NEW_ORDER,
                                .what = KEEPER_NEW_ORDER,
                                .target = REQUEST_NEW_ORDER,
                                .cert = order_name(o),
                                .once = true,
                                .unanswered = &o->sent,
                                .max_body = ORDER_BODY_MAX,
                                .doing = "creating the order of",
                                .about = order_name(o)};
    struct err e = ERR_INIT;

    o->flags = o->dry ? KEEPER_F_DRY : 0;
    if (choose_profile(o, d, &e) < 0) {
        err_activity(&e, "creating the order of %s", order_name(o));
        return order_fail(o, &e);
    }
    if (o->replaces && !o->no_replaces && *d->renewal_info)
        o->flags |= KEEPER_F_REPLACES;
    spec.flags = o->flags;
    order_request(o, &spec);
    return order_wait();
}

/* The CA may have made the order all the same: it is looked for, after a while, before another one
 * is made. */
static struct verdict create_unanswered(struct acme_order *o, const struct err *e)
{
    const struct acme_env *env = o->ca->env;
    int64_t delay;

    order_lost(o);
    if (retry_next(&o->retry, e, loop_wall_ms(env->loop), env->rng, &delay)) {
        order_timer(o, delay);
        order_say_again(o, e, delay);
        return order_wait();
    }
    /* Pebble breaks down over some certIDs, so others may. */
    if (e->http >= 500 && e->cls == ERR_TRANSIENT && !e->retry_at &&
        (o->flags & KEEPER_F_REPLACES)) {
        o->no_replaces = true;
        return order_next(ACME_FIND);
    }
    return order_fail(o, e);
}

/* RFC 9773 section 5, and what CAs really say: any refusal may be for the certID. */
static struct verdict create_refused(struct acme_order *o, const struct err *e)
{
    bool refused = e->http >= 400 && e->http < 500 && e->http != 429 &&
                   e->cls != ERR_RATE_LIMITED && !str_eq(e->type, "badNonce");

    if (o->sent)
        return create_unanswered(o, e);
    if (refused && str_eq(e->type, "invalidProfile") && (o->flags & KEEPER_F_PROFILE)) {
        if (!o->cert->profile_or_default)
            return order_fail(o, e);
        o->no_profile = true;
        return order_next(ACME_CREATE);
    }
    if (refused && (o->flags & KEEPER_F_REPLACES)) {
        o->no_replaces = true;
        return order_next(ACME_CREATE);
    }
    return order_fail(o, e);
}

static struct verdict created(struct acme_order *o, const struct http_reply *reply)
{
    const char *url = http_reply_header(reply, "Location");
    struct err e = ERR_INIT;

    err_activity(&e, "creating the order of %s", order_name(o));
    if (!acme_url_ok(url)) {
        order_lost(o);
        err_set(&e, ERR_PEER,
                "the CA's answer has no usable Location header with the order's URL%s",
                url ? "" : "; Vault and OpenBao need it listed in allowed_response_headers");
        return order_fail(o, &e);
    }
    if (order_take(o, reply, &e) < 0) {
        if (e.cls == ERR_TRANSIENT) /* there is one, whatever has become of the answer */
            order_lost(o);
        return order_fail(o, &e);
    }
    free(o->url);
    o->url = xstrdup(url);
    o->delay_ms = order_retry_after(o, reply);
    o->h.created(o->arg, o->url);
    return order_wait();
}

struct verdict create_event(struct acme_order *o, const struct event *ev)
{
    switch (ev->kind) {
    case EV_DIRECTORY:
        return err_is(ev->err) ? order_fail(o, ev->err) : send_new_order(o, ev->directory);
    case EV_REPLY:
        return err_is(ev->err) ? create_refused(o, ev->err) : created(o, ev->reply);
    case EV_TIMER:
        return order_next(ACME_FIND);
    case EV_CONTINUE:
        return o->url ? order_by_status(o) : order_wait();
    default:
        return order_wait();
    }
}

/* --- RESUME --- */

struct verdict resume_enter(struct acme_order *o)
{
    order_read(o);
    return order_wait();
}

struct verdict resume_event(struct acme_order *o, const struct event *ev)
{
    struct err e = ERR_INIT;

    if (ev->kind != EV_REPLY)
        return order_wait();
    if (err_is(ev->err)) {
        /* Not there any more, or another account's. */
        int http = ev->err->http;
        bool gone = http >= 400 && http < 500 && http != 408 && http != 429;
        return gone ? order_fail_gone(o, ev->err) : order_fail(o, ev->err);
    }
    if (order_take(o, ev->reply, &e) < 0) {
        err_activity(&e, "resuming the order of %s", order_name(o));
        return e.cls == ERR_TRANSIENT ? order_fail(o, &e) : order_fail_gone(o, &e);
    }
    o->delay_ms = order_retry_after(o, ev->reply);
    return order_by_status(o);
}

/* --- AUTHORIZE --- */

struct verdict authorize_enter(struct acme_order *o)
{
    struct err e = ERR_INIT;

    if (o->authzs) {
        err_set(&e, ERR_TRANSIENT, "the CA's order has gone back to pending");
        return order_fail(o, &e);
    }
    o->authzs = authz_set_new(o->ca, o->doc.authzs, o->doc.n_authzs);
    if (o->doc.n_authzs == 0)
        return order_next(ACME_VALIDATE);
    authz_set_read(o->authzs, order_authzs_done, o);
    return order_wait();
}

static void set_choice(struct acme_order *o)
{
    const struct directory *d = &o->ca->server->directory;

    o->choice.thumbprint = o->ca->account.thumbprint;
    o->choice.account_url = o->ca->account.url;
    o->choice.directory = d->have ? &d->doc : NULL;
    for (size_t i = 0; i < o->authzs->n; i++)
        o->authzs->v[i].name = order_name_of(o, &o->authzs->v[i].doc);
}

struct verdict authorize_event(struct acme_order *o, const struct event *ev)
{
    struct err e = ERR_INIT;

    if (ev->kind != EV_AUTHZS)
        return order_wait();
    if (err_is(ev->err))
        return ev->err->http == 404 ? order_fail_gone(o, ev->err) : order_fail(o, ev->err);
    set_choice(o);
    if (authz_set_failure(o->authzs, &e) || authz_set_prepare(o->authzs, &o->choice, &e) < 0) {
        err_activity(&e, "authorizing %s", order_name(o));
        return order_fail_gone(o, &e);
    }
    return order_next(authz_set_pending(o->authzs) ? ACME_CHALLENGES : ACME_VALIDATE);
}

/* --- CHALLENGES: the owner proves --- */

static int compare_name(const void *key, const void *elem)
{
    return strcmp(key, (*(const struct conf_name *const *)elem)->name);
}

static const struct conf_name *find_name(const struct acme_order *o, const char *name)
{
    const struct conf_name **found =
        bsearch(name, o->names, o->cert->n_names, sizeof(*o->names), compare_name);

    return found ? *found : NULL;
}

/* Some CAs leave out `wildcard`: then the wildcard is meant if only that was asked for. */
const struct conf_name *order_name_of(const struct acme_order *o, const struct authz_doc *d)
{
    char wild[NAME_MAX_TEXT + 2] = "*.";
    const struct conf_name *plain = find_name(o, d->identifier);

    str_copy(wild + 2, sizeof(wild) - 2, d->identifier);
    if (plain && !d->wildcard)
        return plain;
    return find_name(o, wild);
}

static struct acme_challenge challenge_of(const struct authz *a)
{
    const struct challenge_doc *d = authz_doc_challenge(&a->doc, a->type);
    bool wild = a->doc.wildcard || (a->name && name_is_wildcard(a->name->name));

    return (struct acme_challenge){
        .name = a->name,
        .identifier = a->doc.identifier,
        .ip = a->doc.ip,
        .wildcard = wild,
        .type = a->type,
        .owner = a->owner,
        .value = a->value,
        .token = d->token,
        .key_authorization = a->key_authorization,
        .issuers = a->issuers,
        .n_issuers = a->n_issuers,
        .account_uris = (const char *const *)a->account_uris,
        .n_account_uris = a->n_account_uris,
    };
}

struct verdict challenges_enter(struct acme_order *o)
{
    size_t n = 0;

    o->challenges = xrealloc_array(o->challenges, o->authzs->n, sizeof(*o->challenges));
    o->open = xrealloc_array(o->open, o->authzs->n, sizeof(*o->open));
    for (size_t i = 0; i < o->authzs->n; i++) {
        struct authz *a = &o->authzs->v[i];
        if (!authz_is_open(a))
            continue;
        o->open[n] = a;
        o->challenges[n++] = challenge_of(a);
    }
    o->n_challenges = n;
    o->published = true;
    o->h.challenges(o->arg, o->challenges, n);
    return order_wait();
}

bool acme_order_instead(struct acme_order *o, size_t i)
{
    if (o->state != ACME_CHALLENGES || i >= o->n_challenges ||
        !authz_switch(o->open[i], &o->choice))
        return false;
    o->challenges[i] = challenge_of(o->open[i]);
    return true;
}

struct verdict challenges_event(struct acme_order *o, const struct event *ev)
{
    (void)o;
    return ev->kind == EV_ANSWER ? order_next(ACME_ANSWER) : order_wait();
}

/* --- ANSWER --- */

struct verdict answer_enter(struct acme_order *o)
{
    if (!authz_set_answer(o->authzs, false, order_authzs_done, o))
        return order_next(ACME_VALIDATE);
    return order_wait();
}

struct verdict answer_event(struct acme_order *o, const struct event *ev)
{
    if (ev->kind != EV_AUTHZS)
        return order_wait();
    return err_is(ev->err) ? order_fail(o, ev->err) : order_next(ACME_VALIDATE);
}
