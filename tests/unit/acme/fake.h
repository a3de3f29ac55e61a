/* SPDX-License-Identifier: ISC */
/*
 * An ACME CA, a keeper and a loop on virtual time, in place of io/, link/ and loop/. The CA behaves
 * well unless a rule says otherwise; it checks what clients get wrong (nonces used once, content
 * type, the signed URL) and keeps a log of what was asked. Nothing sleeps and nothing leaves the
 * process.
 */
#ifndef RENEWD_TESTS_ACME_FAKE_H
#define RENEWD_TESTS_ACME_FAKE_H

#include "acme/acme.h"
#include "base/buf.h"

enum place {
    AT_ANY,
    DIR,
    NONCE,
    ACCT,
    NEW,
    ORDER,
    AUTHZ,
    CHALL,
    FIN,
    CERT,
    ALT,
    ARI,
    OBJ,
    LIST,
    PLACES
};

/* What to do instead at the from-th to to-th request to a place (from 0: always; to 0: only from).
 */
struct rule {
    enum place at;
    int from, to;
    int status;       /* 0: the network fails */
    const char *type; /* of a problem document, with detail */
    const char *detail;
    const char *body;   /* instead of the problem or the usual body */
    const char *header; /* "Name: value", lines; added */
    bool effect;        /* the CA does its work all the same (the answer is lost or odd) */
    bool usual;         /* the usual answer, with the header */
    bool no_nonce;      /* no Replay-Nonce */
    const char *then;   /* the orders' status from now on */
};

#define NAMES 4
struct order {
    const char *status;
    const char *authz[NAMES]; /* status of each */
    int answers[NAMES];
    bool well[NAMES];
    int reads, reads_after_fin;
    int names;
    char other[40];      /* is for this name alone */
    const char *profile; /* echoed */
};

struct fake {
    /* the CA's manners; set before anything runs */
    const struct rule *rules;
    size_t n_rules;
    const char *meta; /* JSON of meta, or NULL: none */
    bool no_ari;
    const char *start;        /* status of new orders: pending */
    const char *authz_start;  /* status of new authorizations: pending */
    const char *authz_end;    /* after the answer: valid */
    const char *chall_status; /* shown in the answer to the answer: processing */
    bool ip;                  /* identifiers are addresses */
    const char *types[5];     /* of challenges that are offered, instead */
    const char *bad_type;     /* fails, while the others are met */
    const char *challenges;   /* JSON of an authorization's challenges instead, %s: URL */
    const char *fin_status;   /* after finalize: processing */
    int reads_to_ready;       /* order reads after the answers: 0 */
    int reads_to_valid;       /* order reads after finalize: 1 */
    bool no_wildcard_flag, no_authzs;
    bool by_cert;             /* orders are for the name that their certificate has */
    int page;                 /* orders on a page of the account's list; 0: it has none */
    const char *lost_account; /* what is signed with it gets accountDoesNotExist */
    const char *names[NAMES]; /* of the orders; NULL-terminated */
    int64_t latency_ms;       /* 10 */

    /* the world */
    struct loop *loop;
    struct http *http;
    struct keeper keeper;
    struct rng rng;
    struct buf log; /* "dir nonce acct new ..." */
    int counts[PLACES];
    struct order *orders;
    int n_orders;
    struct map *nonces;
    int nonces_made;
    int posts_in_flight, most_posts; /* at once */
    char *account;                   /* the keeper's */
    int accounts_made;               /* the CA's */
    char account_log[200];           /* "new+eab find ...": requests to newAccount */
    bool has_key;                    /* of the account, from before */
    int signatures;
    unsigned last_flags;          /* of the last newOrder */
    int keeper_calls, http_calls; /* alive */
    char answered[20];            /* type of the last answer, with `types` */
    int violations;               /* of the protocol; told on stderr */
    bool keeper_fails;
};

void fake_init(struct fake *f);
void fake_done(struct fake *f); /* fails the test when calls or timers are left */
/* Runs until nothing is due, at most `steps` callbacks (0: all); returns how many were run. */
int fake_run(struct fake *f, int steps);
int64_t fake_now(const struct fake *f); /* wall ms */

/* A configuration with CA "test", profile and so on set by the caller afterwards. */
struct conf *fake_conf(const char *const *names, size_t n);

/* fake_loop.c */
int loop_fake_step(struct loop *l); /* 0: idle */
int loop_fake_pending(const struct loop *l);
/* fake_http.c */
struct http *http_fake_new(struct fake *f);
void http_fake_free(struct http *h);
/* fake_ca.c: the CA's answer */
struct answer {
    int status; /* 0: the network fails */
    struct buf body;
    struct http_header headers[16];
    size_t n_headers;
    char *texts[16]; /* owned */
    size_t n_texts;
};
void ca_answer(struct fake *f, const struct http_request *r, struct answer *a);
void answer_done(struct answer *a);

extern const char fake_chain[];

#endif
