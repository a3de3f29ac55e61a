# SPDX-License-Identifier: ISC
"""Pebble, as a CA on the loopback net."""
import json
import os
import ssl
import subprocess
import urllib.request

from .core import TOOLS, Skip


class Pebble:
    """version "2.10" or "2.4"; options go to its configuration, env to its environment."""

    def __init__(self, lab, resolver, version="2.10", host=100, strict=False, nonce_reject=0, authz_reuse=0,
                 retry_after=None, profiles=None, env=None, name="pebble", validity=None, key_algorithm="ecdsa", **config):
        self.lab, self.version, self.address = lab, version, lab.address(host)
        program = TOOLS / f"pebble-{version}" / "usr/bin/pebble"
        if not program.exists():
            raise Skip(f"{program} is missing (tests/tools/fetch-deb unpacks it)")
        self.dir = lab.dir / name
        self.dir.mkdir()
        self._certificate()
        settings = {
            "listenAddress": f"{self.address}:14000", "managementListenAddress": f"{self.address}:15000",
            "certificate": str(self.dir / "server.pem"), "privateKey": str(self.dir / "server.key"),
            "httpPort": 5002, "tlsPort": 5001, "ocspResponderURL": "",
            "externalAccountBindingRequired": False}
        if version != "2.4":
            settings["retryAfter"] = retry_after or {"authz": 1, "order": 1}
            settings["profiles"] = profiles or {
                "default": {"description": "90 days", "validityPeriod": 7776000},
                "shortlived": {"description": "6 days", "validityPeriod": 518400},
                "minute": {"description": "one minute", "validityPeriod": 60}}
            settings["keyAlgorithm"] = key_algorithm
        elif validity:
            settings["certificateValidityPeriod"] = validity
        settings.update(config)
        (self.dir / "config.json").write_text(json.dumps({"pebble": settings}))
        # Pebble's store can lock up for good when handlers really run side by side.
        full = dict(os.environ, GOMAXPROCS="1", PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT=str(nonce_reject),
                    PEBBLE_AUTHZREUSE=str(authz_reuse), **(env or {}))
        argv = [program, "-config", self.dir / "config.json", "-dnsserver", f"{resolver}:53"]
        if strict:
            argv.append("-strict")
        self.name, self.argv, self.env = name, argv, full
        self.start()

    def start(self):
        self.process = self.lab.start(self.name, self.argv, env=self.env)
        self.lab.wait_port(self.address, 14000, self.process)

    def stop(self):
        self.lab.end(self.process)

    def _certificate(self):
        ext = self.dir / "ext.cnf"
        ext.write_text(f"subjectAltName=IP:{self.address},DNS:localhost\nauthorityKeyIdentifier=keyid\n")
        run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        new = ("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out")
        run(*new, self.dir / "ca.key")
        run("req", "-x509", "-new", "-key", self.dir / "ca.key", "-subj", "/CN=lab root", "-days", "30",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.dir / "ca.pem")
        run(*new, self.dir / "server.key")
        run("req", "-new", "-key", self.dir / "server.key", "-subj", "/CN=lab ca", "-out", self.dir / "server.csr")
        run("x509", "-req", "-in", self.dir / "server.csr", "-CA", self.dir / "ca.pem", "-CAkey",
            self.dir / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", ext, "-out", self.dir / "server.pem")
        for f in ("ca.pem",):
            os.chmod(self.dir / f, 0o644)

    @property
    def directory(self):
        return f"https://{self.address}:14000/dir"

    @property
    def ca_file(self):
        return self.dir / "ca.pem"

    def manage(self, path, body=None):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"https://{self.address}:15000{path}", data=data)
        with urllib.request.urlopen(request, context=context, timeout=10) as r:
            return r.read()

    def root(self):
        return self.manage("/roots/0").decode()

    def set_renewal_info(self, certificate_pem, response):
        text = response if isinstance(response, str) else json.dumps(response)
        return self.manage("/set-renewal-info/", {"Certificate": certificate_pem, "ARIResponse": text})

    def count(self, what):
        """How often a line of Pebble's log has this text."""
        return self.lab.log(self.name).count(what)

    def orders(self):
        """newOrder requests that made an order."""
        return self.count("Added order")
