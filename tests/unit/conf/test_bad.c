/* SPDX-License-Identifier: ISC */
/* Bad input: one clear error, at its place. */
#include "conf/fixture.h"

#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct bad {
    const char *yaml;
    unsigned line, column;
    const char *text;
};

#define NAMES(list) WITH_PROVIDER "  - names: " list "\n"
#define CERT(key) WITH_PROVIDER "  - names: [a.example.org]\n    " key "\n"
#define STEP(step) WITH_PROVIDER "  - names: [a.example.org]\n    deploy:\n      - " step "\n"

static const struct bad syntax[] = {
    {"a: [1\nb: 2\n", 2, 2, "not valid YAML"},
    {"\tversion: 1\n", 1, 1, "a tab: YAML is indented with spaces"},
    {"version: 1\nversion: 1\n", 2, 1, "version: written twice; it stands in line 1 already"},
    {NAMES("[*.example.org]"), 3, 13,
     "an unquoted * begins a YAML alias: quote it: \"*.example.org\""},
    {WITH_PROVIDER "  - *.example.org\n", 3, 5, "quote it: \"*.example.org\""},
    {NAMES("[*example]"), 3, 13, "no &example stands before it"},
    {STEP("run: [x, %d]"), 5, 18, "a text cannot begin with %: quote it: \"%d\""},
    {"? [a]\n: b\n", 1, 3, "a key must be a text"},
    {"a: !secret x\n", 1, 4, "YAML tags have no meaning here"},
    {"version: 1\n---\nversion: 1\n", 2, 1, "a second document"},
    {"- a\n", 1, 1, "top level: must be a mapping"},
    {"x-a: \"\\0\"\n", 1, 6, "a text with a NUL in it"},
    {"x-a: &a [*a]\n", 1, 10, "no &a stands before it"},
    {"x-a: {<<: b}\n", 1, 11, "<<: must name a mapping"},
    {"x-a: {<<: [{a: b}, c]}\n", 1, 20, "<<: must name mappings"},
};

static const struct bad keys[] = {
    {"certificats: []\n", 1, 1, "certificats: unknown key; did you mean certificates?"},
    {"frobnicate: 1\n", 1, 1, "frobnicate: unknown key"},
    {CERT("kye: rsa-2048"), 4, 5, "kye: unknown key; did you mean key?"},
    {CERT("email: a@example.org"), 4, 5, "email: belongs to the CA's account"},
    {"defaults: {names: [a]}\n", 1, 12, "names: each certificate has its own"},
    {"version: 2\n", 1, 10, "version: 2: this renewd reads version 1"},
    {"log_level: loud\n", 1, 12, "log_level: loud: write error, warn, info or debug"},
    {"log_level: inf\n", 1, 12, "did you mean info?"},
    {"archive_keep: many\n", 1, 15, "archive_keep: many: write a whole number from 0 to 1000"},
    {"archive_keep: -1\n", 1, 15, "archive_keep: -1: write a whole number"},
    {"control_socket: /run/admin.sock\n", 1, 17, "admin.sock is the keeper's own socket"},
    {"control_socket: "
     "/run/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaa/c.sock\n",
     1, 17, "a socket's path has at most 107 bytes"},
    {"state_dir: [a]\n", 1, 12, "state_dir: must be one value, this is a list"},
    {"state_dir: \"\"\n", 1, 12, "state_dir: must not be empty"},
    {"cas: [a]\n", 1, 6, "cas: must be a mapping"},
    {"certificates: {a: b}\n", 1, 15, "certificates: must be a list"},
    {"providers: x\n", 1, 12, "providers: must be a mapping"},
    {"deployments: {a: {run: [x]}}\n", 1, 18, "deployments: a must be a list of steps"},
    {"deployments: {\"a b\": []}\n", 1, 15, "deployments: \"a b\" is no name"},
    {"dns: {timeout: 10}\n", 1, 16, "timeout: 10 has no unit: write 10s, 10m, 10h, 10d or 10w"},
    {"dns: {timeout: soon}\n", 1, 16, "timeout: soon is no duration"},
    {"dns: {timeout: 0s}\n", 1, 16, "timeout: 0s is out of range: write 1s to 1w"},
    {"dns: {check: of}\n", 1, 14, "check: of: write require, warn or none"},
    {"dns: {resolvers: 192.0.2.1}\n", 1, 18, "resolvers: must be a list: write [192.0.2.1]"},
    {"dns: {resolvers: [dns.example]}\n", 1, 19, "resolvers: dns.example is no address"},
    {"dns: {zones: {\"a..b\": {}}}\n", 1, 15, "zones: a..b is no domain"},
    {"dns: {zones: {a: {server: [192.0.2.1]}}}\n", 1, 19,
     "server: unknown key; did you mean servers?"},
    {"cas: {corp: {ca_file: x}}\n", 1, 23, "ca_file: cannot read "},
    {"cas: {corp: {email: a@example.org}}\n", 1, 7,
     "directory: missing: corp is no CA that renewd knows"},
    {"cas: {corp: {directory: \"http://ca.example/\"}}\n", 1, 25,
     "directory: ACME works over https only"},
    {"cas: {corp: {preset: letsencrpt}}\n", 1, 22,
     "there is no preset letsencrpt; did you mean letsencrypt?"},
    {"cas: {letsencrypt: {staging: none}}\n", 1, 7, "staging: there is no CA none"},
    {"defaults: {email: me}\n", 1, 19, "email: me is no e-mail address"},
    {"defaults: {email: \"mailto:me@x.org\"}\n", 1, 19, "without mailto:"},
};

static const struct bad users[] = {
    /* only root can become somebody else */
    {"control_group: renewd-no-such-group\n", 1, 16, "there is no group renewd-no-such-group"},
    {"user: renewd-no-such-user\n", 1, 7, "user: there is no user renewd-no-such-user"},
};

static const struct bad names[] = {
    {"provider: {}\ncertificates: [a.example.org]\n", 1, 1,
     "provider: unknown key; did you mean providers?"},
    {"providers: p\ncertificates: [a.example.org]\n", 1, 12, "providers: must be a mapping"},
    {NAMES("[192.0.2.7]"), 3, 13,
     "names: 192.0.2.7 is an IP address, and dns-01 proves names only"},
    {NAMES("[\"2001:db8::1\"]"), 3, 13, "is an IP address"},
    {NAMES("[www.example.org, \"*.example.org\"]"), 3, 13,
     "names: www.example.org is already covered by *.example.org: leave it out"},
    {NAMES("[\"*.example.org\", www.example.org]"), 3, 30,
     "www.example.org is already covered by *.example.org"},
    {NAMES("[a.example.org, A.Example.ORG.]"), 3, 28, "names: a.example.org is written twice"},
    {NAMES("[a_b.example.org]"), 3, 13, "names: a_b.example.org is no host name"},
    {NAMES("[\"a.*.example.org\"]"), 3, 13, "is no host name"},
    {NAMES("[\"*\"]"), 3, 13, "is no host name"},
    {NAMES("[a b]"), 3, 13, "names: a b is no host name"},
    {NAMES("a.example.org"), 3, 12, "names: must be a list: write [a.example.org]"},
    {NAMES("[]"), 3, 12, "names: the list is empty"},
    {NAMES("[{nam: a}]"), 3, 14, "nam: unknown key; did you mean name?"},
    {NAMES("[{name: a.example.org, provider: q}]"), 3, 45, "provider: there is no provider q"},
    {WITH_PROVIDER "  - name: x\n", 3, 5, "names: missing"},
    {WITH_PROVIDER "  -\n", 3, 4, "an entry must be a name or a mapping"},
    {WITH_PROVIDER "  - a.example.org\n  - names: [b.example.org]\n    name: a.example.org\n", 5,
     11, "name: a.example.org is the name of another certificate, at "},
    {WITH_PROVIDER "  - a.example.org\n  - names: [\"*.a.example.org\"]\n", 4, 5,
     "name: a.example.org is the name of another certificate"},
    {CERT("name: \"../x\""), 4, 11, "name: \"../x\" is no name"},
    {CERT("name: .."), 4, 11, "name: \"..\" is no name"},
    {"certificates: [a.example.org, b.example.org]\n", 1, 16,
     "provider: missing provider for a.example.org"},
    {"providers:\n  p: {plugin: rfc2136, server: 192.0.2.1}\n  q: {plugin: rfc2136, server: "
     "192.0.2.2}\n"
     "certificates: [a.example.org]\n",
     4, 16, "provider: missing provider for a.example.org: there are 2"},
};

static const struct bad values[] = {
    {CERT("provider: q"), 4, 15, "provider: there is no provider q"},
    {CERT("ca: letsencrpt"), 4, 9, "ca: there is no CA letsencrpt; did you mean letsencrypt?"},
    {CERT("ca: []"), 4, 9, "ca: the list is empty"},
    {CERT("ca: [letsencrypt, letsencrypt]"), 4, 23, "ca: letsencrypt is written twice"},
    {CERT("deploy: nginx"), 4, 13, "deploy: must be a list: write [nginx]"},
    {CERT("deploy: [nginx]"), 4, 14, "deploy: there is no deployment nginx"},
    {CERT("enabled: yes"), 4, 14, "enabled: yes: write true"},
    {CERT("ari: Off"), 4, 10, "ari: Off: write false"},
    {CERT("ari: maybe"), 4, 10, "ari: maybe: write true or false"},
    {CERT("key_mode: 0600"), 4, 15, "key_mode: quote it: \"0600\""},
    {CERT("key_mode: \"rw\""), 4, 15, "key_mode: rw is no mode: write a quoted octal number"},
    {CERT("key_mode: \"4755\""), 4, 15, "key_mode: 4755 is no mode"},
    {CERT("key: rsa2048"), 4, 10,
     "key: rsa2048: write ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072 or "
     "rsa-4096; did you mean rsa-2048?"},
    {CERT("renew_before: 30"), 4, 19, "renew_before: 30 has no unit"},
    {CERT("renew_before: 100%"), 4, 19, "renew_before: 100%: write 1% to 99%"},
    {CERT("profile: {on_missing: fail}"), 4, 14, "name: missing: the profile's name"},
    {CERT("profile: {name: a, on_missing: ignore}"), 4, 36,
     "on_missing: ignore: write fail or default"},
    {CERT("fallback_after: 0"), 4, 21, "fallback_after: 0: write a whole number from 1 to 1000"},
    {STEP("run: systemctl reload nginx -q"), 5, 14,
     "run: must be a list, there is no shell: write [systemctl, reload, nginx, \"-q\"]"},
    {STEP("run: [x, \"%x\"]"), 5, 18, "run: %x has no meaning"},
    {STEP("run: []"), 5, 14, "run: must be a list"},
    {STEP("rum: [x]"), 5, 9,
     "rum: no step: a step has one of run, reload, file or verify; did you mean run?"},
    {STEP("run: [x]\n        reload: y"), 6, 9, "reload: unknown key"},
    {STEP("reload: -x"), 5, 17, "reload: -x is no name of a systemd unit"},
    {STEP("file: a\n        content: [key]"), 6, 19,
     "content: key: write privkey, cert, chain, fullchain, pkcs12, pkcs12-legacy, "
     "privkey-der or cert-der"},
    {STEP("file: a\n        content: privkey"), 6, 18, "content: must be a list: write [privkey]"},
    {STEP("file: a\n        mode: 0640"), 6, 15, "mode: quote it: \"0640\""},
    {STEP("verify: {connect: localhost}"), 5, 27, "connect: localhost: write HOST:PORT"},
    {STEP("verify: {connect: []}"), 5, 27, "connect: the list is empty"},
    {STEP("verify: {sni: a.example.org}"), 5, 17, "connect: missing"},
    {STEP("verify: {connect: \"a:443\", sni: \"*.a.org\"}"), 5, 41, "sni: *.a.org is no host name"},
    {STEP("[run]"), 5, 9, "a step is a mapping"},
    {STEP("{reload: a, timeout: 5}"), 5, 30, "timeout: 5 has no unit"},
};

static const struct bad later[] = {
    {"http_proxy: \"http://p:3128\"\n", 1, 1, "http_proxy: not yet available"},
    {"no_proxy: [a]\n", 1, 1, "no_proxy: not yet available"},
    {"metrics: {listen: \"127.0.0.1:9\"}\n", 1, 1, "metrics: not yet available"},
    {"notify: []\n", 1, 1, "notify: not yet available"},
    {"dns: {resolvers: [\"https://dns.example/q\"]}\n", 1, 19,
     "resolvers: https://dns.example/q: DNS over HTTPS is not yet available"},
    {"providers: {p: {plugin: rfc2136, server: a, proxy: x}}\n", 1, 45, "proxy: not yet available"},
    {"providers: {p: {plugin: rfc2136, server: a, limits: x}}\n", 1, 45,
     "limits: not yet available"},
};

#define U(text) NAMES("[\"" text "\"]")
#define CHALLENGE(name, challenge)                                                                 \
    WITH_PROVIDER "  - names: [" name "]\n    challenge: " challenge "\n"
#define OWN(name, challenge)                                                                       \
    WITH_PROVIDER "  - names: [{name: " name ", challenge: " challenge                             \
                  "}]\n    challenge: http-01\n"

static const struct bad hosts[] = {
    {U("a b.example"), 3, 13, "is no host name: a character other than letters"},
    {U("\xe2\x98\x83.example"), 3, 13, "it has a character that host names cannot have (IDNA2008)"},
    {U("xn--a.example"), 3, 13, "an xn-- label that stands for no name"},
    {U("xn--a-.example"), 3, 13, "is no host name"},
    {U("xn--\xc3\xbc.example"), 3, 13, "is no host name"},
    {U("\xcc\x88x.example"), 3, 13, "a label that begins with a combining character"},
    {U("a\xd7\x90.example"), 3, 13, "letters of both directions in one label"},
    {U("*.*.b\xc3\xbc"
       "cher.example"),
     3, 13, "is no host name"},
    {U("b\xc3\xbc"
       "cher_.example"),
     3, 13, "is no host name"},
    {NAMES("[\"b\xc3\xbc"
           "cher.example\", xn--bcher-kva.example]"),
     3, 31, "names: xn--bcher-kva.example is written twice"},
    {NAMES("[\"B\xc3\x9c"
           "CHER.example\", \"bu\xcc\x88"
           "cher.example\"]"),
     3, 31, "names: xn--bcher-kva.example is written twice"},
    {NAMES("[\"*.m\xc3\xbcnchen.example\", \"a.m\xc3\xbcnchen.example\"]"), 3, 34,
     "names: a.xn--mnchen-3ya.example is already covered by *.xn--mnchen-3ya.example"},
    {NAMES("[192.0.2.300]"), 3, 13, "its last label is a number: neither a name nor an address"},
    {NAMES("[wiki]"), 3, 13, "names: wiki has one label, and letsencrypt certifies no such names"},
    {"providers: {p: {plugin: rfc2136, zones: [\"\xe2\x98\x83\"], server: a}}\n", 1, 42,
     "zones: \xe2\x98\x83 is no domain: it has a character"},
    {"dns: {zones: {\"\xe2\x98\x83\": {}}}\n", 1, 15, "zones: \xe2\x98\x83 is no domain"},
    {STEP("verify: {connect: \"a:1\", sni: \"\xe2\x98\x83.example\"}"), 5, 39, "is no host name"},
    {STEP("verify: {connect: \"\xe2\x98\x83.example:1\"}"), 5, 27, "write HOST:PORT"},
};

static const struct bad challenges[] = {
    {CERT("challenge: dns-02"), 4, 16, "challenge: dns-02: write dns-01, http-01, tls-alpn-01, "},
    {CERT("challenge: []"), 4, 16, "challenge: the list is empty"},
    {CERT("challenge: [dns-01, dns-01]"), 4, 25, "challenge: dns-01 is written twice"},
    {CHALLENGE("\"*.example.org\"", "http-01"), 3, 13,
     "names: *.example.org: a wildcard is proved by DNS only: write challenge: dns-01"},
    {CHALLENGE("\"*.example.org\"", "[http-01, tls-alpn-01]"), 3, 13,
     "a wildcard is proved by DNS"},
    {CHALLENGE("192.0.2.1", "[dns-01, dns-account-01, dns-persist-01]"), 3, 13,
     "names: 192.0.2.1 is an IP address, and dns-01 proves names only: write challenge: http-01"},
    {CHALLENGE("\"2001:DB8::1\", \"[2001:db8:0::1]\"", "http-01"), 3, 28,
     "names: 2001:db8::1 is written twice"},
    {CHALLENGE("\"*.192.0.2.1\"", "dns-01"), 3, 13, "is no host name"},
    {CHALLENGE("10.1.2.3", "http-01"), 3, 13, "names: 10.1.2.3 is a private address, which letse"},
    {CHALLENGE("\"fd00::1\"", "http-01"), 3, 13, "names: fd00::1 is a private address"},
    {OWN("192.0.2.1", "dns-01"), 3, 42, "is an IP address"},
    {OWN("\"*.example.org\"", "[dns-01, http-01]"), 3, 48, "a wildcard is proved by DNS only"},
    {OWN("a.example.org", "http"), 3, 46, "challenge: http: write dns-01"},
    {CERT("http01: {}"), 4, 13, "http01: write one of {listen: [ADDR:PORT]}, {webroot: PATH} and"},
    {CERT("http01: {webroot: /x, listen: [\"127.0.0.1:80\"]}"), 4, 13, "http01: write one of"},
    {CERT("http01: {listen: [\"80\"]}"), 4, 23, "write ADDRESS:PORT, as \"0.0.0.0:80\""},
    {CERT("http01: {listen: \"0.0.0.0:80\"}"), 4, 22, "listen: must be a list: write [0.0.0.0:80]"},
    {CERT("http01: {listen: [\"::1\"]}"), 4, 23, "listen: ::1: write ADDRESS:PORT"},
    {CERT("http01: {listen: [\"[::1]:80\", \"[0::1]:80\"]}"), 4, 35, "[::1]:80 is written twice"},
    {CERT("http01: {run: push-token}"), 4, 19, "run: must be a list"},
    {CERT("http01: {root: /x}"), 4, 14, "root: unknown key"},
    {CERT("tlsalpn01: {listen: [a]}"), 4, 26, "write ADDRESS:PORT, as \"0.0.0.0:443\""},
    {CERT("tlsalpn01: {}"), 4, 16, "listen: missing"},
    {"certificates:\n  - {names: [a.example.org], challenge: http-01}\n  - {names: "
     "[b.example.org], "
     "challenge: tls-alpn-01, tlsalpn01: {listen: [\"127.0.0.1:9\", \"0.0.0.0:80\"]}}\n",
     3, 65, "listen: 0.0.0.0:80 answers http-01 already, it cannot answer tls-alpn-01 too"},
    {CERT("dns_persist01: {until: 1h}"), 4, 28, "until: 1h is out of range: write 1d to "},
    {CERT("dns_persist01: {write: yes}"), 4, 28, "write: yes: write true"},
    {"certificates: [{names: [a.example.org], challenge: dns-persist-01, dns_persist01: {write: "
     "true}}]\n",
     1, 16, "provider: missing provider for a.example.org"},
    {"certificates: [{names: [a.example.org, {name: b.example.org, challenge: dns-01}], challenge: "
     "http-01}]\n",
     1, 16, "provider: missing provider"},
};

#define CA(entry) "cas: {" entry "}\n"

static const struct bad accounts[] = {
    {CERT("ca: google"), 4, 9,
     "ca: google wants its accounts bound to one that you have there: write cas: {google: {eab: "
     "{kid: ..., hmac_key: {file: PATH}}}}"},
    {CERT("ca: [letsencrypt, zerossl]"), 4, 23, "write email, or cas: {zerossl: {eab: "},
    {CA("google: {}") CERT("ca: google"), 5, 9, "ca: google wants its accounts bound"},
    {CA("z: {preset: zerossl}") CERT("ca: z"), 5, 9, "cas: {z: {eab"},
    {CA("google: {eab: {kid: a}}"), 1, 21, "hmac_key: missing"},
    {CA("google: {eab: {hmac_key: b}}"), 1, 21, "kid: missing"},
    {CA("google: {eab: {kid: a, hmac_key: \"a b\"}}"), 1, 40, "hmac_key: is no base64 text"},
    {CA("google: {eab: a}"), 1, 21, "eab: must be a mapping"},
    {CA("google: {eab: {kid: a, hmackey: b}}"), 1, 30,
     "hmackey: unknown key; did you mean hmac_key?"},
    {CA("letsencrypt: {limits: {orders: 300}}"), 1, 38, "orders: 300: write a number and a time"},
    {CA("letsencrypt: {limits: {orders: 0/3h}}"), 1, 38, "write a number and a time, as 300/3h"},
    {CA("letsencrypt: {limits: {domain: 5/3}}"), 1, 38, "domain: 5/3: write a number and a time"},
    {CA("letsencrypt: {limits: {order: 5/3h}}"), 1, 30, "order: unknown key; did you mean orders?"},
    {CA("letsencrypt: {account_key: es256}"), 1, 34, "account_key: es256: write ecdsa-p256, "},
    {CA("letsencrypt: {account_key: ed25519}"), 1, 34, "Let's Encrypt takes no ed25519"},
    {CA("a: {preset: letsencrypt, directory: \"https://ca.example/d\"}"), 1, 7,
     "preset: write either preset or directory"},
    {CA("letsencrypt: {limits: {orders: 9/1h}}, b: {preset: letsencrypt, limits: {orders: 8/1h}}"),
     1, 46, "limits: b has the account of letsencrypt"},
    {CA("letsencrypt: {account_key: rsa-2048}, b: {preset: letsencrypt, account_key: rsa-4096}"), 1,
     45, "account_key: b has the account of letsencrypt"},
};

static const struct bad keys_and_requests[] = {
    {CERT("key: [rsa-2048, rsa-2048]"), 4, 21, "key: rsa-2048 is written twice"},
    {CERT("key: []"), 4, 10, "key: the list is empty"},
    {CERT("key: [rsa-2048, rsa-1024]"), 4, 21, "key: rsa-1024: write ecdsa-p256"},
    {CERT("key: [rsa-2048, ecdsa-p256]\n    deploy: [{file: /x.pem}]"), 4, 10,
     "key: each key has a certificate of its own, and both would be written to /x.pem: put %n in"},
    {CERT("name: a+rsa-2048"), 4, 11, "name: \"a+rsa-2048\" is no name"},
    {CERT("csr: none.csr"), 4, 10, "csr: cannot read "},
    {CERT("csr: renewd.yaml"), 4, 10, "holds no certificate request in PEM form"},
    {CERT("csr: a.csr\n    key: rsa-2048"), 5, 10, "key: csr excludes it"},
    {CERT("csr: a.csr\n    reuse_key: true"), 5, 16, "reuse_key: csr excludes it"},
    {CERT("csr: a.csr\n    must_staple: true"), 5, 18, "must_staple: the request that csr names"},
    {CERT("csr: a.csr\n    deploy: [{file: /k.pem, content: [privkey]}]"), 4, 10,
     "csr: the private key is where the request was made: its deployment cannot write it to /k.p"},
    {CERT("csr: bad.csr"), 4, 10, "bad.csr: its names are others"},
    {CERT("csr: staple.csr"), 4, 10, "csr: must-staple is asked for, and letsencrypt has no OCSP"},
    {CERT("must_staple: true"), 4, 18,
     "must_staple: must-staple is asked for, and letsencrypt has no OCSP"},
    {"defaults: {must_staple: true}\n" WITH_PROVIDER "  - a.example.org\n", 4, 5,
     "must_staple: must-staple is asked for, and letsencrypt has no OCSP"},
};

#define CONTENT(list) STEP("file: a\n        content: " list)
#define PKCS12(list, text) STEP("file: a\n        content: " list "\n        password: " text)

static const struct bad contents[] = {
    {CONTENT("[pkcs12]"), 6, 18, "password: missing: a PKCS #12 file has one: write password: {fi"},
    {CONTENT("[pkcs12-legacy]"), 6, 18, "password: missing"},
    {PKCS12("[privkey]", "x"), 7, 19, "password: only a PKCS #12 file has one"},
    {STEP("file: a") "        password: x\n", 6, 19, "password: only a PKCS #12 file has one"},
    {PKCS12("[pkcs12, cert]", "x"), 6, 19, "content: pkcs12 stands alone"},
    {CONTENT("[cert, privkey-der]"), 6, 25, "content: privkey-der stands alone"},
    {CONTENT("[cert-der, cert-der]"), 6, 19, "content: cert-der stands alone"},
    {PKCS12("[pkcs12]", "\"\""), 7, 19, "password: the secret is empty"},
    {STEP("verify: {connect: \"a:25\", starttls: ftp}"), 5, 45,
     "starttls: ftp: write smtp, imap, pop3, ldap or postgres"},
};

static void check(struct fixture *f, const struct bad *cases, size_t n)
{
    fixture_write(f, "a.csr", FIXTURE_CSR, 0644);
    fixture_write(f, "bad.csr", FIXTURE_CSR, 0644);
    fixture_write(f, "staple.csr", FIXTURE_CSR, 0644);
    for (size_t i = 0; i < n; i++) {
        print_message("# %s\n", cases[i].text);
        fixture_load(f, cases[i].yaml);
        fixture_one_error(f, cases[i].line, cases[i].column, cases[i].text);
    }
}

#define TABLE_TEST(table)                                                                          \
    static void test_##table(void **state)                                                         \
    {                                                                                              \
        check(*state, table, ARRAY_LEN(table));                                                    \
    }

TABLE_TEST(syntax)
TABLE_TEST(keys)
TABLE_TEST(names)
TABLE_TEST(values)
TABLE_TEST(later)
TABLE_TEST(hosts)
TABLE_TEST(challenges)
TABLE_TEST(accounts)
TABLE_TEST(keys_and_requests)
TABLE_TEST(contents)

static void test_users(void **state)
{
    if (geteuid() != 0)
        skip();
    check(*state, users, ARRAY_LEN(users));
}

static void bytes_case(struct fixture *f, const char *p, size_t n, unsigned line, unsigned column,
                       const char *text)
{
    fixture_write_bytes(f, "renewd.yaml", p, n, 0600);
    fixture_reload(f, NULL);
    fixture_one_error(f, line, column, text);
}

static void test_bytes(void **state)
{
    struct fixture *f = *state;

    bytes_case(f, "x-a: 1\nx-\xc3\xa4: \xe4\n", 16, 2, 6, "the byte 0xe4 is not UTF-8");
    bytes_case(f, "x-a: a\0b\n", 9, 1, 7, "a NUL byte");
    bytes_case(f, "\xff\xfex\0", 4, 1, 1, "UTF-16");
    bytes_case(f, "x-a: a\x01\n", 8, 1, 7, "control characters are not allowed");
}

static void test_billion_laughs(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 1 << 20);
    buf_puts(&b, "x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (int i = 1; i < 20; i++) {
        buf_putf(&b, "x-%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            buf_putf(&b, "%s*a%d", k ? ", " : "", i - 1);
        buf_puts(&b, "]\n");
    }
    fixture_load(f, buf_str(&b));
    fixture_one_error(f, 7, 21,
                      "with its aliases written out the file has more than 4000000 values");
    buf_free(&b);
}

static void test_merge_bomb(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 8 << 20);
    buf_puts(&b, "x-0: &a {");
    for (int i = 0; i < 2000; i++)
        buf_putf(&b, "k%d: v, ", i);
    buf_puts(&b, "}\nx-1:\n");
    for (int i = 0; i < 2000; i++)
        buf_puts(&b, "  - {<<: *a}\n");
    fixture_load(f, buf_str(&b));
    assert_int_equal(fixture_errors(f), 1);
    assert_non_null(strstr(f->m.v[0].text, "with its aliases written out"));
    buf_free(&b);
}

static void test_large_scalar(void **state)
{
    struct fixture *f = *state;
    char *text = xcalloc(1, (1 << 20) + 32);

    memcpy(text, "x-a: 1\nstate_dir: ", 18);
    memset(text + 18, 'a', 1 << 20);
    fixture_load(f, text);
    fixture_one_error(f, 2, 12, "a text of 1048576 bytes: at most 65536 are allowed");
    free(text);
}

static void test_depth(void **state)
{
    struct fixture *f = *state;
    char text[300] = "x-a: ";

    memset(text + 5, '[', 200);
    fixture_load(f, text);
    fixture_one_error(f, 1, 69, "more than 64 levels deep");
}

static void test_many_errors(void **state)
{
    struct fixture *f = *state;
    struct buf b;

    buf_init(&b, 1 << 20);
    for (int i = 0; i < 80; i++)
        buf_putf(&b, "key%d: 1\n", i);
    fixture_load(f, buf_str(&b));
    assert_int_equal(fixture_errors(f), 51);
    assert_string_equal(f->m.v[f->m.n - 1].text, "30 more errors are not shown");
    assert_int_equal(f->m.v[0].line, 1);
    fixture_says(f, false, NULL, 50, 1, "key49: unknown key");
    buf_free(&b);
}

static void test_no_file(void **state)
{
    struct fixture *f = *state;

    fixture_reload(f, NULL);
    fixture_one_error(f, 1, 1, "No such file or directory");
}

static void test_everything_at_once(void **state)
{
    struct fixture *f = *state;

    fixture_load(f, "log_level: loud\nproviders: {p: {plugin: rfc2136}}\ncertificates:\n"
                    "  - {names: [a.example.org], key: x, ari: y}\n  - 192.0.2.1\n");
    assert_int_equal(fixture_errors(f), 5);
    fixture_says(f, false, NULL, 1, 12, "log_level");
    fixture_says(f, false, NULL, 2, 13, "server: missing in provider p");
    fixture_says(f, false, NULL, 4, 35, "key: x");
    fixture_says(f, false, NULL, 4, 43, "ari: y");
    fixture_says(f, false, NULL, 5, 5, "is an IP address");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_syntax),     T(test_keys),
        T(test_names),      T(test_values),
        T(test_later),      T(test_users),
        T(test_bytes),      T(test_billion_laughs),
        T(test_merge_bomb), T(test_large_scalar),
        T(test_depth),      T(test_many_errors),
        T(test_no_file),    T(test_everything_at_once),
        T(test_hosts),      T(test_challenges),
        T(test_accounts),   T(test_keys_and_requests),
        T(test_contents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
