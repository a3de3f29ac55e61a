/* SPDX-License-Identifier: ISC */
/* A folder of its own for each test, with fake plugins, and what conf_load said about a text. */
#ifndef RENEWD_TESTS_CONF_FIXTURE_H
#define RENEWD_TESTS_CONF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf/load.h"

struct fixture {
    char dir[64];       /* removed with everything in it at the end */
    char main[96];      /* dir/renewd.yaml */
    char resolv[96];    /* "nameserver 192.0.2.1" */
    char plugindir[96]; /* cloudflare.so, rfc2136.so, route53.so, powerdns.so, shell.so: empty files
                         */
    struct conf_plugins plugins;
    unsigned described; /* how often describe() was called */
    struct conf_messages m;
    struct conf *conf; /* what the last load gave */
};

int fixture_setup(void **state);
int fixture_teardown(void **state);
void fixture_write(struct fixture *f, const char *name, const char *text, unsigned mode);
void fixture_write_bytes(struct fixture *f, const char *name, const void *p, size_t n,
                         unsigned mode);
void fixture_copy(struct fixture *f, const char *from, const char *name);
/* Writes renewd.yaml and loads it; earlier results are freed. */
struct conf *fixture_load(struct fixture *f, const char *yaml);
struct conf *fixture_load_after(struct fixture *f, const char *yaml, const struct conf *previous);
struct conf *fixture_reload(struct fixture *f, const struct conf *previous);

size_t fixture_errors(const struct fixture *f);
/* The load failed, with exactly this one error. */
void fixture_one_error(const struct fixture *f, unsigned line, unsigned column, const char *text);
/* Some message (error or warning) of that file says this. file NULL: any */
void fixture_says(const struct fixture *f, bool warning, const char *file, unsigned line,
                  unsigned column, const char *text);
void fixture_good(const struct fixture *f); /* prints the errors if there are any */

#define FIXTURE_CSR "-----BEGIN CERTIFICATE REQUEST-----\nAA\n-----END CERTIFICATE REQUEST-----\n"

/* A body of a file with one provider, for texts about certificates: 2 lines. */
#define WITH_PROVIDER "providers: {p: {plugin: rfc2136, server: 192.0.2.53}}\ncertificates:\n"

#endif
