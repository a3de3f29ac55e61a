/* SPDX-License-Identifier: ISC */
/* Whole orders against a scripted CA on virtual time: one row a scenario. */
#include "chains.h"
#include "run.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static const struct scenario scenarios[] = {
    {.name = "happy path", .log = HAPPY, .challenges = 1},
    {.name = "two names",
     .names = {"b.example.org", "a.example.org"},
     .challenges = 2,
     .log = "dir nonce acct new nonce authz authz chall chall order fin order cert"},
    {.name = "name and its wildcard have two values at one owner",
     .names = {"example.org", "*.example.org"},
     .challenges = 2,
     .log = NULL},
    {.name = "wildcard alone, the CA leaves out the flag",
     .names = {"*.example.org"},
     .ca = {.no_wildcard_flag = true},
     .challenges = 1},
    {.name = "authorization is valid already",
     .ca = {.authz_start = "valid"},
     .log = OPEN " order fin order cert"},
    {
        .name = "authorization is valid and has no challenges",
        .ca = {.start = "pending"},
        .rules = {{.at = AUTHZ,
                   .status = 200,
                   .body = "{\"status\":\"valid\",\"identifier\":" NAME ",\"challenges\":[]}"},
                  {.at = ORDER, .from = 1, .usual = true, .then = "ready"},
                  {.at = ORDER, .from = 2, .usual = true}},
        .log = OPEN " order order fin order cert",
    },
    {.name = "authorization is valid, its identifier strange",
     .rules = {{.at = AUTHZ,
                .status = 200,
                .body = "{\"status\":\"valid\",\"identifier\":{\"type\":\"org\",\"value\":\"x\"},"
                        "\"challenges\":[{\"type\":\"sectigo-email-01\",\"status\":\"valid\"}]}",
                .then = "ready"}},
     .log = OPEN " order fin order cert"},
    {.name = "order is ready when created",
     .ca = {.start = "ready"},
     .log = "dir nonce acct new fin order cert"},
    {.name = "order is processing when created",
     .ca = {.start = "processing"},
     .log = "dir nonce acct new order cert"},
    {.name = "order is valid when created",
     .ca = {.start = "valid"},
     .log = "dir nonce acct new cert"},
    {.name = "order is invalid when created",
     .ca = {.start = "invalid", .authz_start = "invalid"},
     .log = "dir nonce acct new authz",
     .cls = ERR_TRANSIENT,
     .type = "unauthorized",
     .detail = "example.org: No TXT record found"},
    {.name = "order has no authorizations",
     .ca = {.no_authzs = true},
     .rules = {{.at = ORDER, .from = 1, .usual = true, .then = "ready"}},
     .log = "dir nonce acct new order order fin order cert"},
    {.name = "order has no authorizations and stays pending",
     .ca = {.no_authzs = true},
     .rules = {{.at = ORDER, .status = 200, .body = ORDER_DOC("pending", "")}},
     .cls = ERR_TRANSIENT,
     .detail = "leaves the order pending",
     .resumable = true,
     .max_ms = 601000,
     .min_ms = 599000},
    {.name = "finalize answers valid at once",
     .ca = {.fin_status = "valid"},
     .log = OPEN " chall order fin cert",
     .challenges = 1},
    {.name = "authorizations become valid at once",
     .ca = {.chall_status = "valid"},
     .log = HAPPY,
     .challenges = 1,
     .max_ms = 800},

    /* resumption */
    {.name = "resume pending",
     .resume = "pending",
     .challenges = 1,
     .log = "dir nonce order authz chall order fin order cert"},
    {.name = "resume ready", .resume = "ready", .log = "dir nonce order fin order cert"},
    {.name = "resume processing",
     .resume = "processing",
     .log = "dir nonce order cert",
     .ca = {.reads_to_valid = 1}},
    {.name = "resume processing for a while",
     .resume = "processing",
     .ca = {.reads_to_valid = 3},
     .log = "dir nonce order order order cert"},
    {.name = "resume valid", .resume = "valid", .log = "dir nonce order cert"},
    {.name = "resume invalid",
     .resume = "invalid",
     .log = "dir nonce order authz",
     .cls = ERR_TRANSIENT,
     .detail = "example.org: No TXT record found"},
    {.name = "resume an order that is gone",
     .resume = "pending",
     .rules = {{.at = ORDER, .status = 404, .type = "malformed", .detail = "no such order"}},
     .log = "dir nonce order",
     .cls = ERR_PEER,
     .detail = "no such order"},
    {.name = "resume another account's order",
     .resume = "pending",
     .rules = {{.at = ORDER, .status = 403, .type = "unauthorized", .detail = "not yours"}},
     .log = "dir nonce order",
     .cls = ERR_TRANSIENT,
     .detail = "not yours"},
    {.name = "resume an order for other names",
     .resume = "ready",
     .ca = {.names = {"example.net"}},
     .log = "dir nonce order",
     .cls = ERR_PEER,
     .detail = "other names"},
    {.name = "resume while the CA is away",
     .resume = "ready",
     .rules = {{.at = ORDER, .status = 502}},
     .log = "dir nonce order order order order",
     .cls = ERR_TRANSIENT,
     .detail = "502",
     .resumable = true},

    /* nonces */
    {.name = "badNonce once",
     .rules = {{.at = NEW, .from = 1, .status = 400, .type = "badNonce", .detail = "stale"}},
     .log = "dir nonce acct new new authz chall order fin order cert",
     .challenges = 1},
    {.name = "badNonce five times",
     .rules = {{.at = NEW, .from = 1, .to = 5, .status = 400, .type = "badNonce"}},
     .log = "dir nonce acct new new new new new new authz chall order fin order cert",
     .challenges = 1},
    {.name = "badNonce without a fresh one",
     .rules =
         {{.at = NEW, .from = 1, .to = 2, .status = 400, .type = "badNonce", .no_nonce = true}},
     .log = "dir nonce acct new nonce new nonce new authz chall order fin order cert",
     .challenges = 1},
    {.name = "badNonce for ever",
     .rules = {{.at = NEW, .status = 400, .type = "badNonce", .detail = "stale"}},
     .cls = ERR_TRANSIENT,
     .type = "badNonce",
     .detail = "20 nonces were refused"},
    {.name = "no nonces at all",
     .rules = {{.at = NONCE, .no_nonce = true, .usual = true}},
     .log = "dir nonce",
     .cls = ERR_PEER,
     .detail = "Vault and OpenBao"},
    {.name = "a nonce with a forbidden character",
     .rules = {{.at = NONCE, .usual = true, .no_nonce = true, .header = "Replay-Nonce: a b=="}},
     .log = "dir nonce",
     .cls = ERR_PEER,
     .detail = "no usable Replay-Nonce"},
    {.name = "replies without nonces",
     .rules = {{.at = NEW, .usual = true, .no_nonce = true},
               {.at = AUTHZ, .usual = true, .no_nonce = true},
               {.at = CHALL, .usual = true, .no_nonce = true},
               {.at = ORDER, .usual = true, .no_nonce = true},
               {.at = FIN, .usual = true, .no_nonce = true}},
     .log =
         "dir nonce acct new nonce authz nonce chall nonce order nonce fin nonce order nonce cert",
     .challenges = 1},
    {.name = "the nonce service is away for a moment",
     .rules = {{.at = NONCE, .from = 1, .status = 500, .no_nonce = true}},
     .log = "dir nonce nonce acct new authz chall order fin order cert",
     .challenges = 1},
    {.name = "newNonce has moved",
     .rules = {{.at = NONCE, .from = 1, .status = 405, .no_nonce = true}},
     .log = "dir nonce dir nonce acct new authz chall order fin order cert",
     .challenges = 1},
    {.name = "newNonce is wrong",
     .rules = {{.at = NONCE, .status = 405, .no_nonce = true}},
     .cls = ERR_PEER,
     .log = "dir nonce dir nonce"},

    /* directory, account */
    {.name = "directory is away for a moment",
     .rules = {{.at = DIR, .from = 1, .to = 3}},
     .log = "dir dir dir " HAPPY,
     .challenges = 1,
     .max_ms = 180000},
    {.name = "directory is away",
     .rules = {{.at = DIR, .status = 503}},
     .cls = ERR_TRANSIENT,
     .log = "dir dir dir dir",
     .detail = "directory of the CA"},
    {.name = "directory is a web page",
     .rules = {{.at = DIR, .status = 200, .body = "<html>"}},
     .cls = ERR_PEER,
     .log = "dir",
     .detail = "directory is no JSON"},
    {.name = "directory redirects",
     .rules = {{.at = DIR, .status = 301, .header = "Location: https://other.test/dir"}},
     .cls = ERR_CONFIG,
     .log = "dir",
     .detail = "https://other.test/dir"},
    {.name = "directory is not there",
     .rules = {{.at = DIR, .status = 404}},
     .cls = ERR_CONFIG,
     .log = "dir",
     .detail = "check directory"},
    {.name = "directory with http URLs",
     .rules = {{.at = DIR,
                .status = 200,
                .body = "{\"newNonce\":\"http://ca.test/n\",\"newAccount\":\"https://ca.test/a\","
                        "\"newOrder\":\"https://ca.test/o\"}"}},
     .cls = ERR_PEER,
     .log = "dir",
     .detail = "newNonce is no https URL"},
    {.name = "no meta, no renewal information",
     .ca = {.meta = " ", .no_ari = true},
     .log = HAPPY,
     .challenges = 1,
     .replaces = true},
    {.name = "empty meta", .ca = {.meta = "{}"}, .log = HAPPY, .challenges = 1},
    {.name = "terms are not agreed to",
     .no_terms_agreed = true,
     .log = "dir",
     .cls = ERR_CONFIG,
     .detail = "https://ca.test/terms and set agree_tos"},
    {.name = "no terms to agree to",
     .no_terms_agreed = true,
     .ca = {.meta = "{}"},
     .log = HAPPY,
     .challenges = 1},
    {.name = "external account is required",
     .ca = {.meta = "{\"externalAccountRequired\":true}"},
     .log = "dir",
     .cls = ERR_CONFIG,
     .detail = "eab"},
    {.name = "external account is required after all",
     .rules = {{.at = ACCT, .status = 400, .type = "externalAccountRequired", .detail = "EAB"}},
     .log = "dir nonce acct",
     .cls = ERR_CONFIG,
     .detail = "eab"},
    {.name = "account exists at the CA (200)",
     .rules =
         {{.at = ACCT, .status = 200, .body = "{}", .header = "Location: https://ca.test/acct/1"}},
     .log = HAPPY,
     .challenges = 1},
    {.name = "account is deactivated",
     .rules = {{.at = ACCT,
                .status = 403,
                .type = "unauthorized",
                .detail = "An account with the provided public key exists but is deactivated"}},
     .log = "dir nonce acct",
     .cls = ERR_DENIED,
     .detail = "account:"},
    {.name = "account without Location",
     .rules = {{.at = ACCT, .status = 201, .body = "{}"}},
     .log = "dir nonce acct",
     .cls = ERR_PEER,
     .detail = "Location"},
    {.name = "newAccount's answer is lost",
     .rules = {{.at = ACCT, .from = 1, .effect = true}},
     .log = "dir nonce acct nonce acct new authz chall order fin order cert",
     .challenges = 1},
    {.name = "account is lost and made anew",
     .resume = "ready",
     .rules = {{.at = ORDER, .from = 1, .status = 400, .type = "accountDoesNotExist"},
               {.at = ACCT, .status = 201, .header = "Location: https://ca.test/acct/2"},
               {.at = CERT, .usual = true}},
     .log = "dir nonce order acct order fin order cert",
     .account = "https://ca.test/acct/2"},
    {.name = "account is lost for good",
     .rules = {{.at = NEW, .status = 400, .type = "accountDoesNotExist"}},
     .log = "dir nonce acct new acct",
     .cls = ERR_DENIED,
     .type = "accountDoesNotExist"},
    {.name = "401 on the order, but the account is there",
     .resume = "ready",
     .rules = {{.at = ORDER, .status = 401, .type = "unauthorized", .detail = "go away"}},
     .log = "dir nonce order acct",
     .cls = ERR_TRANSIENT,
     .detail = "go away"},
    {.name = "the CA wants new terms agreed to",
     .rules = {{.at = NEW,
                .status = 403,
                .body = "{\"type\":\"urn:ietf:params:acme:error:userActionRequired\",\"detail\":"
                        "\"Terms have changed\",\"instance\":\"https://ca.test/agree/17\"}"}},
     .log = "dir nonce acct new",
     .cls = ERR_DENIED,
     .detail = "https://ca.test/agree/17"},

    /* creating the order */
    {.name = "profile is sent",
     .profile = "shortlived",
     .log = HAPPY,
     .challenges = 1,
     .flags = KEEPER_F_PROFILE},
    {.name = "profile is missing: fail",
     .profile = "tlsserver",
     .log = "dir nonce acct",
     .cls = ERR_CONFIG,
     .detail = "no profile tlsserver; it has: classic, shortlived"},
    {.name = "profile is missing: default",
     .profile = "tlsserver",
     .or_default = true,
     .log = HAPPY,
     .challenges = 1},
    {.name = "CA without profiles: fail",
     .profile = "tlsserver",
     .ca = {.meta = "{}"},
     .log = "dir nonce acct",
     .cls = ERR_CONFIG,
     .detail = "the CA has no profiles"},
    {.name = "CA without profiles: default",
     .profile = "tlsserver",
     .or_default = true,
     .ca = {.meta = "{}"},
     .log = HAPPY,
     .challenges = 1},
    {.name = "profile is refused: fail",
     .profile = "classic",
     .rules = {{.at = NEW, .status = 400, .type = "invalidProfile", .detail = "gone"}},
     .log = "dir nonce acct new",
     .cls = ERR_CONFIG,
     .detail = "gone"},
    {.name = "profile is refused: default",
     .profile = "classic",
     .or_default = true,
     .rules = {{.at = NEW, .from = 1, .status = 400, .type = "invalidProfile", .detail = "gone"}},
     .log = "dir nonce acct new new authz chall order fin order cert",
     .challenges = 1},
    {.name = "replaces",
     .replaces = true,
     .log = HAPPY,
     .challenges = 1,
     .flags = KEEPER_F_REPLACES},
#define REPLACES_REFUSED(s, t)                                                                     \
    {                                                                                              \
        .name = "replaces is refused: " #s " " t, .replaces = true,                                \
        .rules = {{.at = NEW, .from = 1, .status = s, .type = t, .detail = "account mismatch"}},   \
        .log = "dir nonce acct new new authz chall order fin order cert", .challenges = 1          \
    }
    REPLACES_REFUSED(409, "alreadyReplaced"),
    REPLACES_REFUSED(409, "conflict"),
    REPLACES_REFUSED(403, "unauthorized"),
    REPLACES_REFUSED(400, "malformed"),
    {.name = "replaces is refused: 404",
     .replaces = true,
     .rules =
         {{.at = NEW, .from = 1, .status = 404, .type = "malformed", .detail = "no such issuer"}},
     .log = "dir nonce acct new dir new authz chall order fin order cert",
     .challenges = 1},
    {.name = "replaces, but the limit is reached",
     .replaces = true,
     .rules = {{.at = NEW,
                .status = 429,
                .type = "rateLimited",
                .detail = "too many",
                .header = "Retry-After: 7200"}},
     .log = "dir nonce acct new",
     .cls = ERR_RATE_LIMITED,
     .detail = "too many"},
    {.name = "order without Location",
     .rules = {{.at = NEW, .status = 201, .body = ORDER_DOC("pending", "")}},
     .log = "dir nonce acct new",
     .cls = ERR_PEER,
     .detail = "Location"},
    {.name = "order with a http URL",
     .rules = {{.at = NEW,
                .status = 201,
                .header = "Location: https://ca.test/order/0",
                .body = "{\"status\":\"pending\",\"identifiers\":[" NAME "],\"authorizations\":["
                        "\"http://ca.test/authz/0\"],\"finalize\":\"https://ca.test/fin/0\"}"}},
     .log = "dir nonce acct new",
     .cls = ERR_PEER,
     .detail = "no https URL"},
    {.name = "order of an unknown status",
     .rules = {{.at = NEW,
                .status = 201,
                .header = "Location: https://ca.test/order/0",
                .body = ORDER_DOC("blue", "")}},
     .log = "dir nonce acct new",
     .cls = ERR_PEER,
     .detail = "unknown status \"blue\""},
    {.name = "order with one name more",
     .ca = {.names = {"example.org", "www.example.org"}},
     .log = "dir nonce acct new",
     .cls = ERR_PEER,
     .detail = "other names"},
    {.name = "name is refused",
     .rules =
         {{.at = NEW, .status = 400, .type = "rejectedIdentifier", .detail = "policy forbids"}},
     .log = "dir nonce acct new",
     .cls = ERR_DENIED,
     .detail = "policy forbids"},
    {.name = "CAA forbids",
     .rules = {{.at = NEW, .status = 403, .type = "caa", .detail = "CAA"}},
     .log = "dir nonce acct new",
     .cls = ERR_DENIED,
     .detail = "CAA records must allow"},
    {.name = "newOrder redirects",
     .rules = {{.at = NEW, .status = 307, .header = "Location: https://other.test/n"}},
     .log = "dir nonce acct new",
     .cls = ERR_PEER,
     .detail = "redirection"},
    {.name = "newOrder's answer is lost",
     .rules = {{.at = NEW, .from = 1, .effect = true}},
     .log = "dir nonce acct new nonce new authz chall order fin order cert",
     .challenges = 1},

    /* limits */
    {.name = "429 with seconds is waited for",
     .rules = {{.at = NEW,
                .from = 1,
                .status = 429,
                .type = "rateLimited",
                .header = "Retry-After: 30"}},
     .log = "dir nonce acct new new authz chall order fin order cert",
     .challenges = 1,
     .min_ms = 30000},
    {.name = "429 with a date is waited for",
     .rules = {{.at = NEW,
                .from = 1,
                .status = 429,
                .type = "rateLimited",
                .header = "Retry-After: Wed, 18 Nov 2026 11:07:20 GMT"}},
     .log = "dir nonce acct new new authz chall order fin order cert",
     .challenges = 1,
     .min_ms = 39000},
    {.name = "429 without a time",
     .rules = {{.at = NEW, .status = 429, .type = "rateLimited"}},
     .log = "dir nonce acct new",
     .cls = ERR_RATE_LIMITED,
     .type = "rateLimited"},
    {.name = "429 with a web page",
     .rules = {{.at = NEW, .status = 429, .body = "<h1>slow</h1>"}},
     .log = "dir nonce acct new",
     .cls = ERR_RATE_LIMITED,
     .detail = "web page"},
    {.name = "429 again and again",
     .rules = {{.at = NEW, .status = 429, .type = "rateLimited", .header = "Retry-After: 2"}},
     .log = "dir nonce acct new new new new",
     .cls = ERR_RATE_LIMITED},
    {.name = "503 with a long Retry-After while the order lives",
     .rules = {{.at = AUTHZ, .status = 503, .header = "Retry-After: 3600"}},
     .log = OPEN,
     .cls = ERR_RATE_LIMITED,
     .resumable = true},
    {.name = "500 with Retry-After 60",
     .rules = {{.at = NEW,
                .from = 1,
                .status = 500,
                .type = "serverInternal",
                .header = "Retry-After: 60"}},
     .log = "dir nonce acct new new authz chall order fin order cert",
     .challenges = 1,
     .min_ms = 60000,
     .max_ms = 90000},
    {.name = "the account is paused",
     .rules = {{.at = NEW,
                .status = 429,
                .type = "rateLimited",
                .detail = "Please visit: https://ca.test/sfe/v1/unpause?jwt=abc"}},
     .log = "dir nonce acct new",
     .cls = ERR_DENIED,
     .detail = "unpause?jwt=abc"},

    /* authorizations */
    {.name = "unknown and token-less challenges are passed over",
     .ca = {.challenges = UNKNOWN_TYPES DNS01("pending", "")},
     .log = HAPPY,
     .challenges = 1},
    {.name = "no dns-01",
     .ca = {.challenges =
                "{\"type\":\"http-01\",\"url\":\"https://ca.test/x\",\"status\":\"pending\"},"
                "{\"type\":\"tls-alpn-01\",\"status\":\"pending\"}"},
     .log = OPEN,
     .cls = ERR_DENIED,
     .detail = "no dns-01 challenge for example.org, only: http-01, tls-alpn-01"},
    {.name = "no challenges",
     .ca = {.challenges = " "},
     .log = OPEN,
     .cls = ERR_PEER,
     .detail = "no challenge for example.org"},
    {.name = "dns-01 with a bad token",
     .ca = {.challenges =
                "{\"type\":\"dns-01\",\"url\":\"https://ca.test/x\",\"token\":\"short\"}"},
     .log = OPEN,
     .cls = ERR_PEER,
     .detail = "no usable token"},
    {.name = "authorization is no JSON",
     .rules = {{.at = AUTHZ, .status = 200, .body = "<html>"}},
     .log = OPEN,
     .cls = ERR_PEER,
     .detail = "authorization is no JSON"},
    {.name = "authorization is expired",
     .ca = {.authz_start = "expired"},
     .log = OPEN,
     .cls = ERR_TRANSIENT,
     .detail = "the authorization is expired"},
    {.name = "authorization is read after a fault",
     .rules = {{.at = AUTHZ, .from = 1, .status = 500}},
     .log = "dir nonce acct new authz authz chall order fin order cert",
     .challenges = 1},

    /* validation */
    {.name = "challenge is invalid",
     .ca = {.authz_end = "invalid"},
     .log = OPEN " chall order authz",
     .cls = ERR_TRANSIENT,
     .type = "unauthorized",
     .detail = "validating example.org: example.org: No TXT record found",
     .challenges = 1},
    {.name = "challenge is invalid at once (the answer tells)",
     .rules = {{.at = CHALL, .status = 200, .effect = true, .body = DNS01("invalid", "")},
               {.at = AUTHZ,
                .from = 2,
                .status = 200,
                .body = AUTHZ_DOC("invalid", DNS01("invalid", PENDING_ERROR))}},
     .log = OPEN " chall authz",
     .cls = ERR_TRANSIENT,
     .type = "dns",
     .detail = "NXDOMAIN there",
     .challenges = 1},
    {.name = "CAA forbids at validation",
     .ca = {.authz_end = "invalid"},
     .rules = {{.at = AUTHZ,
                .from = 2,
                .status = 200,
                .body = AUTHZ_DOC(
                    "invalid", DNS01("invalid", ",\"error\":{\"type\":\"urn:ietf:params:"
                                                "acme:error:caa\",\"detail\":\"CAA record\"}"))}},
     .log = OPEN " chall order authz",
     .cls = ERR_DENIED,
     .type = "caa",
     .challenges = 1},
    {.name = "challenge takes its time",
     .ca = {.reads_to_ready = 4},
     .log = OPEN " chall order order order order order fin order cert",
     .challenges = 1},
    {.name = "challenge is processing for long: looked at",
     .ca = {.reads_to_ready = 6},
     .log = OPEN " chall order order order order order order authz order fin order cert",
     .progress = "validation of example.org: processing",
     .challenges = 1},
    {.name = "pending with an error, retried by the CA on request",
     .ca = {.authz_end = "pending"},
     .rules = {{.at = CHALL,
                .from = 1,
                .status = 200,
                .effect = true,
                .body = DNS01("pending", PENDING_ERROR)},
               {.at = CHALL, .from = 2, .usual = true, .then = "ready"},
               {.at = AUTHZ,
                .from = 2,
                .status = 200,
                .body = AUTHZ_DOC("pending", DNS01("pending", PENDING_ERROR))}},
     .log = OPEN " chall authz chall order fin order cert",
     .progress = "NXDOMAIN there",
     .challenges = 1},
    {.name = "pending with an error for ever",
     .ca = {.authz_end = "pending"},
     .rules =
         {{.at = CHALL, .status = 200, .effect = true, .body = DNS01("pending", PENDING_ERROR)},
          {.at = AUTHZ,
           .from = 2,
           .to = 99,
           .status = 200,
           .body = AUTHZ_DOC("pending", DNS01("pending", PENDING_ERROR))}},
     .cls = ERR_TRANSIENT,
     .detail = "NXDOMAIN there",
     .resumable = true,
     .challenges = 1,
     .max_ms = 90000},
    {.name = "challenge is processing for ever",
     .ca = {.authz_end = "pending"},
     .cls = ERR_TRANSIENT,
     .detail = "validation of example.org: processing; the order is kept",
     .resumable = true,
     .challenges = 1,
     .min_ms = 600000,
     .max_ms = 602000},
    {.name = "the answer is refused because the challenge was answered before",
     .rules =
         {{.at = CHALL,
           .status = 400,
           .type = "malformed",
           .effect = true,
           .detail = "Cannot update challenge with status valid"},
          {.at = AUTHZ, .from = 2, .status = 200, .body = AUTHZ_DOC("valid", DNS01("valid", ""))}},
     .log = OPEN " chall authz order fin order cert",
     .challenges = 1},
    {.name = "the answer is refused for good",
     .ca = {.authz_end = "pending"},
     .rules = {{.at = CHALL, .status = 403, .type = "unauthorized", .detail = "never"}},
     .cls = ERR_TRANSIENT,
     .detail = "never",
     .resumable = true,
     .challenges = 1},
    {.name = "answers are limited",
     .rules = {{.at = CHALL, .status = 429, .type = "rateLimited", .header = "Retry-After: 900"}},
     .log = OPEN " chall",
     .cls = ERR_RATE_LIMITED,
     .resumable = true,
     .challenges = 1},
    {.name = "Retry-After 86400 on a processing order",
     .ca = {.reads_to_ready = 1},
     .rules = {{.at = ORDER, .from = 1, .usual = true, .header = "Retry-After: 86400"}},
     .log = OPEN " chall order order fin order cert",
     .challenges = 1,
     .min_ms = 60000,
     .max_ms = 65000},
    {.name = "the CA is away during validation",
     .ca = {.reads_to_ready = 0},
     .rules = {{.at = ORDER, .from = 1, .to = 5, .status = 500}},
     .log = OPEN " chall order order order order order order fin order cert",
     .challenges = 1},
    {.name = "publishing takes minutes",
     .publish_ms = 300000,
     .max_ms = 310000,
     .challenges = 1,
     .log = "dir nonce acct new authz chall order fin order cert"},
    {.name = "nonces are stale after an hour of publishing",
     .publish_ms = 3600000,
     .max_ms = 3610000,
     .challenges = 1,
     .log = "dir nonce acct new authz nonce chall order fin order cert"},

    /* finalization */
    {.name = "finalize's answer is lost, the CA issues",
     .ca = {.reads_to_valid = 2},
     .rules = {{.at = FIN, .from = 1, .effect = true}},
     .log = OPEN " chall order fin nonce order order cert",
     .challenges = 1},
    {.name = "finalize never arrived",
     .rules = {{.at = FIN, .from = 1}},
     .log = OPEN " chall order fin nonce order order order fin order cert",
     .challenges = 1,
     .max_ms = 80000},
    {.name = "finalize answers 504, the CA issues",
     .rules = {{.at = FIN, .from = 1, .status = 504, .effect = true}},
     .log = OPEN " chall order fin order cert",
     .challenges = 1},
    {.name = "finalize answers 504 for ever",
     .rules = {{.at = FIN, .status = 504}},
     .cls = ERR_TRANSIENT,
     .detail = "after 4 tries",
     .resumable = true,
     .challenges = 1},
    {.name = "orderNotReady (403), then valid",
     .rules = {{.at = FIN, .status = 403, .type = "orderNotReady", .then = "valid"}},
     .log = HAPPY,
     .challenges = 1},
    {.name = "orderNotReady (400), then ready",
     .rules = {{.at = FIN, .from = 1, .status = 400, .type = "orderNotReady"}},
     .log = OPEN " chall order fin order fin order cert",
     .challenges = 1},
    {.name = "orderNotReady for ever",
     .rules = {{.at = FIN, .status = 403, .type = "orderNotReady"}},
     .cls = ERR_TRANSIENT,
     .resumable = true,
     .challenges = 1},
    {.name = "badCSR",
     .rules = {{.at = FIN, .status = 400, .type = "badCSR", .detail = "key is weak"}},
     .log = OPEN " chall order fin",
     .cls = ERR_DENIED,
     .detail = "key is weak",
     .challenges = 1},
    {.name = "finalize answers nonsense while the CA issues",
     .rules = {{.at = FIN, .status = 200, .body = "\"done\"", .effect = true}},
     .log = HAPPY,
     .challenges = 1},
    {.name = "finalize is limited",
     .rules = {{.at = FIN, .status = 429, .type = "rateLimited", .header = "Retry-After: 600"}},
     .log = OPEN " chall order fin",
     .cls = ERR_RATE_LIMITED,
     .resumable = true,
     .challenges = 1},
    {.name = "order becomes invalid while processing",
     .rules = {{.at = ORDER,
                .from = 2,
                .status = 200,
                .body = ORDER_DOC("invalid", ",\"error\":{\"type\":\"urn:ietf:params:acme:error:"
                                             "serverInternal\",\"detail\":\"HSM on fire\"}")}},
     .log = OPEN " chall order fin order authz",
     .cls = ERR_TRANSIENT,
     .detail = "HSM on fire",
     .challenges = 1},
    {.name = "Retry-After of finalize is kept",
     .rules = {{.at = FIN, .usual = true, .header = "Retry-After: 20"}},
     .log = HAPPY,
     .challenges = 1,
     .min_ms = 21000},
    {.name = "Retry-After as a date",
     .ca = {.reads_to_valid = 1},
     .rules = {{.at = FIN, .usual = true, .header = "Retry-After: Thu, 18 Nov 2286 11:06:40 GMT"}},
     .log = HAPPY,
     .challenges = 1,
     .min_ms = 60000,
     .max_ms = 70000},
    {.name = "issuance takes for ever",
     .ca = {.reads_to_valid = 100000},
     .cls = ERR_TRANSIENT,
     .detail = "has not made the certificate yet",
     .resumable = true,
     .challenges = 1,
     .min_ms = 900000,
     .max_ms = 902000},
    {.name = "valid without a certificate's URL",
     .rules = {{.at = ORDER, .from = 2, .to = 3, .status = 200, .body = ORDER_DOC("valid", "")}},
     .log = OPEN " chall order fin order order order cert",
     .challenges = 1},

    /* the certificate */
    {.name = "a key in the chain",
     .rules = {{.at = CERT,
                .status = 200,
                .body = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
                        "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"}},
     .cls = ERR_PEER,
     .detail = "no certificate",
     .challenges = 1},
    {.name = "a web page as the chain",
     .rules = {{.at = CERT, .status = 200, .body = "<html>"}},
     .cls = ERR_PEER,
     .detail = "no certificate chain",
     .challenges = 1},
    {.name = "the certificate is there a moment later",
     .rules = {{.at = CERT, .from = 1, .status = 500}},
     .log = OPEN " chall order fin order cert cert",
     .challenges = 1},
    {.name = "the certificate cannot be had now",
     .rules = {{.at = CERT, .status = 500}},
     .cls = ERR_TRANSIENT,
     .resumable = true,
     .challenges = 1},
    {.name = "preferred chain is the first",
     .preferred = "Root A",
     .rules = {{.at = CERT, .status = 200, .body = CHAIN_A}},
     .log = HAPPY,
     .challenges = 1},
    {.name = "preferred chain is an alternate",
     .preferred = "Root B",
     .rules = {{.at = CERT,
                .status = 200,
                .body = CHAIN_A,
                .header = "Link: <https://ca.test/index>;rel=\"index\"\n"
                          "Link: <https://ca.test/alt/0/1>;rel=\"alternate\", "
                          "<https://ca.test/alt/0/2>; rel=alternate"},
               {.at = ALT, .from = 1, .status = 500},
               {.at = ALT, .from = 2, .status = 200, .body = CHAIN_A},
               {.at = ALT, .from = 3, .status = 200, .body = CHAIN_B}},
     .log = HAPPY " alt alt alt",
     .challenges = 1},
    {.name = "preferred chain is not offered",
     .preferred = "Root X",
     .rules = {{.at = CERT,
                .status = 200,
                .body = CHAIN_A,
                .header = "Link: <https://ca.test/alt/0/1>;rel=\"alternate\""},
               {.at = ALT, .status = 404}},
     .log = HAPPY " alt",
     .challenges = 1},
};

static void set_up(const struct scenario *s, struct fake *f, struct run *r)
{
    const char *names[NAMES] = {"example.org"};
    size_t n = 1;

    fake_init(f);
    f->rules = s->rules;
    f->n_rules = ARRAY_LEN(s->rules);
#define MANNER(x)                                                                                  \
    if (s->ca.x)                                                                                   \
    f->x = s->ca.x
    MANNER(meta);
    MANNER(no_ari);
    MANNER(start);
    MANNER(authz_start);
    MANNER(authz_end);
    MANNER(chall_status);
    MANNER(challenges);
    MANNER(fin_status);
    MANNER(reads_to_ready);
    MANNER(reads_to_valid);
    MANNER(no_wildcard_flag);
    MANNER(no_authzs);
#undef MANNER
    if (s->names[0]) {
        for (n = 0; n < NAMES && s->names[n]; n++)
            names[n] = s->names[n];
    }
    for (size_t i = 0; i < NAMES; i++)
        f->names[i] = s->ca.names[0] ? s->ca.names[i] : i < n ? names[i] : NULL;
    run_init(r, f, names, n);
    if (s->profile)
        r->conf->certs->profile = (char *)s->profile;
    r->conf->certs->profile_or_default = s->or_default;
    r->conf->cas->agree_tos = !s->no_terms_agreed;
    if (s->preferred)
        r->conf->cas->preferred_chain = (char *)s->preferred;
    r->publish_ms = s->publish_ms;
}

/* An order that was begun in another life. */
static void plant_order(const struct scenario *s, struct fake *f)
{
    f->orders = xcalloc(1, sizeof(*f->orders));
    f->n_orders = 1;
    f->orders->status = s->resume;
    while (f->orders->names < NAMES && f->names[f->orders->names])
        f->orders->authz[f->orders->names++] = str_eq(s->resume, "pending")   ? "pending"
                                               : str_eq(s->resume, "invalid") ? "invalid"
                                                                              : "valid";
    f->accounts_made = 1;
    free(f->account);
    f->account = xstrdup("https://ca.test/acct/1");
}

static void begin(const struct scenario *s, struct fake *f, struct run *r)
{
    set_up(s, f, r);
    if (s->resume)
        plant_order(s, f);
    run_start(r, s->resume ? "https://ca.test/order/0" : "", s->replaces);
}

static void check_failure(const struct scenario *s, const struct run *r)
{
    char text[800];

    err_text(&r->err, text, sizeof(text));
    if (r->err.cls != s->cls)
        print_error("class %s: %s\n", err_class_name(r->err.cls), text);
    assert_int_equal(r->err.cls, s->cls);
    if (s->type)
        assert_string_equal(r->err.type, s->type);
    if (s->detail && !strstr(text, s->detail)) {
        print_error("detail: %s\n", text);
        fail();
    }
    if (s->cls != ERR_NONE) {
        assert_true(r->err.activity[0] != '\0');
        assert_int_equal(r->resumable, s->resumable);
    }
}

static void run_scenario(void **state)
{
    const struct scenario *s = *state;
    struct fake f;
    struct run r;
    int64_t took;

    begin(s, &f, &r);
    took = -fake_now(&f);
    fake_run(&f, 0);
    took += fake_now(&f);
    if (r.done != 1)
        print_error("not done: %s | %s\n", buf_str(&f.log), r.progress);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.late, 0);
    check_failure(s, &r);
    if (s->log)
        assert_string_equal(buf_str(&f.log), s->log);
    if (s->progress && !strstr(r.progress, s->progress)) {
        print_error("progress: %s\n", r.progress);
        fail();
    }
    assert_int_equal(r.answered, r.challenges);
    assert_true(r.challenges <= 1);
    if (s->challenges >= 0)
        assert_int_equal(r.n_challenges, s->challenges);
    if (took > (s->max_ms ? s->max_ms : 60000) || took < s->min_ms) {
        print_error("took %lld ms: %s\n", (long long)took, buf_str(&f.log));
        fail();
    }
    assert_int_equal(f.last_flags, s->flags);
    if (s->cls == ERR_NONE) {
        assert_true(str_starts(r.pem, "-----BEGIN CERTIFICATE-----\n"));
        assert_string_equal(r.account, s->account ? s->account : "https://ca.test/acct/1");
    }
    run_done(&r);
    fake_done(&f);
}

int main(void)
{
    struct CMUnitTest tests[ARRAY_LEN(scenarios)];

    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
        tests[i] = (struct CMUnitTest){.name = scenarios[i].name,
                                       .test_func = run_scenario,
                                       .initial_state = (void *)&scenarios[i]};
    return _cmocka_run_group_tests("orders", tests, ARRAY_LEN(tests), NULL, NULL);
}
