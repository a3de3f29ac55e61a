# SPDX-License-Identifier: ISC
"""Dynamic updates against real servers, Knot and BIND: what works, and what each mistake looks like."""
import datetime
import json
import socket
import threading

from lab import Lab, World, free_port, wait_for
from lab.core import tool
from lab.names import Key, query

DAY = 12 * 3600     # at least half a day away: looked at daily
SOON = 120          # a first transient failure: a minute


class Relay:
    """named listens on addresses of interfaces only: it gets a port of 127.0.0.1, and this the address."""

    def __init__(self, address, port):
        self.to = ("127.0.0.1", port)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53), backlog=64)
        for run in (self._datagrams, self._connections):
            threading.Thread(target=run, daemon=True).start()

    def _datagrams(self):
        while True:
            data, who = self.udp.recvfrom(65535)
            threading.Thread(target=self._datagram, args=(data, who), daemon=True).start()

    def _datagram(self, data, who):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.connect(self.to)
            try:
                s.send(data)
                self.udp.sendto(s.recv(65535), who)
            except OSError:
                pass

    def _connections(self):
        while True:
            client = self.tcp.accept()[0]
            try:
                server = socket.create_connection(self.to, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        try:
            while data := a.recv(65535):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Bind:
    """named with one primary zone, b.example.test; `owner` may change it, `stranger` is known but may not."""

    def __init__(self, lab, address):
        self.lab, self.address, self.port = lab, address, free_port("127.0.0.1")
        self.relay = Relay(address, self.port)
        self.owner, self.stranger = Key("owner.", "hmac-sha512"), Key("stranger.")
        self.dir = lab.dir / "bind"
        self.dir.mkdir()
        (self.dir / "zone").write_text(
            "$TTL 60\n@ IN SOA ns.b.example.test. hostmaster.example.test. 1 3600 1800 86400 60\n"
            f"@ IN NS ns.b.example.test.\nns IN A {address}\n")
        keys = "".join(f'key "{k.name}" {{ algorithm {k.algorithm}; secret "{k.secret}"; }};\n'
                       for k in (self.owner, self.stranger))
        (self.dir / "named.conf").write_text(
            f'options {{ directory "{self.dir}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
            '  recursion no; pid-file none; session-keyfile none; dnssec-validation no; querylog no; };\n'
            f'controls {{ }};\n{keys}'
            'zone "b.example.test" { type primary; file "zone"; notify no; update-policy {\n'
            f'  grant "{self.owner.name}" subdomain "b.example.test" TXT; }}; }};\n')
        self.start()

    def start(self):
        self.process = self.lab.start("bind", [tool("named"), "-g", "-4", "-n", "1", "-c", self.dir / "named.conf"])
        wait_for("named to serve its zone", self._serves, 20)

    def _serves(self):
        assert self.process.poll() is None, self.lab.log("bind")[-2000:]
        reply = query(self.address, "b.example.test", 6)
        return reply is not None and reply.rcode == 0 and reply.answers > 0

    def stop(self):
        self.lab.end(self.process)

    def txt(self, name):
        reply = query(self.address, name, 16)
        return reply.txt if reply else []


def bind_world(lab):
    address = lab.address(20)
    world = World(lab, {}, lines=["b.example.test. 60 IN NS ns.b.example.test.", f"ns.b.example.test. 60 IN A {address}"])
    return world, Bind(lab, address)


def provider(name, server, key, zones="example.test", algorithm=None, secret=None, more=""):
    return (f"  {name}: {{plugin: rfc2136, server: \"{server}\", key_name: {key.name}, "
            f"key_algorithm: {algorithm or key.algorithm}, key_secret: {{file: {secret or key.name + 'key'}}}, "
            f"timeout: 20s, zones: [{zones}]{more}}}")


def start(world, certificates, providers, keys=()):
    daemon = world.daemon("\n".join(certificates), start=False, providers="\n".join(providers))
    for k in keys:
        daemon.secret(k.name + "key", k.secret)
    daemon.secret("wrong.key", Key().secret)
    return daemon.start()


def certificate(provider_name, zone="example.test"):
    return f"  - {{name: {provider_name}, names: [{provider_name}.{zone}], provider: {provider_name}}}"


def seconds_until(text):
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (at - datetime.datetime.now(datetime.timezone.utc)).total_seconds()


def see_failures(daemon, expected, seconds=40):
    """expected: certificate -> (texts, pace). Status, explain and the provider's entry say it."""
    daemon.wait_state("failed", names=list(expected), seconds=seconds)
    status, problems = daemon.status(), []
    entries = {p["name"]: p for p in json.loads(daemon.ctl("status", "--json", check=False).stdout)["providers"]}
    for name, (texts, pace) in expected.items():
        entry, explained = status[name], daemon.ctl("explain", name).stdout
        for text in texts:
            if text not in entry["why"] or text not in explained:
                problems.append(f"{name}: {text!r} is not in {entry['why']!r}")
        wait = seconds_until(entry["next"])
        if not (wait > DAY if pace == DAY else wait < SOON):
            problems.append(f"{name}: next try in {wait:.0f} s: {entry['why']}")
        if not entries[name]["last_error"]:
            problems.append(f"{name}: its provider shows no error: {entries[name]}")
    assert not problems, "\n".join(problems)


def mend(world, daemon, certificates, providers):
    """The right configuration, a reload, and no waiting."""
    daemon.write(world.config("\n".join(certificates), providers="\n".join(providers)))
    daemon.ctl("reload")
    daemon.ctl("renew", "--due", "--wait")
    daemon.wait_state("ok")
    wait_for("Knot to be clean", lambda: not world.primary.leftovers(), 20)
    entries = json.loads(daemon.ctl("status", "--json").stdout)["providers"]
    assert not any(p["last_error"] for p in entries), entries


def test_bind():
    """Apex and wildcard, and several names, in a zone of BIND's."""
    with Lab("bind") as lab:
        world, bind = bind_world(lab)
        daemon = start(world, ['  - names: [b.example.test, "*.b.example.test"]',
                               "  - {name: many, names: [%s]}" % ", ".join(f"m{i}.b.example.test" for i in range(10)),
                               "  - www.example.test"],
                       [provider("bind", bind.address, bind.owner, "b.example.test")], [bind.owner])
        daemon.wait_state("ok")
        daemon.check_pair("b.example.test")
        assert daemon.check_pair("many").count("DNS:m") == 10
        names = ["_acme-challenge.b.example.test"] + [f"_acme-challenge.m{i}.b.example.test" for i in range(10)]
        wait_for("BIND to be clean", lambda: not any(bind.txt(n) for n in names), 20)
        world.nothing_left()


def test_mistakes_with_knot():
    with Lab("knot") as lab:
        world = World(lab, {})
        one, two, server = world.key, world.key2, world.primary.address
        nobody = Key("nobody.")
        bad = [provider("wrong-key", server, nobody), provider("wrong-algorithm", server, one, algorithm="hmac-sha384"),
               provider("wrong-secret", server, one, secret="wrong.key"), provider("policy", server, two),
               provider("secondary", world.secondary.address, one),
               provider("wrong-zone", server, one, more=", zone: other.test"),
               f"  unsigned: {{plugin: rfc2136, server: {server}}}"]
        names = [b.split(":")[0].strip() for b in bad]
        certificates = [certificate(n) for n in names]
        daemon = start(world, certificates, bad, [one, two, nobody])
        at = server
        see_failures(daemon, {
            "wrong-key": ((at, "nobody.", "BADKEY", "key_name"), DAY),
            "wrong-algorithm": ((at, "hmac-sha384", "key_algorithm"), DAY),
            "wrong-secret": ((at, "BADSIG", "key_secret"), DAY),
            "policy": ((at, "acl"), DAY),
            "secondary": ((world.secondary.address,), DAY),
            "wrong-zone": (("not inside", "other.test"), DAY),
            "unsigned": ((at, "key_name"), DAY)})
        assert one.secret not in daemon.log() and nobody.secret not in daemon.log()
        mend(world, daemon, certificates, [provider(n, server, one) for n in names])


def test_mistakes_with_bind():
    with Lab("bind") as lab:
        world, bind = bind_world(lab)
        owner, stranger, server = bind.owner, bind.stranger, bind.address
        nobody = Key("nobody.")
        bad = [provider("wrong-key", server, nobody, "b.example.test"),
               provider("wrong-algorithm", server, owner, "b.example.test", algorithm="hmac-sha256"),
               provider("wrong-secret", server, owner, "b.example.test", secret="wrong.key"),
               provider("policy", server, stranger, "b.example.test"),
               provider("not-served", server, owner, "example.test"),
               f"  unsigned: {{plugin: rfc2136, server: {server}, zones: [b.example.test]}}"]
        names = [b.split(":")[0].strip() for b in bad]
        certificates = [certificate(n, "example.test" if n == "not-served" else "b.example.test") for n in names]
        daemon = start(world, certificates, bad, [owner, stranger, nobody])
        see_failures(daemon, {
            "wrong-key": ((server, "nobody.", "BADKEY", "key_name"), DAY),
            "wrong-algorithm": ((server, "key_algorithm"), DAY),
            "wrong-secret": ((server, "BADSIG", "key_secret"), DAY),
            "policy": ((server, "REFUSED", "update-policy"), DAY),
            "not-served": ((server, "NOTAUTH", "zone example.test", "not the primary"), DAY),
            "unsigned": ((server, "key"), DAY)})
        good = [provider(n, server, owner, "b.example.test") for n in names if n != "not-served"]
        mend(world, daemon, certificates, good + [provider("not-served", world.primary.address, world.key)])


class Silent:
    """Accepts connections and never answers."""

    def __init__(self, address):
        self.socket = socket.create_server((address, 53), backlog=64)
        self.open = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                self.open.append(self.socket.accept()[0])
            except OSError:
                return

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for s in self.open:
            s.close()


def test_server_down_and_silent():
    """Nobody listens; somebody never answers; there is no such host. Others are issued meanwhile."""
    with Lab("down") as lab:
        world = World(lab, {})
        silent = Silent(lab.address(51))
        one, names = world.key, ["down", "silent", "no-host"]
        bad = [provider("down", lab.address(50), one), provider("silent", lab.address(51), one),
               provider("no-host", "nowhere.example.test", one)]
        certificates = [certificate(n) for n in names] + ["  - {name: good, names: [good.example.test], provider: one}"]
        daemon = start(world, certificates, bad, [one])
        daemon.wait_state("ok", names=["good"])
        assert daemon.status()["silent"]["state"] == "renewing", daemon.status()["silent"]
        see_failures(daemon, {"down": ((lab.address(50), "refused"), SOON), "silent": ((lab.address(51),), SOON),
                              "no-host": (("nowhere.example.test",), SOON)})
        assert silent.open, "nobody came"
        mend(world, daemon, certificates, [provider(n, world.primary.address, one) for n in names])
        silent.stop()


def test_server_comes_back():
    """named is restarted: the next attempt works without any change."""
    with Lab("back") as lab:
        world, bind = bind_world(lab)
        certificates = ["  - www.b.example.test"]
        providers = [provider("bind", bind.address, bind.owner, "b.example.test")]
        daemon = start(world, certificates, providers, [bind.owner])
        daemon.wait_state("ok")
        before = daemon.status()["www.b.example.test"]["serial"]
        bind.stop()
        r = daemon.ctl("renew", "www.b.example.test", "--force", "--wait", check=False)
        assert r.returncode == 1 and "finding the zone of _acme-challenge.www.b.example.test" in r.stderr, r
        assert daemon.status()["www.b.example.test"]["serial"] == before
        bind.start()
        daemon.ctl("renew", "www.b.example.test", "--force", "--wait")
        assert daemon.status()["www.b.example.test"]["serial"] != before
        wait_for("BIND to be clean", lambda: not bind.txt("_acme-challenge.www.b.example.test"), 90)
