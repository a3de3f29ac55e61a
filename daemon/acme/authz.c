/* SPDX-License-Identifier: ISC */
#include "acme/authz.h"

#include "acme/request.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (128u << 10)

struct authz_set *authz_set_new(struct ca *ca, char *const *urls, size_t n)
{
    struct authz_set *s = xnew(struct authz_set);

    s->ca = ca_ref(ca);
    s->n = n;
    s->v = xcalloc(n ? n : 1, sizeof(*s->v));
    for (size_t i = 0; i < n; i++) {
        s->v[i].set = s;
        s->v[i].url = xstrdup(urls[i]);
    }
    return s;
}

static void cancel_all(struct authz_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        request_cancel(s->v[i].request);
        s->v[i].request = NULL;
    }
    s->busy = 0;
}

void authz_set_free(struct authz_set *s)
{
    if (!s)
        return;
    cancel_all(s);
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].url);
        free(s->v[i].refusal);
        choose_reset(&s->v[i]);
        authz_doc_done(&s->v[i].doc);
    }
    free(s->v);
    free(s->err);
    ca_unref(s->ca);
    free(s);
}

static struct challenge_doc *chosen(const struct authz *a)
{
    return a->chosen ? authz_doc_challenge(&a->doc, a->type) : NULL;
}

/* The one that decides: of the challenge that is met, else of any. */
static const struct err *error_of(const struct authz *a)
{
    const struct challenge_doc *c = chosen(a);

    return c && c->error ? c->error : c && a->doc.status == AUTHZ_PENDING ? NULL : a->doc.error;
}

/* One of the parallel requests has ended; the last one ends the whole. */
static void one_done(struct authz_set *s, const struct err *err)
{
    if (err_is(err)) {
        err_keep(&s->err, err);
        cancel_all(s);
        s->done(s->arg, s->err);
    } else if (--s->busy == 0) {
        s->done(s->arg, NULL);
    }
}

static void begin(struct authz_set *s, authz_set_fn *done, void *arg)
{
    cancel_all(s);
    err_keep(&s->err, NULL);
    s->done = done;
    s->arg = arg;
}

/* --- reading --- */

static void have_authz(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct authz *a = arg;
    struct authz_doc doc;
    struct err e = ERR_INIT;

    a->request = NULL;
    if (err_is(err)) {
        one_done(a->set, err);
        return;
    }
    if (authz_doc_read(&doc, reply->body, reply->body_len, &e) < 0) {
        err_activity(&e, "reading an authorization");
        one_done(a->set, &e);
        return;
    }
    authz_doc_done(&a->doc);
    a->doc = doc;
    a->issuers = NULL; /* were the former document's, and have been read */
    a->have = true;
    one_done(a->set, NULL);
}

static void read_one(struct authz *a)
{
    struct request_spec spec = {.where = ACME_AT_AUTHZ,
                                .what = KEEPER_READ,
                                .url = a->url,
                                .max_body = BODY_MAX,
                                .doing = "reading the authorization of",
                                .about =
                                    a->have && *a->doc.identifier ? a->doc.identifier : "a name"};

    a->set->busy++;
    a->request = request_start(a->set->ca, &spec, have_authz, a);
}

void authz_set_read(struct authz_set *s, authz_set_fn *done, void *arg)
{
    begin(s, done, arg);
    for (size_t i = 0; i < s->n; i++) {
        if (!s->v[i].have || s->v[i].doc.status == AUTHZ_PENDING)
            read_one(&s->v[i]);
    }
    for (size_t i = 0; s->busy == 0 && i < s->n; i++)
        read_one(&s->v[i]); /* all are valid, yet the order waits: look again */
}

/* --- answering --- */

static void answered(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct authz *a = arg;
    struct challenge_doc *c = chosen(a);
    struct err ignored = ERR_INIT;

    a->request = NULL;
    err_keep(&a->refusal, NULL);
    a->complaint = err_is(err);
    if (!err_is(err)) {
        challenge_doc_read(&c->status, &a->complaint, reply->body, reply->body_len, &ignored);
        a->complaint |= c->status == CHALLENGE_INVALID;
    } else if (err->cls == ERR_RATE_LIMITED || err->cls == ERR_LOCAL || err->cls == ERR_BUG ||
               err->cls == ERR_CONFIG || str_eq(err->type, "userActionRequired")) {
        one_done(a->set, err);
        return;
    } else {
        err_keep(&a->refusal, err);
    }
    one_done(a->set, NULL);
}

static void answer_one(struct authz *a)
{
    struct request_spec spec = {.where = ACME_AT_CHALLENGE,
                                .what = KEEPER_ANSWER,
                                .url = chosen(a)->url,
                                .max_body = BODY_MAX,
                                .doing = "answering the challenge for",
                                .about = a->doc.identifier};

    a->set->busy++;
    a->answered = true;
    a->answers++;
    a->request = request_start(a->set->ca, &spec, answered, a);
}

static bool wants_answer(const struct authz *a, bool again)
{
    const struct challenge_doc *c = chosen(a);

    if (!a->have || a->doc.status != AUTHZ_PENDING || !c || c->status != CHALLENGE_PENDING)
        return false;
    return again ? c->error || a->refusal : !a->answered;
}

bool authz_set_answer(struct authz_set *s, bool again, authz_set_fn *done, void *arg)
{
    begin(s, done, arg);
    for (size_t i = 0; i < s->n; i++) {
        if (wants_answer(&s->v[i], again))
            answer_one(&s->v[i]);
    }
    return s->busy > 0;
}

bool authz_set_complains(const struct authz_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (wants_answer(&s->v[i], true))
            return true;
    }
    return false;
}

enum authz_outcome authz_set_outcome(const struct authz_set *s)
{
    enum authz_outcome out = AUTHZ_ANSWERS_DONE;

    for (size_t i = 0; i < s->n; i++) {
        const struct authz *a = &s->v[i];
        if (!a->answered || a->doc.status != AUTHZ_PENDING || !chosen(a))
            continue;
        if (a->complaint)
            return AUTHZ_ANSWERS_MIXED;
        if (chosen(a)->status != CHALLENGE_VALID)
            out = AUTHZ_ANSWERS_WAIT;
    }
    return out;
}

/* --- which challenge --- */

int authz_set_prepare(struct authz_set *s, const struct choice *c, struct err *e)
{
    if (strlen(c->thumbprint) > 100)
        return err_set(e, ERR_BUG, "the account key's thumbprint is too long");
    for (size_t i = 0; i < s->n; i++) {
        struct authz *a = &s->v[i];
        if (a->doc.status == AUTHZ_PENDING && choose_challenge(a, c, e) < 0)
            return -1;
    }
    return 0;
}

bool authz_switch(struct authz *a, const struct choice *c)
{
    struct err ignored = ERR_INIT;

    if (!a->chosen || !choose_has_another(a, c))
        return false;
    a->tried |= 1u << a->type;
    a->answered = a->complaint = false;
    err_keep(&a->refusal, NULL);
    return choose_challenge(a, c, &ignored) == 0;
}

size_t authz_set_switch(struct authz_set *s, const struct choice *c)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += wants_answer(&s->v[i], true) && authz_switch(&s->v[i], c);
    return n;
}

bool authz_is_open(const struct authz *a)
{
    return a->doc.status == AUTHZ_PENDING && a->chosen && !a->answered;
}

int authz_refused_type(const struct authz *a)
{
    if (!a->have || a->doc.status != AUTHZ_INVALID)
        return -1;
    for (size_t i = 0; i < a->doc.n_challenges; i++) {
        if (a->doc.challenges[i].status == CHALLENGE_INVALID)
            return (int)a->doc.challenges[i].type;
    }
    return a->chosen ? (int)a->type : -1;
}

size_t authz_set_pending(const struct authz_set *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        n += s->v[i].doc.status == AUTHZ_PENDING;
    return n;
}

/* --- what holds it up --- */

static const char *shown(const struct authz *a)
{
    return *a->doc.identifier ? a->doc.identifier : "a name";
}

static bool failure_of(const struct authz *a, struct err *e)
{
    if (!a->have || a->doc.status == AUTHZ_PENDING || a->doc.status == AUTHZ_VALID)
        return false;
    if (error_of(a)) {
        *e = *error_of(a);
        err_prefix(e, "%s", shown(a));
    } else {
        err_set(e, ERR_TRANSIENT, "%s: the authorization is %s, and the CA gives no reason",
                shown(a), authz_status_name(a->doc.status));
    }
    return true;
}

bool authz_set_failure(const struct authz_set *s, struct err *e)
{
    size_t others = 0;
    bool found = false;

    for (size_t i = 0; i < s->n; i++) {
        struct err one = ERR_INIT;
        if (!failure_of(&s->v[i], &one))
            continue;
        others += found;
        if (!found)
            *e = one;
        found = true;
    }
    if (others) {
        struct err first = *e;
        err_set(e, first.cls, "%s; %zu more names failed", first.detail, others);
        str_copy(e->type, sizeof(e->type), first.type);
    }
    return found;
}

void authz_set_text(const struct authz_set *s, char *out, size_t size)
{
    const struct authz *worst = NULL;
    size_t n = 0;
    char more[32] = "";

    out[0] = '\0';
    for (size_t i = 0; i < s->n; i++) {
        const struct authz *a = &s->v[i];
        if (!a->have || a->doc.status != AUTHZ_PENDING)
            continue;
        n++;
        if (!worst || (!error_of(worst) && error_of(a)))
            worst = a;
    }
    if (!worst)
        return;
    if (n > 1)
        snprintf(more, sizeof(more), ", and %zu more", n - 1);
    const char *why = error_of(worst)  ? error_of(worst)->detail
                      : worst->refusal ? worst->refusal->detail
                                       : "";
    const struct challenge_doc *c = chosen(worst);
    snprintf(out, size, "validation of %s: %s%s%.200s%s%s", worst->doc.identifier,
             challenge_status_name(c ? c->status : CHALLENGE_PENDING), *why ? " (" : "", why,
             *why ? ")" : "", more);
}
