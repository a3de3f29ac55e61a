/* SPDX-License-Identifier: ISC */
/* One order under test and what its owner heard. */
#ifndef RENEWD_TESTS_ACME_RUN_H
#define RENEWD_TESTS_ACME_RUN_H

#include "fake.h"

enum moment { M_NEVER, M_CREATED, M_CHALLENGES, M_ANSWERED, M_PROGRESS, M_DONE };

struct run {
    struct fake *f;
    struct acme *acme;
    struct conf *conf;
    struct acme_order *order;
    enum moment free_at; /* free the order in that callback ... */
    int free_skip;       /* ... not before it was called so often */
    bool idle;           /* do not go on by oneself */
    bool find;
    const struct acme_avoid *avoid;
    size_t n_avoid;
    unsigned unmet;               /* so many challenges cannot be met */
    const struct conf_cert *cert; /* NULL: the configuration's first */
    int64_t publish_ms;           /* time until the records are there */
    struct timer publish;

    unsigned unmet_failed; /* and nothing took the place of so many */
    char persist[400];     /* "issuers | URIs" */
    int created, challenges, answered, done,
        late; /* calls; late: after done or after it was freed */
    bool freed;
    char url[256];
    size_t n_challenges;
    char refused[400]; /* "NAME:TYPE ..." */
    char owners[400], values[400], names[400];
    char progress[4000];
    char *pem;
    char account[128];
    bool resumable;
    struct err err; /* ERR_NONE on success */
};
void run_init(struct run *r, struct fake *f, const char *const *names, size_t n);
void run_start(struct run *r, const char *url, bool replaces);
void run_free_order(struct run *r);
void run_done(struct run *r);

#endif
