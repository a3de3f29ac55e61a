/* SPDX-License-Identifier: ISC */
/*
 * ACME (RFC 8555) as the renewal logic sees it: CAs, orders, renewal information. Nonces, signing
 * through the keeper, badNonce, Retry-After, problem documents and accounts are inside; the order
 * sees none of it.
 *
 *   order:  ACCOUNT -> [FIND ->] CREATE | RESUME -> AUTHORIZE -> CHALLENGES -> ANSWER
 *           -> VALIDATE -> FINALIZE -> POLL -> DOWNLOAD -> DONE
 *
 * The state after a resumption is chosen from the order's status at the CA, never from a saved
 * step.
 */
#ifndef RENEWD_ACME_ACME_H
#define RENEWD_ACME_ACME_H

#include "base/err.h"
#include "conf/conf.h"
#include "io/http.h"
#include "link/keeper.h"
#include "loop/loop.h"

struct acme; /* all CAs of the present configuration */
struct acme_env {
    struct loop *loop;
    struct http *http;
    struct keeper *keeper;
    const struct rng *rng;
};
struct acme *acme_new(const struct acme_env *env);
void acme_free(struct acme *a); /* orders must have been freed */
/* A new generation; running orders go on with what they began with. Takes a reference. */
void acme_configure(struct acme *a, struct conf *c);

/* What proves the control of one name; what its type does not use is NULL. */
struct acme_challenge {
    const struct conf_name *name; /* of the certificate; NULL: a name of the CA's own making */
    const char *identifier;       /* without "*."; or an address */
    bool ip, wildcard;
    enum conf_challenge type;
    /* dns-01, dns-account-01, dns-persist-01: "_acme-challenge.example.org" and its kin */
    const char *owner;
    const char *value; /* base64url(SHA-256(key authorization)); not with dns-persist-01 */
    /* http-01, tls-alpn-01 */
    const char *token, *key_authorization;
    /* dns-persist-01: the record names any of these; the first is the one to write */
    const char *const *issuers;
    size_t n_issuers;
    const char *const *account_uris;
    size_t n_account_uris;
};
/* Types of challenges, bits of 1 << enum conf_challenge, that failed lately for a name. */
struct acme_avoid {
    const char *name;
    unsigned types;
};

enum acme_order_state {
    ACME_ACCOUNT,
    ACME_FIND,
    ACME_CREATE,
    ACME_RESUME,
    ACME_AUTHORIZE,
    ACME_CHALLENGES,
    ACME_ANSWER,
    ACME_VALIDATE,
    ACME_FINALIZE,
    ACME_POLL,
    ACME_DOWNLOAD,
    ACME_DONE,
    ACME_FAILED
};

struct acme_order;
struct acme_order_spec {
    const struct conf_cert *cert; /* must outlive the order, with its conf */
    const char *ca;               /* name of the CA entry */
    const char *url;              /* an order to resume, or "" for a new one */
    bool find;     /* without url: the CA may have an order that was asked for and whose URL never
                      reached us: take that one up before a new one is made */
    bool replaces; /* name the installed certificate's certID (RFC 9773) */
    bool dry;      /* a rehearsal: with its own key */
    /* Taken only where the CA offers nothing else that the name may use; outlives the order. */
    const struct acme_avoid *avoid;
    size_t n_avoid;
};
struct acme_order_handler {
    /* An order exists, made now or found: make url durable, then call acme_order_continue();
     * nothing is sent before. Not called on resumption. */
    void (*created)(void *arg, const char *url);
    /* What to prove (only authorizations that are pending; never called with n 0: goes on by
     * itself). The array lives until the next call or the end of the order; what an entry points to
     * until then or until acme_order_instead(). Then acme_order_answer() or acme_order_free().
     * Called again, with others, when the CA has found some of the answers wrong and still takes
     * another type for those names; what was published before stays up. */
    void (*challenges)(void *arg, const struct acme_challenge *c, size_t n);
    /* All challenges are valid or the order failed: what was published may go. Called at most once,
     * before done, and always when challenges() was called. */
    void (*answered)(void *arg);
    /* The CA has looked, and found this wrong for good; for acme_order_spec.avoid of the next
     * order. Before done; may be NULL. */
    void (*refused)(void *arg, const struct conf_name *name, enum conf_challenge type);
    /* For people: state and what is waited for ("validation of www.example.org: processing"). */
    void (*progress)(void *arg, enum acme_order_state s, const char *text);
    /* chain_pem, account_url valid for the call, NULL on failure. On failure `resumable` says
     * whether the order is worth keeping (time-outs, 5xx) or gone (invalid, expired, not found);
     * before created(): whether there may be one, to be started again with `find`. */
    void (*done)(void *arg, const char *chain_pem, size_t n, const char *account_url,
                 bool resumable, const struct err *err);
};
struct acme_order *acme_order_start(struct acme *a, const struct acme_order_spec *s,
                                    const struct acme_order_handler *h, void *arg);
void acme_order_continue(struct acme_order *o);
void acme_order_answer(struct acme_order *o);
/* Challenge i cannot be met: the next one that the name may use and the CA offers takes its place
 * in the array. false: there is none. Only between challenges() and acme_order_answer(). */
bool acme_order_instead(struct acme_order *o, size_t i);
void acme_order_free(struct acme_order *o); /* cancels; polite deactivation is not waited for */
const char *acme_order_state_name(enum acme_order_state s);

/* Renewal information of a certificate (RFC 9773). */
struct acme_ari {
    bool supported; /* false: the directory has no renewalInfo; true also when not known */
    int64_t start_ms, end_ms; /* wall; 0, 0: no usable answer this time */
    int64_t retry_at_ms;     /* when to ask again: now + 1 min to 1 day; 6 h after lasting errors */
    const char *explanation; /* URL or "" */
};
struct acme_call;
/* ari is always there; err says why it has no window (supported and start_ms 0). */
typedef void acme_ari_fn(void *arg, const struct acme_ari *ari, const struct err *err);
struct acme_call *acme_ari_get(struct acme *a, const char *ca, const char *cert_id,
                               acme_ari_fn *done, void *arg);
void acme_call_cancel(struct acme_call *c);

struct acme_ca_status { /* for renewctl */
    const char *name, *directory, *account_url;
    unsigned orders_running;
    bool has_ari;
    struct err last_error;
};
void acme_status(const struct acme *a, void (*fn)(void *arg, const struct acme_ca_status *),
                 void *arg);

#endif
