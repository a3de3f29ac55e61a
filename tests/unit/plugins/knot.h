/* SPDX-License-Identifier: ISC */
/* A real Knot DNS, or BIND, on 127.0.0.1 with one zone, for the time of a test. */
#ifndef TESTS_PLUGINS_KNOT_H
#define TESTS_PLUGINS_KNOT_H

#include <stdbool.h>
#include <sys/types.h>

struct knot {
    pid_t pid;
    int port;
    char folder[64];
    char server[32]; /* "127.0.0.1:PORT" */
};

/* Zone example.org; keys acme (SHA-256), acme384, acme512, narrow (may change names below
 * sub.example.org only). False: Knot is not installed. Fails the test if it does not start. */
bool knot_start(struct knot *k);
/* The same by BIND; without acme384 and acme512. */
bool bind_start(struct knot *k);
void knot_stop(struct knot *k);
/* Sorted TXT values of a name as `kdig +short` prints them, a line each; static buffer. */
const char *knot_txt(const struct knot *k, const char *name);
/* One DNS message over TCP; the length of the answer, or -1. */
int knot_ask(const struct knot *k, const void *message, size_t n, void *answer, size_t size);

#define KNOT_SECRET "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

#endif
