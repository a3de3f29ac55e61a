# SPDX-License-Identifier: ISC
"""The pages of contrib/recipes, followed as they are written."""
import json
import pathlib
import re
import shutil
import subprocess

from lab import Lab
from lab.outside import GATEWAYS, Outside


def names_of(lab, certificate):
    text = lab.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=certificate).stdout
    return {n.strip().removeprefix("DNS:") for n in text.splitlines()[-1].split(",")}


def test_pfx_cloudflare():
    with Lab("pfx") as lab:
        outside = Outside(lab)
        outside.cloudflare("cf-token-4711-do-not-tell")
        outside.follow("pfx-cloudflare.md")
        shown = lab.run(["openssl", "pkcs12", "-in", "/srv/site/site.pfx", "-passin", "pass:poshacme", "-nodes"]).stdout
        assert names_of(lab, shown) == {"example.org", "*.example.org"}
        assert "PRIVATE KEY" in shown
        assert oct(pathlib.Path("/srv/pfx/example.org.pfx").stat().st_mode & 0o777) == "0o640"
        status = json.loads(outside.commands("renewctl status --json").stdout)["certificates"]
        assert [c["state"] for c in status] == ["ok"], status


def served(lab, address):
    shown = subprocess.run(["openssl", "s_client", "-connect", f"{address}:443", "-servername", "rds.example.org"], input="",
                           capture_output=True, text=True, timeout=20)
    return lab.run(["openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName"], input=shown.stdout).stdout


def test_broker_gateways():
    with Lab("broker") as lab:
        outside = Outside(lab)
        servers = re.search(r"^```nginx\n(.*?)^```$", outside.page("broker-gateways.md"), re.S | re.M).group(1)
        gateways = {}
        for name, address in GATEWAYS.items():
            here = servers.replace("listen 80;", f"listen {address}:80;").replace("listen 443", f"listen {address}:443")
            gateways[name] = outside.gateway(name, here)

        def people(number):
            if number == 1:
                for name in GATEWAYS:
                    shutil.copy("/etc/renewd/gateways.key.pub", lab.dir / name / "keys")

        outside.follow("broker-gateways.md", people)
        for name, address in GATEWAYS.items():
            assert "rds.example.org" in served(lab, address), name
            asked = (lab.dir / name / "access.log").read_text()
            assert "/.well-known/acme-challenge/" in asked, name
            left = subprocess.run(["nsenter", "-m", "-t", str(gateways[name].pid), "find", "/srv/acme", "-type", "f"],
                                  capture_output=True, text=True, check=True).stdout
            assert not left, left


def test_issue_certbot():
    with Lab("issue") as lab:
        outside = Outside(lab)
        outside.follow("issue-certbot.md")
        live = pathlib.Path("/var/lib/renewd/live/example.org")
        assert names_of(lab, (live / "cert.pem").read_text()) == {"example.org", "www.example.org"}
        # The daemon keeps it renewed: it is in the plan, and a restart knows it and orders nothing.
        lab.end(outside.daemon)
        outside.start()
        status = json.loads(outside.commands("renewctl status --json").stdout)["certificates"]
        assert [(c["name"], c["state"]) for c in status] == [("example.org", "ok")], status
        assert status[0]["next"], status
        assert outside.ca.orders() == 1
