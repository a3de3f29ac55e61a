#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A CA of the tests' own: a correct ACME server (RFC 8555, RFC 9773) that misbehaves as a plan says.

    fake_ca.py --listen ADDRESS:PORT --dir FOLDER [--plan FILE] [--dns ADDRESS] [--closed ADDRESS:PORT]

It serves any number of CAs: https://ADDRESS:PORT/NAME/directory is the directory of the CA called NAME.
FOLDER gets ca.pem, the root of the server's certificate and of all that is issued. With --dns dns-01 is looked
up there, else every answered challenge is good. --closed listens on a port that ends every connection at once.

The plan is JSON: {"cas": {NAME: BEHAVIOUR}, "names": {LABEL: BEHAVIOUR}}; LABEL is the first label of an order's
first identifier ("q17" of q17.example.test). BEHAVIOUR is {"rules": [RULE...], OPTION...}.

RULE  {"at": KIND or "*", "nth": N or [N...] or "from": N, ...}: what happens at the N-th request of that kind; the
first that fits is taken, those of the name before those of the CA. KINDs: directory newNonce newAccount account
orders newOrder order authz challenge finalize certificate renewalInfo revokeCert keyChange trap.
    chance: PERCENT    fits only so often (the same times in every run)
    perform: BOOL      carry the request out? (default: when nothing below makes up a reply)
    status, type, body, json, problem      makes up a reply; problem is {type: "badCSR", detail: ...}
    merge: OBJECT      into the JSON reply, null removes; pad: N more bytes; append: TEXT; replace: [OLD, NEW]
    headers: OBJECT    null removes; {"Retry-After": "date:5"} is the HTTP-date in 5 s
    nonce: TEXT|null   in place of a fresh one; null: none
    forget: BOOL       the CA loses all of its accounts before that
    hold: SECONDS      before anything is sent
    send: drop         closes without a reply       cut: closes in the middle of the body
          drip         a byte of the body each 0.1 s    drip-header: header fields that never end
          hints        103 Early Hints with fields of its own before the reply
          http10       HTTP/1.0, ended by the end of the connection     chunks: chunks whose sizes are none

OPTIONs of a CA: terms (URL), eab {kid: base64url key}, eab_in_meta, meta (null: absent), directory (merged),
profiles {name: text}, orders_list (true), persist (true: offers dns-persist-01 of draft -02 alone; a record for a
former key is good, too).
OPTIONs of a name: proved BOOL (authorizations are valid at once), challenges [..] (literally), validation
["error", "fail", "ok"] (result of each answer, the last one stays; "error": pending with an error, "400": refused, though it is valid), heals N
(reads of the authorization after which a pending error mends itself), slow N (reads of the order while it still is
pending), processing N (reads of the order), fate {"invalid": problem or null} of a finalized order,
identifiers (literally), shuffle, variant (of Issuer.VARIANTS), life S, ari (window in seconds from now).

For tests: GET /_test/log is {"requests": [{t, ca, name, kind, n, method, path, payload}], "violations": [text]};
POST /_test/plan adds to the plan.
"""
import argparse
import base64
import datetime
import email.utils
import hashlib
import hmac
import http.server
import ipaddress
import json
import pathlib
import secrets
import socket
import ssl
import sys
import threading
import time

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.x509.oid import NameOID

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from lab.names import query  # noqa: E402

ISSUER = "ca.fake.test"
URN = "urn:ietf:params:acme:error:"
PENDING_ERROR = {"type": URN + "dns", "status": 400, "detail": "no TXT record was found, will look again"}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    if "=" in text or not isinstance(text, str):
        raise ValueError("padded base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Problem(Exception):
    def __init__(self, kind, detail, status=400, **more):
        super().__init__(detail)
        self.status, self.body = status, {"type": URN + kind, "detail": detail, "status": status, **more}


class Reply:
    def __init__(self, status=200, body=b"", type="application/json", **headers):
        self.status, self.type, self.headers = status, type, {k.replace("_", "-"): v for k, v in headers.items()}
        self.json = body if isinstance(body, (dict, list)) else None
        self.body = body.encode() if isinstance(body, str) else body

    def data(self):
        return json.dumps(self.json).encode() if self.json is not None else self.body


# --- JWS

class Jwk:
    def __init__(self, jwk):
        self.jwk = jwk
        number = lambda k: int.from_bytes(unb64(jwk[k]), "big")
        if jwk["kty"] == "EC":
            curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[jwk["crv"]]
            if len(unb64(jwk["x"])) * 8 != curve.key_size or len(unb64(jwk["y"])) * 8 != curve.key_size:
                raise ValueError("coordinates of the wrong width")
            self.key = ec.EllipticCurvePublicNumbers(number("x"), number("y"), curve).public_key()
            members = ("crv", "kty", "x", "y")
        elif jwk["kty"] == "RSA":
            self.key = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
            members = ("e", "kty", "n")
        else:
            self.key = ed25519.Ed25519PublicKey.from_public_bytes(unb64(jwk["x"]))
            members = ("crv", "kty", "x")
        text = json.dumps({k: jwk[k] for k in members}, separators=(",", ":"), sort_keys=True)
        self.thumbprint = b64(hashlib.sha256(text.encode()).digest())

    def verify(self, alg, signature, data):
        if alg in ("ES256", "ES384"):
            half = len(signature) // 2
            if half != {"ES256": 32, "ES384": 48}[alg]:
                raise InvalidSignature
            der = utils.encode_dss_signature(int.from_bytes(signature[:half], "big"),
                                             int.from_bytes(signature[half:], "big"))
            self.key.verify(der, data, ec.ECDSA(hashes.SHA256() if alg == "ES256" else hashes.SHA384()))
        elif alg == "RS256":
            self.key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        elif alg == "EdDSA":
            self.key.verify(signature, data)
        else:
            raise InvalidSignature

    def public_bytes(self):
        return self.key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Jws:
    """A flattened JWS, taken apart; nothing is believed yet."""

    def __init__(self, body):
        outer = json.loads(body) if isinstance(body, (bytes, str)) else body
        if set(outer) != {"protected", "payload", "signature"}:
            raise ValueError(f"a JWS with the members {sorted(outer)}")
        self.head = json.loads(unb64(outer["protected"]))
        raw = unb64(outer["payload"])
        self.payload = json.loads(raw) if raw else None
        self.signature = unb64(outer["signature"])
        self.signed = f"{outer['protected']}.{outer['payload']}".encode()
        self.protected_payload = outer["payload"]

    def verify(self, jwk):
        try:
            jwk.verify(self.head["alg"], self.signature, self.signed)
        except InvalidSignature:
            raise ValueError("a signature that is none") from None


# --- certificates

class Issuer:
    VARIANTS = ("wrong-key", "missing-name", "extra-name", "garbage", "text", "private-key", "expired", "future",
                "expired-issuer", "unordered", "leaf-only", "hundred", "empty", "ca-leaf", "no-der", "nul",
                "other-issuer", "twice", "crlf", "with-root")

    def __init__(self):
        self.key, self.root = self._authority("fake root", None)
        self.inter_key, self.inter = self._authority("fake intermediate", self.root, self.key)
        self.serial = 0x80000000

    @staticmethod
    def _builder(subject, issuer, public, begin, end, serial):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
                .serial_number(serial).not_valid_before(now + datetime.timedelta(seconds=begin))
                .not_valid_after(now + datetime.timedelta(seconds=end))
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False))

    def _authority(self, name, parent, parent_key=None, begin=-86400, end=86400 * 365):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer = parent_key or key
        b = self._builder(subject, parent.subject if parent else subject, key.public_key(), begin, end,
                          secrets.randbits(60))
        b = b.add_extension(x509.BasicConstraints(True, None), True).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False)
        # Python 3.13 trusts no CA without it.
        b = b.add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)
        return key, b.sign(signer, hashes.SHA256())

    def leaf(self, public, names, life=90 * 86400, begin=-60, authority=None, ca=False):
        key, cert = authority or (self.inter_key, self.inter)
        self.serial += 1
        b = self._builder(x509.Name([]), cert.subject, public, begin, begin + life, self.serial)
        alt = [x509.IPAddress(ipaddress.ip_address(n)) if n[-1].isdigit() or ":" in n else x509.DNSName(n) for n in names]
        b = b.add_extension(x509.SubjectAlternativeName(alt), True)
        b = b.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False)
        if ca:
            b = b.add_extension(x509.BasicConstraints(True, None), True)
        return b.sign(key, hashes.SHA256())

    def cert_id(self, leaf):
        aki = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        n = leaf.serial_number
        return f"{b64(aki)}.{b64(n.to_bytes(n.bit_length() // 8 + 1, 'big'))}"

    def server(self, address):
        key = ec.generate_private_key(ec.SECP256R1())
        return key, self.leaf(key.public_key(), [address], authority=(self.key, self.root))

    def issue(self, public, names, variant, life):
        """(PEM text, leaf)"""
        pem = lambda c: c.public_bytes(serialization.Encoding.PEM).decode()
        span, begin, authority = life, -60, None
        if variant == "wrong-key":
            public = ec.generate_private_key(ec.SECP256R1()).public_key()
        elif variant == "missing-name":
            names = names[1:]
        elif variant == "extra-name":
            names = [*names, "www.surprise.example.test"]
        elif variant == "expired":
            begin = -life - 86400
        elif variant == "future":
            begin = 10 * 86400
        elif variant in ("expired-issuer", "other-issuer"):
            end = -3600 if variant == "expired-issuer" else 86400 * 365
            authority = self._authority("fake intermediate", self.root, self.key, -86400 * 30, end)
        leaf = self.leaf(public, names, span, begin, authority, ca=variant == "ca-leaf")
        inter = authority[1] if variant == "expired-issuer" else self.inter
        text = pem(leaf) + pem(inter)
        key = self.inter_key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()).decode()
        text = {"garbage": text + "%&/ garbage \x07", "text": f"subject=CN = x\nissuer=CN = y\n{text}",
                "private-key": text + key, "unordered": pem(leaf) + pem(self.root) + pem(self.inter),
                "leaf-only": pem(leaf), "hundred": pem(leaf) + pem(self.inter) * 99, "empty": "",
                "no-der": "-----BEGIN CERTIFICATE-----\nAAAAAAAA\n-----END CERTIFICATE-----\n",
                "nul": text.replace("\n", "\0\n", 1), "twice": pem(leaf) + text, "crlf": text.replace("\n", "\r\n"),
                "with-root": text + pem(self.root)}.get(variant, text)
        return text, leaf


# --- the CA

class Order:
    def __init__(self, ca, ident, account, identifiers, behaviour):
        self.ca, self.id, self.account, self.names, self.behaviour = ca, ident, account, identifiers, behaviour
        self.status, self.error, self.pem, self.profile = "pending", None, None, None
        self.left = {k: behaviour.get(k, 0) for k in ("slow", "processing", "heals")}
        self.answers = 0
        self.authzs = [Authz(self, i, n, behaviour) for i, n in enumerate(identifiers)]

    def settle(self):
        if self.status == "pending" and any(a.status == "invalid" for a in self.authzs):
            self.status = "invalid"
        elif self.status == "pending" and all(a.status == "valid" for a in self.authzs):
            if self.left["slow"] <= 0:
                self.status = "ready"

    def read(self):
        self.left["slow"] -= 1
        self.settle()
        if self.status == "processing":
            self.left["processing"] -= 1
            if self.left["processing"] < 0:
                self.ca.conclude(self)

    def json(self):
        base, b = self.ca.base, self.behaviour
        out = {"status": self.status, "identifiers": b.get("identifiers") or
               [{"type": a.type, "value": n} for a, n in zip(self.authzs, self.names)],
               "authorizations": [a.url for a in self.authzs], "finalize": f"{base}/finalize/{self.id}",
               "expires": stamp(86400)}
        if b.get("shuffle"):
            out["identifiers"].reverse()
            out["authorizations"].reverse()
        if self.profile:
            out["profile"] = self.profile
        if self.error:
            out["error"] = self.error
        if self.status == "valid":
            out["certificate"] = f"{base}/certificate/{self.id}"
        return out


class Authz:
    def __init__(self, order, i, name, behaviour):
        self.order, self.id, self.name = order, f"{order.id}.{i}", name
        self.type = "ip" if name[-1].isdigit() else "dns"
        self.status = "valid" if behaviour.get("proved") else "pending"
        self.url = f"{order.ca.base}/authz/{self.id}"
        self.token = b64(hashlib.sha256(self.id.encode()).digest())
        self.challenge, self.error = "valid" if self.status == "valid" else "pending", None
        self.literal = behaviour.get("challenges")

    def json(self):
        bare = self.name.removeprefix("*.")
        out = {"status": self.status, "identifier": {"type": self.type, "value": bare}, "expires": stamp(86400),
               "challenges": self.literal if self.literal is not None else [
                   {"type": "dns-persist-01", "status": "pending", "url": f"{self.url}/none",
                    "issuer-domain-names": ["fake.test"]},
                   {"type": "future-99", "status": "odd", "url": f"{self.url}/none", "token": 17}, self.dns01()]}
        if self.order.ca.behaviour.get("persist"):
            out["challenges"] = [self.persist01()]
        if bare != self.name:
            out["wildcard"] = True
        return out

    def persist01(self):
        out = {"type": "dns-persist-01", "status": self.challenge, "issuerDomainNames": [ISSUER],
               "url": f"{self.order.ca.base}/challenge/{self.id}"}
        return {**out, "error": self.error} if self.error else out

    def dns01(self):
        out = {"type": "dns-01", "status": self.challenge, "token": self.token,
               "url": f"{self.order.ca.base}/challenge/{self.id}"}
        return {**out, "error": self.error} if self.error else out


def persists(authz, account, text):
    """Is that the record of draft-ietf-acme-dns-persist-02 for the name and the account?"""
    issuer, *rest = [part.strip() for part in text.split(";")]
    params = dict(part.split("=", 1) for part in rest if "=" in part)
    if issuer != ISSUER or len(params) != len(rest) or float(params.get("persistUntil", "inf")) < time.time():
        return False
    if authz.name.startswith("*.") and params.get("policy") != "wildcard":
        return False
    hashed = lambda domain, thumbprint: b64(hashlib.sha256(
        bytes([len(domain)]) + f"{domain}{thumbprint}{account.url}".encode()).digest())
    return params.get("accounturi") in [f"{authz.order.ca.base}/hash/sha-256/{hashed(domain, thumbprint)}"
                                        for domain in (authz.name.removeprefix("*."), "*")
                                        for thumbprint in (account.jwk.thumbprint, *account.former)]


def stamp(seconds):
    return (datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Account:
    def __init__(self, url, jwk, contact):
        self.url, self.jwk, self.contact, self.status = url, jwk, contact, "valid"
        self.former = []  # thumbprints of its keys of before

    def json(self):
        return {"status": self.status, "contact": self.contact, "orders": self.url.replace("/account/", "/orders/")}


class CA:
    """One directory with its accounts, nonces and orders."""

    def __init__(self, world, name):
        self.world, self.name, self.base = world, name, f"{world.url}/{name}"
        self.nonces, self.accounts, self.book, self.by_cert_id = set(), {}, {}, {}
        self.replaced, self.revoked, self.registered = set(), set(), 0

    @property
    def behaviour(self):
        return self.world.plan["cas"].get(self.name, {})

    def nonce(self):
        nonce = b64(secrets.token_bytes(18))
        self.nonces.add(nonce)
        return nonce

    # -- who asks

    def authenticate(self, jws, url, kind):
        """(account or None, Jwk)"""
        head = jws.head
        if head.get("url") != url:
            raise ValueError(f"signed for {head.get('url')} instead of {url}")
        if ("jwk" in head) == ("kid" in head):
            raise ValueError("not exactly one of jwk and kid")
        if head.get("nonce") not in self.nonces:
            raise Problem("badNonce", "an unknown or used nonce")
        self.nonces.discard(head["nonce"])
        if "jwk" in head:
            if kind not in ("newAccount", "revokeCert"):
                raise ValueError(f"{kind} by jwk")
            jwk = Jwk(head["jwk"])
            jws.verify(jwk)
            return None, jwk
        account = self.accounts.get(head["kid"])
        if not account:
            raise Problem("accountDoesNotExist", "no such account")
        jws.verify(account.jwk)
        if account.status != "valid":
            raise Problem("unauthorized", f"Account is not valid, has status \"{account.status}\"", 403)
        return account, account.jwk

    def by_thumbprint(self, thumbprint):
        return next((a for a in self.accounts.values() if a.jwk.thumbprint == thumbprint), None)

    # -- what is asked

    def directory(self, _):
        b = self.behaviour
        out = {k: f"{self.base}/{k}" for k in ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange",
                                              "renewalInfo")}
        meta = {k: v for k, v in {"termsOfService": b.get("terms"), "profiles": b.get("profiles"),
                                  "externalAccountRequired": b.get("eab_in_meta")}.items() if v is not None}
        if b.get("persist"):
            meta.update(issuerDomainNames=[ISSUER], accountHashPrefix=f"{self.base}/hash/")
        if "meta" not in b or b["meta"] is not None:
            out["meta"] = {**meta, **(b.get("meta") or {})}
        return Reply(200, merged(out, b.get("directory", {})))

    def newNonce(self, call):
        return Reply(200 if call.method == "HEAD" else 204, Cache_Control="no-store")

    def newAccount(self, call):
        p, b = call.jws.payload, self.behaviour
        known = self.by_thumbprint(call.jwk.thumbprint)
        if known and known.status != "valid":
            raise Problem("unauthorized", "An account with the provided public key exists but is deactivated", 403)
        if known:
            return Reply(200, known.json(), Location=known.url)
        if p.get("onlyReturnExisting"):
            raise Problem("accountDoesNotExist", "no account has this key")
        if b.get("terms") and p.get("termsOfServiceAgreed") is not True:
            raise Problem("userActionRequired", "the terms of service must be agreed to", 403)
        if b.get("eab") or "externalAccountBinding" in p:
            self._bound(call, p)
        self.registered += 1
        a = Account(f"{self.base}/account/{self.registered}", call.jwk, p.get("contact", []))
        self.accounts[a.url] = a
        return Reply(201, a.json(), Location=a.url)

    def _bound(self, call, p):
        if "externalAccountBinding" not in p:
            raise Problem("externalAccountRequired", "an external account binding is needed", 403)
        inner = Jws(p["externalAccountBinding"])
        key = self.behaviour.get("eab", {}).get(inner.head.get("kid"))
        if not key:
            raise Problem("unauthorized", "unknown external account", 403)
        if inner.head.get("alg") != "HS256" or inner.head.get("url") != call.url or "nonce" in inner.head:
            raise ValueError("an external account binding with a wrong header")
        mac = hmac.new(unb64(key.rstrip("=")), inner.signed, hashlib.sha256).digest()
        if not hmac.compare_digest(mac, inner.signature) or inner.payload != call.jwk.jwk:
            raise Problem("unauthorized", "the external account binding does not verify", 403)

    def account(self, call):
        a = self.accounts.get(call.url)
        if not a or a is not call.account:
            raise Problem("unauthorized", "not your account", 403)
        p = call.jws.payload
        if p and p.get("status") == "deactivated":
            a.status = "deactivated"
        if p and "contact" in p:
            a.contact = p["contact"]
        return Reply(200, a.json())

    def orders(self, call):
        if self.behaviour.get("orders_list") is False:
            raise Problem("malformed", "there is no list of orders", 404)
        mine = [f"{self.base}/order/{o.id}" for o in self.book.values() if o.account is call.account]
        return Reply(200, {"orders": mine})

    def newOrder(self, call):
        p = call.jws.payload
        b = self.world.plan["names"].get(call.name, {})
        profiles = self.behaviour.get("profiles") or {}
        if "profile" in p and p["profile"] not in profiles:
            raise Problem("invalidProfile", f"no profile {p['profile']}")
        if "replaces" in p:
            if p["replaces"] not in self.by_cert_id:
                raise Problem("malformed", "replaces names no certificate of ours", 404)
            if p["replaces"] in self.replaced:
                raise Problem("alreadyReplaced", "that certificate has been replaced", 409)
            self.replaced.add(p["replaces"])
        o = Order(self, f"{call.name}.{len(self.book) + 1}", call.account,
                  [i["value"] for i in p["identifiers"]], b)
        o.profile = p.get("profile")
        o.settle()
        self.book[o.id] = o
        return Reply(201, o.json(), Location=f"{self.base}/order/{o.id}")

    def _order(self, call):
        o = self.book.get(".".join(call.ident.split(".")[:2]))
        if not o:
            raise Problem("malformed", "no such order", 404)
        if o.account is not call.account:
            raise Problem("unauthorized", "not your order", 403)
        return o

    def order(self, call):
        o = self._order(call)
        o.read()
        return Reply(200, o.json())

    def _authz(self, call):
        return self._order(call).authzs[int(call.ident.split(".")[2])]

    def authz(self, call):
        a = self._authz(call)
        if call.jws.payload and call.jws.payload.get("status") == "deactivated":
            a.status = "deactivated"
        elif a.error and a.status == "pending" and a.order.left["heals"]:
            a.order.left["heals"] -= 1
            if not a.order.left["heals"]:
                a.status = a.challenge = "valid"
        return Reply(200, a.json())

    def challenge(self, call):
        a = self._authz(call)
        if call.jws.payload is not None:
            if call.jws.payload != {}:
                raise ValueError("a challenge answered with more than {}")
            if a.status != "pending":
                raise Problem("malformed", f"Cannot update challenge with status {a.challenge}, only status pending")
            self._validate(a)
        shown = a.persist01() if self.behaviour.get("persist") else a.dns01()
        return Reply(200, shown, Link=f'<{a.url}>;rel="up"')

    def _validate(self, a):
        o = a.order
        results = o.behaviour.get("validation", ["ok"])
        result = results[min(o.answers, len(results) - 1)]
        o.answers += 1
        found = result not in ("ok", "400") or self.world.lookup(a, o.account)
        if result == "error":
            a.error = PENDING_ERROR
        elif result == "fail" or not found:
            a.status = a.challenge = "invalid"
            a.error = {"type": URN + "unauthorized", "status": 403, "detail": f"Incorrect TXT record for {a.name}"}
        else:
            a.status = a.challenge = "valid"
            a.error = None
        o.settle()
        if result == "400":
            raise Problem("malformed", "Cannot update challenge with status valid, only status pending")

    def finalize(self, call):
        o = self._order(call)
        o.settle()
        if o.status != "ready":
            raise Problem("orderNotReady", f"Order's status ({o.status}) is not ready", 403)
        csr = x509.load_der_x509_csr(unb64(call.jws.payload["csr"]))
        san = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if sorted(map(str, (g.value for g in san))) != sorted(o.names) or not csr.is_signature_valid:
            raise Problem("badCSR", "the CSR's names are not the order's")
        o.csr, o.status = csr, "processing"
        if o.left["processing"] <= 0:
            self.conclude(o)
        return Reply(200, o.json(), Location=f"{self.base}/order/{o.id}")

    def conclude(self, o):
        fate = o.behaviour.get("fate")
        if fate is not None:
            o.status, o.error = "invalid", fate["invalid"]
            return
        o.status = "valid"
        o.pem, leaf = self.world.issuer.issue(o.csr.public_key(), o.names, o.behaviour.get("variant"),
                                              o.behaviour.get("life", 90 * 86400))
        self.by_cert_id[self.world.issuer.cert_id(leaf)] = o
        o.leaf = leaf

    def certificate(self, call):
        o = self._order(call)
        if not o.pem and o.status != "valid":
            raise Problem("malformed", "there is no certificate", 404)
        return Reply(200, o.pem, "application/pem-certificate-chain", Link=f'<{self.base}/directory>;rel="index"')

    def renewalInfo(self, call):
        o = self.by_cert_id.get(call.ident)
        if not o:
            raise Problem("malformed", "no such certificate", 404)
        life = o.leaf.not_valid_after - datetime.datetime.utcnow()
        start, end = o.behaviour.get("ari") or (life.total_seconds() * 0.66, life.total_seconds() * 0.7)
        return Reply(200, {"suggestedWindow": {"start": stamp(start), "end": stamp(end)}}, Retry_After="21600")

    def revokeCert(self, call):
        leaf = x509.load_der_x509_certificate(unb64(call.jws.payload["certificate"]))
        o = self.by_cert_id.get(self.world.issuer.cert_id(leaf))
        own = call.jwk.public_bytes() == leaf.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if not o or not (own or o.account is call.account):
            raise Problem("unauthorized", "not yours to revoke", 403)
        if call.jws.payload.get("reason", 0) not in (0, 1, 3, 4, 5):
            raise Problem("badRevocationReason", "not such a reason")
        if leaf.serial_number in self.revoked:
            raise Problem("alreadyRevoked", "it has been revoked")
        self.revoked.add(leaf.serial_number)
        return Reply(200)

    def keyChange(self, call):
        inner = Jws(call.jws.payload)
        new = Jwk(inner.head["jwk"])
        inner.verify(new)
        if inner.head["url"] != call.url or "nonce" in inner.head or inner.payload["account"] != call.account.url or \
                Jwk(inner.payload["oldKey"]).thumbprint != call.account.jwk.thumbprint:
            raise ValueError("a key change whose inner part is wrong")
        other = self.by_thumbprint(new.thumbprint)
        if other:
            return Reply(409, {"type": URN + "malformed", "detail": "that key has an account"},
                         "application/problem+json", Location=other.url)
        call.account.former.append(call.account.jwk.thumbprint)
        call.account.jwk = new
        return Reply(200, call.account.json())

    def trap(self, call):
        raise Problem("malformed", "nothing is here", 404)


SIGNED = ("newAccount", "account", "orders", "newOrder", "order", "authz", "challenge", "finalize", "certificate",
          "revokeCert", "keyChange")


def merged(obj, more):
    out = {**obj, **more}
    return {k: v for k, v in out.items() if v is not None}


class Call:
    """One request on its way."""

    def __init__(self, ca, method, url, path, headers, body):
        self.ca, self.method, self.url, self.headers, self.body = ca, method, url, headers, body
        parts = path.split("/", 3)
        self.kind = parts[2] if len(parts) > 2 and parts[2] in KINDS else "trap"
        self.ident = parts[3] if len(parts) > 3 else ""
        self.jws = self.jwk = self.account = None
        self.payload = self._payload()
        self.name = self._name()

    def _payload(self):
        """What is written down of it, believed or not."""
        try:
            return Jws(self.body).payload if self.kind in ("newAccount", "newOrder", "revokeCert") else None
        except (ValueError, KeyError, TypeError):
            return None

    def _name(self):
        if self.kind == "newOrder" and self.payload:
            return self.payload["identifiers"][0]["value"].removeprefix("*.").split(".")[0]
        if self.kind == "renewalInfo":
            o = self.ca.by_cert_id.get(self.ident)
            return o.id.split(".")[0] if o else ""
        if self.kind in ("order", "authz", "challenge", "finalize", "certificate"):
            return self.ident.split(".")[0]
        return ""

    def perform(self):
        try:
            self._check()
            return getattr(self.ca, self.kind)(self)
        except Problem as p:
            return Reply(p.status, p.body, "application/problem+json")
        except Exception as e:  # what no client may send
            self.ca.world.violations.append(f"{self.method} {self.url}: {type(e).__name__}: {e}")
            return Reply(400, {"type": URN + "malformed", "detail": str(e)}, "application/problem+json")

    def _check(self):
        if not self.headers.get("User-Agent") or "Replay-Nonce" in self.headers:
            raise ValueError("no User-Agent, or a Replay-Nonce")
        if self.kind not in SIGNED:
            if self.method == "POST":
                raise ValueError("a POST of what is read with GET")
            return
        if self.method != "POST" or self.headers.get("Content-Type") != "application/jose+json":
            raise ValueError(f"{self.method} with {self.headers.get('Content-Type')}")
        self.jws = Jws(self.body)
        self.account, self.jwk = self.ca.authenticate(self.jws, self.url, self.kind)


KINDS = SIGNED + ("directory", "newNonce", "renewalInfo", "trap")


class World:
    def __init__(self, url, plan, dns):
        self.url, self.dns, self.lock = url, dns, threading.RLock()
        self.plan = {"cas": plan.get("cas", {}), "names": plan.get("names", {})}
        self.issuer, self.cas, self.requests, self.violations = Issuer(), {}, [], []
        self.counts = {}

    def lookup(self, authz, account):
        if not self.dns:
            return True
        bare = authz.name.removeprefix("*.")
        if authz.order.ca.behaviour.get("persist"):
            reply = query(self.dns, "_validation-persist." + bare, 16)
            return reply is not None and any(persists(authz, account, text) for text in reply.txt)
        want = b64(hashlib.sha256(f"{authz.token}.{account.jwk.thumbprint}".encode()).digest())
        reply = query(self.dns, "_acme-challenge." + bare, 16)
        return reply is not None and want in reply.txt

    def count(self, *key):
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def rule(self, call):
        """The rule for this request, {} for none; the request is counted and written down."""
        n_name, n_ca = self.count(call.ca.name, call.name, call.kind), self.count(call.ca.name, call.kind)
        self.requests.append({"t": time.time(), "ca": call.ca.name, "name": call.name, "kind": call.kind, "n": n_name,
                              "method": call.method, "path": call.url[len(self.url):],
                              **({"payload": call.payload} if call.payload else {})})
        for behaviour, n in ((self.plan["names"].get(call.name, {}), n_name), (call.ca.behaviour, n_ca)):
            for rule in behaviour.get("rules", []):
                nth = rule.get("nth")
                luck = hashlib.sha256(f"{call.name} {call.kind} {n_name} {json.dumps(rule)}".encode()).digest()[0] * 100 // 256
                if luck < rule.get("chance", 100) and rule["at"] in (call.kind, "*") and n >= rule.get("from", 1) and (
                        nth is None or n in (nth if isinstance(nth, list) else [nth])):
                    return rule
        return {}

    def answer(self, ca_name, method, path, headers, body):
        """(reply, rule)"""
        with self.lock:
            ca = self.cas.setdefault(ca_name, CA(self, ca_name))
            call = Call(ca, method, self.url + path, path, headers, body)
            rule = self.rule(call)
            if rule.get("forget"):
                ca.accounts.clear()
            reply = self._reply(rule, call)
            if "nonce" in rule:
                if rule["nonce"] is not None:
                    reply.headers["Replay-Nonce"] = rule["nonce"]
            elif call.kind in SIGNED or call.kind == "newNonce":
                reply.headers["Replay-Nonce"] = ca.nonce()
            return reply, rule

    def _reply(self, rule, call):
        made_up = any(k in rule for k in ("status", "body", "json", "problem"))
        reply = call.perform() if rule.get("perform", not made_up and rule.get("send") != "drop") else Reply()
        if made_up:
            reply = made(rule, reply)
        if "merge" in rule and isinstance(reply.json, dict):
            reply.json = merged(reply.json, rule["merge"])
        if rule.get("pad") and isinstance(reply.json, dict):
            reply.json["padding"] = "x" * rule["pad"]
        elif rule.get("pad"):
            reply.body += b"x" * rule["pad"]
        if "append" in rule or "replace" in rule:
            text = reply.data().decode().replace(*rule.get("replace", ["", ""])) + rule.get("append", "")
            reply.json, reply.body = None, text.encode()
        reply.type = rule.get("type", reply.type)
        for k, v in rule.get("headers", {}).items():
            reply.headers.pop(k, None)
            if isinstance(v, str) and v.startswith("date:"):
                v = email.utils.formatdate(time.time() + int(v[5:]), usegmt=True)
            if v is not None:
                reply.headers[k] = v
        return reply


def made(rule, performed):
    if "problem" in rule:
        p = dict(rule["problem"])
        if ":" not in p.get("type", ":"):
            p["type"] = URN + p["type"]
        return Reply(rule.get("status", 400), p, "application/problem+json")
    keep = {k: v for k, v in performed.headers.items() if rule.get("perform")}
    out = Reply(rule.get("status", 200), rule.get("json", rule.get("body", "")))
    if isinstance(rule.get("json"), str):
        out.json, out.body = None, json.dumps(rule["json"]).encode()
    if isinstance(out.body, bytes) and out.body.startswith(b"<"):
        out.type = "text/html"
    out.headers.update(keep)
    return out


# --- HTTP

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None
    disable_nagle_algorithm = True

    def _handle(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) if length else b""
        if self.path.startswith("/_test/"):
            self._test(body)
            return
        reply, rule = self.world.answer(self.path.split("/")[1], self.command, self.path, self.headers, body)
        if rule.get("hold"):
            time.sleep(rule["hold"])
        try:
            self._send(reply, rule.get("send", ""))
        except OSError:
            self.close_connection = True

    do_GET = do_POST = do_HEAD = _handle

    def _test(self, body):
        w = self.world
        with w.lock:
            if self.command == "POST":
                more = json.loads(body)
                for part in ("cas", "names"):
                    w.plan[part].update(more.get(part, {}))
            reply = Reply(200, {"requests": w.requests, "violations": w.violations})
            data = reply.data()
        self._head(reply, len(data))
        self.wfile.write(data)

    def _head(self, reply, length):
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        for k, v in reply.headers.items():
            self.send_header(k, v)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _send(self, reply, mode):
        data = reply.data()
        if mode:
            self.close_connection = True
        if mode == "drop":
            return
        if mode == "drip-header":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-Filler: and another one\r\n")
                time.sleep(0.005)
        if mode == "hints":
            self.close_connection = False
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\nLocation: https://x.test/\r\n\r\n")
        if mode == "http10":
            self.protocol_version = "HTTP/1.0"
            self._head(reply, None)
        elif mode == "chunks":
            reply.headers["Transfer-Encoding"] = "chunked"
            self._head(reply, None)
            data = b"zz; not a size\r\n" + data
        else:
            self._head(reply, len(data) + (mode == "cut"))
        if self.command == "HEAD":
            return
        if mode == "drip":
            for i in range(len(data)):
                self.wfile.write(data[i:i + 1])
                time.sleep(0.1)
        else:
            self.wfile.write(data[:len(data) // 2] if mode == "cut" else data)
        if mode == "http10":
            self.connection.unwrap()  # without TLS's own end it would be cut: newer libcurls say so

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        kind = sys.exc_info()[0]
        if not issubclass(kind, OSError):
            super().handle_error(request, client_address)


def split(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def serve_closed(where):
    s = socket.create_server(split(where))
    while True:
        s.accept()[0].close()


def write_server_files(issuer, address, folder):
    key, cert = issuer.server(address)
    (folder / "server.pem").write_bytes(cert.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "ca.pem").write_bytes(issuer.root.public_bytes(serialization.Encoding.PEM))
    return folder / "server.pem"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--dir", required=True, type=pathlib.Path)
    parser.add_argument("--plan", type=pathlib.Path)
    parser.add_argument("--dns")
    parser.add_argument("--closed")
    args = parser.parse_args()
    plan = json.loads(args.plan.read_text()) if args.plan else {}
    Handler.world = world = World(f"https://{args.listen}", plan, args.dns)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write_server_files(world.issuer, split(args.listen)[0], args.dir))
    if args.closed:
        threading.Thread(target=serve_closed, args=(args.closed,), daemon=True).start()
    server = Server(split(args.listen), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(f"listening on {world.url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
