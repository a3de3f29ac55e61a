# SPDX-License-Identifier: ISC
"""The world most tests live in: zones on two Knots, an Unbound that resolves them, a CA, the daemon.

    test.                 delegated by the "registry" Knot
    example.test          ns1 (primary), ns2 (secondary); provider "one"
    deep.two.example.test delegated two labels down, to the same servers under other names
    other.test            the same servers, another key; provider "two"
    validation.test       where _acme-challenge.alias.example.test points to
"""
from .ca import Pebble
from .core import LabError
from .daemon import Renewd
from .names import Key, Knot, Unbound, Zone


class World:
    def __init__(self, lab, pebble=None, refresh=3600, notify=True, ns=None, lines=(), second=True, stubs=None):
        self.lab = lab
        self.key, self.key2 = Key("one."), Key("two.", "hmac-sha512")
        self.registry = Knot(lab, "registry", lab.address(1))
        self.primary = Knot(lab, "primary", lab.address(2))
        self.secondary = Knot(lab, "secondary", lab.address(3)) if second else None
        self.servers = [k for k in (self.primary, self.secondary) if k]
        self.ns = ns or [(f"ns{i}.example.test", k.address) for i, k in enumerate(self.servers, 1)]
        self._registry(lines)
        self._zones(refresh, notify, lines)
        self.resolver = Unbound(lab, "resolver", lab.address(4), {"test": [self.registry.address], **(stubs or {})})
        self.ca = Pebble(lab, self.resolver.address, **pebble) if pebble is not None else None

    def _registry(self, lines):
        out = []
        for zone in ("example.test", "other.test", "validation.test"):
            out += [f"{zone}. 60 IN NS {host}." for host, _ in self.ns]
        out += [f"{host}. 60 IN A {address}" for host, address in self.ns if address]
        self.registry.master(Zone("test", ns=[("ns.test", self.registry.address)], lines=out))
        self.registry.start()

    def _zones(self, refresh, notify, lines):
        deep = [("ns1.deep.two.example.test", self.primary.address)]
        if self.secondary:
            deep.append(("ns2.deep.two.example.test", self.secondary.address))
        cut = [f"deep.two.example.test. 60 IN NS {h}." for h, _ in deep]
        cut += [f"{h}. 60 IN A {a}" for h, a in deep]
        zones = [(Zone("example.test", ns=self.ns, refresh=refresh, lines=[
                     "_acme-challenge.alias.example.test. 60 IN CNAME alias.validation.test.",
                     *cut, *lines]), self.key),
                 (Zone("deep.two.example.test", ns=deep, refresh=refresh), self.key),
                 (Zone("other.test", ns=self.ns, refresh=refresh), self.key2),
                 (Zone("validation.test", ns=self.ns, refresh=refresh), self.key)]
        for zone, key in zones:
            self.primary.master(zone, key, notify=[self.secondary] if self.secondary and notify else [])
            if self.secondary:
                self.secondary.slave(zone, self.primary, accept_notify=notify)
        for k in self.servers:
            k.start()

    def config(self, certificates, defaults="", providers="", cas="", dns="", more=""):
        """A whole inventory; certificates is YAML of the list."""
        d = defaults or ", agree_tos: true"
        if self.ca.version not in ("2.4", "caddy") and "profile" not in cas:
            cas += ", profile: default"  # asked for none, Pebble draws one
        return f"""
defaults: {{ca: lab, email: hostmaster@example.test{d if d.startswith(',') else ', ' + d}}}
cas:
  lab: {{directory: "{self.ca.directory}", ca_file: "{self.ca.ca_file}"{cas}}}
dns:
  resolvers: [{self.resolver.address}]
{dns}
providers:
  one: {{plugin: rfc2136, server: {self.primary.address}, key_name: {self.key.name}, key_secret: {{file: one.key}}, zones: [example.test, validation.test]}}
  two: {{plugin: rfc2136, server: {self.primary.address}, key_name: {self.key2.name}, key_algorithm: {self.key2.algorithm}, key_secret: {{file: two.key}}, zones: [other.test]}}
{providers}
{more}
certificates:
{certificates}
"""

    def daemon(self, certificates="", start=True, name="renewd", wrap=(), **parts):
        d = Renewd(self.lab, "", name=name, wrap=wrap)
        d.secret("one.key", self.key.secret)
        d.secret("two.key", self.key2.secret)
        d.write(self.config(certificates, **parts))
        if start:
            d.start()
        return d

    def nothing_left(self):
        left = self.primary.leftovers()
        if left:
            raise LabError("records of ours are left:\n" + "\n".join(left))
