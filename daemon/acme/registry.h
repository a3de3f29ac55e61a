/* SPDX-License-Identifier: ISC */
/* What acme.c knows and the rest of the layer asks for. */
#ifndef RENEWD_ACME_REGISTRY_H
#define RENEWD_ACME_REGISTRY_H

#include "acme/acme.h"

struct ca;
struct ca *acme_find_ca(const struct acme *a, const char *name); /* NULL: none; no reference */
void acme_each_ca(const struct acme *a, void (*fn)(void *arg, struct ca *), void *arg);
const struct acme_env *acme_get_env(const struct acme *a);

#endif
