/* SPDX-License-Identifier: ISC */
/* JSON written straight to text, without a tree: for what is written often. The caller sees to it
 * that objects and arrays are closed; key NULL: in an array, or the root. */
#ifndef RENEWD_BASE_JSON_OUT_H
#define RENEWD_BASE_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>

struct json_out {
    char *p; /* not terminated before json_out_end() */
    size_t len, cap;
};

void json_out_init(struct json_out *o);
char *json_out_end(struct json_out *o); /* the caller frees */

void json_out_open(struct json_out *o, const char *key, char bracket); /* '{' or '[' */
void json_out_close(struct json_out *o, char bracket);                 /* '}' or ']' */
void json_out_text(struct json_out *o, const char *key, const char *value);
void json_out_int(struct json_out *o, const char *key, int64_t value);

/* The pieces, for json_print(). */
void json_out_raw(struct json_out *o, const void *p, size_t n);
void json_out_quoted(struct json_out *o, const char *text);

#endif
