# SPDX-License-Identifier: ISC
"""The cloudflare plugin end to end: a stand-in for the API, whose records a real name server publishes."""
import datetime
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time

from lab import Lab, Skip, World, wait_for
from lab.core import REPO

TOKEN, ZONE_ID = "cf-token-4711-do-not-tell", "0123456789abcdef0123456789abcdef"
ALL = "dns_edit,zone_read"


class Cloudflare:
    """The stand-in, in front of a world's primary server."""

    def __init__(self, lab, world, tokens=None, zones=None, tls=None, args=()):
        self.address, self.tls = lab.address(30), tls
        argv = [sys.executable, REPO / "tests/servers/fake_cloudflare.py", "--listen", f"{self.address}:8080",
                "--dns", f"{world.primary.address}:53", "--tsig", f"{world.key.name.rstrip('.')}:{world.key.secret}"]
        for token, rights in (tokens or {TOKEN: ALL}).items():
            argv += ["--token", f"{token}={rights}"]
        for zone, ident in zones or [("example.test", ZONE_ID)]:
            argv += ["--zone", f"{zone}={ident}"]
        if tls:
            argv += ["--tls", *tls]
        self.process = lab.start("cloudflare", [*argv, *args])
        wait_for("the API", lambda: "listening on" in lab.log("cloudflare"), 10)
        self.seen = []

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://{self.address}:8080/client/v4"

    def ask(self, method, path, body=None, token=None):
        if self.tls:
            c = http.client.HTTPSConnection(self.address, 8080, context=ssl._create_unverified_context())
        else:
            c = http.client.HTTPConnection(self.address, 8080)
        c.request(method, path, json.dumps(body) if body is not None else None,
                  {"Authorization": f"Bearer {token}"} if token else {})
        value = json.loads(c.getresponse().read())
        c.close()
        return value

    def fault(self, **what):
        """What the next requests meet; nothing: all is well again."""
        self.ask("POST", "/_test/faults", what)

    def requests(self):
        """All requests of the plugin so far."""
        self.seen += self.ask("GET", "/_test/requests")
        return self.seen

    def records(self):
        return self.ask("GET", "/_test/records")

    def create(self, name, content, ttl=120):
        return self.ask("POST", f"/client/v4/zones/{ZONE_ID}/dns_records",
                        {"type": "TXT", "name": name, "content": content, "ttl": ttl}, TOKEN)["result"]


def provider(cf, more=""):
    return f"  cf: {{plugin: cloudflare, api_token: {{file: cf.token}}, api_url: \"{cf.url}\", zones: [example.test]{more}}}"


def start(world, cf, certificates, more="", token=TOKEN, wrap=()):
    """The daemon, whose certificates come by `provider: cf`."""
    daemon = world.daemon(certificates, start=False, providers=provider(cf, more), defaults=", agree_tos: true, provider: cf",
                          wrap=wrap)
    daemon.secret("cf.token", token)
    return daemon.start()


def gone(cf, world):
    wait_for("the records to be removed", lambda: not cf.records(), 20)
    wait_for("the name server to have none", lambda: not world.primary.leftovers(), 10)


def count(requests, method):
    return sum(r.startswith(method + " ") for r in requests)


def provider_of(daemon, name="cf"):
    return next(p for p in json.loads(daemon.ctl("status", "--json", check=False).stdout)["providers"] if p["name"] == name)


def failure(daemon, name, *texts):
    """Waits for the failure; status, explain and the provider's entry say all texts, and none the token."""
    daemon.wait_state("failed", names=[name], seconds=40)
    said = daemon.ctl("explain", name).stdout + daemon.ctl("status", check=False).stdout
    entry = daemon.status()[name]
    for t in texts:
        assert t in entry["why"], f"{t!r} is not in {entry['why']!r}"
        assert t in said, f"{t!r} is not in {said}"
        assert t in provider_of(daemon)["last_error"], provider_of(daemon)
    assert TOKEN not in said + json.dumps(entry) + daemon.log(), "the token is told"
    return entry


def mended(daemon, names):
    """A reload brings the next attempt near, and whoever does not want to wait for it asks."""
    daemon.ctl("reload")
    for n in names:
        entry = daemon.status()[n]
        assert entry["state"] != "failed" or seconds_until(entry["next"]) <= 61, entry
    daemon.ctl("renew", "--due", "--wait")
    daemon.wait_state("ok", names=names)


def seconds_until(text):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def test_apex_and_wildcard():
    """Both values live at one name; a handful of requests is enough, the zone's id is asked for once."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        daemon = start(world, cf, '  - names: [example.test, "*.example.test"]')
        daemon.wait_state("ok")
        daemon.check_pair("example.test")
        gone(cf, world)
        seen = cf.requests()
        assert [count(seen, m) for m in ("GET", "POST", "DELETE")] == [1, 2, 2], seen
        assert TOKEN not in daemon.log() + daemon.ctl("explain", "example.test", "--json").stdout
        daemon.ctl("renew", "example.test", "--force", "--wait")
        gone(cf, world)
        assert sum("/zones?" in r for r in cf.requests()) == 1, cf.requests()


def test_least_privilege():
    """DNS:Edit on one zone is enough with zone_id; without it the status names the way out, and it works."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world, {TOKEN: "dns_edit@example.test"})
        daemon = start(world, cf, "  - www.example.test")
        entry = failure(daemon, "www.example.test", "zone_id", "Zone:Zone:Read")
        assert seconds_until(entry["next"]) > 12 * 3600, entry
        before = len(cf.requests())
        daemon.write(world.config("  - www.example.test", providers=provider(cf, f", zone_id: {ZONE_ID}"),
                                  defaults=", agree_tos: true, provider: cf"))
        mended(daemon, ["www.example.test"])
        gone(cf, world)
        assert [r.split()[0] for r in cf.requests()[before:]] == ["GET", "POST", "DELETE"], cf.requests()[before:]
        assert provider_of(daemon)["last_error"] is None, provider_of(daemon)


def test_bad_token():
    """Told with what to do, tried once a day; the right token is taken up with a reload."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        names = [f"n{i}.example.test" for i in range(5)]
        daemon = start(world, cf, "\n".join(f"  - {n}" for n in names), token="wrong-token")
        for n in names:
            entry = failure(daemon, n, "the API token is wrong", "Zone:DNS:Edit")
            assert seconds_until(entry["next"]) > 12 * 3600, entry
        assert "wrong-token" not in daemon.log() + daemon.ctl("status", "--json", check=False).stdout
        seen = len(cf.requests())
        assert seen <= 2 * len(names), cf.requests()
        daemon.ctl("renew", names[0], "--wait", check=False)  # nothing else was asked meanwhile
        assert len(cf.requests()) <= seen + 2, cf.requests()
        daemon.secret("cf.token", TOKEN)
        mended(daemon, names)
        gone(cf, world)


def test_token_of_another_zone():
    """The token may not edit this zone: 403 with code 10000."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world, {TOKEN: f"{ALL}@other.test"},
                        [("example.test", ZONE_ID), ("other.test", "f" * 32)])
        daemon = start(world, cf, "  - www.example.test", f", zone_id: {ZONE_ID}")
        failure(daemon, "www.example.test", "Zone:DNS:Edit", "10000")
        assert len(cf.requests()) == 2, cf.requests()  # the attempt, and the removal of what it may have made


def test_rate_limited():
    """A long Retry-After is when the certificate is tried again; a short one is waited for in place."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        cf.fault(status=429, count=1000, retry_after=7200)
        daemon = start(world, cf, "  - www.example.test")
        entry = failure(daemon, "www.example.test", "wait", "429")
        assert 6000 < seconds_until(entry["next"]) < 7300, entry
        assert len(cf.requests()) <= 2, cf.requests()
        cf.fault()
        daemon.ctl("renew", "www.example.test", "--wait")
        gone(cf, world)
        before = count(cf.requests(), "POST")
        cf.fault(status=429, count=2, retry_after=2, match="POST")
        begin = time.monotonic()
        daemon.ctl("renew", "www.example.test", "--force", "--wait")
        took = time.monotonic() - begin
        assert took >= 4, (took, cf.requests(), daemon.ctl("explain", "www.example.test").stdout)
        assert count(cf.requests(), "POST") == before + 3, cf.requests()
        gone(cf, world)


def test_errors_of_the_server():
    """Many 5xx, pages of HTML and closed connections are told and mended by the next attempt; a few 5xx
    are not even noticed."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        cf.fault(status=500, count=1000)
        daemon = start(world, cf, "  - www.example.test")
        faults = (({"status": 500, "count": 1000}, ("Cloudflare has a problem", "HTTP 500")),
                  ({"html": 1000}, ("did not answer with JSON",)),
                  ({"drop": 1000}, ("closed the connection",)))
        for fault, texts in faults:
            before = len(cf.requests())
            if fault is not faults[0][0]:
                cf.fault(**fault)
                daemon.ctl("renew", "www.example.test", "--wait", check=False)
            entry = failure(daemon, "www.example.test", *texts)
            assert seconds_until(entry["next"]) < 100 * 60, entry
            assert len(cf.requests()) <= before + 9, cf.requests()[before:]  # 3 tries; attempts and removals
        cf.fault()
        daemon.ctl("renew", "www.example.test", "--wait")
        gone(cf, world)
        before = count(cf.requests(), "POST")
        cf.fault(status=502, count=2, match="POST")
        daemon.ctl("renew", "www.example.test", "--force", "--wait")
        assert count(cf.requests(), "POST") == before + 3, cf.requests()
        gone(cf, world)


def test_leftover_identical_record():
    """The answer to the creation is lost: its repetition is refused as identical, which is success, and
    without a handle the record is found among many, pages behind."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world, args=["--page-size", "5"])
        others = [cf.create("_acme-challenge.www.example.test", f'"other {i}"')["id"] for i in range(17)]
        cf.fault(lose=1, match="POST")
        daemon = start(world, cf, "  - www.example.test")
        daemon.wait_state("ok")
        wait_for("ours to be removed", lambda: sorted(r["id"] for r in cf.records()) == sorted(others), 20)
        seen = cf.requests()
        assert count(seen, "POST") == 17 + 2, seen
        assert sum("dns_records?" in r for r in seen) >= 4, seen
        assert len(world.primary.txt("_acme-challenge.www.example.test")) == 17


def test_eventual_consistency():
    """What was created is served three seconds later only: the CA is asked after that."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world, args=["--lag-dns", "3", "--lag-list", "1"])
        daemon = start(world, cf, '  - names: [example.test, "*.example.test"]')
        said = wait_for("the daemon to say what it waits for",
                        lambda: next((c["waiting"] for c in daemon.status().values() if "lacks" in (c["waiting"] or "")),
                                     None), 20)
        assert "example.test" in said, said
        daemon.wait_state("ok")
        gone(cf, world)
        assert daemon.status()["example.test"]["failures"] == 0


def test_engine_killed_between_creation_and_answer():
    """The record is there, nobody was told its id: it is removed after the restart all the same."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        cf.fault(hold=1, match="POST")
        daemon = start(world, cf, "  - www.example.test")
        wait_for("the record to be created", cf.records, 20)
        before = len(cf.requests())
        os.kill(daemon.pids()["renewd-engine"][0], signal.SIGKILL)
        cf.fault()
        daemon.wait_ready()
        daemon.wait_state("ok", names=["www.example.test"], seconds=60)
        gone(cf, world)
        assert any("dns_records?" in r for r in cf.requests()[before:]), cf.requests()
        assert json.loads(daemon.ctl("records", "--json").stdout)["records"] == []


def test_certificate_removed_while_its_record_stands():
    """As before, but the certificate is not in the configuration any more when the engine is back."""
    with Lab("cf") as lab:
        world = World(lab, {})
        cf = Cloudflare(lab, world)
        cf.fault(hold=1, match="POST")
        daemon = start(world, cf, "  - www.example.test")
        wait_for("the record to be created", cf.records, 20)
        daemon.stop(signal.SIGKILL)
        cf.fault()
        daemon.write(world.config("  []", providers=provider(cf)))
        daemon.start()
        gone(cf, world)


def certificate(lab, address):
    """A CA of its own and a server certificate of it: (ca, cert, key)."""
    d = lab.dir / "cf-tls"
    d.mkdir()
    (d / "ext").write_text(f"subjectAltName=IP:{address}\n")

    def run(*a):
        subprocess.run(["openssl", *map(str, a)], check=True, capture_output=True)
    new = ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out")
    run(*new, d / "ca.key")
    run("req", "-x509", "-new", "-key", d / "ca.key", "-subj", "/CN=api root", "-days", "3", "-out", d / "ca.pem")
    run(*new, d / "key.pem")
    run("req", "-new", "-key", d / "key.pem", "-subj", "/CN=api", "-out", d / "csr")
    run("x509", "-req", "-in", d / "csr", "-CA", d / "ca.pem", "-CAkey", d / "ca.key", "-CAcreateserial", "-days", "3",
        "-extfile", d / "ext", "-out", d / "cert.pem")
    os.chmod(d / "ca.pem", 0o644)
    return d / "ca.pem", d / "cert.pem", d / "key.pem"


def test_tls_not_trusted():
    """A server that the system's roots do not vouch for never sees the token."""
    with Lab("cf") as lab:
        world = World(lab, {})
        _, cert, key = certificate(lab, lab.address(30))
        cf = Cloudflare(lab, world, tls=(cert, key))
        daemon = start(world, cf, "  - www.example.test")
        failure(daemon, "www.example.test", "certificate", "not trusted")
        assert cf.requests() == [], cf.requests()


def test_tls_trusted():
    """The system's roots hold the API's CA (in a mount namespace of the daemon's own)."""
    roots = "/etc/ssl/certs/ca-certificates.crt"
    if os.geteuid() != 0 or not os.path.exists(roots):
        raise Skip("the system's roots are replaced as root only")
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        raise Skip("no mount namespaces here")
    with Lab("cf") as lab:
        world = World(lab, {})
        ca, cert, key = certificate(lab, lab.address(30))
        cf = Cloudflare(lab, world, tls=(cert, key))
        mount = ["unshare", "-m", "sh", "-c", f'mount --bind {ca} {roots} && exec "$@"', "sh"]
        daemon = start(world, cf, "  - www.example.test", wrap=mount)
        daemon.wait_state("ok")
        daemon.check_pair("www.example.test")
        gone(cf, world)
