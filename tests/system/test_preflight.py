# SPDX-License-Identifier: ISC
"""What is certain to fail is found before an order is spent: on BIND and a validating Unbound.

    test.          signed; the resolver has its key as trust anchor
    caa.test       CAA records of each kind, a name for each
    bogus.test     not signed, but has a DS record in test.
    expired.test   signed, its signatures have expired
    lame.test      delegated to servers that do not serve it
    dead.test      delegated to a server that has no address
    half.test      one of its two servers is nobody
"""
import contextlib
import json
import time

from lab import Lab, Pebble, Renewd, Skip
from lab.core import tool, wait_for
from lab.names import Key, query

SOA = "$TTL 5\n{z}. 5 IN SOA ns.{z}. hostmaster.{z}. {serial} 3600 600 86400 1\n"


@contextlib.contextmanager
def addresses(lab, *hosts):
    """BIND listens only at addresses that an interface has, and lo has 127.0.0.1 alone."""
    mine = [f"{lab.address(h)}/32" for h in hosts]
    try:
        for a in mine:
            if lab.run([tool("ip"), "address", "replace", a, "dev", "lo"], check=False).returncode:
                raise Skip("no right to add addresses to lo")
        yield
    finally:
        for a in mine:
            lab.run([tool("ip"), "address", "delete", a, "dev", "lo"], check=False)


class Bind:
    """One named; zones are texts without SOA and NS, or folders' files as they are (signed)."""

    def __init__(self, lab, name, address, key=None):
        self.lab, self.name, self.address, self.key = lab, name, address, key
        self.dir = lab.dir / name
        self.dir.mkdir()
        self.zones = {}
        self.process = None

    def text(self, zone, lines, ns=None):
        ns = ns or [("ns." + zone, self.address)]
        out = SOA.format(z=zone, serial=int(time.time()))
        for host, address in ns:
            out += f"{zone}. 5 IN NS {host}.\n" + (f"{host}. 5 IN A {address}\n" if address else "")
        return out + "".join(line + "\n" for line in lines)

    def zone(self, name, lines=(), ns=None, sign=None):
        text = self.text(name, lines, ns)
        self.zones[name] = sign(self.dir, name, text) if sign else text

    def start(self):
        key = f'key "{self.key.name}" {{ algorithm {self.key.algorithm}; secret "{self.key.secret}"; }};\n' if self.key else ""
        conf = key + (f'options {{ directory "{self.dir}"; listen-on port 53 {{ {self.address}; }}; listen-on-v6 {{ none; }};\n'
                      f'pid-file none; session-keyfile none; recursion no; dnssec-validation no; notify no; empty-zones-enable no; }};\n'
                      'controls { };\n')
        for old in self.dir.glob("*.jnl"):
            old.unlink()
        for name, text in self.zones.items():
            (self.dir / f"{name}.zone").write_text(text)
            update = f'allow-update {{ key "{self.key.name}"; }}; ' if self.key and "RRSIG" not in text else ""
            conf += f'zone "{name}" {{ type primary; file "{name}.zone"; {update}}};\n'
        (self.dir / "named.conf").write_text(conf)
        self.process = self.lab.start(self.name, [tool("named"), "-g", "-n", "1", "-c", self.dir / "named.conf"])
        for name in self.zones:
            wait_for(f"{self.name} to serve {name}\n{self.lab.log(self.name)[-2000:]}", lambda n=name: self._serves(n), 20)
        return self

    def _serves(self, name):
        reply = query(self.address, name, 6)
        return reply is not None and reply.rcode == 0 and reply.answers > 0

    def restart(self):
        self.lab.end(self.process)
        return self.start()


class Signer:
    """Keys made once for each zone; sign(dir, zone, text) gives the signed zone."""

    def __init__(self, lab):
        self.lab, self.keys = lab, {}
        self.dir = lab.dir / "keys"
        self.dir.mkdir()

    def key(self, zone):
        if zone not in self.keys:
            out = self.lab.run([tool("dnssec-keygen"), "-q", "-K", self.dir, "-a", "ECDSAP256SHA256", "-f", "KSK", zone]).stdout
            self.keys[zone] = out.split()[-1]
        return self.keys[zone]

    def ds(self, zone):
        out = self.lab.run([tool("dnssec-dsfromkey"), "-2", self.dir / f"{self.key(zone)}.key"]).stdout
        return out.strip().replace(" IN DS ", " 5 IN DS ")

    def sign(self, directory, zone, text, *options):
        public = (self.dir / f"{self.key(zone)}.key").read_text()
        source = directory / f"{zone}.plain"
        source.write_text(text + "\n".join(line for line in public.splitlines() if not line.startswith(";")) + "\n")
        target = directory / f"{zone}.signed"
        self.lab.run([tool("dnssec-signzone"), "-P", "-z", "-K", self.dir, "-o", zone, "-f", target, *options, source,
                      self.dir / self.key(zone)])
        return target.read_text()

    def sign_expired(self, directory, zone, text):
        return self.sign(directory, zone, text, "-s", "20260101000000", "-e", "20260201000000")


class Validator:
    """An Unbound that validates below test., and remembers next to nothing."""

    def __init__(self, lab, address, registry, anchor):
        self.lab, self.address = lab, address
        self.dir = lab.dir / "validator"
        self.dir.mkdir()
        (self.dir / "unbound.conf").write_text(f"""server:
  interface: {address}
  port: 53
  do-daemonize: no
  use-syslog: no
  username: ""
  chroot: ""
  directory: "{self.dir}"
  pidfile: ""
  logfile: ""
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  num-threads: 1
  incoming-num-tcp: 200
  do-ip6: no
  module-config: "validator iterator"
  val-bogus-ttl: 0
  infra-host-ttl: 1
  cache-max-ttl: 0
  cache-max-negative-ttl: 0
  ede: yes
  trust-anchor: "{anchor}"
  local-zone: "test." transparent
  private-domain: "test"
remote-control:
  control-enable: no
stub-zone:
  name: "test"
  stub-prime: no
  stub-addr: {registry}
""")
        self.start()

    def start(self):
        self.process = self.lab.start("validator", [tool("unbound"), "-d", "-p", "-c", self.dir / "unbound.conf"])
        self.lab.wait_port(self.address, 53, self.process)

    def restart(self):
        self.lab.end(self.process)
        self.start()


GOOD = {
    "plain.caa.test": [],
    "ok.caa.test": ['CAA 0 issue "pebble.test"'],
    "own.caa.test": ['CAA 0 issue "pebble.test; validationmethods=dns-01,http-01"', 'CAA 0 iodef "mailto:a@b"'],
    "cname.caa.test": ["CNAME ok.caa.test."],
    # Who we are there is not known before the first order.
    "account.caa.test": ['CAA 0 issue "pebble.test; accounturi=https://x.example/acct/1"'],
    "half.test": [],
}
BAD = {  # name -> records, what the reason says
    "no.caa.test": (['CAA 0 issue "other.example"'], "CAA 0 issue \"pebble.test\""),
    "below.none.caa.test": ([], "none.caa.test forbid lab to issue"),
    "critical.caa.test": (['CAA 128 strange "x"'], "is critical"),
    "method.caa.test": (['CAA 0 issue "pebble.test; validationmethods=http-01"'], "by http-01 only"),
    "to.caa.test": (["CNAME no.caa.test."], "no.caa.test forbid lab to issue"),
    "customer.caa.test": ([], "there is no domain missing.test"),
    "loop.caa.test": ([], "in a circle"),
    "www.bogus.test": ([], "DNSSEC of bogus.test is broken"),
    "www.expired.test": ([], "DNSSEC of expired.test is broken"),
    "www.lame.test": ([], "REFUSED"),
    "www.dead.test": ([], "ns.nowhere.test has no address"),
}
MORE = ['none.caa.test. 5 IN CAA 0 issue ";"', "_acme-challenge.customer.caa.test. 5 IN CNAME x.missing.test.",
        "_acme-challenge.loop.caa.test. 5 IN CNAME loop2.caa.test.", "loop2.caa.test. 5 IN CNAME _acme-challenge.loop.caa.test."]


def records(change=None):
    out = list(MORE)
    for name, of in [*GOOD.items(), *((n, r) for n, (r, _) in BAD.items()), *(change or {}).items()]:
        if name.endswith("caa.test") and not (change and name in change and of is not change[name]):
            out += [f"{name}. 5 IN {r}" for r in of]
    return out


class Net:
    def __init__(self, lab):
        self.lab = lab
        self.signer = Signer(lab)
        self.key = Key("one.")
        self.registry = Bind(lab, "registry", lab.address(1))
        self.servers = Bind(lab, "servers", lab.address(2), self.key)
        self.serve()
        self.servers.start()
        self.register(bogus=True, dead=True)
        self.registry.start()
        anchor = self.signer.ds("test").replace(" 5 IN ", " ")
        self.validator = Validator(lab, lab.address(4), lab.address(1), anchor)
        self.ca = Pebble(lab, lab.address(4), caaIdentities=["pebble.test", "pebble.example"])

    def serve(self, change=None, lame=False):
        b = self.servers
        half = [("ns.half.test", b.address), ("ns2.half.test", self.lab.address(9))]
        b.zone("caa.test", records(change))
        b.zone("bogus.test")
        b.zone("expired.test", sign=self.signer.sign_expired)
        b.zone("half.test", ns=half)
        if lame:
            b.zone("lame.test")

    def register(self, bogus, dead):
        at, lines = self.servers.address, []
        for zone in ("caa", "bogus", "expired", "lame"):
            lines += [f"{zone}.test. 5 IN NS ns.{zone}.test.", f"ns.{zone}.test. 5 IN A {at}"]
        lines += ["lame.test. 5 IN NS ns9.lame.test.", f"ns9.lame.test. 5 IN A {self.lab.address(9)}"] if dead else []
        lines += ["half.test. 5 IN NS ns.half.test.", "half.test. 5 IN NS ns2.half.test.", f"ns.half.test. 5 IN A {at}",
                  f"ns2.half.test. 5 IN A {self.lab.address(9)}", "dead.test. 5 IN NS ns.nowhere.test.",
                  self.signer.ds("expired.test")]
        if bogus:
            lines.append(self.signer.ds("bogus.test"))
        self.registry.zone("test", lines, sign=self.signer.sign)

    def config(self):
        names = "".join(f"  - {n}\n" for n in [*GOOD, *BAD])
        return f"""
defaults: {{ca: lab, email: hostmaster@example.test, agree_tos: true, profile: default}}
cas:
  lab: {{directory: "{self.ca.directory}", ca_file: "{self.ca.ca_file}"}}
dns: {{resolvers: [{self.validator.address}]}}
providers:
  one: {{plugin: rfc2136, server: {self.servers.address}, key_name: {self.key.name}, key_secret: {{file: one.key}},
         zones: [caa.test, bogus.test, expired.test, lame.test, dead.test, half.test]}}
certificates:
{names}"""

    def daemon(self):
        d = Renewd(self.lab, "")
        d.secret("one.key", self.key.secret)
        d.write(self.config())
        return d.start()


def findings(daemon, *names, exit=None):
    r = daemon.ctl("preflight", "--json", *names, check=False)
    if exit is not None:
        assert r.returncode == exit, (r.returncode, r.stdout, r.stderr)
    return json.loads(r.stdout)["results"]


def of_level(results, level):
    return [f"{f['check']}: {f['text']}" for r in results for f in r["findings"] if f["level"] == level]


def check_blocked(net, daemon):
    """What is good is issued, for the rest no order is spent, and each says why."""
    daemon.wait_state("ok", list(GOOD))
    daemon.wait_state("blocked", list(BAD))
    assert net.ca.orders() == len(GOOD), net.lab.log("pebble")[-3000:]
    status = daemon.status()
    for name, (_, says) in BAD.items():
        assert says in status[name]["why"], (name, status[name]["why"])
    assert "waits for you" in daemon.log()


def check_verb(net, daemon):
    for r in findings(daemon, *BAD, exit=1):
        says, worst = BAD[r["name"]][1], of_level([r], "failure")
        assert r["level"] == "failure" and any(says in w for w in worst), (r["name"], r)
    good = findings(daemon, "plain.caa.test", "ok.caa.test", "cname.caa.test", exit=0)
    assert not of_level(good, "failure") and not of_level(good, "warning"), good
    said = "\n".join(of_level(good, "ok"))
    for text in ("caa: no CAA records", "caa: the CAA records at ok.caa.test let lab issue", "delegation: 1 addresses of 1",
                 "provider: one is let change caa.test", "store: the state store can be written", "clock: the clock says",
                 "account: the account at lab is https://"):
        assert text in said, (text, said)
    account = of_level(findings(daemon, "account.caa.test", exit=1), "failure")
    assert len(account) == 1 and "but ours is https://" in account[0], account
    half = of_level(findings(daemon, "half.test", exit=0), "warning")
    assert len(half) == 1 and f"ns2.half.test ({net.lab.address(9)}) does not answer" in half[0], half
    r = daemon.ctl("preflight", "no.caa.test", "plain.caa.test", check=False)
    assert r.returncode == 1 and "failure" in r.stdout and "forbid lab" in r.stdout, r.stdout
    assert "checking" in r.stderr
    r = daemon.ctl("preflight", "nobody.test", check=False)
    assert r.returncode == 2 and "nobody.test" in r.stderr, (r.returncode, r.stderr)
    assert net.ca.orders() == len(GOOD)


def check_mended(net, daemon):
    """Each is mended as it was told; then it is renewed."""
    net.serve({"no.caa.test": ['CAA 0 issue "pebble.test"'], "account.caa.test": [], "method.caa.test": []}, lame=True)
    net.servers.restart()
    net.register(bogus=False, dead=False)
    net.registry.restart()
    net.validator.restart()
    mended = ["no.caa.test", "to.caa.test", "method.caa.test", "www.bogus.test", "www.lame.test"]
    findings(daemon, *mended, "account.caa.test", exit=0)
    daemon.ctl("renew", "--wait", *mended)
    daemon.wait_state("ok", mended)
    assert net.ca.orders() == len(GOOD) + len(mended)
    daemon.wait_state("blocked", ["www.expired.test", "below.none.caa.test"])


def test_faults_are_named_before_an_order_is_spent():
    with Lab("preflight") as lab, addresses(lab, 1, 2):
        net = Net(lab)
        daemon = net.daemon()
        check_blocked(net, daemon)
        check_verb(net, daemon)
        check_mended(net, daemon)


def test_check_none_spends_the_order():
    """`check: none`: what is seen from here does not count; `warn`: it is told."""
    with Lab("preflight") as lab, addresses(lab, 1, 2):
        net = Net(lab)
        daemon = Renewd(lab, "")
        daemon.secret("one.key", net.key.secret)
        config = net.config().split("certificates:")[0].replace("dns: {resolvers", "dns: {zones: {no.caa.test: {check: none}, "
                                                               "method.caa.test: {check: warn}}, resolvers")
        daemon.write(config + "certificates: [no.caa.test, method.caa.test]\n")
        daemon.start()
        daemon.wait_state("ok")  # Pebble does not look at CAA
        assert net.ca.orders() == 2
        steps = json.loads(daemon.ctl("explain", "--json", "method.caa.test").stdout)["explanation"]["runs"][0]["steps"]
        assert any("validationmethods" in s["text"] for s in steps), steps
