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
    assert caddy.orders() == 3, caddy.requests("/new-order")
    live = daemon.live("own.example.test")
    key = lab.run(["openssl", "pkey", "-in", lab.dir / "own.key", "-pubout"]).stdout
    assert lab.run(["openssl", "x509", "-in", live / "cert.pem", "-noout", "-pubkey"]).stdout == key
    assert not (live / "privkey.pem").is_symlink() and not list((daemon.state / "pending").glob("own*"))


def test_dns_issue_kill_renew():
    """dns-01 for apex and wildcard; killed while the CA issues, the order goes on; short lives are renewed."""
    with Lab("second") as lab:
        world = caddy_world(lab, lifetime="5m")
        caddy = world.ca
        world.ca = killer = Killer(lab, caddy, "/finalize")
        daemon = world.daemon('  - names: [example.test, "*.example.test"]', start=False)
        killer.victim = daemon
        daemon.start(ready=False)
        wait_for("the daemon to be killed", lambda: killer.killed, 30)
        lab.end(daemon.process)
        assert caddy.orders() == 1 and not (daemon.live("example.test") / "cert.pem").exists()

        # The last 4 m 20 s of 6 minutes (a minute lies in the past): due some 40 s after it was issued.
        daemon.write(world.config('  - names: [example.test, "*.example.test"]\n'
                                  '  - {names: [www.example.test], renew_before: 262s}'))
        daemon.start()
        daemon.wait_state("ok", seconds=30)
        issuer, names = issuer_and_names(daemon.check_pair("example.test"))
        assert "Lab - ECC Intermediate" in issuer and names == ["DNS:*.example.test", "DNS:example.test"], (issuer, names)
        assert caddy.orders() == 2, caddy.requests("/new-order")
        assert [s for _, s in caddy.requests("/finalize")] == [200, 200], "a second finalization for one order"

        first = daemon.status()
        killed_with_request(lab, world, killer, daemon, caddy)
        daemon.ctl("renew", "example.test", "--force", "--wait")
        assert daemon.status()["example.test"]["serial"] != first["example.test"]["serial"]
        wait_for("the short one to be renewed", lambda: daemon.status()["www.example.test"]["serial"]
                 != first["www.example.test"]["serial"], 60, 0.5)
        daemon.wait_state("ok")
        assert "renew_before" in daemon.status()["www.example.test"]["why"], daemon.status()["www.example.test"]
        daemon.check_pair("www.example.test")
        assert caddy.orders() == 5, caddy.requests("/new-order")
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


def test_account_and_revocation():
    """The account's key cannot be changed here, which harms nothing; certificates are revoked by either key."""
    with Lab("second-revoke") as lab:
        world = caddy_world(lab)
        daemon = world.daemon("  - www.example.test\n  - mail.example.test")
        daemon.wait_state("ok", seconds=30)
        key = daemon.ctl("account", "show", "lab", "--json").stdout
        r = daemon.ctl("account", "rollover", "lab", check=False)
        assert r.returncode == 1 and "does not change the keys" in r.stderr, r
        assert world.ca.requests("/key-change")[-1][1] == 501, world.ca.requests("/key-change")
        assert daemon.ctl("account", "show", "lab", "--json").stdout == key
        daemon.stop()
        daemon.start()  # nothing is left half done
        daemon.ctl("account", "update", "lab")
        daemon.ctl("account", "recover", "lab")
        assert daemon.ctl("account", "show", "lab", "--json").stdout == key

        before = daemon.status()["www.example.test"]["serial"]
        daemon.ctl("revoke", "www.example.test", "--reason", "superseded", "--force", "--replace")
        now = daemon.status()["www.example.test"]
        assert now["state"] == "ok" and now["serial"] != before, now
        daemon.ctl("revoke", "mail.example.test", "--with", "cert-key", "--reason", "keyCompromise", "--force")
        assert [status for _, status in world.ca.requests("/revoke-cert")] == [200, 200]
        assert daemon.status()["mail.example.test"]["state"] == "revoked", daemon.status()
        assert world.ca.orders() == 3, "what is revoked is ordered again only when asked for"
        serial = daemon.status()["mail.example.test"]["serial"]
        daemon.ctl("renew", "mail.example.test", "--wait")
        now = daemon.status()["mail.example.test"]
        assert now["state"] == "ok" and now["serial"] != serial, now
        daemon.check_pair("mail.example.test")
        r = daemon.ctl("account", "deactivate", "lab", "--force")
        assert json.loads(daemon.ctl("account", "list", "--json").stdout)["accounts"][0]["state"] != "valid", r
