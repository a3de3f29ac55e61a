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
    char *first; /* the default chain, while alternates are tried */
    size_t first_n;
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
    free(d->first);
    free(d->preferred);
    ca_unref(d->ca);
    free(d);
}

static void finish(struct download *d, const char *pem, size_t n, const struct err *err)
{
    download_fn *done = d->done;
    void *arg = d->arg;
    char *first = d->first; /* pem may be it */

    d->first = NULL;
    download_cancel(d);
    done(arg, err_is(err) ? NULL : pem, err_is(err) ? 0 : n, err);
    free(first);
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

/* The name that certbot's --preferred-chain and others compare: who issued the last certificate. */
static bool fits(const char *pem, size_t n, const char *preferred)
{
    struct err ignored = ERR_INIT;
    struct cert_chain *c = cert_chain_read(pem, n, NULL, &ignored);
    bool yes = c && str_eq(c->certs[c->n - 1]->issuer_cn, preferred);

    cert_chain_free(c);
    return yes;
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
        finish(d, d->first, d->first_n, NULL);
    else
        fetch(d, d->alternates[d->next++]);
}

static void have_chain(void *arg, const struct http_reply *reply, const struct err *err)
{
    struct download *d = arg;
    struct err e = ERR_INIT;
    bool is_first = !d->first, bad;

    d->request = NULL;
    bad = err_is(err) || chain_text_check(reply->body, reply->body_len, &e) < 0;
    if (bad && is_first) {
        if (!err_is(err))
            err_activity(&e, "downloading the certificate of %s", d->about);
        finish(d, NULL, 0, err_is(err) ? err : &e);
    } else if (!bad && (!*d->preferred || fits(reply->body, reply->body_len, d->preferred))) {
        finish(d, reply->body, reply->body_len, NULL);
    } else {
        if (is_first) {
            note_alternates(d, reply);
            d->first = xstrndup(reply->body, reply->body_len);
            d->first_n = reply->body_len;
        }
        next_alternate(d);
    }
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
