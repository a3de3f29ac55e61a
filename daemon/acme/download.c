/* SPDX-License-Identifier: ISC */
#include "acme/download.h"

#include "acme/request.h"
#include "base/mem.h"
#include "base/str.h"
#include "digest/x509.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX (256u << 10)
#define ALTERNATES_MAX 8

struct download {
    struct ca *ca;
    const char *about;
    char *preferred;
    download_fn *done;
    void *arg;
    struct request *request;
    char *best; /* the default chain or one that fits better, while alternates are tried */
    size_t best_n;
    enum chain_match match; /* of that */
    char *alternates[ALTERNATES_MAX];
    unsigned n_alternates, next;
};

static void fetch(struct download *d, const char *url);

void download_cancel(struct download *d)
{
    if (!d)
        return;
    request_cancel(d->request);
    for (unsigned i = 0; i < d->n_alternates; i++)
        free(d->alternates[i]);
    free(d->best);
    free(d->preferred);
    ca_unref(d->ca);
    free(d);
}

static void finish(struct download *d, const char *pem, size_t n, const struct err *err)
{
    download_fn *done = d->done;
    void *arg = d->arg;
    char *best = d->best; /* pem may be it */

    d->best = NULL;
    download_cancel(d);
    done(arg, err_is(err) ? NULL : pem, err_is(err) ? 0 : n, err);
    free(best);
}

int chain_text_check(const char *pem, size_t n, struct err *e)
{
    static const char begin[] = "-----BEGIN ", label[] = "CERTIFICATE-----";
    const char *p = pem, *end = pem + n;
    unsigned blocks = 0;

    while ((p = memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1))) {
        p += sizeof(begin) - 1;
        if ((size_t)(end - p) < sizeof(label) - 1 || memcmp(p, label, sizeof(label) - 1) != 0)
            return err_set(e, ERR_PEER, "the CA's chain holds something that is no certificate");
        blocks++;
    }
    if (blocks == 0 || memchr(pem, '\0', n))
        return err_set(e, ERR_PEER, "the CA's answer is no certificate chain in PEM");
    return 0;
}

static enum chain_match match(const char *pem, size_t n, const char *preferred)
{
    struct err ignored = ERR_INIT;
    struct cert_chain *c = cert_chain_read(pem, n, NULL, &ignored);
    enum chain_match m = c ? cert_chain_match(c, preferred) : CHAIN_MATCH_NONE;

    cert_chain_free(c);
    return m;
}

static void note_alternates(struct download *d, const struct http_reply *reply)
{
    size_t cursor = 0;
    char *url;

    while (d->n_alternates < ALTERNATES_MAX && (url = http_link(reply, "alternate", &cursor))) {
        if (acme_url_ok(url))
            d->alternates[d->n_alternates++] = url;
        else
            free(url);
    }
}

/* One alternate that cannot be had is passed over: the default chain is a good one. */
static void next_alternate(struct download *d)
{
    if (d->next == d->n_alternates)
        finish(d, d->best, d->best_n, NULL);
    else
        fetch(d, d->alternates[d->next++]);
}

static void remember(struct download *d, const struct http_reply *reply, enum chain_match m)
{
    if (d->best && m <= d->match)
        return;
    free(d->best);
    d->best = xstrndup(reply->body, reply->body_len);
    d->best_n = reply->body_len;
    d->match = m;
}

static void have_chain(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct download *d = arg;
    struct err e = ERR_INIT;
    bool is_first = !d->best, bad;
    enum chain_match m = CHAIN_MATCH_TOP;

    d->request = NULL;
    bad = err_is(err) || chain_text_check(reply->body, reply->body_len, &e) < 0;
    if (bad && is_first) {
        if (!err_is(err))
            err_activity(&e, "downloading the certificate of %s", d->about);
        finish(d, NULL, 0, err_is(err) ? err : &e);
        return;
    }
    if (!bad && *d->preferred)
        m = match(reply->body, reply->body_len, d->preferred);
    if (!bad && m == CHAIN_MATCH_TOP) {
        finish(d, reply->body, reply->body_len, NULL);
        return;
    }
    if (is_first)
        note_alternates(d, reply);
    if (!bad)
        remember(d, reply, m);
    next_alternate(d);
}

static void fetch(struct download *d, const char *url)
{
    struct request_spec spec = {.where = ACME_AT_CERTIFICATE,
                                .what = KEEPER_READ,
                                .url = url,
                                .pem = true,
                                .max_body = BODY_MAX,
                                .doing = "downloading the certificate of",
                                .about = d->about};

    d->request = request_start(d->ca, &spec, have_chain, d);
}

struct download *download_start(struct ca *ca, const char *url, const char *about,
                                const char *preferred_chain, download_fn *done, void *arg)
{
    struct download *d = xnew(struct download);

    d->ca = ca_ref(ca);
    d->about = about;
    d->preferred = xstrdup(preferred_chain);
    d->done = done;
    d->arg = arg;
    fetch(d, url);
    return d;
}
