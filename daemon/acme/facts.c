/* SPDX-License-Identifier: ISC */
#include "acme/facts.h"

#include "acme/ca.h"
#include "acme/registry.h"
#include "base/mem.h"

#include <stdlib.h>

struct acme_facts_call {
    struct ca *ca; /* NULL: no such entry */
    struct directory_wait directory;
    struct defer defer;
    acme_facts_fn *done;
    void *arg;
};

void acme_facts_cancel(struct acme_facts_call *c)
{
    if (!c)
        return;
    directory_wait_cancel(&c->directory);
    defer_cancel(&c->defer);
    ca_unref(c->ca);
    free(c);
}

static void finish(struct acme_facts_call *c, const struct acme_facts *f, const struct err *err)
{
    c->done(c->arg, f, err);
    acme_facts_cancel(c);
}

static void have_directory(void *arg, const struct directory_doc *doc, const struct err *err)
{
    static const struct err ok = ERR_INIT;
    struct acme_facts_call *c = arg;
    if (!doc) {
        finish(c, NULL, err);
        return;
    }
    const struct acme_facts f = {.caa_identities = (const char *const *)doc->caa_identities,
                                 .n_caa_identities = doc->n_caa_identities,
                                 .terms = doc->terms,
                                 .eab_required = doc->eab_required,
                                 .ahead_ms = c->ca->server->directory.ahead_ms};
    finish(c, &f, &ok);
}

static void refuse(void *arg)
{
    struct err e = ERR_INIT;
    err_set(&e, ERR_CONFIG, "there is no such CA entry in the configuration");
    finish(arg, NULL, &e);
}

struct acme_facts_call *acme_facts_get(struct acme *a, const char *ca, acme_facts_fn *done,
                                       void *arg)
{
    struct acme_facts_call *c = xnew(struct acme_facts_call);
    struct ca *found = acme_find_ca(a, ca);
    c->ca = found ? ca_ref(found) : NULL;
    c->done = done;
    c->arg = arg;
    if (found)
        directory_get(found->server, &c->directory, have_directory, c);
    else
        loop_defer(acme_get_env(a)->loop, &c->defer, refuse, c);
    return c;
}
