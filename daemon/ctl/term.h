/* SPDX-License-Identifier: ISC */
/* Output for people: columns, colour and live lines on a terminal, plain text elsewhere. */
#ifndef RENEWD_CTL_TERM_H
#define RENEWD_CTL_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum term_colour { TERM_PLAIN, TERM_RED, TERM_YELLOW, TERM_GREEN, TERM_CYAN, TERM_DIM, TERM_BOLD };

bool term_live(void);      /* stdout is a terminal that can move its cursor */
bool term_unicode(void);   /* ... and shows letters of all kinds */
unsigned term_width(void); /* of the terminal; 0 when there is none: do not cut */
unsigned term_height(void);
/* Begin and end of a colour; "" without a terminal or with NO_COLOR set. */
const char *term_on(enum term_colour c);
const char *term_off(void);
enum term_colour term_state_colour(const char *state);

/* A table: cells are copied; the last column is cut at the terminal's edge (never in a pipe). */
struct table;
struct table *table_new(const char *const *heads, unsigned columns);
void table_row(struct table *t, const char *const *cells, enum term_colour colour,
               unsigned coloured_column);
void table_print(struct table *t); /* prints and frees */
void table_free(struct table *t);

/* "in 29 d", "3 h ago", "-" for a text that is no time. Returns buf. */
const char *term_when(const char *rfc3339, char *buf, size_t size);
int64_t term_now_ms(void);

#endif
