/* SPDX-License-Identifier: ISC */
#include "acme/eab.h"

#include "acme/ca.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define HOST "https://acme.zerossl.com/"
#define API "https://api.zerossl.com"
#define PATH "/acme/eab-credentials-email"
#define BODY_MAX (16u << 10)

struct eab_fetch {
    struct ca *ca;
    eab_fetch_fn *done;
    void *arg;
    struct http_site *site;
    struct http_call *call;
    struct keeper_call *storing;
};

void eab_fetch_cancel(struct eab_fetch *f)
{
    if (!f)
        return;
    http_cancel(f->call);
    http_site_free(f->site);
    keeper_cancel(f->ca->env->keeper, f->storing);
    ca_unref(f->ca);
    free(f);
}

static void finish(struct eab_fetch *f, const struct err *err)
{
    eab_fetch_fn *done = f->done;
    void *arg = f->arg;
    struct err e = err ? *err : (struct err)ERR_INIT;

    err_activity(&e, "asking %s for an external account", f->ca->cf->name);
    eab_fetch_cancel(f);
    done(arg, &e);
}

char *eab_url(const char *directory)
{
    const char *host = strstr(directory, "://");

    if (str_starts(directory, HOST) || !host)
        return xstrdup(API PATH);
    return xasprintf("%.*s" PATH, (int)(host + 3 + strcspn(host + 3, "/") - directory), directory);
}

/* Always with status 200; 2902 to 2905 are for too many in a day. */
static int refused(const struct json *j, struct err *e)
{
    const struct json *error = json_get(j, "error");
    const char *type = json_text(error, "type");
    int64_t code = json_int(error, "code", 0);
    CLEANUP_BUF struct buf b;

    buf_init(&b, 512);
    str_escape(&b, type ? type : "no reason given", strlen(type ? type : "no reason given"), 80);
    return err_set(e, code >= 2902 && code <= 2905 ? ERR_RATE_LIMITED : ERR_CONFIG,
                   "the CA gives no external account for the address in email: %s (%d); write "
                   "the CA's eab instead",
                   buf_str(&b), (int)code);
}

int eab_answer_read(const char *text, size_t n, struct json **ret_json, const char **ret_kid,
                    const char **ret_key, struct err *e)
{
    struct json *j = json_parse(text, n, e);
    const char *kid = json_text(j, "eab_kid"), *key = json_text(j, "eab_hmac_key");
    bool good = json_bool(j, "success", false) || json_int(j, "success", 0) == 1;

    if (j && good && kid && *kid && key && *key) {
        *ret_json = j;
        *ret_kid = kid;
        *ret_key = key;
        return 0;
    }
    if (!j || good)
        err_set(e, ERR_PEER, "the CA's answer holds no external account");
    else
        refused(j, e);
    json_free(j);
    return -1;
}

static void stored(void *arg, const struct err *err)
{
    struct eab_fetch *f = arg;

    f->storing = NULL;
    finish(f, err);
}

static void answered(void *arg, const struct http_reply *r, const struct err *err)
{
    struct eab_fetch *f = arg;
    struct keeper *k = f->ca->env->keeper;
    struct json *j CLEANUP_JSON = NULL;
    const char *kid, *key;
    struct err e = ERR_INIT;

    f->call = NULL;
    if (!r) {
        finish(f, err);
    } else if (r->status != 200) {
        err_set(&e, ERR_TRANSIENT, "the CA answers with status %d", r->status);
        e.http = r->status;
        finish(f, &e);
    } else if (eab_answer_read(r->body, r->body_len, &j, &kid, &key, &e) < 0) {
        finish(f, &e);
    } else {
        f->storing = k->ops->set_eab(k, f->ca->cf->name, kid, key, stored, f);
    }
}

static void put_form(struct buf *b, const char *text)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (const char *p = text; *p; p++) {
        if (strchr(plain, *p))
            buf_putc(b, *p);
        else
            buf_putf(b, "%%%02X", (unsigned char)*p);
    }
}

struct eab_fetch *eab_fetch_start(struct ca *ca, eab_fetch_fn *done, void *arg)
{
    static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
                                          "Accept: application/json", NULL};
    struct eab_fetch *f = xnew(struct eab_fetch);
    const struct http_site_spec site = {.ca_pem = *ca->cf->ca_pem ? ca->cf->ca_pem : NULL};
    CLEANUP_FREE char *url = eab_url(ca->cf->directory);
    CLEANUP_BUF struct buf body;

    buf_init(&body, 4096);
    buf_puts(&body, "email=");
    put_form(&body, ca->cf->email);
    f->ca = ca_ref(ca);
    f->done = done;
    f->arg = arg;
    f->site = http_site_new(ca->env->http, &site);
    const struct http_request r = {.method = "POST",
                                   .url = url,
                                   .headers = headers,
                                   .body = buf_str(&body),
                                   .body_len = body.len,
                                   .timeout_ms = ca->cf->timeout_ms,
                                   .max_body = BODY_MAX};
    f->call = http_start(f->site, &r, answered, f);
    return f;
}
