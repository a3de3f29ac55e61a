# SPDX-License-Identifier: ISC
"""Plugins that crash, hang, lie and reach for what is not theirs, beside twenty certificates that are fine.

tests/plugins/wild.c does what the name of its instance says (WHEN-DEED); tests/plugins/hostile.c tries
everything that the sandbox forbids and reports what it could do in its error's text.
"""
import http.server
import json
import os
import pathlib
import shutil
import socket
import threading

from lab import BUILD, Lab, World, wait_for

TOKEN = "hostile-token-do-not-tell"
GOOD = [f"good{i}.example.test" for i in range(20)]
ASAN = os.path.basename(BUILD) == "asan"


class Party:
    """The daemon with one certificate and one provider for each bad instance, and the good ones."""

    def __init__(self, lab, bad, plugin="wild", limit="4s", lines=(), url=None, good=GOOD):
        self.lab, self.bad = lab, bad
        self.world = World(lab, {}, lines=lines)
        path = BUILD / "tests" / "plugins" / f"{plugin}.so"
        options = f", url: \"{url}\"" if url else ""
        if plugin == "wild":
            options += ", token: {file: wild.token}"
        self.providers = "\n".join(f"  {b}: {{plugin: {path}, timeout: {limit}{options}}}" for b in bad)
        certificates = [f"  - {{name: {b}, names: [{b}.example.test], provider: {b}}}" for b in bad]
        certificates += [f"  - {g}" for g in good]
        self.daemon = self.world.daemon("\n".join(certificates), start=False, providers=self.providers)
        self.daemon.secret("wild.token", TOKEN)
        self.daemon.start()

    def entries(self):
        status = json.loads(self.daemon.ctl("status", "--json", check=False).stdout)
        return {p["name"]: p for p in status["providers"]}

    def restarts(self):
        return {b: self.entries()[b]["restarts"] for b in self.bad}

    def failed(self, expected, seconds=30, named=True):
        """Each certificate fails with its text, which status, explain and (named) the provider's entry show."""
        self.daemon.wait_state("failed", names=list(expected), seconds=seconds)
        status, entries, problems = self.daemon.status(), self.entries(), []
        for b, text in expected.items():
            if text not in status[b]["why"]:
                problems.append(f"{b}: {text!r} is not in {status[b]['why']!r}")
            if named and b not in (entries[b]["last_error"] or ""):
                problems.append(f"{b}: {entries[b]}")
            if text not in self.daemon.ctl("explain", b).stdout:
                problems.append(f"{b}: not in explain")
        assert not problems, "\n".join(problems)

    def good_ones(self, seconds=60):
        self.daemon.wait_state("ok", names=GOOD, seconds=seconds)

    def clean(self):
        """Nothing is left: records, zombies, and nobody was told the token."""
        wait_for("the records to be removed", lambda: not self.world.primary.leftovers(), 20)
        wait_for("zombies to be reaped", lambda: not self.zombies(), 10)
        said = self.daemon.log() + self.daemon.ctl("status", "--json", check=False).stdout
        said += self.daemon.ctl("records", "--json").stdout
        said += "".join(self.daemon.ctl("explain", b, "--json").stdout for b in self.bad)
        assert TOKEN not in said, [line for line in said.splitlines() if TOKEN in line]
        assert "\x1b" not in said, "a control character of a plugin got through"
        assert self.daemon.process.poll() is None
        assert len(self.daemon.pids()["renewd-engine"]) == 1

    def zombies(self):
        family, found = set(sum(self.daemon.pids().values(), [])), []
        for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                text = p.read_text()
            except OSError:
                continue
            state, parent = text.rsplit(")", 1)[1].split()[:2]
            if state == "Z" and int(parent) in family:
                found.append(text)
        return found

    def engine_pid(self):
        return self.daemon.pids()["renewd-engine"]

    def strays(self):
        """Workers that the engine knows nothing of any more."""
        known = {e["pid"] for e in self.entries().values() if e["running"]}
        return [w for w in self.workers() if w[1] not in known]

    def workers(self):
        """(instance, pid) of the workers that exist, whatever the engine thinks."""
        out = []
        for pid in self.daemon.pids()["renewd-worker"]:
            try:
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"--instance" in argv:
                out.append((argv[argv.index(b"--instance") + 1].decode(), pid))
        return out


def test_what_the_sandbox_forbids():
    """Constructor, a thread of it, create and add: files, sockets, children, ptrace, signals, all refused."""
    with Lab("hostile") as lab:
        p = Party(lab, ["hostile"], plugin="hostile", limit="20s")
        engine = p.engine_pid()
        p.good_ones()
        sandboxed = "landlock" in p.entries()["hostile"]["sandbox"]
        p.failed({"hostile": "library:1 constructor: | thread: | create: | add:" if sandboxed else "library:"})
        why = p.daemon.status()["hostile"]["why"]
        assert why.rstrip().endswith("| add:"), why  # nothing succeeded in add
        assert p.engine_pid() == engine
        assert not os.path.exists("/tmp/renewd-hostile")
        p.clean()


def test_crashes():
    """In every callback: told, counted, and nobody else notices."""
    died, spoke = "ended unexpectedly", "said what no worker says"
    expected = {"add-crash": died, "add-segv": died, "add-exit": died, "add-garbage": spoke,
                "add-code": "returned 4711", "add-handle": "512 bytes",
                "create-crash": "SIGABRT", "create-exit": "worker", "create-garbage": "", "create-refuse": "refuses",
                "constructor-crash": "SIGABRT", "constructor-exit": "worker", "constructor-garbage": ""}
    if not ASAN:
        expected["add-memory"] = died
    with Lab("hostile") as lab:
        p = Party(lab, list(expected))
        p.good_ones()
        p.failed(expected)
        restarts = p.restarts()
        for b in expected:
            if b.startswith("add-") and b not in ("add-code", "add-handle"):
                assert restarts[b] >= 1, restarts
        assert restarts["add-code"] == 0, restarts
        p.clean()


def test_crash_at_removal():
    """The order fails for want of its record; its removal crashes, is shown, and goes on being tried."""
    with Lab("hostile") as lab:
        p = Party(lab, ["remove-crash", "remove-hang", "remove-tell"])
        p.good_ones()
        p.daemon.wait_state("failed", names=["remove-crash", "remove-tell"], seconds=30)
        assert p.daemon.status()["remove-hang"]["state"] == "renewing"  # cleans up, for some minutes yet
        entries = wait_for("the crash to be told", lambda: p.entries()["remove-crash"]["last_error"] and p.entries(), 20)
        assert "ended unexpectedly" in entries["remove-crash"]["last_error"], entries
        assert entries["remove-crash"]["restarts"] >= 1, entries
        records = json.loads(p.daemon.ctl("records", "--json").stdout)["records"]
        assert len([r for r in records if r["provider"] in p.bad]) == 3, records
        p.clean()


def test_hangs():
    """While plugins hang, spin and flood, all others are issued; then they are killed."""
    killed, died = "was killed", "ended unexpectedly"
    expected = {"add-hang": killed, "add-spin": killed, "add-flood": "said what no worker says", "add-chatter": "longer than the time",
                "add-close": died, "create-hang": "", "constructor-hang": ""}
    with Lab("hostile") as lab:
        p = Party(lab, list(expected), limit="12s")
        engine = p.engine_pid()
        p.good_ones()
        assert p.daemon.status()["add-hang"]["state"] == "renewing", "the good ones waited for the bad ones"
        p.failed(expected, seconds=40)
        assert p.engine_pid() == engine
        assert len(p.daemon.log()) < 200000, "the log was flooded"
        wait_for("those that were killed to be gone", lambda: not p.strays(), 15)
        p.clean()


def test_forged_answers():
    """DONE for operations that were not, and then no end: the record is missed, and the worker goes."""
    with Lab("hostile") as lab:
        p = Party(lab, ["add-forge", "add-lie"])
        p.good_ones()
        p.failed({"add-lie": "lacks", "add-forge": ""}, named=False)
        p.daemon.write(p.world.config("  - " + "\n  - ".join(GOOD)))  # both leave the configuration
        p.daemon.ctl("reload")
        p.bad = []
        wait_for("the forger to be gone", lambda: all(n != "add-forge" for n, _ in p.workers()), 20)
        p.clean()


def test_when_described():
    """A plugin that misbehaves while its options are read: the new configuration is refused, the old one stays."""
    with Lab("hostile") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - good0.example.test")
        daemon.wait_state("ok")
        daemon.secret("wild.token", TOKEN)
        for deed, text in (("crash", "SIGABRT"), ("exit", "describe"), ("garbage", "describe"),
                           ("hang", "did not describe itself within")):
            path = lab.dir / f"describe-{deed}.so"
            shutil.copy(BUILD / "tests" / "plugins" / "wild.so", path)
            daemon.write(world.config("  - good0.example.test", providers=f"  bad: {{plugin: {path}, token: {{file: wild.token}}}}"))
            r = daemon.ctl("reload", check=False)
            assert r.returncode == 2 and f"describe-{deed}.so" in r.stdout + r.stderr and text in r.stdout + r.stderr, (deed, r)
        daemon.ctl("renew", "good0.example.test", "--force", "--wait")
        world.nothing_left()


class Web:
    """Who must not be asked, or only politely."""

    def __init__(self, address):
        self.seen = []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                web.seen.append((self.requestline, str(self.headers)))
                self.send_response(302)
                self.send_header("Location", f"http://{address}:8081/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer((address, 8080), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def listener(address, port):
    s = socket.create_server((address, port), backlog=64)
    s.setblocking(False)
    return s


def visited(s):
    try:
        s.accept()
        return True
    except BlockingIOError:
        return False


def test_egress():
    """Hosts that were not declared, inside addresses, other schemes, injected headers: refused, not sent."""
    with Lab("hostile") as lab:
        inside, shop = lab.address(40), lab.address(41)
        traps = [listener(inside, 443), listener(inside, 80), listener(shop, 8081)]
        web = Web(shop)
        lines = [f"loopback.example.test. 60 IN A {inside}", "private.example.test. 60 IN A 10.1.2.3",
                 f"mapped.example.test. 60 IN AAAA ::ffff:{inside}", f"undeclared.example.test. 60 IN A {inside}"]
        expected = {"add-undeclared": "undeclared.example.test", "add-loopback": "loopback.example.test",
                    "add-private": "private.example.test", "add-mapped": "mapped.example.test",
                    "add-metadata": "169.254.169.254", "add-literal": "127.0.0.1", "add-plain": "scheme",
                    "add-file": "URL", "add-redirect": "answered 302", "add-newline": "header", "add-name": "header",
                    "add-host": "header", "add-chunked": "header", "add-method": "out of bounds",
                    "add-server": "127.0.0.1:53", "add-primary": "not public", "create-wait": "cannot wait"}
        p = Party(lab, list(expected), lines=lines, url=f"http://{shop}:8080/", limit="20s")
        p.good_ones()
        p.failed(expected)
        assert not any(visited(t) for t in traps), "a server was reached that must not be"
        assert [line for line, _ in web.seen] == ["GET / HTTP/1.1"] * len(web.seen), web.seen
        said = "".join(h for _, h in web.seen).lower()
        assert web.seen and "injected" not in said and "chunked" not in said, web.seen
        assert all(r == 0 for r in p.restarts().values()), p.restarts()
        p.clean()


def test_secrets_are_not_told():
    """A plugin that tells its token by error, log, handle, stdout: it is masked everywhere."""
    with Lab("hostile") as lab:
        p = Party(lab, ["add-tell", "create-tell"])
        p.good_ones()
        p.failed({"add-tell": "token ***", "create-tell": "token ***"})
        p.clean()
        state = b"".join(f.read_bytes() for f in p.daemon.state.rglob("*") if f.is_file())
        assert TOKEN.encode() not in state, "the token is in the state folder"


for _test in (test_what_the_sandbox_forbids, test_crashes, test_hangs, test_egress):
    _test.build = ["gcc", "asan"]
