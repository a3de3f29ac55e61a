/* SPDX-License-Identifier: ISC */
/* A state folder of its own, a configuration without YAML, and a CA. */
#ifndef RENEWD_TESTS_KEEPER_FIXTURE_H
#define RENEWD_TESTS_KEEPER_FIXTURE_H

#include "base/buf.h"
#include "base/clock.h"
#include "conf/conf.h"
#include "keeper/accounts.h"
#include "keeper/certs.h"
#include "keeper/pending.h"
#include "keeper/sign.h"
#include "keeper/statedir.h"

struct fixture {
    char top[64]; /* mkdtemp's, for files of the test */
    char path[96];
    struct statedir dir;
    struct conf conf;
    struct conf_cert cert;
    struct conf_cert more[2]; /* "b1" and "b2", of the same names */
    struct conf_name names[2];
    struct conf_ca cas[2]; /* "le", whose staging is "le-staging" */
    char *cert_cas[1];
    struct pendings *pendings;
    struct accounts *accounts;
    struct cert_cache *cache;
    struct clock clock; /* now */
    int64_t now_ms;
    unsigned small_batch; /* of disk_run(); 0: every batch is waited for by syncfs */
};

void fixture_open(struct fixture *f); /* "www": www.example.org, *.example.org, ecdsa-p256 */
void fixture_close(struct fixture *f);
/* As after a restart of the keeper: nothing in memory, leftovers swept. */
void fixture_reopen(struct fixture *f);
struct certs_env fixture_certs(struct fixture *f);
struct sign_env fixture_sign(struct fixture *f);

/* Chain of two, for a public key (pkey_evp). */
struct testca_leaf {
    const char *names[4]; /* NULL-terminated */
    int64_t from_ms, to_ms;
    bool bad_signature;
};
struct evp_pkey_st;
void testca_issue(const struct testca_leaf *l, struct evp_pkey_st *key, struct buf *out);
/* Begun, run (keeper/disk.h), finished: as the daemon does, at once. */
int fixture_run(struct fixture *f, struct certs_work *w, struct err *e);
int fixture_prepare(struct fixture *f, bool fresh, struct err *e);
int fixture_certs_install(struct fixture *f, const struct keeper_msg_install *m, struct live *ret,
                          bool *ret_changed, struct err *e);
/* A whole installation of the fixture's certificate, valid from..to around now in hours. */
int fixture_install(struct fixture *f, int from_h, int to_h, struct err *e);
/* The chain for the pending key, ready to be installed. */
void fixture_chain(struct fixture *f, int from_h, int to_h, struct buf *out);
void fixture_chain_of(struct fixture *f, const struct conf_cert *cert, int from_h, int to_h,
                      struct buf *out);
int fixture_install_chain(struct fixture *f, const struct buf *chain, struct err *e);

/* Asserts that live/NAME's key is that of its certificate; absent: false. */
bool fixture_live_matches(struct fixture *f);
bool fixture_live_matches_of(struct fixture *f, const char *cert);
void read_file(const char *path, struct buf *out);
/* "dir/name" under the state folder. */
const char *fixture_path(struct fixture *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
