# SPDX-License-Identifier: ISC
"""The built-in responders and their stand-ins, from the side of the CA and from that of strangers."""
import contextlib
import http.server
import json
import os
import pathlib
import resource
import select
import socket
import ssl
import threading

from lab import Lab, Skip, World, wait_for

MANY = 10000
SOURCES = 8
RSS_ROOM_KB = 6 << 10
PATH = "/.well-known/acme-challenge/"
SITE = 20      # host number of the names' address
NOBODY = 99    # where nobody answers for us
BACKLOG = 100


def site_lines(lab, *names):
    return [f"{name}.example.test. 60 IN A {lab.address(SITE)}" for name in names]


def raise_limit(n):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        raise Skip(f"{n} descriptors are needed, {hard} are allowed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, n), hard))


def rss_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:")))


def is_open(address, port):
    with socket.socket() as s:
        s.settimeout(5)
        return s.connect_ex((address, port)) == 0


class Wrong(http.server.BaseHTTPRequestHandler):
    """Port 80 of a site that does not pass on to us: what is looked for there is waited for."""

    def do_GET(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(address, port, handler):
    server = http.server.ThreadingHTTPServer((address, port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Crowd:
    """Clients that connect and say no more than `says`."""

    def __init__(self, address, port, n=MANY, says=b""):
        self.sockets = []
        for i in range(n):
            s = socket.socket()
            s.bind((f"127.250.{1 + i % SOURCES}.1", 0))
            s.settimeout(10)
            s.connect((address, port))
            with contextlib.suppress(OSError):
                s.send(says)
            self.sockets.append(s)

    def left(self):
        """How many are still connected."""
        poll = select.poll()
        for s in self.sockets:
            poll.register(s, select.POLLIN | select.POLLRDHUP)
        return len(self.sockets) - len(poll.poll(0))

    def close(self):
        for s in self.sockets:
            s.close()


def exchange(address, port, data, half=False):
    """What comes back, until the connection is closed; b"" for a reset."""
    out = b""
    with socket.create_connection((address, port), timeout=20) as s:
        try:
            s.sendall(data)
            if half:
                s.shutdown(socket.SHUT_WR)
            while chunk := s.recv(4096):
                out += chunk
        except ConnectionError:
            pass
    return out


TRICKS = [b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path for path in (
    b"/", b"*", PATH.encode(), PATH.encode() + b"../../etc/passwd", PATH.encode() + b"%2e%2e/%2e%2e/etc/passwd",
    b"//.well-known//acme-challenge//x", PATH.encode() + b"..", b"http://www.example.test" + PATH.encode() + b"x",
    PATH.encode() + b"a" * 4000, b"/.well-known/acme-challenge", PATH.encode() + b"x?y#z", PATH.encode() + b"\xff\xfe")]
REFUSED = [
    (b"GET " + PATH.encode() + b"a\0b HTTP/1.1\r\n\r\n", 400),
    (b"GET " + PATH.encode() + b"a HTTP/1.1\nHost: x\n\n\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    (b"POST " + PATH.encode() + b"a HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"x" * 30000, 405),
    (b"CONNECT x:443 HTTP/1.1\r\n\r\n", 405),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1400, 431),
    (b"GET /" + b"a" * 8192, 431)]


def check_tricks(address, port):
    for request in TRICKS:
        answer = exchange(address, port, request)
        assert answer.startswith(b"HTTP/1.1 404 "), (request[:60], answer)
        assert len(answer) < 300, answer
    for request, status in REFUSED:
        answer = exchange(address, port, request)
        assert answer.startswith(b"HTTP/1.1 %d " % status), (request[:60], answer)
    answer = exchange(address, port, TRICKS[0] * 5)
    assert answer.count(b"HTTP/1.1") == 1, answer  # one request, then it is over
    assert exchange(address, port, b"GET " + PATH.encode(), half=True) == b""
    exchange(address, port, b"GET / HTTP/1.1\r\nX: " + b"a" * 5_000_000)


def by_http(lab, *names, more=""):
    """Certificates that are answered for at the ports where they are looked for: by us, and by Pebble."""
    where = lab.address(SITE)
    return "".join(f"""
  - names: [{name}.example.test]
    challenge: http-01
    http01: {{listen: ["{where}:80", "{where}:5002"]}}{more}
""" for name in names)


def test_open_ended_clients():
    raise_limit(MANY + 2000)
    with Lab("responder") as lab, serve(lab.address(NOBODY), 80, Wrong):
        where = lab.address(SITE)
        world = World(lab, {}, lines=[*site_lines(lab, "www"),
                                      f"held.example.test. 60 IN A {lab.address(NOBODY)}"])
        daemon = world.daemon(by_http(lab, "held", "www"))  # the order of held stays: its answer is never seen
        daemon.wait_state("ok", ["www.example.test"])
        wait_for("the listener of the order that is held", lambda: is_open(where, 5002))
        engine, = daemon.pids()["renewd-engine"]
        before = rss_kb(engine)
        crowds = [Crowd(where, 5002, MANY), ]
        wait_for("all but 256 to be sent away", lambda: crowds[0].left() <= 256, 10)
        first = daemon.status()["www.example.test"]["serial"]
        daemon.ctl("renew", "www.example.test", "--force", "--wait", timeout=40)
        crowds[0].close()
        for says in (b"GET " + PATH.encode() + b"x HTTP/1.1\r\nHost: ", b"X" * 8000):
            crowds.append(Crowd(where, 5002, 2000, says))
        check_tricks(where, 5002)
        daemon.ctl("renew", "www.example.test", "--force", "--wait", timeout=40)
        grown = rss_kb(engine) - before
        print(f"{grown} KiB more")
        assert grown < RSS_ROOM_KB, grown
        for c in crowds:
            c.close()
        assert daemon.status()["www.example.test"]["serial"] != first
        assert daemon.pids()["renewd-engine"] == [engine]


class Files(http.server.SimpleHTTPRequestHandler):
    """A web server of somebody else, which serves a folder."""

    folder = None

    def __init__(self, *args):
        super().__init__(*args, directory=str(self.folder))

    def log_message(self, *_):
        pass


PUSH = """#!/usr/bin/env python3
import json, os, pathlib, sys
order = json.load(sys.stdin)
site, log = map(pathlib.Path, sys.argv[1:])
with log.open("a") as f:
    print(json.dumps(order), file=f)
assert os.environ["RENEWD_NAME"] == order["name"]
path = site / ".well-known/acme-challenge" / order["token"]
path.parent.mkdir(parents=True, exist_ok=True)
if order["action"] == "add":
    path.write_text(order["content"])
else:
    path.unlink(missing_ok=True)
"""


def files_left(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


def test_other_servers():
    """A webroot and a command, where another server has the port; who has it is said when we want it ourselves."""
    with Lab("webroot") as lab, contextlib.ExitStack() as stack:
        where = lab.address(SITE)
        site = lab.dir / "site"
        site.mkdir(mode=0o755)
        os.chown(site, 33, 33)
        handler = type("Site", (Files,), {"folder": site})
        for port in (80, 5002):
            stack.enter_context(serve(where, port, handler))
        push, told = lab.dir / "push", lab.dir / "told"
        push.write_text(PUSH)
        push.chmod(0o755)
        world = World(lab, {}, lines=site_lines(lab, "web", "push", "taken"))
        daemon = world.daemon(f"""
  - {{names: [web.example.test], challenge: http-01, http01: {{webroot: {site}}}}}
  - {{names: [push.example.test], challenge: http-01, http01: {{run: [{push}, {site}, {told}]}}}}
""" + by_http(lab, "taken"))
        daemon.wait_state("ok", ["web.example.test", "push.example.test"])
        wait_for("the answers to be removed", lambda: not files_left(site), 10)
        orders = [json.loads(line) for line in told.read_text().splitlines()]
        assert [o["action"] for o in orders] == ["add", "remove"], orders
        assert orders[0]["identifier"] == "push.example.test" and orders[0]["content"].startswith(orders[0]["token"] + ".")
        assert orders[0]["url"] == f"http://push.example.test{PATH}{orders[0]['token']}"
        assert {k: v for k, v in orders[1].items() if k != "action"} == {k: v for k, v in orders[0].items() if k != "action"}
        daemon.wait_state(["failed"], ["taken.example.test"])
        why = daemon.ctl("explain", "taken.example.test").stdout
        assert f"port 80 is taken by python3 (process {os.getpid()})" in why, why
        assert "http01: {webroot: PATH}" in why, why


test_other_servers.build = ["gcc", "asan"]

GIVEN = """
import os, socket, sys
s = socket.create_server(({0!r}, {1}), backlog={2})
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_tls_alpn():
    """Names and an address by tls-alpn-01; the socket is the service manager's."""
    with Lab("alpn") as lab:
        where = lab.address(SITE)
        world = World(lab, {}, lines=site_lines(lab, "www", "two"))
        world_config = f"""
  - names: [www.example.test, two.example.test]
    challenge: tls-alpn-01
    tlsalpn01: {{listen: ["{where}:5001"]}}
  - names: ["{where}"]
    challenge: tls-alpn-01
    tlsalpn01: {{listen: ["{where}:5001"]}}
"""
        daemon = world.daemon(world_config, start=False, wrap=["python3", "-c", GIVEN.format(where, 5001, BACKLOG)])
        daemon.start()
        daemon.wait_state("ok")
        # Without an order nobody accepts: they fill the kernel's queue, which the next order must get through.
        crowd = Crowd(where, 5001, BACKLOG - 5, b"\x16\x03\x01")
        daemon.ctl("renew", "www.example.test", "--force", "--wait", timeout=40)
        crowd.close()
        text = daemon.check_pair("www.example.test")
        assert "DNS:www.example.test" in text and "DNS:two.example.test" in text, text
        assert f"IP Address:{where}" in daemon.check_pair(where)
        assert is_open(where, 5001)  # the given socket stays
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["acme-tls/1"])
        with socket.create_connection((where, 5001), timeout=1) as s:
            try:  # but nobody answers without an order
                context.wrap_socket(s, server_hostname="www.example.test")
                raise AssertionError("a handshake without an order")
            except OSError:
                pass


test_tls_alpn.build = ["gcc", "asan"]
