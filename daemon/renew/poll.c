/* SPDX-License-Identifier: ISC */
#include "renew/poll.h"
#include "base/str.h"
#include "renew/announce.h"
#include "renew/flow.h"

#define AFTER_ERROR (6 * POLICY_HOUR)
#define SPREAD_EACH 50 /* ms for each certificate */

/* The entry of the configuration that speaks for the CA which issued it; the first one for an
 * adopted certificate. */
static const struct conf_ca *ca_of(const struct cert *c)
{
    const struct conf *conf = c->renew->conf;
    for (size_t i = 0; i < c->conf->cas.n; i++) {
        const struct conf_ca *ca = conf_find_ca(conf, c->conf->cas.v[i]);
        if (ca && (!c->in.directory[0] || str_eq(ca->directory, c->in.directory)))
            return ca;
    }
    for (size_t i = 0; i < conf->n_cas; i++) {
        if (str_eq(conf->cas[i].directory, c->in.directory))
            return &conf->cas[i];
    }
    return NULL;
}

bool poll_busy(const struct cert *c)
{
    return c->ari || c->poll_queued;
}

int64_t poll_next_ms(const struct cert *c)
{
    if (!c->conf->ari || !c->conf->enabled || !c->in.present || !c->in.cert_id[0] || c->st.no_ari ||
        poll_busy(c))
        return 0;
    int64_t now = renew_now(c->renew);
    int64_t at = policy_sane_at(c->st.poll_ms, now);
    if (at < c->st.issued_ms)
        at = c->st.issued_ms;
    if (c->in.not_after_ms <= now || at >= c->in.not_after_ms || !ca_of(c))
        return 0;
    return at > 0 ? at : 1;
}

static void next_polls(struct renew *r);

static void log_window(struct cert *c, bool moved, const struct acme_ari *a)
{
    struct log_ctx log = renew_log(c);
    char from[32], to[32], at[32];
    str_from_time(a->start_ms, from, sizeof(from));
    str_from_time(a->end_ms, to, sizeof(to));
    str_from_time(c->st.window.at_ms, at, sizeof(at));
    if (moved)
        log_info(&log, "the CA has moved its ARI window to %s .. %s: renewal at %s%s%s", from, to,
                 at, a->explanation && *a->explanation ? ", see " : "",
                 a->explanation ? a->explanation : "");
    else
        log_debug(&log, "ARI window %s .. %s: renewal at %s", from, to, at);
}

static void learnt(struct cert *c, const struct acme_ari *a)
{
    struct renew *r = c->renew;
    bool had = c->st.window.end_ms > 0;
    c->st.poll_ms = a->retry_at_ms;
    if (a->supported == c->st.no_ari) {
        c->st.no_ari = !a->supported;
        flow_save(c);
    }
    if (!a->supported || !policy_window_set(&c->st.window, a->start_ms, a->end_ms, r->env.rng))
        return;
    log_window(c, had, a);
    flow_save(c);
}

static void on_ari(void *arg, const struct acme_ari *a, const struct err *err)
{
    struct cert *c = arg;
    struct renew *r = c->renew;
    struct log_ctx log = renew_log(c);
    int64_t now = renew_now(r), last = c->st.poll_ms;
    c->ari = NULL;
    r->polling--;
    if (a)
        learnt(c, a);
    if (err_is(err)) {
        char text[700];
        log_debug(&log, "renewal information: %s", err_text(err, text, sizeof(text)));
    }
    if (c->st.poll_ms == last || c->st.poll_ms <= now)
        c->st.poll_ms = now + AFTER_ERROR;
    announce(c);
    next_polls(r);
    if (r->once)
        flow_once(c);
    else
        flow_plan(c);
    renew_something_ended(r);
}

static void ask(struct cert *c)
{
    struct renew *r = c->renew;
    const struct conf_ca *ca = ca_of(c);
    if (!ca)
        return;
    r->polling++;
    c->ari = acme_ari_get(r->env.acme, ca->name, c->in.cert_id, on_ari, c);
}

static void next_polls(struct renew *r)
{
    while (r->polling < RENEW_POLLS_AT_ONCE && !list_empty(&r->polls)) {
        struct cert *c = list_item(r->polls.next, struct cert, poll_node);
        list_remove(&c->poll_node);
        c->poll_queued = false;
        ask(c);
    }
}

void poll_start(struct cert *c)
{
    struct renew *r = c->renew;
    if (poll_busy(c))
        return;
    c->poll_queued = true;
    list_append(&r->polls, &c->poll_node);
    next_polls(r);
}

void poll_cancel(struct cert *c)
{
    struct renew *r = c->renew;
    if (c->poll_queued) {
        c->poll_queued = false;
        list_remove(&c->poll_node);
    }
    if (!c->ari)
        return;
    acme_call_cancel(c->ari);
    c->ari = NULL;
    r->polling--;
}

void poll_spread(struct renew *r)
{
    int64_t now = renew_now(r), span = (int64_t)r->n * SPREAD_EACH;
    if (span > POLICY_HOUR)
        span = POLICY_HOUR;
    for (size_t i = 0; i < r->n; i++) {
        struct cert *c = r->certs[i];
        int64_t at = poll_next_ms(c);
        if (at && at <= now)
            c->st.poll_ms = now + rng_range(r->env.rng, 0, span);
    }
}
