/* SPDX-License-Identifier: ISC */
/* The keeper and the configuration that the CA's client sees, and the world around. */
#include "fake.h"

#include "base/map.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct keeper_call {
    struct fake *f;
    struct defer defer;
    void *arg;
    keeper_signed_fn *signed_fn;
    keeper_account_fn *account_fn;
    struct buf text;
};

static struct fake *the_fake(struct keeper *k)
{
    return CONTAINER_OF(k, struct fake, keeper);
}

static void call_free(struct keeper_call *c)
{
    c->f->keeper_calls--;
    defer_cancel(&c->defer);
    buf_free(&c->text);
    free(c);
}

static void call_done(void *arg)
{
    struct keeper_call *c = arg, copy = *c;
    struct err e = ERR_INIT;
    struct keeper_account a = {
        c->f->account, *c->f->account || c->f->accounts_made || c->f->has_key ? "thumbprint" : ""};

    memset(&c->text, 0, sizeof(c->text));
    call_free(c);
    if (copy.f->keeper_fails)
        err_set(&e, ERR_LOCAL, "the keeper is away");
    /* as the real one: success is class ERR_NONE, not NULL */
    if (copy.signed_fn)
        copy.signed_fn(copy.arg, e.cls ? "" : buf_str(&copy.text), e.cls ? 0 : copy.text.len, &e);
    else
        copy.account_fn(copy.arg, e.cls ? NULL : &a, &e);
    buf_free(&copy.text);
}

static struct keeper_call *call_new(struct keeper *k, void *arg)
{
    struct keeper_call *c = xnew(struct keeper_call);

    c->f = the_fake(k);
    c->arg = arg;
    c->f->keeper_calls++;
    buf_init(&c->text, 8192);
    loop_defer(c->f->loop, &c->defer, call_done, c);
    return c;
}

static struct keeper_call *sign(struct keeper *k, const struct keeper_sign_request *r,
                                keeper_signed_fn *fn, void *arg)
{
    struct keeper_call *c = call_new(k, arg);
    bool own = r->what != KEEPER_NEW_ACCOUNT && r->what != KEEPER_FIND_ACCOUNT;

    c->signed_fn = fn;
    c->f->signatures++;
    buf_putf(&c->text, "%d %u %s %s %s %s", (int)r->what, r->flags, r->nonce, r->url,
             own ? c->f->account : "jwk", *r->cert ? r->cert : "-");
    return c;
}

static struct keeper_call *account(struct keeper *k, const char *ca, keeper_account_fn *fn,
                                   void *arg)
{
    struct keeper_call *c = call_new(k, arg);

    (void)ca;
    c->account_fn = fn;
    return c;
}

static struct keeper_call *set_account(struct keeper *k, const char *ca, const char *url,
                                       keeper_account_fn *fn, void *arg)
{
    struct fake *f = the_fake(k);

    free(f->account);
    f->account = xstrdup(url);
    return account(k, ca, fn, arg);
}

static const struct keeper_ops ops = {
    .sign = sign, .account = account, .set_account = set_account, .cancel = call_free};

static void zeros(const struct rng *r, void *p, size_t n)
{
    (void)r;
    memset(p, 0, n);
}

void fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->loop = loop_new();
    f->http = http_fake_new(f);
    f->keeper.ops = &ops;
    f->rng.fill = zeros;
    f->account = xstrdup("");
    f->nonces = map_new();
    f->latency_ms = 10;
    f->reads_to_valid = 1;
    f->names[0] = "example.org";
    f->meta = "{\"termsOfService\":\"https://ca.test/terms\","
              "\"profiles\":{\"classic\":\"x\",\"shortlived\":\"y\"}}";
    buf_init(&f->log, 1 << 20);
}

void fake_done(struct fake *f)
{
    if (f->keeper_calls || f->http_calls || loop_fake_pending(f->loop)) {
        fprintf(stderr, "left: %d keeper calls, %d http calls, %d in the loop\n", f->keeper_calls,
                f->http_calls, loop_fake_pending(f->loop));
        abort();
    }
    if (f->violations)
        abort();
    http_fake_free(f->http);
    loop_free(f->loop);
    map_free(f->nonces);
    buf_free(&f->log);
    free(f->orders);
    free(f->account);
}

int fake_run(struct fake *f, int steps)
{
    int n = 0;

    while ((steps == 0 || n < steps) && loop_fake_step(f->loop)) {
        if (++n == 2000000) {
            fprintf(stderr, "runs for ever: %.2000s\n", buf_str(&f->log));
            abort();
        }
    }
    return n;
}

int64_t fake_now(const struct fake *f)
{
    return loop_wall_ms(f->loop);
}

/* --- the configuration --- */

struct conf *conf_ref(struct conf *c)
{
    c->refs++;
    return c;
}

void conf_unref(struct conf *c)
{
    if (!c || --c->refs > 0)
        return;
    for (size_t i = 0; i < c->n_certs; i++)
        free(c->certs[i].names);
    free(c->certs);
    free(c->cas);
    free(c);
}

const char *conf_challenge_name(enum conf_challenge c)
{
    static const char *const names[] = {"dns-01", "http-01", "tls-alpn-01", "dns-account-01",
                                        "dns-persist-01"};

    return names[c];
}

struct conf *fake_conf(const char *const *names, size_t n)
{
    struct conf *c = xnew(struct conf);
    static char ca[] = "test", dir[] = "https://ca.test/dir", none[] = "", main_[] = "main";

    c->refs = 1;
    c->cas = xnew(struct conf_ca);
    c->n_cas = 1;
    *c->cas = (struct conf_ca){.name = ca,
                               .directory = dir,
                               .ca_file = none,
                               .ca_pem = none,
                               .email = none,
                               .agree_tos = true,
                               .account = main_,
                               .preset = none,
                               .eab_kid = none,
                               .profile = none,
                               .preferred_chain = none,
                               .timeout_ms = 30000,
                               .max_orders = 100,
                               .staging = none};
    c->certs = xnew(struct conf_cert);
    c->n_certs = 1;
    c->certs->name = (char *)names[0];
    c->certs->profile = none;
    c->certs->names = xcalloc(n, sizeof(struct conf_name));
    c->certs->n_names = n;
    for (size_t i = 0; i < n; i++)
        c->certs->names[i] = (struct conf_name){.name = (char *)names[i], .provider = none};
    return c;
}
