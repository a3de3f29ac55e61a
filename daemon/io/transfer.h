/* SPDX-License-Identifier: ISC */
/* One HTTP exchange: the request checked and copied, libcurl's handle set up, the reply received
 * within its bounds, the result put into words. Knows no loop. */
#ifndef RENEWD_IO_TRANSFER_H
#define RENEWD_IO_TRANSFER_H

#include "io/dns.h"
#include "io/http.h"

#include <curl/curl.h>

#define TRANSFER_FIELDS_MAX 100
#define TRANSFER_FIELDS_SIZE (64u << 10)
#define TRANSFER_HOST_SIZE 256

/* Where requests of a site went to before: what was checked then need not be again. */
struct transfer_origin {
    char text[TRANSFER_HOST_SIZE + 16]; /* "https://ca.example:443"; a path follows. "": none yet */
    char host[TRANSFER_HOST_SIZE];
    uint16_t port;
};

struct transfer {
    char method[16];
    char *url;
    char host[TRANSFER_HOST_SIZE]; /* lower case; "[::1]" keeps its brackets */
    uint16_t port;
    bool http2, allow_http, no_verify;
    bool has_body, once;
    size_t body_read;   /* by libcurl, of body, when once */
    bool check_address; /* of every connection that is made */
    struct curl_slist *headers, *resolve;
    struct curl_slist *connect_to; /* NULL: where the host is */
    struct buf body;

    struct buf reply;
    struct buf fields; /* "name\0value\0" ... */
    size_t n_fields;
    uint32_t field_at[TRANSFER_FIELDS_MAX];
    bool head_is_final; /* not of an interim reply */
    bool fields_done;   /* that one is complete: what follows are trailers */
    bool too_large, bad_fields, refused_address;
    char error[CURL_ERROR_SIZE];
};

/* t is all zero. */
int transfer_init(struct transfer *t, const struct http_site_spec *site,
                  struct transfer_origin *known, const struct http_request *r, struct err *e);
void transfer_done(struct transfer *t); /* wipes */
/* Where the host is; not called when it is an address itself. */
void transfer_set_addresses(struct transfer *t, const struct dns_addr *addrs, size_t n);
/* ca_pem NULL: the system's. easy is as new, or reset; t and ca_pem outlive the exchange; what was
 * received before is dropped. */
void transfer_setup(struct transfer *t, CURL *easy, const char *ca_pem, const char *user_agent,
                    int64_t connect_ms);
int transfer_result(const struct transfer *t, CURLcode result, struct err *e);
/* room: for TRANSFER_FIELDS_MAX. The reply points into t. */
void transfer_reply(const struct transfer *t, int status, struct http_header *room,
                    struct http_reply *ret);
/* The system's roots for easy (also for handles of others). */
void transfer_default_roots(CURL *easy);

#endif
