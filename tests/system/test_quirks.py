# SPDX-License-Identifier: ISC
"""A CA that plays every quirk that is known of CAs, all at once: one certificate for each, one daemon.

Every case says how it ends, what the user is told, when it is tried again, and how many requests it may cost.
"""
import datetime
import json
import re
import time

from lab import Lab, LabError, Renewd, World, wait_for
from lab.faulty import FaultyCA

DAY = 86400
SOON = (35, 75)                  # the first step of the back-off
LATER = (0.75 * DAY, DAY + 60)   # what a person must mend
STILL = "renewing"               # still at it when the test ends
ANY = "any"                      # even that
OPEN = (STILL, ANY)
PASSING = ("peer", "transient", "rate-limited")
MENDED_BY_PEOPLE = ("config", "denied")
HTML = "<html><head><title>502 Bad Gateway</title></head><body>cdn</body></html>"
HUGE = 10 << 20
SHARED = ("lab", "lossy")        # lossy: where orders are looked for in the account's list, so others' are read, too


def at(kind, nth=None, since=1, **what):
    return {"at": kind, "from": since, **({"nth": nth} if nth else {}), **what}


def refuse(kind, type, detail, status=400, nth=None, retry_after=None, **more):
    rule = at(kind, nth, status=status, problem={"type": type, "detail": detail, "status": status, **more})
    if retry_after is not None:
        rule["headers"] = {"Retry-After": str(retry_after)}
    return rule


class Case:
    """count: requests of a kind until the run's end, a number or (least, most). why: what the user reads.
    next: seconds from the run's end to the next one, (least, most). again: the Case of a second, forced run.
    ca: a CA of its own, or the name of a shared one. cls: of the error, as the log has it."""

    def __init__(self, *rules, end="ok", why=(), next=None, cls=None, cert="", names=1, ca=None, again=None, **options):
        kinds = ("newOrder", "order", "authz", "challenge", "finalize", "certificate", "directory", "newNonce",
                 "newAccount", "renewalInfo", "account", "orders")
        self.count = {"newOrder": 1, **{k: options.pop(k) for k in kinds if k in options}}
        self.rules, self.options = list(rules), options
        self.end, self.why, self.next = end, [why] if isinstance(why, str) else list(why), next
        self.cls = cls or (MENDED_BY_PEOPLE if next == LATER else PASSING) if end == "failed" else None
        self.ca, self.cert, self.names, self.again = ca, cert, names, again


class CA:
    """A CA of a case's own: rules for its directory and accounts, keys for its entry in the configuration."""

    def __init__(self, *rules, entry="", directory=None, trusted=True, **options):
        self.rules, self.entry, self.directory, self.options = list(rules), entry, directory, options
        self.trusted = trusted


def failed(*rules, next=SOON, **more):
    return Case(*rules, end="failed", next=next, **more)


WAITING = {
    "plain": Case(names=3, authz=3, challenge=3, finalize=1, order=(1, 3), certificate=1),
    "day-authz": Case(at("authz", headers={"Retry-After": "86400"}), at("challenge", headers={"Retry-After": "86400"}),
                      slow=3, challenge=1, order=(3, 8)),
    "day-order": Case(at("order", headers={"Retry-After": "86400"}), slow=9, end=STILL, why="VALIDATE", challenge=1,
                      order=1, finalize=0),
    "date": Case(at("order", headers={"Retry-After": "date:2"}), processing=1, order=(1, 4)),
    "date-past": Case(at("order", headers={"Retry-After": "date:-9000"}), processing=2, order=(2, 5)),
    "words": Case(at("order", headers={"Retry-After": "soon"}), processing=2, order=(2, 5)),
    "negative": Case(at("order", headers={"Retry-After": "-5"}), processing=2, order=(2, 5)),
    "nines": Case(at("order", headers={"Retry-After": "9" * 40}), slow=99, end=STILL, order=(1, 12)),
    "day-processing": Case(at("finalize", headers={"Retry-After": "86400"}), processing=9, end=STILL, why="POLL",
                           finalize=1, order=(0, 2)),
    "processing": Case(processing=3, finalize=1, order=(3, 5)),
    "processing-long": Case(processing=99, end=STILL, why="POLL", finalize=1, order=(3, 10)),
}

PROBLEM = {"type": "urn:ietf:params:acme:error:dns", "detail": "SERVFAIL looking up TXT", "status": 400}
AUTHORIZATIONS = {
    "valid-empty": Case(at("authz", headers={"Retry-After": "300"}), proved=True, challenges=[]),
    "valid-odd": Case(challenges=[{"type": "sectigo-dns-01", "status": "valid"}, {"type": "sectigo-email-01"}, {},
                                  {"type": "dns-01", "status": "valid"}, 7, None, "x"], proved=True, challenge=0),
    "valid-none": Case(at("authz", merge={"challenges": None, "identifier": None, "expires": None}), proved=True),
    "valid-null": Case(at("authz", merge={"challenges": {}, "wildcard": "no"}), proved=True, challenge=0),
    "odd-reply": Case(at("challenge", perform=True, body=HTML), challenge=1),
    "challenge-502": Case(at("challenge", 1, perform=True, status=502, body=HTML), challenge=(1, 2)),
    "challenge-429": Case(refuse("challenge", "rateLimited", "slow", 429, 1, 2), challenge=2),
    "wildcard": Case(names=["*.wildcard-x", "wildcard-x"], authz=(2, 4), challenge=2),
    "no-dns": failed(challenges=[{"type": "http-01", "url": "https://x.test/", "token": "x" * 40, "status": "pending"},
                                 {"type": "sectigo-dns-01", "url": "https://x.test/", "token": "x" * 40}],
                     next=LATER, why=["no dns-01 challenge", "sectigo-dns-01"], challenge=0, finalize=0, cls=["config"]),
    "no-token": failed(challenges=[{"type": "dns-01", "status": "pending", "url": "https://x.test/1"}],
                       why="no usable token", challenge=0, finalize=0),
    "no-challenge": failed(challenges=[], why="offers no challenge", challenge=0, finalize=0),
    "again": Case(validation=["error", "ok"], challenge=2),
    "heals": Case(validation=["error"], heals=1, challenge=(1, 3)),
    "complains": Case(validation=["error"], end=STILL, why="no TXT record was found", challenge=(2, 5), finalize=0),
    "400-again": Case(validation=["error", "400"], challenge=2),
    "400-first": Case(validation=["400"], challenge=1),
    "invalid": failed(validation=["fail"], why=["Incorrect TXT record", "invalid-x"], challenge=1, finalize=0, cls=["transient"]),
    "half": failed(validation=["ok", "ok", "fail"], names=3, why=["Incorrect TXT record", "half-x"], challenge=3,
                   finalize=0),
    "invalid-mute": failed(at("authz", 2, merge={"status": "invalid", "challenges": None}),
                           at("order", merge={"status": "invalid"}), slow=9, why="gives no reason", finalize=0),
    "invalid-caa": failed(at("order", merge={"status": "invalid"}),
                          at("authz", 2, merge={"status": "invalid", "challenges": [{
                              "type": "dns-01", "status": "invalid", "error": {
                                  "type": "urn:ietf:params:acme:error:caa", "detail": "CAA record forbids"}}]}), slow=9,
                          next=LATER, why=["CAA record forbids", "must allow this CA"], finalize=0, cls=["denied"]),
    "deactivated": failed(at("authz", merge={"status": "deactivated"}), why="deactivated", challenge=0, finalize=0),
    "odd-status": failed(at("authz", merge={"status": "hovering"}), why='unknown status "hovering"', challenge=0),
    "lost-authz": failed(at("authz", status=404, problem={"type": "malformed", "detail": "expired"}), why="expired",
                         authz=1, challenge=0),
    "html-authz": failed(at("authz", 1, body=HTML), authz=1, cls=["transient"], why="no JSON",
                         again=Case(newOrder=0, finalize=1)),
    "cut-authz": Case(at("authz", 1, send="cut"), authz=2),
    "chunks": Case(at("authz", [1], send="chunks"), authz=2),
    "hints": Case(*[at(k, send="hints") for k in ("newOrder", "authz", "order", "certificate")], finalize=1),
    "huge-authz": failed(at("authz", pad=HUGE), why="over 131072 bytes", authz=1, challenge=0),
}

NEW_ORDERS = {
    "limited": Case(refuse("newOrder", "rateLimited", "too many new orders", 429, 1, 3), newOrder=2),
    "limited-day": failed(refuse("newOrder", "rateLimited", "too many certificates (5) already issued", 429,
                                 retry_after=7200), next=(7100, 7300), why="too many certificates", cls=["rate-limited"]),
    "limited-date": failed(at("newOrder", status=429, problem={"type": "rateLimited", "detail": "slow down"},
                              headers={"Retry-After": "date:5000"}), next=(4900, 5100), why="slow down", cls=["rate-limited"]),
    "limited-bare": failed(refuse("newOrder", "rateLimited", "too many", 429), why="too many", cls=["rate-limited"]),
    "paused": failed(refuse("newOrder", "rateLimited", "Your account is temporarily prevented from requesting "
                            "certificates for x. Please visit: https://ca.test/sfe/v1/unpause?jwt=abc.def", 429),
                     next=LATER, why=["https://ca.test/sfe/v1/unpause?jwt=abc.def", "visit"], cls=["denied"]),
    "internal": Case(refuse("newOrder", "serverInternal", "the database is away", 500, retry_after=60), end=STILL,
                     why="the database is away", ca="lossy"),
    "limited-50": Case(refuse("newOrder", "rateLimited", "too many new orders", 429, retry_after=50), end=STILL,
                       why="too many new orders"),
    "unavailable": Case(at("newOrder", 1, status=503, body=HTML, headers={"Retry-After": "2"}), newOrder=2, ca="lossy"),
    "gateway": Case(at("newOrder", 1, status=502, body=HTML), newOrder=2, ca="lossy"),
    "cdn": failed(at("newOrder", status=403, body=HTML), why="HTTP 403 with a web page", cls=["transient"]),
    "cdn-200": failed(at("newOrder", status=200, body=HTML), why="Location", ca="lossy"),
    "cdn-201": failed(at("newOrder", status=201, body=HTML, headers={"Location": "https://x.test/order/1"}),
                      why="no JSON"),
    "string": failed(at("newOrder", status=400, json="The organisation has no such domain"),
                     why="The organisation has no such domain", cls=["peer"]),
    "string-500": failed(at("newOrder", status=500, json="boom"), why="boom", newOrder=(1, 4), ca="lossy", cls=["transient"]),
    "mute": failed(at("newOrder", status=400), why="HTTP 400 without an explanation"),
    "no-type": failed(at("newOrder", status=400, json={"detail": "something is off"}), why="something is off"),
    "no-status": failed(at("newOrder", status=403, json={"type": "urn:ietf:params:acme:error:rejectedIdentifier",
                                                         "detail": "policy"}), next=LATER, why="policy"),
    "foreign": failed(at("newOrder", status=400, problem={"type": "https://ca.test/problems#7", "detail": "strange"}),
                      why="strange"),
    "odd-problem": failed(at("newOrder", status=400, json={"type": 7, "detail": ["x"], "status": "y",
                                                           "subproblems": "z"}), why="HTTP 400"),
    "sub": failed(refuse("newOrder", "rejectedIdentifier", "Error creating new order", subproblems=[
        {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "forbidden by policy",
         "identifier": {"type": "dns", "value": "sub-x.example.test"}}]), next=LATER,
                  why=["forbidden by policy", "sub-x.example.test"], cls=["denied"]),
    "huge-problem": failed(at("newOrder", status=400, json={"detail": "x"}, pad=HUGE), why="over 262144 bytes", ca="lossy"),
    "huge-order": failed(at("newOrder", pad=HUGE), why="over 262144 bytes",
                         again=Case(newOrder=0, finalize=1), ca="lossy"),
    "no-location": failed(at("newOrder", headers={"Location": None}), why=["no usable Location", "Vault"],
                          again=Case(newOrder=0, finalize=1), ca="lossy"),
    "http-location": failed(at("newOrder", headers={"Location": "http://x.test/order/1"}), why="no usable Location", ca="lossy"),
    "no-location-else": Case(at("finalize", headers={"Location": None}),
                             at("order", headers={"Location": "https://x.test/elsewhere"})),
    "lost-reply": Case(at("newOrder", perform=True, send="drop"), newOrder=1, finalize=1, ca="lossy"),
    "cut-order": Case(at("newOrder", send="cut"), newOrder=1, finalize=1, ca="lossy"),
    "lost-request": Case(at("newOrder", 1, send="drop"), newOrder=2, ca="lossy"),
    "www": failed(identifiers=[{"type": "dns", "value": "www-x.example.test"},
                               {"type": "dns", "value": "www.www-x.example.test"}],
                  why=["other names", "adds www.www-x.example.test"], finalize=0),
    "upper": Case(identifiers=[{"type": "dns", "value": "UPPER-x.Example.TEST"}]),
    "shuffled": Case(names=4, shuffle=True, authz=4, challenge=4),
    "status-200": Case(at("newOrder", perform=True, merge={"extra": {"id": 7}, "notBefore": "x"})),
    "odd-order": failed(at("newOrder", merge={"status": "meditating"}), why='unknown status "meditating"'),
    "no-order-status": failed(at("newOrder", merge={"status": None}), why="has no status"),
    "no-finalize": failed(at("newOrder", merge={"finalize": None}), why="lacks finalize"),
    "back-to-pending": failed(at("finalize", merge={"status": "pending"}),
                              at("order", since=2, merge={"status": "pending"}), finalize=1, why="gone back to pending"),
    "ready-again": failed(at("finalize", merge={"status": "ready"}),
                          at("order", since=2, merge={"status": "ready"}),
                          finalize=(2, 4), order=(4, 12), why="has not taken the request"),
    "many-authzs": failed(at("newOrder", merge={"authorizations": ["https://x.test/a"] * 2000}), authz=0,
                          why="too many authorizations"),
    "http-authz": failed(at("newOrder", merge={"authorizations": ["http://x.test/a"]}), why="no https URL", authz=0),
    "http-finalize": failed(at("newOrder", merge={"finalize": "http://x.test/f"}), why="no https URL", authz=0),
    "no-names": failed(at("newOrder", merge={"identifiers": None}), why="no or too many identifiers", authz=0),
    "ansi": failed(refuse("newOrder", "malformed", "\u001b[31mred\r\nX: y\u202e\u009b2J" + "long " * 500), why="red"),
    "ansi-0": failed(refuse("newOrder", "malformed", "\u001b[31mred\u0000blue"), why="red"),
    "terms-new": failed(refuse("newOrder", "userActionRequired", "Terms of service have changed", 403,
                               instance="https://ca.test/terms?u=1"), next=LATER,
                        why=["https://ca.test/terms?u=1", "person must act"], cls=["denied"]),
    "unsupported": failed(refuse("newOrder", "unsupportedIdentifier", "no such thing"), next=LATER,
                          why="cannot certify"),
    "profile-default": Case(refuse("newOrder", "invalidProfile", "not for you", nth=1), newOrder=2,
                            cert="profile: {name: good, on_missing: default}"),
    "profile-fail": failed(refuse("newOrder", "invalidProfile", "not for you"), next=LATER,
                           cert="profile: good", why=["not for you", "check profile"], cls=["config"]),
    "profile-late": failed(refuse("finalize", "invalidProfile", "withdrawn"), next=LATER, cert="profile: good",
                           why=["withdrawn", "check profile"], finalize=1),
    "profile-none": failed(cert="profile: nosuch", next=LATER, newOrder=0, why=["no profile nosuch", "good"]),
    "redirected": failed(at("newOrder", status=307, headers={"Location": "/lab/trap/1"}), why="redirection", cls=["peer"]),
    "redirected-303": failed(at("newOrder", status=303, headers={"Location": "/lab/trap/1"}), why="redirection"),
    "nonce-none-anew": Case(at("newOrder", 1, status=400, problem={"type": "badNonce", "detail": "bad"}, nonce=None),
                            newOrder=2),
    "nonce-odd": Case(at("newOrder", 1, status=400, problem={"type": "badNonce", "detail": "bad"}, nonce="a b/?"),
                      newOrder=2),
    "nonce-for-ever": failed(at("newOrder", status=400, problem={"type": "badNonce", "detail": "JWS has a bad nonce"}),
                             newOrder=20, why="20 nonces were refused", cls=["transient"]),
}

FINALIZATIONS = {
    "gateway-done": Case(at("finalize", 1, status=504, body=HTML, perform=True), finalize=1, order=(1, 3)),
    "gateway-undone": Case(at("finalize", 1, status=504, body=HTML), finalize=2),
    "not-ready-valid": Case(at("finalize", 1, perform=True, status=403, problem={"type": "orderNotReady",
                                                                               "detail": "is valid"}), finalize=1),
    "not-ready-400": Case(at("finalize", 1, perform=True, status=400, problem={"type": "orderNotReady", "detail": "x"}),
                          processing=1, finalize=1),
    "never-ready": failed(at("finalize", status=403, problem={"type": "orderNotReady", "detail": "x"}), finalize=4,
                          why="after 4 tries", cls=["transient"]),
    "bad-csr": failed(refuse("finalize", "badCSR", "CSR contains a public key for a known account"), next=LATER,
                      finalize=1, why=["known account", "check key"], cls=["denied"]),
    "mismatch": failed(refuse("finalize", "unauthorized", "identifiers do not match", 403), next=LATER, finalize=1,
                       why="do not match"),
    "lost-finalize": Case(at("finalize", 1, perform=True, send="drop"), finalize=1),
    "undone-finalize": Case(at("finalize", 1, send="drop"), finalize=2),
    "harica": Case(at("finalize", perform=True, body="certificate is on its way"), processing=1, finalize=1),
    "finalize-limited": Case(refuse("finalize", "rateLimited", "slow", 429, 1, 2), finalize=2),
    "fate": failed(fate={"invalid": {"type": "urn:ietf:params:acme:error:serverInternal", "detail": "SCTs missing"}},
                   why="SCTs missing", finalize=1),
    "fate-mute": failed(fate={"invalid": None}, why="gives no reason", finalize=1),
    "fate-string": failed(fate={"invalid": "because"}, why="because", finalize=1),
    "no-cert-url": Case(at("finalize", merge={"certificate": None}), at("order", [1, 2], merge={"certificate": None})),
    "http-cert": failed(at("finalize", merge={"certificate": "ftp://x.test/c"}),
                        at("order", since=2, merge={"certificate": "http://x.test/c"}), why="no https URL", certificate=0),
    "order-502": Case(at("order", 2, status=502, body=HTML), processing=2, finalize=1),
    "order-html": Case(at("order", 2, body=HTML), processing=2, finalize=1, order=(3, 6)),
    "order-404": failed(at("order", status=404, problem={"type": "malformed", "detail": "No order for ID"}),
                        why="No order for ID", finalize=0, order=(1, 2)),
    "huge-poll": failed(at("order", pad=HUGE), why="over 262144 bytes", order=(1, 4), finalize=0),
    "redirected-poll": failed(at("order", status=302, headers={"Location": "/lab/trap/2"}), why="redirection",
                              order=(1, 4), finalize=0),
}

CERTIFICATES = {
    "wrong-key": failed(variant="wrong-key", why="another key", cls=["peer"]),
    "missing-name": failed(variant="missing-name", names=2, why="names in the certificate"),
    "extra-name": failed(variant="extra-name", why="names in the certificate"),
    "garbage": failed(variant="garbage", why="certificate"),
    "text": failed(variant="text", why="certificate"),
    "private-key": failed(variant="private-key", why="no certificate", cls=["peer"]),
    "expired": failed(variant="expired", why="expired at"),
    "future": failed(variant="future", why="valid only from"),
    "expired-issuer": failed(variant="expired-issuer", why="expired"),
    "other-issuer": failed(variant="other-issuer", why="not signed by the next"),
    "unordered": failed(variant="unordered", why="issuer"),
    "twice": failed(variant="twice", why="chain"),
    "leaf-only": Case(variant="leaf-only"),
    "with-root": Case(variant="with-root"),
    "crlf": Case(variant="crlf"),
    "hundred": failed(variant="hundred", why="more than 16"),
    "empty": failed(variant="empty", why="no certificate chain"),
    "ca-leaf": failed(variant="ca-leaf", why="does not begin with"),
    "no-der": failed(variant="no-der", why="certificate"),
    "nul": failed(variant="nul", why="no certificate chain"),
    "cert-html": failed(at("certificate", body=HTML), why="no certificate chain"),
    "cert-type": Case(at("certificate", type="text/plain; charset=utf-8")),
    "cert-404": failed(at("certificate", status=404, problem={"type": "malformed", "detail": "gone"}), why="gone",
                       certificate=1),
    "cert-500": Case(at("certificate", [1, 2], status=500), certificate=3),
    "cert-huge": failed(at("certificate", pad=HUGE), why="over 262144 bytes", certificate=1),
    "cert-cut": Case(at("certificate", 1, send="cut"), certificate=2),
    "cert-moved": failed(at("certificate", status=301, headers={"Location": "/lab/trap/3"}), why="redirection",
                         certificate=1),
    "cert-links": Case(at("certificate", headers={"Link": '<http://x.test/>;rel="alternate", <javascript:1>; '
                                                  'rel=alternate, <>;rel="alternate"'}), certificate=1),
}

RENEWAL_INFO = {
    "ari": Case(renewalInfo=(0, 1)),
    "ari-odd": Case(at("renewalInfo", json={"suggestedWindow": {"start": "tomorrow", "end": 7}}), renewalInfo=1),
    "ari-list": Case(at("renewalInfo", json=[]), renewalInfo=1),
    "ari-reversed": Case(at("renewalInfo", merge={"suggestedWindow": {"start": "2027-03-01T00:00:00Z",
                                                                      "end": "2027-02-01T00:00:00Z"}}), renewalInfo=1),
    "ari-past": Case(ari=[-7200, -3600], renewalInfo=(0, 1), next=(40, 75)),
    "ari-never": Case(ari=[400 * DAY, 401 * DAY], renewalInfo=(0, 1), next=(80 * DAY, 82 * DAY)),
    "ari-no-retry": Case(at("renewalInfo", headers={"Retry-After": None}), renewalInfo=1),
    "ari-zero": Case(at("renewalInfo", headers={"Retry-After": "0"}), renewalInfo=1),
    "ari-404": Case(at("renewalInfo", status=404), renewalInfo=1),
    "ari-html": Case(at("renewalInfo", body=HTML), renewalInfo=1),
    "ari-huge": Case(at("renewalInfo", pad=HUGE), renewalInfo=1),
    "ari-moved": Case(at("renewalInfo", status=302, headers={"Location": "/lab/trap/4"}), renewalInfo=1),
    "ari-500": Case(at("renewalInfo", status=500), renewalInfo=(1, 4)),
}

REPLACEMENTS = {
    "replaces": Case(again=Case(newOrder=1)),
    "replaces-409": Case(refuse("newOrder", "alreadyReplaced", "has been replaced", 409, 2), again=Case(newOrder=2)),
    "replaces-404": Case(refuse("newOrder", "malformed", "AKI did not match a known issuer", 404, 2),
                         again=Case(newOrder=2)),
    "replaces-403": Case(refuse("newOrder", "unauthorized", "requester account did not request the certificate", 403, 2),
                         again=Case(newOrder=2)),
    "replaces-429": Case(refuse("newOrder", "rateLimited", "slow", 429, 2, 2), again=Case(newOrder=2)),
    "replaces-500": Case(refuse("newOrder", "serverInternal", "certID", 500, [2, 3, 4, 5]), again=Case(newOrder=5), ca="lossy"),
}

EAB_KEY = "zWNDZM6e-_HWpSRTPal5eIUYFTu7EajVIoguysqZ9wE"
EAB_SPELLINGS = (EAB_KEY, EAB_KEY + "=", EAB_KEY.replace("-", "+").replace("_", "/") + "=", f'  "{EAB_KEY}" ')
SERVERS = {
    "d-meta": Case(ca=CA(meta=None)),
    "d-keys": Case(ca=CA(directory={"Ogvhz8Z0PJs": "https://community.test/t/33417", "keyChange": None, "7": [7]})),
    "d-503": Case(directory=2, ca=CA(at("directory", 1, status=503, body=HTML, headers={"Retry-After": "2"}))),
    "d-503-hour": failed(directory=1, newOrder=0, next=(3500, 3700), why="web page",
                         ca=CA(at("directory", status=503, body=HTML, headers={"Retry-After": "3600"})), cls=["rate-limited"]),
    "d-500": failed(directory=4, newOrder=0, why="HTTP 500", ca=CA(at("directory", status=500)), cls=["transient"]),
    "d-html": failed(directory=1, newOrder=0, why="no JSON", ca=CA(at("directory", body=HTML))),
    "d-list": failed(directory=1, newOrder=0, why="no JSON object", ca=CA(at("directory", json=[[]]))),
    "d-deep": failed(directory=1, newOrder=0, why="no JSON", ca=CA(at("directory", body="[" * 100000))),
    "d-huge": failed(directory=1, newOrder=0, why="over 262144 bytes", ca=CA(at("directory", pad=HUGE)), cls=["peer"]),
    "d-untrusted": failed(newOrder=0, directory=0, why=["not trusted", "set ca_file"], ca=CA(trusted=False)),
    "d-refused": failed(newOrder=0, directory=0, why="cannot connect", ca=CA(directory="refused"), cls=["transient"]),
    "herd": failed(directory=1, newOrder=0, next=(3500, 3700), why="web page", ca=CA(
        at("directory", status=503, body=HTML, headers={"Retry-After": "3600"}), entry="max_orders: 1")),
    **{f"herd-{i}": failed(newOrder=0, next=(3500, 3700), why="web page", ca="herd") for i in range(5)},
    "d-404": failed(directory=1, newOrder=0, next=LATER, why="check directory", ca=CA(at("directory", status=404))),
    "d-moved": failed(directory=1, newOrder=0, next=LATER, why=["redirection", "write the final address"],
                      ca=CA(at("directory", status=301, headers={"Location": "https://new.test/directory"}))),
    "d-lacks": failed(directory=1, newOrder=0, why="lacks newNonce", ca=CA(directory={"newNonce": None})),
    "d-http": failed(directory=1, newOrder=0, why="no https URL",
                     ca=CA(directory={"newOrder": "http://127.0.0.1/new"})),
    "d-cut": Case(directory=2, ca=CA(at("directory", 1, send="cut"))),
    "d-drip": failed(directory=4, newOrder=0, why="gave up after 1 s", ca=CA(at("directory", send="drip"), entry="timeout: 1s")),
    "d-header": failed(directory=(1, 4), newOrder=0, why="header", ca=CA(at("directory", send="drip-header"))),
    "d-closed": failed(newOrder=0, why="TLS", ca=CA(directory="closed"), cls=["transient"]),
    "http10": Case(ca=CA(at("*", send="http10"))),
    "n-none": failed(newNonce=(1, 2), newAccount=0, newOrder=0, why=["no usable Replay-Nonce", "allowed_response_headers"],
                     ca=CA(at("*", nonce=None)), cls=["peer"]),
    "n-odd": failed(newNonce=(1, 2), newAccount=0, newOrder=0, why="no usable Replay-Nonce",
                    ca=CA(at("newNonce", nonce="not a nonce!"))),
    "n-long": failed(newNonce=(1, 2), newAccount=0, newOrder=0, why="no usable Replay-Nonce",
                     ca=CA(at("newNonce", nonce="x" * 5000))),
    "n-scarce": Case(newNonce=(5, 12), ca=CA({**at("newAccount"), "nonce": None}, *[
        {**at(k), "nonce": None} for k in ("newOrder", "order", "authz", "challenge", "finalize", "certificate")])),
    "n-503": Case(newNonce=(2, 4), ca=CA(at("newNonce", 1, status=503, headers={"Retry-After": "1"}, nonce=None))),
    "n-405": Case(newNonce=(2, 4), directory=(1, 2), ca=CA(at("newNonce", 1, status=405, nonce=None))),
    "a-location": failed(newAccount=1, newOrder=0, why="no usable Location",
                         ca=CA(at("newAccount", headers={"Location": None}))),
    "a-200": Case(newAccount=1, ca=CA(at("newAccount", merge={"status": "", "orders": None, "contact": None}))),
    "a-terms": failed(newAccount=0, newOrder=0, next=LATER, why=["https://ca.test/terms", "agree_tos"],
                      ca=CA(terms="https://ca.test/terms", entry="agree_tos: false"), cls=["config"]),
    "a-agreed": Case(newAccount=1, ca=CA(terms="https://ca.test/terms")),
    "a-unbound": failed(newAccount=0, newOrder=0, next=LATER, why="eab", ca=CA(eab={"kid-1": EAB_KEY}, eab_in_meta=True)),
    "a-unsaid": failed(newAccount=1, newOrder=0, next=LATER, why="eab",
                       ca=CA(eab={"kid-1": EAB_KEY}, eab_in_meta=False), cls=["config"]),
    "a-contact": failed(refuse("newAccount", "invalidContact", "no MX for example.test"), newAccount=1, newOrder=0,
                        next=LATER, why=["no MX", "check email"],
                        ca=CA(refuse("newAccount", "invalidContact", "no MX for example.test"))),
    "a-lost": Case(newAccount=2, newOrder=2, ca=CA(at("newOrder", 1, forget=True))),
    "a-lost-ever": failed(newAccount=2, newOrder=(1, 2), next=LATER, why="account",
                          ca=CA(refuse("newOrder", "accountDoesNotExist", "unknown account"))),
    "a-off": failed(newAccount=2, newOrder=1, next=LATER, why=["deactivated", "account:"],
                    ca=CA(refuse("newOrder", "unauthorized", "Account is not valid, has status \"deactivated\"", 403),
                          refuse("newAccount", "unauthorized", "An account with the provided public key exists but "
                                 "is deactivated", 403, [2, 3])), cls=["denied"]),
    "no-list": failed(newOrder=4, ca=CA(at("newOrder", perform=True, send="drop"), orders_list=False),
                      why="without a reply"),
    "chains": Case(certificate=(9, 13), ca=CA(
        at("certificate", 1, headers={"Link": ", ".join(f'</x>;rel="up", <https://%s/chains/certificate/chains-x.1.{i}>'
                                                        ';title="a, b";REL="other  Alternate"' for i in range(12))}),
        at("certificate", 2, status=500), at("certificate", 3, body=HTML), at("certificate", 4, pad=HUGE),
        at("certificate", 5, append="-----BEGIN PRIVATE KEY-----"), entry="preferred_chain: No Such Root")),
    "slow-finalize": Case(finalize=1, ca=CA(at("finalize", hold=6), entry="timeout: 1s")),
    "drip-order": Case(newOrder=1, finalize=1, ca=CA(at("newOrder", send="drip"), entry="timeout: 1s")),
    "header-order": failed(newOrder=(1, 4), why="header", ca=CA(at("newOrder", send="drip-header"))),
}

BOUND = {
    **{f"a-bound{i}": Case(newAccount=1, ca=CA(eab={"kid-1": EAB_KEY}, eab_in_meta=bool(i), entry=(
        "eab: {kid: kid-1, hmac_key: {file: %s}}" % f"eab{i}.key"))) for i in range(len(EAB_SPELLINGS))},
    "a-badly-bound": failed(newAccount=1, newOrder=0, next=LATER, why="does not verify", ca=CA(
        eab={"kid-1": EAB_KEY}, entry="eab: {kid: kid-1, hmac_key: {file: wrong.key}}")),
}

# Whatever comes, at any time: it costs no more than it must.
WEATHER = CA(*[{"at": "*", "chance": 4, **fault} for fault in (
    {"send": "drop"}, {"send": "drop", "perform": True}, {"status": 502, "body": HTML}, {"send": "cut"}, {"nonce": None},
    {"status": 503, "body": "", "headers": {"Retry-After": "1"}}, {"status": 400, "problem": {"type": "badNonce"}},
    {"body": "[]"}, {"send": "http10"}, {"append": "}"}, {"hold": 0.5}, {"merge": {"status": "pending"}})])
STORM = {"storm": Case(ca=WEATHER, end=ANY, newOrder=(1, 80)),  # of all of them
         **{f"storm-{i}": Case(ca="storm", end=ANY, newOrder=(0, 6), finalize=(0, 5)) for i in range(40)}}

GROUPS = (WAITING, AUTHORIZATIONS, NEW_ORDERS, FINALIZATIONS, CERTIFICATES, RENEWAL_INFO, REPLACEMENTS, SERVERS, BOUND, STORM)


class Verb:
    """A command after the certificate of its own CA has been issued: exit code, what it says, requests."""

    def __init__(self, command, *rules, code=0, says=(), entry="", directory=None, **count):
        self.command, self.code, self.says, self.count = command, code, [says] if isinstance(says, str) else says, count
        self.case = Case(ca=CA(*rules, entry=entry, directory=directory))


ROLLOVER, REVOKE = "account rollover {}", "revoke {} --force"
VERBS = {
    "v-change": Verb(ROLLOVER, keyChange=1),
    "v-501": Verb(ROLLOVER, refuse("keyChange", "rejectedIdentifier", "not implemented", 501), code=1, keyChange=1,
                  says=["not implemented", "stays"]),
    "v-409": Verb(ROLLOVER, at("keyChange", status=409, headers={"Location": "https://x.test/account/7"},
                               problem={"type": "malformed", "detail": "that key has an account"}), code=1,
                  keyChange=1, says="that key has an account"),
    "v-none": Verb(ROLLOVER, directory={"keyChange": None}, code=1, keyChange=0, says="key"),
    "v-http": Verb(ROLLOVER, directory={"keyChange": "http://x.test/"}, code=1, keyChange=0, says="key"),
    "v-nonce": Verb(ROLLOVER, refuse("keyChange", "badNonce", "again", nth=1), keyChange=2),
    "v-lost": Verb(ROLLOVER, at("keyChange", perform=True, send="drop"), keyChange=(1, 4)),
    "v-gateway": Verb(ROLLOVER, at("keyChange", 1, perform=True, status=504, body=HTML), keyChange=(1, 2)),
    "v-page-403": Verb(ROLLOVER, at("keyChange", status=403, body=HTML), code=1, keyChange=1, says="stays"),
    "v-huge": Verb(ROLLOVER, at("keyChange", perform=True, pad=HUGE), keyChange=(1, 4)),
    "v-revoke": Verb(REVOKE, revokeCert=1),
    "v-by-key": Verb(REVOKE + " --with cert-key --reason keyCompromise", revokeCert=1),
    "v-already": Verb(REVOKE, refuse("revokeCert", "alreadyRevoked", "it has been revoked"), revokeCert=1),
    "v-lost-revocation": Verb(REVOKE, at("revokeCert", 1, perform=True, send="drop"),
                               revokeCert=(2, 3)),
    "v-reason": Verb(REVOKE + " --reason superseded", refuse("revokeCert", "badRevocationReason", "not that one"), code=1,
                     revokeCert=1, says="not that one"),
    "v-not-yours": Verb(REVOKE, refuse("revokeCert", "unauthorized", "not yours", 403), code=1, says="not yours"),
    "v-busy": Verb(REVOKE, refuse("revokeCert", "rateLimited", "slow", 429, 1, 1), revokeCert=2),
    "v-page": Verb(REVOKE, at("revokeCert", status=403, body=HTML), code=1, says="web page"),
    "v-show": Verb("account show {}", at("account", body=HTML), code=1, says="no JSON object"),
    "v-show-odd": Verb("account show {}", at("account", json={"status": "", "contact": 7, "orders": []})),
    "v-deactivate": Verb("account deactivate {} --force", account=1),
    "v-deactivate-501": Verb("account deactivate {} --force", refuse("account", "malformed", "cannot be", 501), code=1,
                             says="cannot be"),
    "v-recover": Verb("account recover {}", newAccount=2),
    "v-forgotten": Verb("account recover {}", at("newAccount", since=2, forget=True), code=1, newAccount=2,
                        says="account"),
}


def plan_of(cases):
    plan = {"cas": {name: {"profiles": {"good": "one", "better": "two"}} for name in SHARED}, "names": {}}
    for label, c in cases.items():
        plan["names"][f"{label}-x"] = {"rules": c.rules, **c.options}
        if isinstance(c.ca, CA):
            options = {k: v for k, v in c.ca.options.items()}
            if isinstance(c.ca.directory, dict):
                options["directory"] = c.ca.directory
            plan["cas"][label] = {"rules": c.ca.rules, **options}
    return plan


def configuration(world, ca, cases):
    cas = [f'  {name}: {{directory: "{ca.directory_of(name)}", ca_file: "{ca.ca_file}"}}' for name in SHARED]
    certs = []
    for label, c in cases.items():
        names = c.names if isinstance(c.names, list) else [
            f"{label}-x{'.n' + str(i) if i else ''}" for i in range(c.names)]
        names = ", ".join(f'"{n}.example.test"' for n in names)
        mine = c.ca or "lab"
        if isinstance(c.ca, CA):
            mine = label
            url = {"closed": ca.closed, "refused": ca.closed.replace("14001", "14002")}.get(
                c.ca.directory if isinstance(c.ca.directory, str) else "", ca.directory_of(label))
            trust = f', ca_file: "{ca.ca_file}"' if c.ca.trusted else ""
            cas.append(f'  {label}: {{directory: "{url}"{trust}{", " + c.ca.entry if c.ca.entry else ""}}}')
        certs.append(f"  - {{name: {label}, names: [{names}], ca: {mine}{', ' + c.cert if c.cert else ''}}}")
    return "\n".join(["defaults: {email: hostmaster@example.test, agree_tos: true}", "cas:", *cas,
                      f"dns: {{resolvers: [{world.resolver.address}], check: none}}", "providers:",
                      f"  one: {{plugin: rfc2136, server: {world.primary.address}, key_name: {world.key.name}, "
                      "key_secret: {file: one.key}}", "certificates:", *certs]) + "\n"


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Play:
    """One daemon, one server, all of the cases."""

    def __init__(self, lab, cases):
        self.cases = cases
        self.world = World(lab, second=False)
        plan = json.loads(json.dumps(plan_of(cases)).replace("%s", f"{lab.address(100)}:14000"))
        self.ca = FaultyCA(lab, plan, self.world.primary.address)
        self.daemon = Renewd(lab, configuration(self.world, self.ca, cases))
        self.daemon.secret("one.key", self.world.key.secret)
        for i, text in enumerate(EAB_SPELLINGS):
            self.daemon.secret(f"eab{i}.key", text)
        self.daemon.secret("wrong.key", EAB_KEY[4:])
        self.daemon.start()
        self.bad, self.log, self.rests = [], None, []

    def settle(self, wanted, seconds):
        """Until all of them are where they end; those that are not are told later."""
        def there():
            now = self.daemon.status()
            self.status = now
            return all(self.rested(now[label]) for label, c in wanted.items() if c.end not in OPEN)
        try:
            wait_for("all cases to end", there, seconds, 0.25)
        except LabError as e:
            late = [label for label, c in wanted.items() if c.end not in OPEN and not self.rested(self.status[label])]
            self.bad.append(f"{e}: {late}")

    @staticmethod
    def rested(s):
        return s["state"] not in ("renewing", "due", "missing", "deploying")

    def requests(self, label, case, since, until):
        own = [r for r in self.log["requests"] if since <= r["t"] <= until]
        return [r for r in own if (r["ca"] == label if isinstance(case.ca, CA) else r["name"] == f"{label}-x")]

    def complain(self, label, text):
        self.bad.append(f"{label}: {text}")

    def run_of(self, label, since):
        """The first run that began then; a slow machine may be at the one after it already."""
        runs = json.loads(self.daemon.ctl("explain", label, "--json").stdout)["explanation"]["runs"]
        return [r for r in runs if seconds(r["began"]) >= int(since)][-1]

    def check(self, label, case, since=0):
        now, run = self.status[label], self.run_of(label, since)
        ended = seconds(run["ended"]) + 1 if run.get("ended") else time.time() + DAY
        self.rests.append((label, ended, seconds(now["next"]) if now["next"] else ended))
        made = self.requests(label, case, since, ended)
        seen = {}
        for r in made:
            seen[r["kind"]] = seen.get(r["kind"], 0) + 1
        for kind, want in case.count.items():
            least, most = want if isinstance(want, tuple) else (want, want)
            late = kind == "renewalInfo"
            n = sum(r["kind"] == kind for r in self.requests(label, case, since, time.time())) if late \
                else seen.get(kind, 0)
            if not least <= n <= most:
                self.complain(label, f"{n} requests of {kind}, not {want}: {seen}")
        self.check_outcome(label, case, now, run)
        self.check_next(label, case, now, ended)
        if len(made) > (1000 if label == "storm" else 60):
            self.complain(label, f"{len(made)} requests")

    def check_outcome(self, label, case, now, run):
        outcome = {"ok": "renewed", "failed": "failed", STILL: "running", ANY: run.get("outcome")}[case.end]
        if run.get("outcome") != outcome:
            self.complain(label, f"{run.get('outcome')} instead of {outcome}: {now['why']} {now.get('waiting')}")
        said = f"{now['why']} {now.get('waiting') or ''} {run.get('error') or ''}"
        if any(ord(c) < 32 or ord(c) in range(127, 160) or ord(c) in range(0x202a, 0x202f) for c in said):
            self.complain(label, f"is told raw: {said!r}")
        for text in case.why:
            if text not in said:
                self.complain(label, f"does not say {text!r}: {said}")
        if case.cls:
            told = re.search(rf" {re.escape(label)}: failed \(attempt 1, ([a-z-]+)\)", self.daemon.log())
            if not told or told[1] not in case.cls:
                self.complain(label, f"of class {told and told[1]}, not {case.cls}: {said}")
        if case.end == "ok" and outcome == run.get("outcome"):
            self.daemon.check_pair(label)

    def check_next(self, label, case, now, ended):
        if not case.next:
            return
        ahead = seconds(now["next"]) - ended if now["next"] else 0
        if not case.next[0] <= ahead <= case.next[1]:
            self.complain(label, f"next in {ahead:.0f} s, not {case.next}: {now['why']}")

    def check_all(self):
        """The second runs go on while the first ones of the others are looked at."""
        again = {label: c.again for label, c in self.cases.items() if c.again}
        self.log = self.ca.log()
        for label in again:
            self.check(label, self.cases[label])
        begin = time.time()
        self.rests = [(label, ended, begin) for label, ended, _ in self.rests]
        for label in again:
            self.daemon.ctl("renew", label, "--force")
        for label, case in self.cases.items():
            if label not in again:
                self.check(label, case)
        self.settle(again, 40)
        self.log = self.ca.log()
        for label, case in again.items():
            case.ca = self.cases[label].ca
            self.check(label, case, begin)
            self.check_replaces(label, case, begin)

    def check_replaces(self, label, case, begin):
        """It is named in the first newOrder; not in the one after a refusal that may have been for that."""
        sent = ["replaces" in r["payload"] for r in self.requests(label, case, begin, time.time())
                if r["kind"] == "newOrder"]
        if not label.startswith("replaces"):
            return
        want = {"replaces-429": [True, True], "replaces-500": [True] * 4 + [False]}.get(label, [True, False])
        if sent != want[:len(sent)]:
            self.complain(label, f"newOrders with replaces: {sent}")

    def quiet(self):
        """Nobody asks what nobody needs: between its runs a certificate costs renewal information only."""
        log = self.ca.log()
        for text in log["violations"]:
            self.complain("protocol", text)
        for label, since, until in self.rests:
            for r in log["requests"]:
                if r["name"] == f"{label}-x" and since < r["t"] < until - 1 and r["kind"] != "renewalInfo" and \
                        (r["kind"] != "order" or r["ca"] not in ("lossy", "storm")):
                    self.complain(label, f"{r['kind']} when nothing was to be done")
        traps = [r for r in log["requests"] if r["kind"] == "trap"]
        if traps:
            self.complain("redirection", f"followed: {traps}")
        busy = [f".{label}-x.example.test." for label, c in self.cases.items() if c.end in OPEN]
        for line in self.world.primary.leftovers():
            if not any(name in line for name in busy):
                self.complain("records", line)


def run_verbs(p):
    p.settle(p.cases, 40)
    p.log = p.ca.log()
    for label, verb in VERBS.items():
        p.check(label, verb.case)
        r = p.daemon.ctl(*verb.command.format(label).split(), check=False)
        said = r.stdout + r.stderr
        if r.returncode != verb.code:
            p.complain(label, f"exit {r.returncode}: {said}")
        for text in verb.says:
            if text not in said:
                p.complain(label, f"does not say {text!r}: {said}")
    p.log = p.ca.log()
    for label, verb in VERBS.items():
        made = [r["kind"] for r in p.requests(label, verb.case, 0, time.time())]
        for kind, want in verb.count.items():
            least, most = want if isinstance(want, tuple) else (want, want)
            if not least <= made.count(kind) <= most:
                p.complain(label, f"{made.count(kind)} requests of {kind}, not {want}")


def test_verbs():
    """What a person asks of the CA, the CA being odd about it; afterwards the account is still good."""
    with Lab("verbs") as lab:
        p = Play(lab, {label: v.case for label, v in VERBS.items()})
        run_verbs(p)
        for text in p.ca.log()["violations"]:
            p.complain("protocol", text)
        for label, verb in VERBS.items():
            if "deactivate" in verb.command:
                continue
            r = p.daemon.ctl("renew", label, "--force", "--wait", check=False)
            if r.returncode:
                p.complain(label, f"renew: {r.stdout}{r.stderr}")
        if p.bad:
            raise LabError(f"{len(p.bad)} complaints\n" + "\n".join(p.bad))


def play(name, groups, seconds):
    cases = {label: c for g in groups for label, c in g.items()}
    with Lab(name) as lab:
        p = Play(lab, cases)
        p.settle(cases, seconds)
        p.check_all()
        p.quiet()
        if p.bad:
            raise LabError(f"{len(p.bad)} complaints\n" + "\n".join(p.bad))


def test_every_quirk():
    play("quirks", GROUPS, 40)


test_every_quirk.limit = test_verbs.limit = 240
test_every_quirk.build = test_verbs.build = ["gcc", "asan"]
