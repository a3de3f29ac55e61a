/* SPDX-License-Identifier: ISC */
#include "wire/worker_msg.h"
#include "base/mem.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 64
#define MAX_STRS 64
#define MAX_HEADERS 128
#define MAX_TEXT 4096
#define MAX_HEADER_VALUE (16u << 10)
#define MAX_MESSAGE 65535

static void put_strs(struct buf *b, const struct worker_strs *s)
{
    frame_put_u32(b, s->n);
    for (uint32_t i = 0; i < s->n; i++)
        frame_put_text(b, s->v[i]);
}

static void get_strs(struct frame_reader *r, struct worker_strs *ret)
{
    ret->n = frame_get_count(r, MAX_STRS, 4);
    ret->v = ret->n ? xcalloc(ret->n, sizeof(*ret->v)) : NULL;
    for (uint32_t i = 0; i < ret->n; i++)
        ret->v[i] = frame_get_text(r, MAX_TEXT);
}

static void free_strs(struct worker_strs *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
}

static void put_option(struct buf *b, const struct worker_option *o)
{
    frame_put_text(b, o->name);
    frame_put_u32(b, o->type);
    frame_put_bool(b, o->required);
    frame_put_text(b, o->dflt);
    frame_put_text(b, o->choices);
    frame_put_text(b, o->help);
    put_strs(b, &o->env);
}

static void get_option(struct frame_reader *r, struct worker_option *ret)
{
    ret->name = frame_get_text(r, 64);
    ret->type = frame_get_u32(r);
    if (ret->type < WORKER_OPT_TEXT || ret->type > WORKER_OPT_ENUM)
        r->bad = true;
    ret->required = frame_get_bool(r);
    ret->dflt = frame_get_text(r, MAX_TEXT);
    ret->choices = frame_get_text(r, MAX_TEXT);
    ret->help = frame_get_text(r, MAX_TEXT);
    get_strs(r, &ret->env);
}

void worker_descriptor_put(struct buf *b, const struct worker_descriptor *d)
{
    const char *const texts[] = {d->id, d->name, d->version, d->license, d->author, d->homepage};
    const uint32_t numbers[] = {
        d->model,     d->slots,       d->caps,          d->callbacks,
        d->ttl_min,   d->ttl_default, d->propagation_s, d->propagation_max_s,
        d->apply_max, d->n_ttls};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        frame_put_text(b, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        frame_put_u32(b, numbers[i]);
    for (uint32_t i = 0; i < d->n_ttls; i++)
        frame_put_u32(b, d->ttls[i]);
    put_strs(b, &d->hosts);
    frame_put_u32(b, d->n_options);
    for (uint32_t i = 0; i < d->n_options; i++)
        put_option(b, &d->options[i]);
}

void worker_descriptor_get(struct frame_reader *r, struct worker_descriptor *ret)
{
    memset(ret, 0, sizeof(*ret));
    char **const texts[] = {&ret->id,      &ret->name,   &ret->version,
                            &ret->license, &ret->author, &ret->homepage};
    uint32_t *const numbers[] = {
        &ret->model,    &ret->slots,       &ret->caps,          &ret->callbacks,
        &ret->ttl_min,  &ret->ttl_default, &ret->propagation_s, &ret->propagation_max_s,
        &ret->apply_max};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = frame_get_text(r, MAX_TEXT);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = frame_get_u32(r);
    if (ret->model < WORKER_MODEL_RECORD || ret->model > WORKER_MODEL_SLOT || ret->apply_max < 1 ||
        ret->apply_max > WORKER_MAX_CHANGES)
        r->bad = true;
    ret->n_ttls = frame_get_count(r, MAX_STRS, 4);
    ret->ttls = ret->n_ttls ? xcalloc(ret->n_ttls, sizeof(*ret->ttls)) : NULL;
    for (uint32_t i = 0; i < ret->n_ttls; i++)
        ret->ttls[i] = frame_get_u32(r);
    get_strs(r, &ret->hosts);
    ret->n_options = frame_get_count(r, MAX_OPTIONS, 25);
    ret->options = ret->n_options ? xcalloc(ret->n_options, sizeof(*ret->options)) : NULL;
    for (uint32_t i = 0; i < ret->n_options; i++)
        get_option(r, &ret->options[i]);
}

void worker_descriptor_free(struct worker_descriptor *d)
{
    char *const texts[] = {d->id, d->name, d->version, d->license, d->author, d->homepage};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        free(texts[i]);
    free(d->ttls);
    free_strs(&d->hosts);
    for (uint32_t i = 0; i < d->n_options; i++) {
        struct worker_option *o = &d->options[i];
        free(o->name);
        free(o->dflt);
        free(o->choices);
        free(o->help);
        free_strs(&o->env);
    }
    free(d->options);
    memset(d, 0, sizeof(*d));
}

static int encode_hello(struct buf *b, enum worker_msg type, const struct worker_hello *h)
{
    size_t mark = frame_begin(b, (uint16_t)type, 0);
    frame_put_u32(b, h->pid);
    frame_put_text(b, h->sandbox);
    worker_descriptor_put(b, &h->descriptor);
    return frame_end(b, mark);
}

int worker_ready_encode(struct buf *b, const struct worker_hello *h)
{
    return encode_hello(b, WORKER_READY, h);
}

int worker_hello_encode(struct buf *b, const struct worker_hello *h)
{
    return encode_hello(b, WORKER_HELLO, h);
}

int worker_hello_decode(const void *p, size_t n, struct worker_hello *ret)
{
    struct frame_reader r;
    struct worker_hello h = {0};
    frame_reader_init(&r, p, n);
    h.pid = frame_get_u32(&r);
    frame_get_text_into(&r, h.sandbox, sizeof(h.sandbox));
    worker_descriptor_get(&r, &h.descriptor);
    if (!frame_reader_done(&r)) {
        worker_descriptor_free(&h.descriptor);
        return -1;
    }
    *ret = h;
    return 0;
}

int worker_descriptor_encode(struct buf *b, const struct worker_descriptor *d)
{
    size_t mark = frame_begin(b, WORKER_DESCRIPTOR, 0);
    worker_descriptor_put(b, d);
    return frame_end(b, mark);
}

int worker_descriptor_decode(const void *p, size_t n, struct worker_descriptor *ret)
{
    struct frame_reader r;
    struct worker_descriptor d;
    frame_reader_init(&r, p, n);
    worker_descriptor_get(&r, &d);
    if (!frame_reader_done(&r)) {
        worker_descriptor_free(&d);
        return -1;
    }
    *ret = d;
    return 0;
}

int worker_failed_encode(struct buf *b, const struct err *e)
{
    size_t mark = frame_begin(b, WORKER_FAILED, 0);
    frame_put_err(b, e);
    return frame_end(b, mark);
}

int worker_failed_decode(const void *p, size_t n, struct err *ret)
{
    struct frame_reader r;
    struct err e;
    frame_reader_init(&r, p, n);
    frame_get_err(&r, &e);
    if (!frame_reader_done(&r) || e.cls == ERR_NONE)
        return -1;
    *ret = e;
    return 0;
}

int worker_created_encode(struct buf *b)
{
    return frame_end(b, frame_begin(b, WORKER_CREATED, 0));
}

int worker_config_encode(struct buf *b, const struct worker_config *c)
{
    size_t mark = frame_begin(b, WORKER_CONFIG, 0);
    frame_put_text(b, c->instance);
    frame_put_u32(b, c->ttl);
    frame_put_u32(b, c->n_settings);
    for (uint32_t i = 0; i < c->n_settings; i++) {
        frame_put_text(b, c->settings[i].name);
        frame_put_text(b, c->settings[i].value);
        frame_put_bool(b, c->settings[i].secret);
    }
    return frame_end(b, mark);
}

int worker_config_decode(const void *p, size_t n, struct worker_config **ret)
{
    struct frame_reader r;
    struct worker_config *c = xnew(struct worker_config);
    frame_reader_init(&r, p, n);
    c->instance = frame_get_text(&r, 256);
    c->ttl = frame_get_u32(&r);
    c->n_settings = frame_get_count(&r, MAX_OPTIONS, 9);
    struct worker_setting *s = xcalloc(c->n_settings + 1, sizeof(*s));
    c->settings = s;
    for (uint32_t i = 0; i < c->n_settings; i++) {
        s[i].name = frame_get_text(&r, 64);
        s[i].value = frame_get_text(&r, WORKER_MAX_VALUE);
        s[i].secret = frame_get_bool(&r);
    }
    if (!frame_reader_done(&r)) {
        worker_config_free(c);
        return -1;
    }
    *ret = c;
    return 0;
}

static void wipe_text(const char *s)
{
    if (!s)
        return;
    secret_wipe((void *)(uintptr_t)s, strlen(s));
    free((void *)(uintptr_t)s);
}

static void free_text(const char *s)
{
    free((void *)(uintptr_t)s);
}

void worker_config_free(struct worker_config *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; i < c->n_settings; i++) {
        free_text(c->settings[i].name);
        wipe_text(c->settings[i].value);
    }
    free((void *)(uintptr_t)c->settings);
    free_text(c->instance);
    free(c);
}

int worker_op_encode(struct buf *b, uint32_t id, const struct worker_op *o)
{
    size_t mark = frame_begin(b, WORKER_OP, id);
    frame_put_u32(b, o->deadline_ms);
    frame_put_u32(b, o->n);
    for (uint32_t i = 0; i < o->n; i++) {
        const struct worker_change *c = &o->changes[i];
        frame_put_u32(b, c->kind);
        frame_put_text(b, c->fqdn);
        frame_put_text(b, c->value);
        frame_put_text(b, c->zone);
        frame_put_text(b, c->handle);
    }
    return frame_end(b, mark);
}

int worker_op_decode(const void *p, size_t n, struct worker_op **ret)
{
    struct frame_reader r;
    struct worker_op *o = xnew(struct worker_op);
    frame_reader_init(&r, p, n);
    o->deadline_ms = frame_get_u32(&r);
    o->n = frame_get_count(&r, WORKER_MAX_CHANGES, 20);
    struct worker_change *c = xcalloc(o->n + 1, sizeof(*c));
    o->changes = c;
    for (uint32_t i = 0; i < o->n; i++) {
        c[i].kind = frame_get_u32(&r);
        c[i].fqdn = frame_get_text(&r, 255);
        c[i].value = frame_get_text(&r, MAX_TEXT);
        c[i].zone = frame_get_text(&r, 255);
        c[i].handle = frame_get_text(&r, WORKER_MAX_HANDLE);
        if (c[i].kind < WORKER_OP_ADD || c[i].kind > WORKER_OP_CHECK ||
            (c[i].kind == WORKER_OP_CHECK && o->n > 1))
            r.bad = true;
    }
    if (!frame_reader_done(&r) || o->n == 0) {
        worker_op_free(o);
        return -1;
    }
    *ret = o;
    return 0;
}

void worker_op_free(struct worker_op *o)
{
    if (!o)
        return;
    for (uint32_t i = 0; i < o->n; i++) {
        free_text(o->changes[i].fqdn);
        free_text(o->changes[i].value);
        free_text(o->changes[i].zone);
        free_text(o->changes[i].handle);
    }
    free((void *)(uintptr_t)o->changes);
    free(o);
}

int worker_cancel_encode(struct buf *b, uint32_t id)
{
    return frame_end(b, frame_begin(b, WORKER_CANCEL, id));
}

int worker_done_encode(struct buf *b, uint32_t id, const struct worker_done *d)
{
    size_t mark = frame_begin(b, WORKER_DONE, id);
    frame_put_u32(b, d->cls);
    frame_put_u32(b, d->retry_after_s);
    frame_put_u32(b, (uint32_t)d->http);
    frame_put_text(b, d->handle);
    frame_put_text(b, d->detail);
    return frame_end(b, mark);
}

static uint32_t get_class(struct frame_reader *r)
{
    uint32_t cls = frame_get_u32(r);
    if (cls >= WORKER_E_CLASSES)
        r->bad = true;
    return cls;
}

int worker_done_decode(const void *p, size_t n, struct worker_done *ret)
{
    struct frame_reader r;
    struct worker_done d = {0};
    frame_reader_init(&r, p, n);
    d.cls = get_class(&r);
    d.retry_after_s = frame_get_u32(&r);
    d.http = (int32_t)frame_get_u32(&r);
    frame_get_text_into(&r, d.handle, sizeof(d.handle));
    frame_get_text_into(&r, d.detail, sizeof(d.detail));
    if (!frame_reader_done(&r))
        return -1;
    *ret = d;
    return 0;
}

static void put_pairs(struct buf *b, const struct worker_pair *v, uint32_t n)
{
    frame_put_u32(b, n);
    for (uint32_t i = 0; i < n; i++) {
        frame_put_text(b, v[i].name);
        frame_put_text(b, v[i].value);
    }
}

static const struct worker_pair *get_pairs(struct frame_reader *r, uint32_t *ret_n)
{
    uint32_t n = frame_get_count(r, MAX_HEADERS, 8);
    struct worker_pair *v = xcalloc(n + 1, sizeof(*v));
    for (uint32_t i = 0; i < n; i++) {
        v[i].name = frame_get_text(r, 256);
        v[i].value = frame_get_text(r, MAX_HEADER_VALUE);
    }
    *ret_n = n;
    return v;
}

static void free_pairs(const struct worker_pair *v, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        free_text(v[i].name);
        wipe_text(v[i].value);
    }
    free((void *)(uintptr_t)v);
}

/* A copy with a NUL behind it. */
static const void *get_body(struct frame_reader *r, size_t *ret_n)
{
    const void *p = frame_get_bytes(r, WORKER_MAX_BODY, ret_n);
    char *copy = xcalloc(*ret_n + 1, 1);
    memcpy(copy, p, *ret_n);
    return copy;
}

static void free_body(const void *p, size_t n)
{
    if (p)
        secret_wipe((void *)(uintptr_t)p, n);
    free((void *)(uintptr_t)p);
}

int worker_http_encode(struct buf *b, uint32_t id, const struct worker_http *h)
{
    size_t mark = frame_begin(b, WORKER_HTTP, id);
    frame_put_text(b, h->method);
    frame_put_text(b, h->url);
    put_pairs(b, h->headers, h->n_headers);
    frame_put_bytes(b, h->body, h->body_len);
    frame_put_u32(b, h->timeout_ms);
    frame_put_bool(b, h->idempotent);
    return frame_end(b, mark);
}

int worker_http_decode(const void *p, size_t n, struct worker_http **ret)
{
    struct frame_reader r;
    struct worker_http *h = xnew(struct worker_http);
    frame_reader_init(&r, p, n);
    h->method = frame_get_text(&r, 16);
    h->url = frame_get_text(&r, MAX_HEADER_VALUE);
    h->headers = get_pairs(&r, &h->n_headers);
    h->body = get_body(&r, &h->body_len);
    h->timeout_ms = frame_get_u32(&r);
    h->idempotent = frame_get_bool(&r);
    if (!frame_reader_done(&r)) {
        worker_http_free(h);
        return -1;
    }
    *ret = h;
    return 0;
}

void worker_http_free(struct worker_http *h)
{
    if (!h)
        return;
    free_text(h->method);
    wipe_text(h->url);
    free_pairs(h->headers, h->n_headers);
    free_body(h->body, h->body_len);
    free(h);
}

int worker_http_reply_encode(struct buf *b, uint32_t id, const struct worker_http_reply *h)
{
    size_t mark = frame_begin(b, WORKER_HTTP_REPLY, id);
    frame_put_u32(b, h->cls);
    frame_put_u32(b, h->retry_after_s);
    frame_put_text(b, h->detail);
    frame_put_u32(b, h->status);
    put_pairs(b, h->headers, h->n_headers);
    frame_put_bytes(b, h->body, h->body_len);
    return frame_end(b, mark);
}

int worker_http_reply_decode(const void *p, size_t n, struct worker_http_reply **ret)
{
    struct frame_reader r;
    struct worker_http_reply *h = xnew(struct worker_http_reply);
    frame_reader_init(&r, p, n);
    h->cls = get_class(&r);
    h->retry_after_s = frame_get_u32(&r);
    h->detail = frame_get_text(&r, 511);
    h->status = frame_get_u32(&r);
    h->headers = get_pairs(&r, &h->n_headers);
    h->body = get_body(&r, &h->body_len);
    if (!frame_reader_done(&r)) {
        worker_http_reply_free(h);
        return -1;
    }
    *ret = h;
    return 0;
}

void worker_http_reply_free(struct worker_http_reply *h)
{
    if (!h)
        return;
    free_text(h->detail);
    free_pairs(h->headers, h->n_headers);
    free_body(h->body, h->body_len);
    free(h);
}

int worker_exchange_encode(struct buf *b, uint32_t id, const struct worker_exchange *x)
{
    size_t mark = frame_begin(b, WORKER_EXCHANGE, id);
    frame_put_text(b, x->server);
    frame_put_text(b, x->zone);
    frame_put_bytes(b, x->message, x->len);
    return frame_end(b, mark);
}

int worker_exchange_decode(const void *p, size_t n, struct worker_exchange *ret)
{
    struct frame_reader r;
    struct worker_exchange x = {0};
    frame_reader_init(&r, p, n);
    x.server = frame_get_text(&r, 300);
    x.zone = frame_get_text(&r, 255);
    x.message = frame_get_bytes(&r, MAX_MESSAGE, &x.len);
    if (!frame_reader_done(&r)) {
        worker_exchange_done(&x);
        return -1;
    }
    *ret = x;
    return 0;
}

void worker_exchange_done(struct worker_exchange *x)
{
    free_text(x->server);
    free_text(x->zone);
    memset(x, 0, sizeof(*x));
}

int worker_exchange_reply_encode(struct buf *b, uint32_t id, const struct worker_exchange_reply *x)
{
    size_t mark = frame_begin(b, WORKER_EXCHANGE_REPLY, id);
    frame_put_u32(b, x->cls);
    frame_put_text(b, x->detail);
    frame_put_bytes(b, x->message, x->len);
    return frame_end(b, mark);
}

int worker_exchange_reply_decode(const void *p, size_t n, struct worker_exchange_reply *ret)
{
    struct frame_reader r;
    struct worker_exchange_reply x = {0};
    frame_reader_init(&r, p, n);
    x.cls = get_class(&r);
    frame_get_text_into(&r, x.detail, sizeof(x.detail));
    x.message = frame_get_bytes(&r, MAX_MESSAGE, &x.len);
    if (!frame_reader_done(&r))
        return -1;
    *ret = x;
    return 0;
}

int worker_cache_encode(struct buf *b, enum worker_msg type, uint32_t id,
                        const struct worker_cache *c)
{
    size_t mark = frame_begin(b, (uint16_t)type, id);
    frame_put_text(b, c->key);
    frame_put_bytes(b, c->value, c->len);
    frame_put_u32(b, c->ttl_s);
    return frame_end(b, mark);
}

int worker_cache_decode(const void *p, size_t n, struct worker_cache *ret)
{
    struct frame_reader r;
    struct worker_cache c = {0};
    frame_reader_init(&r, p, n);
    frame_get_text_into(&r, c.key, sizeof(c.key));
    c.value = frame_get_bytes(&r, WORKER_MAX_VALUE, &c.len);
    c.ttl_s = frame_get_u32(&r);
    for (const char *k = c.key; *k; k++)
        if (*k < '!' || *k > '~')
            r.bad = true;
    if (!frame_reader_done(&r) || !c.key[0])
        return -1;
    *ret = c;
    return 0;
}

int worker_log_encode(struct buf *b, const struct worker_log *l)
{
    size_t mark = frame_begin(b, WORKER_LOG, 0);
    frame_put_u32(b, l->level);
    frame_put_text(b, l->text);
    return frame_end(b, mark);
}

int worker_log_decode(const void *p, size_t n, struct worker_log *ret)
{
    struct frame_reader r;
    struct worker_log l = {0};
    frame_reader_init(&r, p, n);
    l.level = frame_get_u32(&r);
    frame_get_text_into(&r, l.text, sizeof(l.text));
    if (!frame_reader_done(&r) || l.level > 3)
        return -1;
    *ret = l;
    return 0;
}
