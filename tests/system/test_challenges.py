# SPDX-License-Identifier: ISC
"""Every type of challenge against Pebble, on addresses of the lab's own, at ports 80 and 443."""
import base64
import hashlib
import json
import os
import socket

from lab import Lab, World, wait_for
from lab.core import tool
from lab.caddy import Caddy
from lab.names import query
from lab.proxy import CAProxy

WEB, STATIC, OTHER, TAKEN = 50, 51, 52, 53
NAMES = {"web": WEB, "tls": WEB, "both": WEB, "root": STATIC, "hook": OTHER, "taken": TAKEN, "wrong": STATIC, "two": STATIC}


def make_world(lab, **pebble):
    lines = [f"{name}.example.test. 60 IN A {lab.address(host)}" for name, host in NAMES.items()]
    return World(lab, {"httpPort": 80, "tlsPort": 443, **pebble}, lines=lines)


def nginx(lab, name, address, root):
    """A real web server that serves the files of a folder."""
    directory = lab.dir / name
    directory.mkdir()
    (directory / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {directory}/pid; error_log stderr notice;
events {{ worker_connections 64; }}
http {{ access_log {directory}/access.log; client_body_temp_path {directory}; proxy_temp_path {directory};
  fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
  server {{ listen {address}:80; root {root}; }} }}
""")
    process = lab.start(name, [tool("nginx"), "-c", directory / "nginx.conf", "-p", directory])
    lab.wait_port(address, 80, process)
    return directory / "access.log"


def hook(lab, root):
    """The command of `http01: {run}`: puts what it reads to where the other server finds it."""
    path = lab.dir / "hook"
    path.write_text(f"""#!/usr/bin/env python3
import json, os, sys
m = json.load(sys.stdin)
path = {str(root)!r} + m["url"].split(m["identifier"], 1)[1]
os.makedirs(os.path.dirname(path), exist_ok=True)
if m["action"] == "add":
    open(path, "w").write(m["content"])
elif os.path.exists(path):
    os.unlink(path)
""")
    os.chmod(path, 0o755)
    return path


def files(root):
    return [f for _, _, names in os.walk(root) for f in names]


def http_and_tls(version):
    with Lab("proofs") as lab:
        world = make_world(lab, version=version)
        static, other = lab.dir / "static", lab.dir / "other"
        static.mkdir()
        other.mkdir()
        seen = nginx(lab, "front", lab.address(STATIC), static)
        nginx(lab, "gateway", lab.address(OTHER), other)
        busy = socket.create_server((lab.address(TAKEN), 80))
        listen = f"http01: {{listen: ['{lab.address(WEB)}:80']}}"
        daemon = world.daemon(f"""
  - {{names: [web.example.test], challenge: http-01, {listen}}}
  - {{names: [root.example.test], challenge: http-01, http01: {{webroot: {static}}}}}
  - {{names: [hook.example.test], challenge: http-01, http01: {{run: [{hook(lab, other)}]}}}}
  - {{names: [tls.example.test], challenge: tls-alpn-01, tlsalpn01: {{listen: ['{lab.address(WEB)}:443']}}}}
  - names: [{{name: both.example.test, challenge: http-01}}, {{name: "*.both.example.test", challenge: dns-01}},
            plain.example.test]
    {listen}
  - names: [taken.example.test]
    challenge: [http-01, dns-01]
    http01: {{listen: ['{lab.address(TAKEN)}:80']}}
  - {{names: ["{lab.address(WEB)}"], name: address, challenge: http-01, {listen}}}
  - names: [bücher.example.test]
""")
        daemon.wait_state("ok", seconds=60)
        for cert in ("web", "root", "hook", "tls", "both", "taken"):
            assert f"DNS:{cert}.example.test" in daemon.check_pair(f"{cert}.example.test")
        assert "DNS:*.both.example.test" in daemon.check_pair("both.example.test")
        assert f"IP Address:{lab.address(WEB)}" in daemon.check_pair("address")
        explained = daemon.ctl("explain", "taken.example.test").stdout
        assert "by dns-01 instead of http-01" in explained, explained
        idn = next(n for n in daemon.status() if "cher" in n)
        assert "DNS:xn--bcher-kva.example.test" in daemon.check_pair(idn)
        # Nothing stays: no file, no listening port, no record.
        wait_for("the files to be removed", lambda: not files(static) and not files(other), 10)
        wait_for("the port to be closed", lambda: not is_open(lab.address(WEB), 80), 10)
        assert not is_open(lab.address(WEB), 443)
        wait_for("the records to be removed", lambda: not world.primary.leftovers(), 10)
        # Asked for by ourselves before the CA was told.
        agents = [line for line in seen.read_text().splitlines() if "acme-challenge" in line]
        assert "renewd" in agents[0], agents
        busy.close()


def is_open(address, port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((address, port)) == 0


def test_http_and_tls_pebble_210():
    http_and_tls("2.10")


test_http_and_tls_pebble_210.build = ["gcc", "asan"]


def test_http_and_tls_pebble_24():
    http_and_tls("2.4")


def test_what_is_served_wrongly():
    """The CA is not told of an answer that is not there; a name that points nowhere is named."""
    with Lab("wrong") as lab:
        world = make_world(lab)
        static = lab.dir / "static"
        static.mkdir()
        (lab.dir / "elsewhere").mkdir()
        nginx(lab, "front", lab.address(STATIC), lab.dir / "elsewhere")
        daemon = world.daemon(f"""
  - {{names: [wrong.example.test], challenge: http-01, http01: {{webroot: {static}}}}}
""", dns="  timeout: 3s")
        daemon.wait_state("failed", seconds=30)
        why = daemon.status()["wrong.example.test"]["why"]
        assert lab.address(STATIC) in why and "404" in why, why
        assert not files(static)
        log = lab.log("pebble")
        assert "Pulled a task" not in log, log[-3000:]


def account_label(url):
    return "_" + base64.b32encode(hashlib.sha256(url.encode()).digest()[:10]).decode().lower()


def test_dns_account():
    """The record's name holds the account's label: another owner name, the same provider."""
    with Lab("account") as lab:
        world = make_world(lab)
        daemon = world.daemon("""
  - {names: [acct.example.test, "*.acct.example.test"], challenge: dns-account-01}
""")
        daemon.wait_state("ok", seconds=60)
        daemon.check_pair("acct.example.test")
        account = json.loads(next((daemon.state / "accounts").glob("*/account.json")).read_text())["url"]
        label = account_label(account)
        assert f"{label}._acme-challenge.acct.example.test" in lab.log("pebble") + daemon.ctl(
            "explain", "acct.example.test").stdout
        world.nothing_left()


def txt(world, name):
    reply = query(world.primary.address, name, 16)
    return reply.txt if reply else []


def test_dns_persist():
    """Written once and kept, or created by hand as the daemon says; then no record is touched any more."""
    with Lab("persist") as lab:
        world = make_world(lab, caaIdentities=["pebble.test"])
        daemon = world.daemon("""
  - names: [kept.example.test, "*.kept.example.test"]
    challenge: dns-persist-01
    dns_persist01: {write: true, until: 365d}
  - {names: [given.example.test], challenge: dns-persist-01}
""")
        daemon.wait_state("ok", names=["kept.example.test"], seconds=60)
        daemon.wait_state("blocked", names=["given.example.test"], seconds=30)
        records = txt(world, "_validation-persist.kept.example.test")
        assert len(records) == 1 and "policy=wildcard" in records[0] and "persistUntil=" in records[0], records
        why = daemon.status()["given.example.test"]["why"]
        assert "_validation-persist.given.example.test" in why and "pebble.test; accounturi=" in why, why
        daemon.ctl("records", "clean")
        daemon.ctl("renew", "kept.example.test", "--force", "--wait")
        assert txt(world, "_validation-persist.kept.example.test") == records
        kept = json.loads(daemon.ctl("records", "--json").stdout)["records"]
        assert [r["state"] for r in kept] == ["kept"], kept
        # As an operator does it.
        value = why.split('TXT "', 1)[1].split('"', 1)[0]
        for command in (["zone-begin", "example.test"],
                        ["zone-set", "example.test", "_validation-persist.given.example.test.", "60", "TXT", f'"{value}"'],
                        ["zone-commit", "example.test"]):
            world.primary.knotc(*command)
        daemon.ctl("renew", "given.example.test", "--force", "--wait")
        daemon.check_pair("given.example.test")


def test_external_account():
    """An account only with a binding; the second certificate finds it and binds nothing again."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    with Lab("eab") as lab:
        world = make_world(lab, externalAccountBindingRequired=True, externalAccountMACKeys={"kid-1": key})
        daemon = world.daemon("  - www.example.test", start=False,
                              cas=", eab: {kid: kid-1, hmac_key: {file: mac}}")
        daemon.secret("mac", key + "=")
        daemon.start()
        daemon.wait_state("ok", seconds=60)
        daemon.check_pair("www.example.test")
        # The account's URL is lost, its key is not: it is found, not bound again.
        daemon.stop()
        for path in (daemon.state / "accounts").glob("*/account.json"):
            path.unlink()
        daemon.start()
        daemon.ctl("renew", "www.example.test", "--force", "--wait")
        assert world.ca.count("There are now 1 accounts") == 1, lab.log("pebble")[-2000:]


def test_external_account_by_address():
    """As ZeroSSL does it: the CA gives the binding out for an address, and the keeper keeps it."""
    key = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    with Lab("byemail") as lab:
        world = make_world(lab, externalAccountBindingRequired=True, externalAccountMACKeys={"kid-7": key})
        proxy = CAProxy(lab, world.ca, lab.address(60))
        proxy.version = "2.10"
        proxy.replace["/acme/eab-credentials-email"] = (
            200, json.dumps({"success": 1, "eab_kid": "kid-7", "eab_hmac_key": key}).encode())
        pebble, world.ca = world.ca, proxy
        daemon = world.daemon(start=False)
        config = world.config("  - www.example.test", cas=", email: who+ever@example.test")
        daemon.write(config.replace("ca: lab", "ca: zerossl").replace("  lab: {", "  zerossl: {"))
        daemon.start()
        daemon.wait_state("ok", seconds=60)
        daemon.check_pair("www.example.test")
        asked = [body for method, path, body in proxy.requests if "eab-credentials" in path]
        assert asked == [b"email=who%2Bever%40example.test"], asked
        stored = next((daemon.state / "accounts").glob("*/eab.json"))
        assert stored.stat().st_mode & 0o777 == 0o600 and key in stored.read_text()
        assert pebble.count("There are now 1 accounts") == 1


TWO = """
  - names: [two.example.test]
    challenge: [http-01, dns-01]
    http01: {webroot: %s}
"""
# So that only the CA finds out what HTTP has.
UNSEEN = "  zones: {two.example.test: {check: none}, _acme-challenge.two.example.test: {check: require}}"


def test_the_next_order_takes_another_type():
    """Pebble's authorization is dead once http-01 was wrong; the next order begins with dns-01."""
    with Lab("next") as lab:
        world = make_world(lab)
        for folder in ("static", "elsewhere"):
            (lab.dir / folder).mkdir()
        nginx(lab, "front", lab.address(STATIC), lab.dir / "elsewhere")
        daemon = world.daemon(TWO % (lab.dir / "static"), dns=UNSEEN)
        daemon.wait_state("failed", seconds=30)
        assert "404" in daemon.status()["two.example.test"]["why"], daemon.status()
        daemon.stop()
        daemon.start()
        daemon.ctl("renew", "two.example.test", "--force", "--wait")
        daemon.check_pair("two.example.test")
        explained = daemon.ctl("explain", "two.example.test").stdout
        assert "the CA found http-01 wrong for two.example.test" in explained, explained
        assert world.ca.orders() == 2 and not files(lab.dir / "static")


def test_another_type_in_the_same_order():
    """smallstep leaves the challenge pending, with its error: dns-01 of the same authorization will do."""
    with Lab("same") as lab:
        world = make_world(lab)
        world.ca.stop()
        (lab.dir / "static").mkdir()
        world.ca = Caddy(lab, world.resolver.address, hosts={"two.example.test": lab.address(99)})
        daemon = world.daemon(TWO % (lab.dir / "static"), dns=UNSEEN)
        daemon.wait_state("ok", seconds=60)
        daemon.check_pair("two.example.test")
        assert world.ca.orders() == 1
        assert not files(lab.dir / "static")
