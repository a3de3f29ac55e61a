/* SPDX-License-Identifier: ISC */
/*
 * What the engine may ask of the keeper: a table of typed requests, so that tests can stand in for
 * the process. The keeper composes every payload itself and signs nothing else. All calls are
 * asynchronous under the rules of loop/: completed once, later, not after keeper_cancel.
 *
 * `ca` and `cert` are names of the configuration's present generation.
 */
#ifndef RENEWD_LINK_KEEPER_H
#define RENEWD_LINK_KEEPER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keeper;
struct keeper_call;

/* Type of the error when NEW_ACCOUNT is to bind an external account, and none is known. */
#define KEEPER_NO_BINDING "no-eab"
/* Type of the error with which a task is refused that has no `force`. */
#define KEEPER_NEEDS_FORCE "needs-force"

enum keeper_sign {
    KEEPER_READ,         /* POST-as-GET of url */
    KEEPER_NEW_ACCOUNT,  /* contact, terms and EAB from the configuration; makes the key, durable
                            first */
    KEEPER_FIND_ACCOUNT, /* onlyReturnExisting */
    KEEPER_NEW_ORDER,    /* for cert; profile and replaces composed by the keeper, see flags */
    KEEPER_ANSWER,       /* {} to a challenge */
    KEEPER_FINALIZE,     /* the CSR of cert's pending key */
    KEEPER_DEACTIVATE_AUTHZ, /* refused when url is the account's own */
    /* Only inside a task of the keeper's: */
    KEEPER_UPDATE_ACCOUNT, /* contact and terms, from the configuration */
    KEEPER_DEACTIVATE_ACCOUNT,
    KEEPER_KEY_CHANGE, /* to the pending key */
    KEEPER_REVOKE,     /* the task's certificate, by the key that the keeper chose */
    KEEPER_SIGN_KINDS
};
enum {
    KEEPER_F_REPLACES = 1, /* NEW_ORDER: name the installed certificate's certID */
    KEEPER_F_PROFILE = 2,  /* NEW_ORDER: send the configured profile */
    KEEPER_F_TERMS = 4,    /* NEW_ACCOUNT: the directory has terms of service */
    KEEPER_F_EAB = 8,      /* NEW_ACCOUNT: bind the external account */
    KEEPER_F_PENDING = 16, /* FIND_ACCOUNT in a task: with the pending key, not the one in force */
    KEEPER_F_DRY = 32,     /* NEW_ORDER, FINALIZE: with the key of a rehearsal */
};
struct keeper_sign_request {
    enum keeper_sign what;
    unsigned flags;
    const char *ca;
    const char *cert; /* NEW_ORDER, FINALIZE; "" else */
    const char *url;  /* byte for byte as the CA gave it */
    const char *nonce;
    uint64_t task; /* 0: none */
};
/* jws: the request's body; lives for the call. */
typedef void keeper_signed_fn(void *arg, const char *jws, size_t n, const struct err *err);

struct keeper_account {
    const char *url;        /* "" when none is known for that CA's directory and account name */
    const char *thumbprint; /* RFC 7638, base64url; "" while there is no key */
};
typedef void keeper_account_fn(void *arg, const struct keeper_account *a, const struct err *err);

/* An installed certificate, read from live/. */
struct keeper_installed {
    const char *cert; /* name of the configuration */
    bool present;     /* false: nothing installed; all below empty */
    int64_t not_before_ms, not_after_ms;
    const char *serial;      /* hex */
    const char *fingerprint; /* SHA-256 of the DER, hex */
    const char *cert_id;     /* RFC 9773; "" without an AKI */
    const char *directory;   /* the CA's directory URL that issued it; "" if unknown (adopted) */
    const char *account;     /* account URL, likewise */
    const char *issuer;      /* CN of the issuer */
    bool names_match;        /* SANs are those of the configuration */
    bool staging;            /* issued for --dry-run or by a CA that is another one's staging */
    const char *leaf_pem;    /* for verify steps */
};
typedef void keeper_installed_fn(void *arg, const struct keeper_installed *i,
                                 const struct err *err);
typedef void keeper_done_fn(void *arg, const struct err *err);
/* text: tail of the step's output or what was done, for the history; escaped. */
typedef void keeper_step_fn(void *arg, const char *text, const struct err *err);
/* fd: a connected channel to the worker (io: frames of wire/worker_msg.h), now the callee's; -1 on
 * error */
typedef void keeper_worker_fn(void *arg, int fd, const struct err *err);
/* fd: a listening stream socket, now the callee's; -1 on error */
typedef void keeper_listen_fn(void *arg, int fd, const struct err *err);

/* An http-01 answer in a webroot, or given to the configured command. */
struct keeper_http01_request {
    const char *cert; /* whose http01 is `webroot` or `run` */
    const char *ca;   /* whose account's thumbprint the answer holds */
    const char *name; /* host name or address that is to be proved */
    const char *token;
    bool add; /* false: remove; absent is success */
};

/*
 * What an operator asked for over the admin socket and the keeper cannot do itself, since it has no
 * network. The keeper opens a task under a random number, for a bounded time, and signs what may
 * not be signed otherwise only under that number. The engine tells how it goes and how it ended; an
 * engine that ends itself ends its tasks.
 */
enum keeper_task_kind {
    KEEPER_TASK_SHOW,       /* read the account at ca, whose URL is `url` */
    KEEPER_TASK_UPDATE,     /* UPDATE_ACCOUNT */
    KEEPER_TASK_DEACTIVATE, /* DEACTIVATE_ACCOUNT */
    KEEPER_TASK_FIND,       /* FIND_ACCOUNT, with the key in force */
    KEEPER_TASK_CHANGE_KEY, /* KEY_CHANGE, while no order of the account is under way */
    KEEPER_TASK_WHICH_KEY,  /* FIND_ACCOUNT, pending first: which is in force? */
    KEEPER_TASK_REVOKE,     /* REVOKE; cert: whom it concerns, "" when it is not configured */
    KEEPER_TASK_REPLACE,    /* renew cert with a fresh key, and REVOKE once that is deployed */
    KEEPER_TASK_FORGET,     /* all that the store has of cert */
    KEEPER_TASK_SNAPSHOT, /* a copy of the state store, under the name `url` in the engine's folder
                           */
    KEEPER_TASK_DEPENDENTS, /* names in notes what is proved by records of the account at ca */
    KEEPER_TASK_KINDS
};
struct keeper_task {
    uint64_t id; /* never 0 */
    enum keeper_task_kind kind;
    const char *ca, *cert, *url; /* "" where the kind has none; live for the call */
    int64_t life_ms;             /* from now; the keeper gives up then */
    const char *thumbprint;      /* CHANGE_KEY: of the new key; "" */
    bool force;                  /* CHANGE_KEY: although records for the new key are not there */
};
enum keeper_task_key { KEEPER_KEY_UNKNOWN, KEEPER_KEY_NEW, KEEPER_KEY_OLD };
struct keeper_task_result {
    enum keeper_task_key key; /* CHANGE_KEY, WHICH_KEY: what is in force */
    const char *url;          /* of the account: FIND, WHICH_KEY; "" */
    const char *status, *orders;
    const char *const *contact;
    size_t n_contact;
};

struct keeper_ops {
    struct keeper_call *(*sign)(struct keeper *, const struct keeper_sign_request *,
                                keeper_signed_fn *, void *);
    struct keeper_call *(*account)(struct keeper *, const char *ca, keeper_account_fn *, void *);
    /* After newAccount / find: durable before the callback. "" forgets (the CA has lost it). */
    struct keeper_call *(*set_account)(struct keeper *, const char *ca, const char *url,
                                       keeper_account_fn *, void *);
    /* The external account that the CA gave out for an address (ZeroSSL): durable, and used by
     * NEW_ACCOUNT with KEEPER_F_EAB from then on, unless one is configured. */
    struct keeper_call *(*set_eab)(struct keeper *, const char *ca, const char *kid,
                                   const char *hmac_key, keeper_done_fn *, void *);
    /* Makes the pending key and CSR durable; must precede NEW_ORDER. A pending key that exists is
     * kept when fresh is false (resumption). */
    struct keeper_call *(*prepare)(struct keeper *, const char *cert, bool fresh, keeper_done_fn *,
                                   void *);
    /* Checks the chain against the pending key, the names, the dates; installs it; durable and
     * switched. */
    struct keeper_call *(*install)(struct keeper *, const char *cert, const char *ca,
                                   const char *account_url, const char *chain_pem, size_t n,
                                   keeper_installed_fn *, void *);
    /* The same for a rehearsal at a staging CA: the key is in memory only, the chain is checked and
     * nothing installed; what would have been is told. */
    struct keeper_call *(*rehearse_prepare)(struct keeper *, const char *cert, keeper_done_fn *,
                                            void *);
    struct keeper_call *(*rehearse_install)(struct keeper *, const char *cert, const char *ca,
                                            const char *account_url, const char *chain_pem,
                                            size_t n, keeper_installed_fn *, void *);
    struct keeper_call *(*installed)(struct keeper *, const char *cert, keeper_installed_fn *,
                                     void *);
    /* One call per certificate of the configuration, then one with NULL, NULL: the start-up
     * inventory. */
    struct keeper_call *(*list)(struct keeper *, keeper_installed_fn *, void *);
    /* Step `step` of deployment `deployment` for these certificates (several: once and reload
     * merge). */
    struct keeper_call *(*step)(struct keeper *, const char *deployment, unsigned step,
                                const char *const *certs, size_t n, keeper_step_fn *, void *);
    struct keeper_call *(*worker)(struct keeper *, const char *provider, keeper_worker_fn *,
                                  void *);
    void (*worker_kill)(struct keeper *, const char *provider);
    /* addr_port: as it stands in http01.listen or tlsalpn01.listen of a certificate; others are
     * refused. The detail says who has the port. */
    struct keeper_call *(*listen)(struct keeper *, const char *addr_port, keeper_listen_fn *,
                                  void *);
    /* The keeper composes the answer itself. Done: the file is there (or gone) and the command has
     * ended well. */
    struct keeper_call *(*http01)(struct keeper *, const struct keeper_http01_request *,
                                  keeper_done_fn *, void *);
    void (*cancel)(struct keeper_call *);
};
struct keeper {
    const struct keeper_ops *ops;
};

static inline void keeper_cancel(struct keeper *k, struct keeper_call *c)
{
    if (c)
        k->ops->cancel(c);
}

#endif
