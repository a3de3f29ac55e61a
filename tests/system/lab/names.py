# SPDX-License-Identifier: ISC
"""Name servers: Knot (primary, secondary), Unbound (the CA's and the daemon's resolver)."""
import base64
import os
import socket
import struct

from .core import LabError, tool, wait_for


class Zone:
    """A zone's contents as text lines under its SOA and NS."""

    def __init__(self, name, lines=(), ns=None, refresh=3600, minimum=60):
        self.name = name
        self.lines = list(lines)
        self.ns = ns or []          # [(host name, address or None)]
        self.refresh = refresh
        self.minimum = minimum

    def text(self):
        out = [f"{self.name}. 60 IN SOA {self.ns[0][0]}. hostmaster.{self.name}. "
               f"1 {self.refresh} {max(1, self.refresh // 2)} 86400 {self.minimum}"]
        for host, address in self.ns:
            out.append(f"{self.name}. 60 IN NS {host}.")
            if address and (host == self.name or host.endswith("." + self.name)):
                out.append(f"{host}. 60 IN A {address}")
        return "\n".join(out + self.lines) + "\n"


class Key:
    def __init__(self, name="renewd.", algorithm="hmac-sha256", secret=None):
        self.name, self.algorithm = name, algorithm
        self.secret = secret or base64.b64encode(os.urandom(32)).decode()


class Knot:
    """One knotd. Zones are given with master() or slave(); start() runs it."""

    def __init__(self, lab, name, address):
        self.lab, self.name, self.address = lab, name, address
        self.dir = lab.dir / name
        self.dir.mkdir()
        (self.dir / "db").mkdir()
        self.zones = []
        self.process = None

    def master(self, zone, key=None, notify=(), extra_acl=""):
        self.zones.append(("master", zone, key, [n.address for n in notify], extra_acl))
        return zone

    def slave(self, zone, master, accept_notify=True):
        self.zones.append(("slave", zone, None, [master.address], accept_notify))
        return zone

    def _config(self):
        keys = {k.name: k for _, _, k, _, _ in self.zones if k}
        peers = sorted({a for _, _, _, peers, _ in self.zones for a in peers})
        c = [f"server:\n  rundir: {self.dir}\n  listen: {self.address}@53\n  udp-workers: 1\n  tcp-workers: 1\n"
             "  background-workers: 1\n  tcp-idle-timeout: 60\n  tcp-max-clients: 1000",
             f"database:\n  storage: {self.dir}/db",
             "log:\n  - target: stderr\n    any: info"]
        if keys:
            c.append("key:" + "".join(f"\n  - id: {k.name}\n    algorithm: {k.algorithm}\n    secret: {k.secret}"
                                      for k in keys.values()))
        if peers:
            c.append("remote:" + "".join(f"\n  - id: r{a.replace('.', '_')}\n    address: {a}@53\n    via: {self.address}"
                                         for a in peers))
        acl = ["\n  - id: transfer\n    action: [transfer, notify]\n    address: 127.0.0.0/8"]
        for k in keys.values():
            acl.append(f"\n  - id: update_{k.name.rstrip('.')}\n    action: update\n    key: {k.name}")
        c.append("acl:" + "".join(acl))
        c.append("template:\n  - id: default\n"
                 f"    storage: {self.dir}\n    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: changes\n"
                 "    semantic-checks: soft")
        z = []
        for kind, zone, key, peers, extra in self.zones:
            ids = ", ".join("r" + a.replace(".", "_") for a in peers)
            s = f"\n  - domain: {zone.name}\n    file: {zone.name}.zone"
            if kind == "master":
                (self.dir / f"{zone.name}.zone").write_text(zone.text())
                if peers:
                    s += f"\n    notify: [{ids}]"
                s += f"\n    acl: [transfer{', update_' + key.name.rstrip('.') if key else ''}]"
            else:
                s += f"\n    master: [{ids}]\n    refresh-min-interval: 2\n    zonefile-load: none"
                if extra:  # NOTIFY is believed
                    s += "\n    acl: [transfer]"
            z.append(s)
        c.append("zone:" + "".join(z))
        path = self.dir / "knot.conf"
        path.write_text("\n".join(c) + "\n")
        return path

    def start(self):
        self.process = self.lab.start(self.name, [tool("knotd"), "-c", self._config()])
        for _, zone, _, _, _ in self.zones:
            wait_for(f"{self.name} to serve {zone.name}", lambda z=zone: self._serves(z.name), 20)
        return self

    def _serves(self, zone):
        if self.process.poll() is not None:
            raise LabError(f"{self.name} ended:\n{self.lab.log(self.name)[-3000:]}")
        reply = query(self.address, zone, 6)
        return reply is not None and reply.rcode == 0 and reply.answers > 0

    def stop(self):
        self.lab.end(self.process)

    def knotc(self, *args):
        return self.lab.run([tool("knotc"), "-c", self.dir / "knot.conf", *args]).stdout

    def txt(self, name):
        """The TXT values that this server has at the name."""
        reply = query(self.address, name, 16)
        return sorted(reply.txt) if reply else []

    def leftovers(self):
        """Every TXT record under an _acme-challenge name or below an alias zone."""
        found = []
        for kind, zone, _, _, _ in self.zones:
            if kind == "master":
                for line in self.knotc("zone-read", zone.name).splitlines():
                    if " TXT " in line:
                        found.append(line)
        return found


class Unbound:
    """A resolver that knows only the lab's zones."""

    def __init__(self, lab, name, address, stubs, cache=False):
        self.address = address
        directory = lab.dir / name
        directory.mkdir()
        ttl = "" if cache else "  cache-max-ttl: 0\n  cache-max-negative-ttl: 0\n"
        text = (f"server:\n  interface: {address}\n  port: 53\n  do-daemonize: no\n  use-syslog: no\n"
                f"  username: \"\"\n  chroot: \"\"\n  directory: \"{directory}\"\n  pidfile: \"\"\n"
                "  access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  verbosity: 1\n"
                "  module-config: \"iterator\"\n  num-threads: 1\n  logfile: \"\"\n  do-ip6: no\n"
                "  incoming-num-tcp: 2048\n  outgoing-range: 512\n  num-queries-per-thread: 1024\n  infra-host-ttl: 1\n" + ttl +
                "  local-zone: \"test.\" transparent\n  local-zone: \"127.in-addr.arpa.\" nodefault\n  private-domain: \"test\"\n  domain-insecure: \"test\"\n"
                "remote-control:\n  control-enable: no\n")
        for zone, servers in stubs.items():
            text += f"stub-zone:\n  name: \"{zone}\"\n  stub-prime: no\n"
            text += "".join(f"  stub-addr: {a}\n" for a in servers)
        path = directory / "unbound.conf"
        path.write_text(text)
        self.process = lab.start(name, [tool("unbound"), "-d", "-p", "-c", path])
        lab.wait_port(address, 53, self.process)


class Reply:
    def __init__(self, rcode, answers, txt):
        self.rcode, self.answers, self.txt = rcode, answers, txt


def query(address, name, qtype, timeout=1.0, recurse=False):
    """One UDP question, enough of a parser for TXT answers; None when nothing comes back."""
    q = struct.pack(">HHHHHH", 4711, 0x100 if recurse else 0, 1, 0, 0, 0)
    for label in name.rstrip(".").split("."):
        q += bytes([len(label)]) + label.encode()
    q += b"\0" + struct.pack(">HH", qtype, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(timeout)
        try:
            s.connect((address, 53))
            s.send(q)
            data = s.recv(65535)
        except OSError:
            return None
    _, flags, qd, an, _, _ = struct.unpack(">HHHHHH", data[:12])
    at = len(q)
    txt = []
    for _ in range(an):
        while True:
            n = data[at]
            if n >= 0xC0:
                at += 2
                break
            at += 1 + n
            if n == 0:
                break
        rtype, _, _, length = struct.unpack(">HHIH", data[at:at + 10])
        at += 10
        if rtype == 16:
            end, value = at + length, b""
            p = at
            while p < end:
                value += data[p + 1:p + 1 + data[p]]
                p += 1 + data[p]
            txt.append(value.decode())
        at += length
    return Reply(flags & 15, an, txt)
