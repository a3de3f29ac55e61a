# SPDX-License-Identifier: ISC
"""The CA that misbehaves (tests/servers/fake_ca.py), in a laboratory."""
import json
import ssl
import subprocess
import urllib.request

from .core import REPO, Skip

PORT = 14000
CLOSED = 14001


class FaultyCA:
    """Any number of CAs in one process, each called by name; plan as fake_ca.py reads it."""

    version = "fake"

    def __init__(self, lab, plan, dns=None, host=100, name="faulty"):
        self.lab, self.address = lab, lab.address(host)
        self.dir = lab.dir / name
        self.dir.mkdir()
        (self.dir / "plan.json").write_text(json.dumps(plan))
        python = "/usr/bin/python3"  # whose packages are Debian's
        if subprocess.run([python, "-c", "import cryptography"], stderr=subprocess.DEVNULL).returncode != 0:
            raise Skip("python3-cryptography is not installed")
        argv = [python, REPO / "tests/servers/fake_ca.py", "--listen", f"{self.address}:{PORT}",
                "--dir", self.dir, "--plan", self.dir / "plan.json", "--closed", f"{self.address}:{CLOSED}"]
        self.process = lab.start(name, argv + (["--dns", dns] if dns else []))
        lab.wait_port(self.address, PORT, self.process)
        self.context = ssl.create_default_context(cafile=str(self.ca_file))

    @property
    def ca_file(self):
        return self.dir / "ca.pem"

    def directory_of(self, ca):
        return f"https://{self.address}:{PORT}/{ca}/directory"

    @property
    def directory(self):
        return self.directory_of("lab")

    @property
    def closed(self):
        """A directory at a port that ends every connection."""
        return f"https://{self.address}:{CLOSED}/directory"

    def _call(self, path, body=None):
        url = f"https://{self.address}:{PORT}/_test/{path}"
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(urllib.request.Request(url, data), context=self.context, timeout=20) as r:
            return json.load(r)

    def log(self):
        """{"requests": [...], "violations": [...]}"""
        return self._call("log")

    def plan(self, more):
        self._call("plan", more)
