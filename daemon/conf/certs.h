/* SPDX-License-Identifier: ISC */
/* A certificate while it is read. */
#ifndef RENEWD_CONF_CERTS_H
#define RENEWD_CONF_CERTS_H

#include "conf/reader.h"

#define KEYS_MAX 5 /* kinds of keys */

struct cert_dst {
    struct conf_cert c;
    const struct node *names;     /* the list of names */
    enum conf_key keys[KEYS_MAX]; /* each once */
    size_t n_keys;
    bool ca_bad; /* what is wrong with it was said */
    char *email; /* of defaults */
    bool agree_tos;
};

/* cert_check.c: what can be said of a certificate as a whole, v its entry: which provider, key,
 * request and CA go together; that its name is its own. Sets what follows from the rest. */
int cert_check(struct reader *r, const struct node *v, struct cert_dst *d);

#endif
