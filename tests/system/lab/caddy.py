# SPDX-License-Identifier: ISC
"""Caddy, whose ACME server is smallstep's: a CA that is unlike Pebble wherever the RFC leaves room.

It validates and issues within the request, leaves a challenge that failed pending with an error, gives all
challenges of an authorization one token, and has no key rollover, profiles, renewal information or EAB.
"""
import json
import os
import pathlib
import ssl
import subprocess
import urllib.request

from .core import TOOLS, LabError, Skip, wait_for

PORT = 14000


class Caddy:
    """lifetime is Go's notation; dns-01 asks the resolver given, http-01 and tls-alpn-01 the hosts dictionary."""

    version = "caddy"

    def __init__(self, lab, resolver, host=101, lifetime="10m", challenges=("dns-01", "http-01", "tls-alpn-01"),
                 hosts=None, name="caddy"):
        self.lab, self.name, self.address = lab, name, lab.address(host)
        program = TOOLS / "caddy/usr/bin/caddy"
        if not program.exists():
            raise Skip(f"{program} is missing (tests/tools/fetch-deb unpacks it)")
        self.dir = lab.dir / name
        self.dir.mkdir()
        acme = {"handler": "acme_server", "ca": "lab", "lifetime": lifetime, "challenges": list(challenges),
                "resolvers": [f"{resolver}:53"], "policy": {"allow_wildcard_names": True}}
        server = {"listen": [f"{self.address}:{PORT}"], "automatic_https": {"disable_redirects": True}, "tls_connection_policies": [{}],
                  "routes": [{"handle": [acme]}], "logs": {},
                  "protocols": ["h1", "h2"]}
        policy = {"subjects": [self.address], "issuers": [{"module": "internal", "ca": "lab"}]}
        config = {
            "admin": {"disabled": True}, "logging": {"logs": {"default": {"level": "DEBUG"}}},
            "storage": {"module": "file_system", "root": str(self.dir / "storage")},
            "apps": {"pki": {"certificate_authorities": {"lab": {"install_trust": False, "name": "Lab"}}},
                     "tls": {"automation": {"policies": [policy]}, "certificates": {"automate": [self.address]}},
                     "http": {"http_port": 14080, "https_port": PORT, "servers": {"ca": server}}}}
        (self.dir / "config.json").write_text(json.dumps(config))
        self.argv = [*self._own_hosts(hosts), program, "run", "--config", self.dir / "config.json"]
        self.env = dict(os.environ, HOME=str(self.dir), XDG_DATA_HOME=str(self.dir), GOMAXPROCS="1")
        self.start()

    def _own_hosts(self, hosts):
        """A prefix of the command that gives it names of its own: it resolves none but those of TXT records."""
        if not hosts:
            return []
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            raise Skip("mounting is not allowed here")
        path = self.dir / "hosts"
        path.write_text("".join(f"{address} {host}\n" for host, address in hosts.items()))
        return ["unshare", "-m", "sh", "-c", f'mount --bind {path} /etc/hosts && exec "$@"', "sh"]

    def start(self):
        self.process = self.lab.start(self.name, self.argv, env=self.env)
        self.lab.wait_port(self.address, PORT, self.process)
        wait_for("Caddy to have its certificate", self._answers)
        os.chmod(self.ca_file, 0o644)
        # As Pebble's are called, for what signs by them.
        for name, suffix in (("ca.pem", "crt"), ("ca.key", "key")):
            if not (self.dir / name).exists():
                (self.dir / name).symlink_to(f"storage/pki/authorities/lab/root.{suffix}")
        for folder in self.ca_file.relative_to(self.dir).parents:
            os.chmod(self.dir / folder, 0o755)

    def stop(self):
        self.lab.end(self.process)

    def _answers(self):
        if self.process.poll() is not None:
            raise LabError(f"Caddy ended:\n{self.lab.log(self.name)[-3000:]}")
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with urllib.request.urlopen(self.directory, context=context, timeout=5) as r:
                return r.status == 200
        except OSError:
            return False

    @property
    def directory(self):
        return f"https://{self.address}:{PORT}/acme/lab/directory"

    @property
    def ca_file(self):
        return pathlib.Path(self.dir / "storage/pki/authorities/lab/root.crt")

    def root(self):
        return self.ca_file.read_text()

    def requests(self, path="", method="POST"):
        """(path, status) of the requests that it has answered, in order; nonces refused are among them."""
        out = []
        for line in self.lab.log(self.name).splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "request" in entry and "status" in entry and entry["request"]["method"] == method:
                if path in entry["request"]["uri"]:
                    out.append((entry["request"]["uri"], entry["status"]))
        return out

    def orders(self):
        """newOrder requests that made an order."""
        return sum(status == 201 for _, status in self.requests("/new-order"))
