# SPDX-License-Identifier: ISC
"""Names and addresses that are reached by IPv6 alone."""
import pathlib
import socket

from lab import Lab, wait_for
from lab.outside import SIX, Outside

INVENTORY = f"""
defaults: {{ca: letsencrypt, email: me@example.org, agree_tos: true}}
certificates:
  - names: [six.example.org]
    challenge: http-01
  - names: [six-alpn.example.org]
    challenge: tls-alpn-01
    tlsalpn01: {{listen: ["[{SIX}]:443"]}}   # the rest of the machine has its own port 443
  - names: ["{SIX}"]
    ca: own
    challenge: http-01
cas:
  own: {{directory: "https://acme-v02.api.letsencrypt.org/directory"}}
"""


def listens(port):
    with socket.socket(socket.AF_INET6) as s:
        return s.connect_ex((SIX, port)) == 0


def test_responders():
    with Lab("six") as lab:
        outside = Outside(lab)
        outside.write("# /etc/renewd/renewd.yaml\n" + INVENTORY)
        outside.start()
        for name in ("six.example.org", "six-alpn.example.org", SIX.replace(":", "_")):
            outside.commands(f"renewctl renew {name} --wait || renewctl status --check {name}")
            live = pathlib.Path("/var/lib/renewd/live") / name
            text = lab.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"],
                           input=(live / "cert.pem").read_text()).stdout
            assert (name in text) or ("IP Address:2001:DB8" in text), text
        for port in (80, 443):  # open only while an order runs
            wait_for(f"port {port} to be left", lambda p=port: not listens(p))
