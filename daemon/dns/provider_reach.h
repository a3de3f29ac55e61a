/* SPDX-License-Identifier: ISC */
/*
 * What an instance may reach: hosts that the plugin declares (https on port 443), and what the user
 * names in an option of type URL (that scheme, host and port) or HOST (https to that host; DNS to
 * that host and port). Only what the user himself wrote may have an address that is not public.
 */
#ifndef RENEWD_DNS_PROVIDER_REACH_H
#define RENEWD_DNS_PROVIDER_REACH_H

#include "base/err.h"
#include "conf/conf.h"
#include "wire/worker_msg.h"

#include <stdbool.h>

struct reach_rule {
    char host[256]; /* lower case; addresses of IPv6 without brackets */
    uint16_t port;  /* 0: any (of a HOST option, for https) */
    bool http;      /* plain http, else https */
};
struct reach_list {
    struct reach_rule *v;
    size_t n;
    char *
        *written; /* hosts of the user's own options, NULL-terminated: http_site's literal_hosts */
    char **servers; /* texts of HOST options, NULL-terminated */
    bool plain;     /* some rule has http */
};

void reach_list_init(struct reach_list *l, const struct worker_descriptor *d,
                     const struct conf_option *options, size_t n);
void reach_list_done(struct reach_list *l);
/* 0, or -1 with class ERR_CONFIG and what to do. */
int reach_list_url(const struct reach_list *l, const char *url, struct err *e);
bool reach_list_server(const struct reach_list *l, const char *server);

#endif
