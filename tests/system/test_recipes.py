# SPDX-License-Identifier: ISC
"""The pages of contrib/recipes, followed as they are written."""
import json
import pathlib

from lab import Lab
from lab.outside import Outside


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
