/* SPDX-License-Identifier: ISC */
#include "keeper/fixture.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "digest/x509.h"
#include "keeper/install.h"
#include "keys/pkey.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define HOUR_MS ((int64_t)3600 * 1000)

/* ---- the CA: one root that signs leaves ---- */

static EVP_PKEY *ca_key(void)
{
    static EVP_PKEY *key;
    if (!key)
        key = EVP_EC_gen("P-256");
    assert_non_null(key);
    return key;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(ext);
    X509_add_ext(x, ext, -1);
    X509_EXTENSION_free(ext);
}

static X509 *make(const char *cn, int64_t from_ms, int64_t to_ms, EVP_PKEY *key)
{
    static long serial = 1000;
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(from_ms / 1000));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(to_ms / 1000));
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)cn, -1, -1, 0);
    X509_set_pubkey(x, key);
    return x;
}

static X509 *ca_cert(void)
{
    static X509 *ca;
    if (ca)
        return ca;
    ca = make("Test CA", 0, (int64_t)4102444800 * 1000, ca_key());
    X509_set_issuer_name(ca, X509_get_subject_name(ca));
    extend(ca, NID_basic_constraints, "critical,CA:TRUE");
    extend(ca, NID_subject_key_identifier, "hash");
    assert_true(X509_sign(ca, ca_key(), EVP_sha256()) > 0);
    return ca;
}

static void put_pem(X509 *x, struct buf *out)
{
    char *p;
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, x);
    long n = BIO_get_mem_data(bio, &p);
    buf_put(out, p, (size_t)n);
    BIO_free(bio);
}

void testca_issue(const struct testca_leaf *l, struct evp_pkey_st *key, struct buf *out)
{
    char san[1024] = "";
    X509 *x = make("", l->from_ms, l->to_ms, key);
    X509_set_issuer_name(x, X509_get_subject_name(ca_cert()));
    for (size_t i = 0; l->names[i]; i++) {
        size_t n = strlen(san);
        snprintf(san + n, sizeof(san) - n, "%sDNS:%s", i ? "," : "", l->names[i]);
    }
    extend(x, NID_subject_alt_name, san);
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, ca_cert(), x, NULL, NULL, 0);
    X509_EXTENSION *aki =
        X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
    X509_add_ext(x, aki, -1);
    X509_EXTENSION_free(aki);
    EVP_PKEY *other = l->bad_signature ? EVP_EC_gen("P-256") : NULL;
    assert_true(X509_sign(x, other ? other : ca_key(), EVP_sha256()) > 0);
    EVP_PKEY_free(other);
    put_pem(x, out);
    put_pem(ca_cert(), out);
    X509_free(x);
}

/* ---- the state folder ---- */

static int64_t now(const struct clock *c)
{
    return CONTAINER_OF(c, struct fixture, clock)->now_ms;
}

static void open_state(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (statedir_open(&f->dir, f->path, geteuid(), getegid(), &e))
        fail_msg("%s", e.detail);
    if (install_recover(&f->dir, f->now_ms, &e))
        fail_msg("%s", e.detail);
    f->pendings = pendings_new(&f->dir);
    f->accounts = accounts_new(&f->dir);
    f->cache = cert_cache_new();
}

static void close_state(struct fixture *f)
{
    pendings_free(f->pendings);
    accounts_free(f->accounts);
    cert_cache_free(f->cache);
    statedir_close(&f->dir);
}

static char empty[] = "";

static struct conf_ca make_ca(const char *name, const char *staging)
{
    return (struct conf_ca){.name = xstrdup(name),
                            .directory = xasprintf("https://%s.example/directory", name),
                            .email = empty,
                            .account = xstrdup("main"),
                            .profile = empty,
                            .preset = empty,
                            .eab_kid = empty,
                            .staging = xstrdup(staging)};
}

void fixture_open(struct fixture *f)
{
    *f = (struct fixture){.now_ms = (int64_t)1800000000 * 1000, .small_batch = DISK_SMALL};
    snprintf(f->top, sizeof(f->top), "/tmp/renewd-test-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->path, sizeof(f->path), "%s/state", f->top);
    f->clock = (struct clock){.wall_ms = now, .mono_ms = now};
    f->cas[0] = make_ca("le", "le-staging");
    f->cas[1] = make_ca("le-staging", "");
    f->names[0].name = xstrdup("www.example.org");
    f->names[1].name = xstrdup("*.example.org");
    f->cert_cas[0] = f->cas[0].name;
    f->cert = (struct conf_cert){.name = xstrdup("www"),
                                 .names = f->names,
                                 .n_names = 2,
                                 .cas = {f->cert_cas, 1},
                                 .profile = empty,
                                 .csr = empty,
                                 .csr_pem = empty,
                                 .owner = empty,
                                 .group = empty};
    for (size_t i = 0; i < 2; i++) {
        f->more[i] = f->cert;
        f->more[i].name = xasprintf("b%zu", i + 1);
    }
    f->conf.certs = &f->cert;
    f->conf.n_certs = 1;
    f->conf.cas = f->cas;
    f->conf.n_cas = 2;
    f->conf.archive_keep = 5;
    f->conf.state_dir = f->path;
    f->conf.index = map_new();
    map_put(f->conf.index, "www", &f->cert);
    for (size_t i = 0; i < 2; i++)
        map_put(f->conf.index, f->more[i].name, &f->more[i]);
    open_state(f);
}

void fixture_reopen(struct fixture *f)
{
    close_state(f);
    open_state(f);
}

void fixture_close(struct fixture *f)
{
    close_state(f);
    file_remove_tree_at(AT_FDCWD, f->top, NULL);
    map_free(f->conf.index);
    for (size_t i = 0; i < 2; i++) {
        free(f->cas[i].name);
        free(f->cas[i].directory);
        free(f->cas[i].account);
        free(f->cas[i].staging);
        free(f->names[i].name);
    }
    free(f->cert.name);
    free(f->more[0].name);
    free(f->more[1].name);
}

struct certs_env fixture_certs(struct fixture *f)
{
    return (struct certs_env){.conf = &f->conf,
                              .dir = &f->dir,
                              .pendings = f->pendings,
                              .cache = f->cache,
                              .clock = &f->clock};
}

struct sign_env fixture_sign(struct fixture *f)
{
    return (struct sign_env){
        .conf = &f->conf, .dir = &f->dir, .accounts = f->accounts, .pendings = f->pendings};
}

void fixture_chain_of(struct fixture *f, const struct conf_cert *cert, int from_h, int to_h,
                      struct buf *out)
{
    struct err e = ERR_INIT;
    const struct pending *k = pending_get(f->pendings, cert->name, &e);
    assert_non_null(k);
    struct pkey *key = pkey_from_pem(buf_str(&k->pem), k->pem.len, &e);
    struct testca_leaf leaf = {.from_ms = f->now_ms + from_h * HOUR_MS,
                               .to_ms = f->now_ms + to_h * HOUR_MS};
    for (size_t i = 0; i < cert->n_names; i++)
        leaf.names[i] = cert->names[i].name;
    testca_issue(&leaf, pkey_evp(key), out);
    pkey_free(key);
}

void fixture_chain(struct fixture *f, int from_h, int to_h, struct buf *out)
{
    const struct conf_cert both = {.name = f->cert.name, .names = f->names, .n_names = 2};
    fixture_chain_of(f, &both, from_h, to_h, out);
}

int fixture_run(struct fixture *f, struct certs_work *w, struct err *e)
{
    struct certs_env env = fixture_certs(f);
    struct list jobs;
    struct disk_job *j = certs_job(w, NULL, NULL);
    list_init(&jobs);
    if (j) {
        list_append(&jobs, &j->node);
        disk_run(&f->dir, &jobs, f->small_batch);
    }
    return certs_finish(&env, w, e);
}

int fixture_prepare(struct fixture *f, bool fresh, struct err *e)
{
    struct certs_env env = fixture_certs(f);
    struct certs_work *w;
    bool generate;
    if (certs_prepare(&env, &f->cert, fresh, &generate, &w, e))
        return -1;
    assert_false(generate);
    int rc = w ? fixture_run(f, w, e) : 0;
    certs_work_free(w);
    return rc;
}

int fixture_certs_install(struct fixture *f, const struct keeper_msg_install *m, struct live *ret,
                          bool *ret_changed, struct err *e)
{
    struct certs_env env = fixture_certs(f);
    struct certs_work *w;
    if (certs_install(&env, m, &w, e))
        return -1;
    int rc = fixture_run(f, w, e);
    if (rc == 0)
        *ret = certs_take(w, ret_changed);
    certs_work_free(w);
    return rc;
}

int fixture_install_chain(struct fixture *f, const struct buf *chain, struct err *e)
{
    struct live l;
    bool changed;
    struct keeper_msg_install m = {.cert = "www",
                                   .ca = "le",
                                   .account_url = "https://le.example/acct/1",
                                   .chain = {chain->data, chain->len}};
    if (fixture_certs_install(f, &m, &l, &changed, e))
        return -1;
    live_done(&l);
    return 0;
}

int fixture_install(struct fixture *f, int from_h, int to_h, struct err *e)
{
    struct buf chain;
    if (fixture_prepare(f, false, e))
        return -1;
    buf_init(&chain, 1 << 20);
    fixture_chain(f, from_h, to_h, &chain);
    int rc = fixture_install_chain(f, &chain, e);
    buf_free(&chain);
    return rc;
}

void read_file(const char *path, struct buf *out)
{
    struct err e = ERR_INIT;
    buf_init_secret(out, 1 << 20);
    if (file_read_at(AT_FDCWD, path, true, out, NULL, &e))
        fail_msg("%s", e.detail);
}

const char *fixture_path(struct fixture *f, const char *fmt, ...)
{
    static char path[512];
    va_list ap;
    int n = snprintf(path, sizeof(path), "%s/", f->path);
    va_start(ap, fmt);
    vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
    va_end(ap);
    return path;
}

bool fixture_live_matches(struct fixture *f)
{
    return fixture_live_matches_of(f, "www");
}

bool fixture_live_matches_of(struct fixture *f, const char *cert)
{
    struct buf key_pem, chain_pem;
    struct err e = ERR_INIT;
    if (access(fixture_path(f, "live/%s/privkey.pem", cert), F_OK) &&
        access(fixture_path(f, "live/%s/fullchain.pem", cert), F_OK))
        return false;
    read_file(fixture_path(f, "live/%s/privkey.pem", cert), &key_pem);
    read_file(fixture_path(f, "live/%s/fullchain.pem", cert), &chain_pem);
    struct pkey *key = pkey_from_pem(buf_str(&key_pem), key_pem.len, &e);
    struct cert_chain *chain = cert_chain_read(buf_str(&chain_pem), chain_pem.len, NULL, &e);
    assert_non_null(key);
    assert_non_null(chain);
    assert_memory_equal(pkey_spki(key), chain->certs[0]->spki, SHA256_LEN);
    cert_chain_free(chain);
    pkey_free(key);
    buf_free(&key_pem);
    buf_free(&chain_pem);
    return true;
}
