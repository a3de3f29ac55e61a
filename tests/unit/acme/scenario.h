/* SPDX-License-Identifier: ISC */
/* A whole order against the scripted CA as one row of a table, and what goes into such rows. */
#ifndef RENEWD_TESTS_ACME_SCENARIO_H
#define RENEWD_TESTS_ACME_SCENARIO_H

#include "run.h"

struct scenario {
    const char *name;
    struct rule rules[6];
    struct fake ca; /* manners only */
    const char *names[NAMES];
    const char *profile;
    bool or_default, replaces, no_terms_agreed;
    const char *resume; /* status of an order of ours that the CA has */
    const char *preferred;
    int64_t publish_ms;

    enum err_class cls; /* ERR_NONE: a certificate */
    const char *type;
    const char *detail; /* a part of it */
    const char *log;    /* requests, all; NULL: not looked at */
    const char *progress;
    const char *account;
    bool resumable;
    int challenges; /* of one call; -1: not looked at */
    int64_t max_ms; /* virtual time that it may take; 0: a minute */
    int64_t min_ms;
    unsigned flags; /* of the last newOrder */
};

#define OPEN "dir nonce acct new authz"
#define HAPPY OPEN " chall order fin order cert"

/* Pieces of authorizations */
#define DNS01(status, more)                                                                        \
    "{\"type\":\"dns-01\",\"url\":\"https://ca.test/chall/0/0\",\"token\":"                        \
    "\"token_abcdefghijklmnop\",\"status\":\"" status "\"" more "}"
#define UNKNOWN_TYPES                                                                              \
    "{\"type\":\"dns-persist-01\",\"url\":\"https://ca.test/x\",\"status\":\"pending\","           \
    "\"issuer-domain-names\":[\"ca.test\"]},{\"type\":\"sectigo-dns-01\",\"status\":17},{},"       \
    "{\"type\":\"dns-01\",\"url\":\"https://ca.test/y\",\"status\":\"pending\"},"                  \
    "{\"type\":\"dns-01\",\"url\":\"https://ca.test/y\",\"token\":\"../../../etc/passwd.....\"},"
#define PENDING_ERROR                                                                              \
    ",\"error\":{\"type\":\"urn:ietf:params:acme:error:dns\",\"detail\":\"NXDOMAIN there\"}"
#define NAME "{\"type\":\"dns\",\"value\":\"example.org\"}"
#define AUTHZ_DOC(status, challenges)                                                              \
    "{\"status\":\"" status "\",\"identifier\":" NAME ",\"challenges\":[" challenges "]}"
#define ORDER_DOC(status, more)                                                                    \
    "{\"status\":\"" status "\",\"identifiers\":[" NAME "],\"authorizations\":["                   \
    "\"https://ca.test/authz/0/0\"],\"finalize\":\"https://ca.test/fin/0\"" more "}"

int scenarios_run(const char *name, const struct scenario *s, size_t n);

#endif
