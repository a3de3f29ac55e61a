/* SPDX-License-Identifier: ISC */
#include "renew/verify.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/x509.h"
#include "io/dns.h"
#include "io/probe.h"
#include "renew/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PAUSE 500
#define LONGEST_PAUSE (8 * POLICY_SECOND)
#define PROBE_TIMEOUT (10 * POLICY_SECOND)
#define TOLD 700

struct target {
    struct verify *verify;
    const char *connect;
    struct probe *probe;
    bool good;
    char seen[TOLD / 2]; /* what speaks against it, or what was not reached */
};

struct verify {
    struct verify_spec spec;
    char *sni, *fingerprint;
    verify_done_fn *done;
    void *arg;
    struct target *targets;
    size_t n, asked;
    bool confirming; /* all were good once; a server that reloads has old workers for a while */
    int64_t deadline_ms, pause_ms; /* boot time; span */
    struct timer timer;
};

static void ask(void *arg);

static void tell(struct target *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct target *t, const char *fmt, ...)
{
    size_t n = strlen(t->seen);
    if (n && n + 2 < sizeof(t->seen))
        n += (size_t)snprintf(t->seen + n, sizeof(t->seen) - n, "; ");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t->seen + n, sizeof(t->seen) - n, fmt, ap);
    va_end(ap);
}

static void tell_other(struct target *t, const char *addr, const char *leaf)
{
    struct err e = ERR_INIT;
    char until[32];
    struct cert_chain *chain = cert_chain_read(leaf, strlen(leaf), NULL, &e);
    if (!chain)
        tell(t, "%s serves a certificate that cannot be read", addr);
    else
        tell(t, "%s serves the one of serial %s, valid until %s", addr, chain->certs[0]->serial,
             str_from_time(chain->certs[0]->not_after_ms, until, sizeof(until)));
    cert_chain_free(chain);
}

/* Returns whether it serves the certificate: 1, another one: -1, nothing was seen: 0. */
static int judge(struct target *t, const struct probe_result *r)
{
    char addr[80], found[SHA256_HEX];
    dns_addr_text(&r->addr, addr, sizeof(addr));
    if (r->err.cls != ERR_NONE) {
        tell(t, "%s: %s", addr, r->err.detail);
        return 0;
    }
    if (cert_pem_fingerprint(r->leaf, strlen(r->leaf), found, NULL) == 0 &&
        str_case_eq(found, t->verify->fingerprint))
        return 1;
    tell_other(t, addr, r->leaf);
    return -1;
}

static size_t count_good(const struct verify *v)
{
    size_t good = 0;
    for (size_t i = 0; i < v->n; i++)
        good += v->targets[i].good;
    return good;
}

static void say(const struct verify *v, struct buf *out, bool good)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct target *t = &v->targets[i];
        if (t->good != good || (good && !t->seen[0]))
            continue;
        if (out->len)
            buf_puts(out, "; ");
        buf_puts(out, t->seen[0] ? t->seen : t->connect);
    }
}

static void finish(struct verify *v)
{
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf seen, text;
    buf_init(&seen, 4096);
    buf_init(&text, 8192);
    bool good = count_good(v) == v->n;
    say(v, &seen, good);
    if (good) {
        buf_putf(&text, "%zu of %zu serve the certificate", v->n, v->n);
        if (seen.len)
            buf_putf(&text, " (not reached: %s)", buf_str(&seen));
    } else {
        err_set(&e, ERR_TRANSIENT, "the new certificate is not served: %s", buf_str(&seen));
        err_activity(&e, "verifying what is served as %s", v->sni);
    }
    verify_done_fn *done = v->done;
    void *arg = v->arg;
    verify_cancel(v);
    done(arg, buf_str(&text), &e);
}

/* Ask all of them once more before it is believed. */
static void confirm(struct verify *v)
{
    v->confirming = true;
    v->pause_ms = FIRST_PAUSE;
    for (size_t i = 0; i < v->n; i++)
        v->targets[i].good = false;
    timer_after(v->spec.loop, &v->timer, FIRST_PAUSE, ask, v);
}

/* A round is over when all have answered. */
static void round_over(struct verify *v)
{
    int64_t left = v->deadline_ms - loop_mono_ms(v->spec.loop);
    bool good = count_good(v) == v->n;
    if (good && !v->confirming && left > FIRST_PAUSE) {
        confirm(v);
        return;
    }
    if (good || left <= v->pause_ms) {
        finish(v);
        return;
    }
    v->confirming = false;
    timer_after(v->spec.loop, &v->timer, v->pause_ms, ask, v);
    v->pause_ms = v->pause_ms * 2 < LONGEST_PAUSE ? v->pause_ms * 2 : LONGEST_PAUSE;
}

static void on_probed(void *arg, const struct probe_result *results, size_t n,
                      const struct err *err)
{
    struct target *t = arg;
    struct verify *v = t->verify;
    bool some = false, other = false;
    t->probe = NULL;
    t->seen[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        int verdict = judge(t, &results[i]);
        some |= verdict > 0;
        other |= verdict < 0;
    }
    if (n == 0)
        tell(t, "%s: %s", t->connect, err ? err->detail : "no address");
    t->good = some && !other;
    if (--v->asked == 0)
        round_over(v);
}

static void ask(void *arg)
{
    struct verify *v = arg;
    int64_t left = v->deadline_ms - loop_mono_ms(v->spec.loop);
    int64_t limit = left < PROBE_TIMEOUT ? left : PROBE_TIMEOUT;
    v->asked = v->n - count_good(v);
    for (size_t i = 0; i < v->n; i++) {
        struct target *t = &v->targets[i];
        struct probe_spec spec = {
            .connect = t->connect,
            .sni = v->sni,
            .starttls = v->spec.step->starttls,
            .key = v->spec.key,
            .timeout_ms = limit < 1 ? 1 : limit,
        };
        if (!t->good)
            t->probe = probe_start(v->spec.http, &spec, on_probed, t);
    }
}

struct verify *verify_start(const struct verify_spec *s, verify_done_fn *done, void *arg)
{
    struct verify *v = xnew(struct verify);
    v->spec = *s;
    v->sni = xstrdup(s->sni);
    v->fingerprint = xstrdup(s->fingerprint);
    v->done = done;
    v->arg = arg;
    v->n = s->step->connect.n;
    v->targets = xcalloc(v->n + 1, sizeof(*v->targets));
    for (size_t i = 0; i < v->n; i++) {
        v->targets[i].verify = v;
        v->targets[i].connect = s->step->connect.v[i];
    }
    v->deadline_ms = loop_mono_ms(s->loop) + s->step->timeout_ms;
    v->pause_ms = FIRST_PAUSE;
    ask(v);
    return v;
}

void verify_cancel(struct verify *v)
{
    if (!v)
        return;
    timer_cancel(&v->timer);
    for (size_t i = 0; i < v->n; i++) {
        if (v->targets[i].probe)
            probe_cancel(v->targets[i].probe);
    }
    free(v->targets);
    free(v->sni);
    free(v->fingerprint);
    free(v);
}
