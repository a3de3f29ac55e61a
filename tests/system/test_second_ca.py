# SPDX-License-Identifier: ISC
"""Caddy's ACME server (smallstep's), the second kind of CA: its certificates are short, it validates and issues
within the request, a challenge that failed stays pending, and half of what RFC 8555 offers is not there."""
import json
import os
import signal

from lab import Lab, Unbound, World, wait_for
from lab.caddy import Caddy
from lab.proxy import CAProxy

HTTP, TLS = 50, 51  # hosts whose ports 80 and 443 are the daemon's


def caddy_world(lab, lines=(), resolver=None, **options):
    world = World(lab, lines=lines)
    world.ca = Caddy(lab, resolver or world.resolver.address, **options)
    return world


def issuer_and_names(text):
    lines = [line.strip() for line in text.splitlines()]
    names = next(line for line in lines if line.startswith(("DNS:", "IP Address:")))
    return next(line for line in lines if line.startswith("Issuer:")), sorted(names.split(", "))


class Killer(CAProxy):
    """Between the daemon and Caddy: kills the daemon when the CA has done what a path asks for."""

    version = Caddy.version

    def __init__(self, lab, caddy, path):
        self.path, self.victim, self.killed = path, None, 0
        super().__init__(lab, caddy, lab.address(102), hook=self._kill)

    @property
    def directory(self):
        return f"https://{self.address}:14000/acme/lab/directory"

    def _kill(self, when, path):
        if when == "before" or not self.victim or not path.endswith(self.path):
            return True
        victim, self.victim = self.victim, None
        for pid in [pid for pids in victim.pids().values() for pid in pids]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.killed += 1
        return False  # what the CA said is lost


def killed_with_request(lab, world, killer, daemon, caddy):
    """The same once more, of a certificate whose key is elsewhere: nothing of it is on our disk."""
    lab.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
             lab.dir / "own.key", "-out", daemon.dir / "own.csr", "-subj", "/", "-addext",
             "subjectAltName=DNS:own.example.test"])
    daemon.write(daemon.file.read_text().split("\n", 2)[2] + "  - {names: [own.example.test], csr: own.csr}\n")
    killer.victim = daemon
    daemon.ctl("reload", check=False)
    wait_for("the daemon to be killed again", lambda: killer.killed == 2, 30)
    lab.end(daemon.process)
    daemon.start()
    daemon.wait_state("ok", names=["own.example.test"], seconds=30)
    assert caddy.orders() == 2, caddy.requests("/new-order")
    live = daemon.live("own.example.test")
    key = lab.run(["openssl", "pkey", "-in", lab.dir / "own.key", "-pubout"]).stdout
    assert lab.run(["openssl", "x509", "-in", live / "cert.pem", "-noout", "-pubkey"]).stdout == key
    assert not (live / "privkey.pem").is_symlink() and not list((daemon.state / "pending").glob("own*"))


def test_killed_while_the_ca_issues():
    """dns-01 for apex and wildcard; what the CA said is lost with the daemon, the order goes on."""
    with Lab("second") as lab:
        world = caddy_world(lab)
        caddy = world.ca
        world.ca = killer = Killer(lab, caddy, "/finalize")
        daemon = world.daemon('  - names: [example.test, "*.example.test"]', start=False)
        killer.victim = daemon
        daemon.start(ready=False)
        wait_for("the daemon to be killed", lambda: killer.killed, 30)
        lab.end(daemon.process)
        assert caddy.orders() == 1 and not (daemon.live("example.test") / "cert.pem").exists()

        daemon.start()
        daemon.wait_state("ok", seconds=30)
        issuer, names = issuer_and_names(daemon.check_pair("example.test"))
        assert "Lab - ECC Intermediate" in issuer and names == ["DNS:*.example.test", "DNS:example.test"], (issuer, names)
        killed_with_request(lab, world, killer, daemon, caddy)
        assert [s for _, s in caddy.requests("/finalize")] == [200, 200], "a second finalization for one order"
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)


def test_wrong_record_at_first():
    """The CA looks where the record is not yet: its challenge stays pending, shows the error, is answered again."""
    with Lab("second-late") as lab:
        world = World(lab, refresh=3, notify=False)
        late = Unbound(lab, "late", lab.address(5), {"test": [world.registry.address],
                                                     "example.test": [world.secondary.address]})
        world.ca = Caddy(lab, late.address)
        daemon = world.daemon('  - names: [example.test, "*.example.test"]', dns="  check: none")
        daemon.wait_state("ok", seconds=60)
        answers = world.ca.requests("/challenge/")
        assert len(answers) > 2, "the CA was content at once: this test is blind"
        assert world.ca.orders() == 1, world.ca.requests("/new-order")
        explained = daemon.ctl("explain", "example.test").stdout
        assert "problem with a DNS query" in explained, explained
        daemon.check_pair("example.test")
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)


def test_responders():
    """http-01 and tls-alpn-01 by the daemon's own listeners, for names and for addresses."""
    with Lab("second-ports") as lab:
        web, tls = lab.address(HTTP), lab.address(TLS)
        hosts = {"web.example.test": web, "www.web.example.test": web, "tls.example.test": tls}
        world = caddy_world(lab, [f"{host}. 60 IN A {address}" for host, address in hosts.items()], hosts=hosts)
        http01, alpn = f'http01: {{listen: ["{web}:80"]}}', f'tlsalpn01: {{listen: ["{tls}:443"]}}'
        daemon = world.daemon(f"""
  - {{names: [web.example.test, www.web.example.test], challenge: http-01, {http01}}}
  - {{names: [tls.example.test], challenge: tls-alpn-01, {alpn}}}
  - {{name: address, names: ["{web}"], challenge: http-01, {http01}}}
  - {{name: address-tls, names: ["{tls}"], challenge: tls-alpn-01, {alpn}}}
  - {{name: mixed, names: ["*.mixed.example.test", {{name: web.example.test, challenge: http-01}}], {http01}}}
""")
        daemon.wait_state("ok", seconds=30)
        want = {"web.example.test": ["DNS:web.example.test", "DNS:www.web.example.test"],
                "tls.example.test": ["DNS:tls.example.test"], "address": [f"IP Address:{web}"],
                "address-tls": [f"IP Address:{tls}"], "mixed": ["DNS:*.mixed.example.test", "DNS:web.example.test"]}
        for name, names in want.items():
            assert issuer_and_names(daemon.check_pair(name))[1] == names, name
        # What is installed is known again: nothing is ordered twice.
        daemon.stop()
        daemon.start()
        daemon.wait_state("ok")
        assert world.ca.orders() == len(want), world.ca.requests("/new-order")
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)


# account's key -> certificate's key; Pebble has no accounts of Ed25519
KINDS = {"ecdsa-p384": "ecdsa-p384", "rsa-2048": "rsa-4096", "ed25519": "rsa-2048"}


def account(daemon, ca):
    return json.loads(daemon.ctl("account", "show", ca, "--json").stdout)["account"]


def check_kinds(daemon):
    for kind, key in KINDS.items():
        text = daemon.check_pair(f"{kind}.example.test")
        assert {"ecdsa-p384": "secp384r1"}.get(key, f"({key[4:]} bit)") in text, text
        shown = account(daemon, kind)
        assert shown["key"] == kind and shown["status"] == "valid", shown


def check_account(world, daemon):
    """The account's key cannot be changed here, which harms nothing."""
    before = account(daemon, "lab")
    r = daemon.ctl("account", "rollover", "lab", check=False)
    assert r.returncode == 1 and "does not change the keys" in r.stderr, r
    assert world.ca.requests("/key-change")[-1][1] == 501, world.ca.requests("/key-change")
    assert account(daemon, "lab") == before
    daemon.stop()
    daemon.start()  # nothing is left half done
    daemon.ctl("account", "update", "lab")
    daemon.ctl("account", "recover", "lab")
    assert account(daemon, "lab") == before
    daemon.ctl("account", "deactivate", "ed25519", "--force")
    assert daemon.ctl("renew", "ed25519.example.test", "--force", "--wait", check=False).returncode == 1


def check_revocation(world, daemon):
    before, orders = daemon.status(), world.ca.orders()
    daemon.ctl("revoke", "www.example.test", "--reason", "superseded", "--force", "--replace")
    daemon.ctl("revoke", "mail.example.test", "--with", "cert-key", "--reason", "keyCompromise", "--force")
    assert [status for _, status in world.ca.requests("/revoke-cert")] == [200, 200]
    now = daemon.status()
    assert now["www.example.test"]["state"] == "ok" and now["mail.example.test"]["state"] == "revoked", now
    assert now["www.example.test"]["serial"] != before["www.example.test"]["serial"], now
    assert world.ca.orders() == orders + 1, "what is revoked is ordered again only when asked for"
    daemon.ctl("renew", "mail.example.test", "--wait")
    now = daemon.status()["mail.example.test"]
    assert now["state"] == "ok" and now["serial"] != before["mail.example.test"]["serial"], now
    daemon.check_pair("mail.example.test")


def test_accounts_keys_revocation_short_lives():
    """Six minutes of life, of which one lies in the past; meanwhile accounts and revocation."""
    with Lab("second-life") as lab:
        world = caddy_world(lab, lifetime="5m")
        # The last 4 m 22 s of them: due some 38 s after it was issued.
        certificates = "  - {names: [short.example.test], renew_before: 262s}\n  - www.example.test\n  - mail.example.test\n"
        certificates += "".join(f"  - {{names: [{a}.example.test], ca: {a}, key: {k}}}\n" for a, k in KINDS.items())
        entries = "".join(f'  {a}: {{directory: "{world.ca.directory}", ca_file: "{world.ca.ca_file}", account: {a}, '
                          f"account_key: {a}}}\n" for a in KINDS)
        daemon = world.daemon(start=False)
        daemon.write(world.config(certificates).replace("\ndns:\n", f"\n{entries}dns:\n", 1))
        daemon.start()
        daemon.wait_state("ok", seconds=30)
        first = daemon.status()["short.example.test"]
        check_kinds(daemon)
        check_account(world, daemon)
        check_revocation(world, daemon)
        wait_for("the short one to be renewed",
                 lambda: daemon.status()["short.example.test"]["serial"] != first["serial"], 60, 0.5)
        daemon.wait_state("ok", names=["short.example.test"])
        assert "renew_before" in daemon.status()["short.example.test"]["why"], daemon.status()["short.example.test"]
        daemon.check_pair("short.example.test")
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)
