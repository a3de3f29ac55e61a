/* SPDX-License-Identifier: ISC */
/*
 * A world around the renewal logic, on virtual time: it defines the functions of loop/, acme/, dns/
 * and io/probe that the layer calls, and a keeper. What a real crash leaves (keeper, CA, records,
 * store) outlives a `struct renew`, so that world_crash() and world_boot() are a kill -9 and a
 * restart.
 */
#ifndef TESTS_RENEW_WORLD_H
#define TESTS_RENEW_WORLD_H

#include "base/heap.h"
#include "base/list.h"
#include "conf/conf.h"
#include "loop/loop.h"
#include "renew/policy.h"
#include "renew/renew.h"
#include "store/store.h"

#define WORLD_T0 (POLICY_EPOCH + 200 * POLICY_DAY)

struct loop {
    struct clock clock; /* first: loop_clock() is handed out */
    int64_t wall, mono;
    struct heap timers_wall, timers_mono;
    struct list deferred;
    unsigned long fired;
};
struct loop *world_loop_new(int64_t wall_ms);
void world_loop_free(struct loop *l);
/* One callback; false when nothing is left to do until `until` (wall), and it is that time now. */
bool world_loop_step(struct loop *l, int64_t until);

/* How something goes wrong, for one certificate. */
enum fault {
    FAULT_NONE,
    FAULT_PREPARE,    /* keeper: no key */
    FAULT_NEW_ORDER,  /* CA: newOrder is refused with .err */
    FAULT_UNANSWERED, /* CA: makes the order, and its answer is lost */
    FAULT_VALIDATE,   /* CA: the challenge is invalid */
    FAULT_PUBLISH,    /* provider: .err */
    FAULT_HANG,       /* provider: never answers */
    FAULT_CA_HANG,    /* CA: never validates */
    FAULT_INSTALL,    /* keeper refuses */
    FAULT_SHORT,      /* CA issues what is nearly expired */
};
struct site { /* one certificate's world */
    const char *name;
    enum fault fault;
    unsigned times;      /* how often; 0: for ever */
    const char *only_ca; /* the CA at which it goes wrong; NULL: all */
    struct err err;
    bool look_fails;
    bool preflight_fails;       /* ahead of time, and before an order */
    unsigned preflights;        /* full ones */
    bool no_ari;                /* the CA has no renewal information */
    int64_t ari_start, ari_end; /* instead of the CA's rule */
    /* keeper */
    unsigned pending;  /* pending key; 0: none */
    unsigned live_key; /* of the installed certificate */
    bool present, names_match, staging;
    int64_t not_before, not_after;
    char fingerprint[32], serial[32], directory[64];
    /* the challenge that the CA asks for, and those that may take its place; none: dns-01 */
    enum conf_challenge types[4];
    unsigned n_types, type;
    /* counted */
    unsigned orders, installs, attempts, polls;
    int64_t last_attempt;
    bool expired_seen;
};
struct ca_order {
    char url[64], cert[64], ca[32];
    unsigned key; /* that it was finalized with; 0: not yet */
    bool gone;    /* answers 404 */
    bool invalid;
    bool other; /* is for other names, says who reads it */
    int64_t not_before, not_after;
    bool valid;
    bool replaces;
};
struct record {
    char order[64];
    char cert[16], value[300]; /* the first of its publication */
};
struct answer { /* of http-01 */
    char token[32], content[64];
    bool file; /* in a webroot: outlives the engine */
};
struct step_rule { /* of "DEPLOYMENT/STEP" */
    const char *key;
    unsigned fail; /* so many times */
    bool hang;     /* answers after a minute, with a failure */
};
struct publisher {
    struct world *world;
};
struct acme {
    struct world *world;
};

struct world {
    struct loop *loop;
    struct rng rng; /* first use of it is deterministic */
    struct log log;
    struct conf *conf;
    struct store *store;
    struct keeper keeper;
    struct acme acme;
    struct publisher publisher;
    struct renew *renew;
    bool ready;
    struct site *sites;
    size_t n_sites;
    struct ca_order *orders;
    size_t n_orders;
    struct record *records;
    size_t n_records;
    struct list calls; /* all that is under way */
    int64_t lifetime;  /* of what the CA issues */
    int64_t publish_ms;
    unsigned keys;
    struct step_rule rules[8];
    size_t n_rules;
    char steps[64][120]; /* "DEPLOYMENT/STEP cert cert" */
    size_t n_steps;
    const char *served;           /* fingerprint at the probed server; NULL: of site 0 */
    unsigned probes, blip;        /* the probe of that number meets an old worker; 0: none */
    unsigned served_after;        /* probes that still see the former certificate */
    unsigned jobs_now, jobs_most; /* orders that exist at once in the engine */
    unsigned events;
    char last_event[200];
    struct err last_error;
    unsigned finished, finished_badly;
    /* world_prove.c */
    struct answer answers[8];
    size_t n_answers;
    unsigned alpn;              /* certificates that the responder shows */
    struct err no_responder;    /* why it cannot listen; ERR_NONE */
    const char *addresses[4];   /* of every name */
    const char *unreachable;    /* one of them */
    const char *served_instead; /* a body; NULL: what is there */
    unsigned wrong;             /* so many requests get status 404 first */
    const char *redirect;       /* Location of the first answer of each request */
    unsigned requests;          /* of own checks */
    const char *persisted[4];   /* TXT records at _validation-persist */
    bool webroot_fails;         /* the keeper cannot write */
    bool lost_effects;          /* a crash loses what had been sent and not done */
};

struct world *world_new(size_t n_certs); /* "c0", "c1", ...; at CA "one", with ARI */
void world_free(struct world *w);
struct conf *world_conf(size_t n_certs); /* another generation; certificates "c0"... */
struct conf_step *world_step(struct conf *c, size_t cert, const char *deployment,
                             enum conf_step_kind k, const char *text);
void world_add_ca(struct conf *c, size_t cert, const char *ca);
void world_boot(struct world *w); /* renew_new, configure; runs until ready */
void world_crash(struct world *w);
void world_run(struct world *w, int64_t span_ms); /* virtual time passes */
/* Until it is so or the time is over; tells which. */
bool world_until(struct world *w, bool (*so)(struct world *w), int64_t span_ms);
struct ca_order *world_order(struct world *w, const char *url); /* NULL: none */
struct site *world_site(struct world *w, const char *name);
void world_install(struct world *w, size_t site, int64_t age_ms);    /* adopted, of w->lifetime */
struct renew_status world_status(struct world *w, const char *name); /* texts are static */
bool world_all_ok(struct world *w);
bool world_fails(struct site *s, enum fault f, const char *ca); /* and counts it */
unsigned world_rng_state(void);

/* A call under way: an effect, then a callback; cancelled, it may still have its effect. */
struct call {
    struct list node;
    struct world *world;
    struct timer timer;
    void (*effect)(struct call *c);   /* may be NULL */
    void (*callback)(struct call *c); /* frees nothing */
    void (*fn)(void);                 /* the user's */
    void *arg;
    struct site *site;
    char text[120], text2[64];
    unsigned number;
    bool flag, done;
    struct err err;
    void *more; /* freed with it */
};
struct call *world_call(struct world *w, int64_t delay_ms, void (*effect)(struct call *),
                        void (*callback)(struct call *), void (*fn)(void), void *arg);
void world_call_cancel(struct call *c);
extern struct world *world_now; /* the one there is */
struct store *world_store_new(struct loop *l, int64_t commit_ms);
void world_store_crash(struct store *s, bool lost); /* what was to be committed */
void world_keeper_init(struct keeper *k);
unsigned world_proved(const struct world *w, const char *order); /* what the CA finds */
struct http;                                                     /* never looked into */

#endif
