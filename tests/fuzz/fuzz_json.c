/* SPDX-License-Identifier: ISC */
/* JSON, and what the ACME client makes of it. The first byte chooses the reader. */
#include "acme/doc.h"
#include "acme/problem.h"
#include "base/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
    if (!ok)
        abort();
}

static void read_json(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct json *j = json_parse(text, n, &e);

    check((j == NULL) == (e.cls != ERR_NONE));
    if (!j)
        return;
    char *printed = json_print(j, false);
    struct json *again = json_parse(printed, strlen(printed), &e);
    json_free(again);
    free(printed);
    json_free(j);
}

static void read_directory(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct directory_doc d;

    if (directory_doc_read(&d, text, n, &e) == 0)
        check(acme_url_ok(d.new_nonce) && acme_url_ok(d.new_order) && d.renewal_info && d.terms);
    directory_doc_done(&d);
}

static void read_order(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct order_doc d;

    if (order_doc_read(&d, text, n, &e) == 0) {
        check(d.n_names > 0 && d.finalize && d.certificate);
        check(!d.error || d.error->cls != ERR_NONE);
    }
    order_doc_done(&d);
}

static void read_authz(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct authz_doc d;

    if (authz_doc_read(&d, text, n, &e) == 0) {
        for (size_t i = 0; i < d.n_challenges; i++) {
            const struct challenge_doc *c = &d.challenges[i];
            check(acme_url_ok(c->url) && authz_doc_challenge(&d, c->type) == c);
            check(c->type == CONF_DNS_PERSIST_01 || strlen(c->token) >= 16);
        }
        check(d.status == AUTHZ_VALID || d.identifier[0]);
        check(strlen(d.offered) < sizeof(d.offered));
    }
    authz_doc_done(&d);
}

static void read_challenge(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    enum challenge_status status;
    bool error;

    challenge_doc_read(&status, &error, text, n, &e);
}

static void read_window(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    struct window_doc w;

    if (window_doc_read(&w, text, n, &e) == 0)
        check(w.start_ms < w.end_ms);
}

static void read_problem(const char *text, size_t n)
{
    static const int statuses[] = {0, 301, 400, 401, 403, 404, 409, 429, 500, 503};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        struct err e = ERR_INIT;
        problem_fill(&e, (enum acme_where)(i % (ACME_AT_VALIDATION + 1)), statuses[i], text, n,
                     NULL);
        check(e.cls != ERR_NONE && e.detail[0] && e.http == statuses[i]);
        for (const char *p = e.detail; *p; p++)
            check((unsigned char)*p >= 0x20 && *p != 0x7f);
    }
}

static void read_orders(const char *text, size_t n)
{
    struct err e = ERR_INIT;
    char **urls = NULL, *url = account_doc_orders(text, n, &e);
    size_t n_urls = 0;

    check(!url || acme_url_ok(url));
    free(url);
    for (int i = 0; i < 3; i++)
        orders_doc_read(&urls, &n_urls, 5, text, n, &e);
    check(n_urls <= 5);
    while (n_urls > 0) {
        check(acme_url_ok(urls[--n_urls]));
        free(urls[n_urls]);
    }
    free(urls);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = {
        read_json,      read_directory, read_order,   read_authz,
        read_challenge, read_window,    read_problem, read_orders};

    if (size == 0)
        return 0;
    /* copied, so that the sanitizer sees the end */
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    readers[(data[0] - '0') % 8u](text, size - 1);
    free(text);
    return 0;
}
