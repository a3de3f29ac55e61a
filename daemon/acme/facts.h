/* SPDX-License-Identifier: ISC */
/* What a CA's directory says that a preflight wants to know. Fetches the directory if need be. */
#ifndef RENEWD_ACME_FACTS_H
#define RENEWD_ACME_FACTS_H

#include "acme/acme.h"

struct acme_facts {                    /* valid for the callback */
    const char *const *caa_identities; /* none: it does not say */
    size_t n_caa_identities;
    const char *terms; /* of service; "": none */
    bool eab_required;
    int64_t ahead_ms; /* the CA's clock by ours, when the directory was fetched; 0: not known */
};
typedef void acme_facts_fn(void *arg, const struct acme_facts *f, const struct err *err);
struct acme_facts_call;
/* f NULL: *err. */
struct acme_facts_call *acme_facts_get(struct acme *a, const char *ca, acme_facts_fn *done,
                                       void *arg);
void acme_facts_cancel(struct acme_facts_call *c);

#endif
