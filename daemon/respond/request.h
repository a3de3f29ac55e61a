/* SPDX-License-Identifier: ISC */
/* The one request that http-01 knows: GET or HEAD of a token's path (RFC 8555 section 8.3). */
#ifndef RENEWD_RESPOND_REQUEST_H
#define RENEWD_RESPOND_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_HEAD_MAX 8192u
#define REQUEST_TOKEN_MAX 256u
#define REQUEST_PATH "/.well-known/acme-challenge/"

struct request {
    int status; /* 200: token is what is asked for; else what to answer */
    bool head;  /* without a body */
    char token[REQUEST_TOKEN_MAX];
};

/* text: what has come so far; seen: how much of it was looked at before. False: the head is not
 * complete, and nothing that has come so far is wrong. The path is compared byte by byte: no
 * decoding, no query, no other forms. Headers mean nothing to us. */
bool request_read(const char *text, size_t n, size_t seen, struct request *ret);

#endif
