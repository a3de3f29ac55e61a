/* SPDX-License-Identifier: ISC */
#include "respond/tls_conn.h"
#include "digest/alpn_cert.h"
#include "respond/tls_hello.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#define AFTER_HELLO_MAX (16u << 10)       /* of what comes, in all */
#define FLIGHT_MAX (16u << 10)            /* of what is sent at once */
#define GROUPS "X25519:P-256:P-384:P-521" /* all that is in use, and nothing that costs us much */

struct tls_server {
    SSL_CTX *ctx;
    struct table *names;
};

struct tls_conn {
    struct conn conn; /* first */
    struct tls_server *server;
    SSL *ssl; /* NULL until a ClientHello has come */
    size_t after_hello;
    bool retried; /* we asked for another ClientHello */
    char name[NAME_MAX_TEXT];
};

/* ---- what OpenSSL asks us ---- */

static struct entry *find(struct tls_conn *t, SSL *ssl, int *al)
{
    const unsigned char *p;
    size_t n;
    *al = SSL_AD_NO_APPLICATION_PROTOCOL;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p,
                                   &n) ||
        !tls_hello_offers_only(p, n, ALPN_PROTOCOL))
        return NULL;
    *al = SSL_AD_UNRECOGNIZED_NAME;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n) ||
        !tls_hello_name(p, n, t->name))
        return NULL;
    return table_find(t->server->names, t->name);
}

static int on_hello(SSL *ssl, int *al, void *arg)
{
    struct tls_conn *t = SSL_get_app_data(ssl);
    (void)arg;
    const struct entry *e = find(t, ssl, al);
    if (!e)
        return SSL_CLIENT_HELLO_ERROR;
    *al = SSL_AD_INTERNAL_ERROR;
    if (SSL_use_certificate(ssl, alpn_cert_x509(e->cert)) != 1 ||
        SSL_use_PrivateKey(ssl, alpn_cert_key(e->cert)) != 1)
        return SSL_CLIENT_HELLO_ERROR;
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* on_hello() has seen that this is the only one that is offered. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned n, void *arg)
{
    (void)ssl;
    (void)arg;
    (void)n;
    *out = in + 1;
    *out_n = in[0];
    return SSL_TLSEXT_ERR_OK;
}

/* A HelloRetryRequest is a ServerHello with a random of its own (RFC 8446 section 4.1.3). The
 * second ClientHello may announce 128 KiB and OpenSSL takes them at once, so there is none: who
 * offers no share for any of our groups has to do without us. */
static void on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl,
                       void *arg)
{
    static const unsigned char retry[] = {0xCF, 0x21, 0xAD, 0x74, 0xE5, 0x9A, 0x61, 0x11};
    const unsigned char *m = p;
    (void)version;
    (void)arg;
    if (sent && type == SSL3_RT_HANDSHAKE && n > 6 + sizeof(retry) &&
        m[0] == SSL3_MT_SERVER_HELLO && memcmp(m + 6, retry, sizeof(retry)) == 0)
        ((struct tls_conn *)SSL_get_app_data(ssl))->retried = true;
}

struct tls_server *tls_server_new(struct table *names, struct err *e)
{
    struct tls_server *s = xnew(struct tls_server);
    s->names = names;
    s->ctx = SSL_CTX_new(TLS_server_method());
    if (!s->ctx || SSL_CTX_set_min_proto_version(s->ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(s->ctx, GROUPS) != 1) {
        tls_server_free(s);
        err_set(e, ERR_LOCAL, "OpenSSL makes no TLS server here");
        return NULL;
    }
    SSL_CTX_set_options(s->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(s->ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(s->ctx, 0);
    SSL_CTX_set_client_hello_cb(s->ctx, on_hello, NULL);
    SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, NULL);
    SSL_CTX_set_msg_callback(s->ctx, on_message);
    return s;
}

void tls_server_free(struct tls_server *s)
{
    if (!s)
        return;
    SSL_CTX_free(s->ctx);
    free(s);
}

/* ---- connections ---- */

static struct conn *make(void *arg)
{
    struct tls_conn *t = xnew(struct tls_conn);
    t->server = arg;
    return &t->conn;
}

static void unmake(struct conn *c)
{
    struct tls_conn *t = CONTAINER_OF(c, struct tls_conn, conn);
    SSL_free(t->ssl);
    free(t);
}

static bool begin(struct tls_conn *t)
{
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    t->ssl = in && out ? SSL_new(t->server->ctx) : NULL;
    if (!t->ssl) {
        BIO_free(in);
        BIO_free(out);
        return false;
    }
    BIO_set_mem_eof_return(in, -1); /* empty means: more is to come */
    SSL_set_bio(t->ssl, in, out);
    SSL_set_app_data(t->ssl, t);
    SSL_set_accept_state(t->ssl);
    return true;
}

static bool flush(struct tls_conn *t)
{
    char flight[FLIGHT_MAX];
    int n = BIO_read(SSL_get_wbio(t->ssl), flight, sizeof(flight));
    return n <= 0 || conn_send(&t->conn, flight, (size_t)n);
}

/* Feeds what has come to OpenSSL and sends what it says to that. */
static enum conn_verdict shake(struct tls_conn *t)
{
    struct buf *in = &t->conn.in;
    ERR_clear_error();
    if (BIO_write(SSL_get_rbio(t->ssl), in->data, (int)in->len) != (int)in->len)
        return CONN_CLOSE;
    buf_reset(in);
    int rc = SSL_do_handshake(t->ssl);
    bool waits = rc != 1 && SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    if (t->retried)
        return CONN_CLOSE;
    if (rc == 1) {
        table_answered(t->server->names, t->name);
        SSL_shutdown(t->ssl);
    }
    return !flush(t) ? CONN_CLOSE : waits ? CONN_WAIT : CONN_LINGER;
}

static enum conn_verdict ready(struct conn *c)
{
    struct tls_conn *t = CONTAINER_OF(c, struct tls_conn, conn);
    if (!t->ssl) {
        int hello = tls_hello_check(c->in.data, c->in.len);
        if (hello <= 0)
            return hello < 0 ? CONN_CLOSE : CONN_WAIT;
        return begin(t) ? shake(t) : CONN_CLOSE;
    }
    t->after_hello += c->in.len;
    return t->after_hello > AFTER_HELLO_MAX ? CONN_CLOSE : shake(t);
}

static void full(struct conn *c)
{
    (void)c; /* nobody says so much who means it */
}

const struct conn_kind tls_kind = {.in_max = TLS_RECORD_HEAD + TLS_RECORD_MAX,
                                   .make = make,
                                   .ready = ready,
                                   .full = full,
                                   .unmake = unmake};
