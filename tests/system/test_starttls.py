# SPDX-License-Identifier: ISC
"""Servers that are asked for TLS: the new certificate is brought to each and proved to be served."""
import subprocess

from lab import Lab, World, wait_for
from lab.services import Dovecot, Postgres, Slapd


def steps(service, key):
    return (f"{{file: {service.pair.cert}, content: [fullchain]}}, "
            f"{{file: {service.pair.key}, content: [privkey], {key}}}")


def command(argv):
    return "[" + ", ".join(f'"{a}"' for a in argv) + "]"


def serial(lab, address, port, protocol):
    shown = subprocess.run(["openssl", "s_client", "-starttls", protocol, "-connect", f"{address}:{port}"],
                           input="", capture_output=True, text=True, timeout=20)
    return lab.run(["openssl", "x509", "-noout", "-serial"], input=shown.stdout).stdout.split("=")[-1].strip().lower()


def test_each_protocol_is_verified():
    with Lab("starttls") as lab:
        world = World(lab, {})
        mail = Dovecot(lab, lab.address(21)).start()
        ldap = Slapd(lab, lab.address(22)).start()
        db = Postgres(lab, lab.address(23)).start()
        daemon = world.daemon(f"""
  - names: [mail.example.test]
    deploy: [mail, ldap, db]
""", more=f"""
deployments:
  mail: [{steps(mail, 'mode: "0600"')}, {{run: {command(mail.reload)}}}, {{verify: {{connect: "{mail.address}:587", starttls: smtp}}}},
         {{verify: {{connect: "{mail.address}:143", starttls: imap}}}}, {{verify: {{connect: "{mail.address}:110", starttls: pop3}}}}]
  ldap: [{steps(ldap, 'mode: "0600"')}, {{verify: {{connect: "{ldap.address}:389", starttls: ldap}}, timeout: 2s}}]
  db: [{steps(db, 'owner: postgres, mode: "0600"')}, {{run: {command(db.reload)}, user: postgres}},
       {{verify: {{connect: "{db.address}:5432", starttls: postgres}}}}]
""")
        # slapd goes on with the old certificate, which is seen and told.
        told = wait_for("the old certificate to be noticed", lambda: next(
            (c["why"] for c in daemon.status().values() if c["state"] == "deploy-failed"), None))
        assert f"{ldap.address}:389" in told and "serves the one of serial" in told, told
        ldap.restart()
        daemon.ctl("deploy", "mail.example.test", "--wait")
        ours = daemon.status()["mail.example.test"]
        assert ours["state"] == "ok", ours
        for address, port, protocol in ((mail.address, 587, "smtp"), (mail.address, 143, "imap"),
                                        (mail.address, 110, "pop3"), (ldap.address, 389, "ldap"),
                                        (db.address, 5432, "postgres")):
            assert serial(lab, address, port, protocol).lstrip("0") == ours["serial"].lower().lstrip("0"), protocol
