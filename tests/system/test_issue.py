# SPDX-License-Identifier: ISC
"""The main job against real CAs and name servers."""
import collections
import json
import socket
import threading

from lab import Lab, LabError, Pebble, World, wait_for

KINDS = """
  - names: [example.test, "*.example.test"]
  - name: many
    names: [%s]
  - name: two-zones
    names: [www.example.test, www.other.test]
  - names: [alias.example.test]
  - names: [host.deep.two.example.test]
""" % ", ".join(f"h{i}.many.example.test" for i in range(25))


def every_kind(**pebble):
    with Lab("issue") as lab:
        world = World(lab, pebble)
        daemon = world.daemon(KINDS)
        daemon.wait_state("ok", seconds=120)
        for cert in ("example.test", "many", "two-zones", "alias.example.test", "host.deep.two.example.test"):
            daemon.check_pair(cert)
        text = daemon.check_pair("many")
        assert text.count("DNS:h") == 25, text
        text = daemon.check_pair("example.test")
        assert "DNS:*.example.test" in text and "DNS:example.test" in text, text
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)
        assert json.loads(daemon.ctl("records", "--json").stdout)["records"] == []
        assert world.ca.orders() == 5 or world.ca.orders() == 0, world.ca.orders()
        return world, daemon


def test_pebble_210_few_nonces_rejected():
    every_kind(nonce_reject=5, authz_reuse=0, strict=True)


test_pebble_210_few_nonces_rejected.build = ["gcc", "asan"]


def test_pebble_210_half_of_nonces_rejected():
    every_kind(nonce_reject=50, authz_reuse=100, strict=True)


def test_pebble_24_few_nonces_rejected():
    every_kind(version="2.4", nonce_reject=5, authz_reuse=0, strict=True)


def test_pebble_24_half_of_nonces_rejected():
    every_kind(version="2.4", nonce_reject=50, authz_reuse=100)


def test_authorizations_reused():
    """A second order of the same name finds its authorization valid: no record is made for it."""
    with Lab("reuse") as lab:
        world = World(lab, {"authz_reuse": 100})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        before = daemon.status()["www.example.test"]["serial"]
        daemon.ctl("renew", "www.example.test", "--force", "--wait")
        assert daemon.status()["www.example.test"]["serial"] != before
        world.nothing_left()


def test_secondary_that_lags():
    """ns2 learns of changes by its refresh timer only, some seconds late."""
    with Lab("lag") as lab:
        world = World(lab, {}, refresh=5, notify=False)
        daemon = world.daemon("  - www.example.test", start=False)
        daemon.start()
        said = wait_for("the daemon to say what it waits for",
                        lambda: next((c["waiting"] for c in daemon.status().values()
                                      if "ns2.example.test" in (c["waiting"] or "")), None), 20)
        assert "lacks" in said, said
        daemon.wait_state("ok", seconds=60)
        explained = daemon.ctl("explain", "www.example.test").stdout
        assert "ns2.example.test" in explained, explained
        world.nothing_left()


def test_name_server_unreachable():
    """One server refuses packets, another swallows them: the order goes on, and both are named."""
    with Lab("dead") as lab:
        hole = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        hole.bind((lab.address(9), 53))
        ns = [("ns1.example.test", lab.address(2)), ("ns2.example.test", lab.address(3)),
              ("ns3.example.test", lab.address(8)), ("ns4.example.test", lab.address(9))]
        # The CA's own resolver must not stumble over them: it has a time limit, too.
        world = World(lab, {}, ns=ns, stubs={"example.test": [lab.address(2), lab.address(3)]})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok", seconds=60)
        explained = daemon.ctl("explain", "www.example.test").stdout
        assert "unreachable" in explained and lab.address(8) in explained, explained
        hole.close()


def test_two_hundred_at_once():
    """A broken provider, a refused name and a hook that hangs delay none of the others."""
    with Lab("many") as lab:
        world = World(lab, {"domainBlocklist": ["blocked.example.test"]})
        certificates = "\n".join(f"  - n{i}.example.test" for i in range(200))
        certificates += """
  - {names: [broken.example.test], provider: broken}
  - blocked.example.test
  - {names: [hangs.example.test], deploy: [{run: [/bin/sleep, "1000"], timeout: 20s}]}
"""
        daemon = world.daemon(certificates, start=False, providers=f"""
  broken: {{plugin: rfc2136, server: {world.primary.address}, key_name: one., key_secret: {{file: bad.key}}}}
""")
        daemon.secret("bad.key", "bm90IHRoZSBrZXkgdGhhdCB0aGUgc2VydmVyIGhhcw==")
        daemon.start()
        good = [f"n{i}.example.test" for i in range(200)]
        daemon.wait_state("ok", names=good, seconds=120)
        daemon.wait_state(("deploying", "deploy-failed"), names=["hangs.example.test"], seconds=30)
        daemon.wait_state("failed", names=["broken.example.test", "blocked.example.test"], seconds=60)
        status = daemon.status()
        assert "key" in status["broken.example.test"]["why"].lower(), status["broken.example.test"]
        assert "blocked.example.test" in json.dumps(status["blocked.example.test"]), status
        daemon.wait_state("deploy-failed", names=["hangs.example.test"], seconds=60)
        for name in good[::20]:
            daemon.check_pair(name)
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)
        assert daemon.ctl("status", "--check", check=False).returncode == 1


test_two_hundred_at_once.limit = 300


def test_rate_of_requests():
    """However many certificates begin at once, and whatever else there is to ask: 20 requests a second."""
    with Lab("rate") as lab:
        world = World(lab, {})
        names = [f"n{i}.example.test" for i in range(40)]
        daemon = world.daemon("\n".join(f"  - {n}" for n in names), cas=", limits: {requests: 20/1s}")
        daemon.wait_state("ok", seconds=90)
        asked = [line for line in lab.log(world.ca.name).splitlines() if "calling handler()" in line]
        seconds = collections.Counter(next(w for w in line.split() if w.count(":") == 2) for line in asked)
        assert len(asked) >= 7 * len(names), len(asked)
        # The slack is for what the way to the server holds up; without the limit it is hundreds.
        assert max(seconds.values()) <= 25, seconds
        assert len(asked) <= 20 * (len(seconds) + 1), seconds
        # ... and none is thrown away: one nonce to begin with, the others come with the answers.
        assert sum("HEAD" in line for line in asked) < 20, asked[:40]
        assert world.ca.orders() == len(names), world.ca.orders()


def test_ca_that_lost_the_account():
    """Pebble forgets everything at a restart: the account is registered again."""
    with Lab("lost") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        world.ca.stop()
        world.ca.start()
        daemon.ctl("renew", "www.example.test", "--force", "--wait")
        daemon.check_pair("www.example.test")


def test_once():
    """renewd --once issues what is due and ends."""
    with Lab("once") as lab:
        world = World(lab, {"domainBlocklist": ["blocked.example.test"]})
        daemon = world.daemon("  - www.example.test", start=False)
        daemon.start("--once", ready=False)
        assert daemon.process.wait(60) == 0, daemon.log()
        daemon.check_pair("www.example.test")
        daemon.write(world.config("  - www.example.test\n  - blocked.example.test"))
        daemon.start("--once", ready=False)
        assert daemon.process.wait(60) == 1, daemon.log()
        world.nothing_left()
