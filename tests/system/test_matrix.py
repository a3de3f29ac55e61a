# SPDX-License-Identifier: ISC
"""Accounts, keys, chains, requests and files of every kind, at Pebble 2.10 and 2.4."""
import base64
import datetime
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading

from lab import Lab, Renewd, World, wait_for

HMAC = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
KIDS = [f"kid-{i}" for i in range(1, 9)]
PEBBLE = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {k: HMAC for k in KIDS},
          "env": {"PEBBLE_ALTERNATE_ROOTS": "2", "PEBBLE_CHAIN_LENGTH": "3"}}
HOUR = 3600


class Shop:
    """A TLS server that shows whichever of its pairs suits the client, read anew for each."""

    def __init__(self, address, folders):
        self.folders = folders
        self.socket = socket.create_server((address, 443))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                for f in self.folders:
                    if (f / "privkey.pem").exists():
                        context.load_cert_chain(f / "fullchain.pem", f / "privkey.pem")
                context.wrap_socket(raw, server_side=True).close()
            except (OSError, ssl.SSLError):
                raw.close()


def cas(world, entries):
    """Lines of `cas` beside lab: {name: text of the mapping}."""
    profile = "" if world.ca.version == "2.4" else ", profile: default"
    return "".join(f'  {name}: {{directory: "{world.ca.directory}", ca_file: "{world.ca.ca_file}", account: {name}'
                   f'{profile}{text}}}\n' for name, text in entries.items())


def inventory(world, certificates, entries):
    text = world.config(certificates, cas=f", eab: {{kid: {KIDS[0]}, hmac_key: {{file: eab}}}}")
    return text.replace("\ndns:\n", "\n" + cas(world, entries) + "dns:\n", 1)


def pem(path):
    return re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", path.read_text(), re.S)


def field(lab, certificate, *args):
    return lab.run(["openssl", "x509", "-noout", *args], input=certificate).stdout.strip()


def key_id(lab, certificate, extension):
    return field(lab, certificate, "-ext", extension).splitlines()[1].strip().removeprefix("keyid:")


def check_chain(lab, world, daemon, name, root):
    """Three of the CA's certificates, the last of which the root has issued, and everything verifies."""
    chain = pem(daemon.live(name) / "chain.pem")
    assert len(chain) == 3, f"{name}: {len(chain)} certificates in the chain"
    ca = lab.dir / "root.pem"
    ca.write_text(root)
    lab.run(["openssl", "verify", "-CAfile", ca, "-untrusted", daemon.live(name) / "chain.pem",
             daemon.live(name) / "cert.pem"])


def key_of(lab, daemon, name):
    return lab.run(["openssl", "x509", "-in", daemon.live(name) / "cert.pem", "-noout", "-pubkey"]).stdout


def own_request(lab, daemon, names):
    lab.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp384r1", "-nodes", "-keyout",
             lab.dir / "own.key", "-out", daemon.dir / "own.csr", "-subj", "/",
             "-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names)])


CERTIFICATES = """
  - p256.example.test
  - {names: [p384.example.test], ca: es384, key: ecdsa-p384}
  - {names: [rsa2.example.test], ca: rs256, key: rsa-2048, reuse_key: true}
  - {names: [rsa3.example.test], ca: rs256, key: rsa-3072}
  - {names: [rsa4.example.test], key: rsa-4096}
  - name: shop
    names: [shop.example.test, "*.shop.example.test"]
    key: [ecdsa-p256, rsa-2048]
    deploy: [shop]
  - {name: own, names: [own.example.test, "*.own.example.test"], csr: own.csr, deploy: [hook]}
  - names: ["bücher.example.test", "*.straße.example.test"]
  - {names: [cn.example.test], ca: by-name}
  - {names: [ski.example.test], ca: by-key}
  - {names: [file.example.test], deploy: [files]}
  - {names: [ed.example.test], ca: ed25519}
  - {names: [unbound.example.test], ca: unbound}
  - {names: [staple.example.test], must_staple: true}
  - {names: [week.example.test], profile: shortlived}
  - {names: [soft.example.test], profile: {name: nowhere, on_missing: default}}
  - {names: [hard.example.test], profile: {name: nowhere, on_missing: fail}}
"""
REFUSED = {"ed.example.test": "algorithm", "unbound.example.test": "eab", "hard.example.test": "nowhere"}
DEPLOYMENTS = """
deployments:
  shop:
    - {file: "%(files)s/%%n.pem", content: [fullchain, privkey]}
    - {verify: {connect: "%(shop)s:443"}, timeout: 10s}
  hook:
    - run: [/usr/bin/tee, "%(files)s/hook.json"]
  files:
    - {file: "%(files)s/all.pfx", content: [pkcs12], password: {file: pfx}}
    - {file: "%(files)s/old.pfx", content: [pkcs12-legacy], password: {file: pfx}}
    - {file: "%(files)s/cert.der", content: [cert-der]}
    - {file: "%(files)s/key.der", content: [privkey-der], owner: nobody, group: nogroup, mode: "0640"}
"""
KEYS = {"p256.example.test": "prime256v1", "p384.example.test": "secp384r1", "rsa2.example.test": "2048 bit",
        "rsa3.example.test": "3072 bit", "rsa4.example.test": "4096 bit", "shop": "prime256v1",
        "shop+rsa-2048": "2048 bit", "own": "secp384r1"}


def check_files(lab, files, key):
    """What the file steps have written, as OpenSSL and Java read it."""
    for name, extra in (("all.pfx", []), ("old.pfx", ["-legacy"])):
        out = lab.run(["openssl", "pkcs12", "-in", files / name, "-passin", "pass:secret", "-nodes", *extra]).stdout
        assert out.count("BEGIN CERTIFICATE") == 4 and out.count("BEGIN PRIVATE KEY") == 1, out
        bad = lab.run(["openssl", "pkcs12", "-in", files / name, "-passin", "pass:other", "-nodes", *extra], check=False)
        assert bad.returncode != 0
    if shutil.which("keytool"):
        out = lab.run(["keytool", "-list", "-v", "-keystore", files / "all.pfx", "-storepass", "secret"]).stdout
        assert "PrivateKeyEntry" in out and "Certificate chain length: 4" in out, out
    assert field_of_der(files / "cert.der", "x509", "-pubkey", "-noout") == key
    assert field_of_der(files / "key.der", "pkey", "-pubout") == key
    st = (files / "key.der").stat()
    assert st.st_mode & 0o7777 == 0o640 and st.st_uid == 65534, oct(st.st_mode)


def field_of_der(path, verb, *args):
    return subprocess.run(["openssl", verb, "-inform", "DER", "-in", path, *args], check=True, stdout=subprocess.PIPE,
                          text=True).stdout


def check_refusals(daemon, refused):
    status = daemon.status()
    for name, text in refused.items():
        assert text in status[name]["why"], status[name]


def check_roots(lab, world, daemon, roots):
    check_chain(lab, world, daemon, "p256.example.test", roots[0])
    check_chain(lab, world, daemon, "cn.example.test", roots[1])
    check_chain(lab, world, daemon, "ski.example.test", roots[2])


def check_keys(lab, daemon):
    for name, kind in KEYS.items():
        text = lab.run(["openssl", "x509", "-in", daemon.live(name) / "cert.pem", "-noout", "-text"]).stdout
        assert kind in text, f"{name}: no {kind} in {text}"
        if name != "own":
            daemon.check_pair(name)
    own = lab.run(["openssl", "pkey", "-in", lab.dir / "own.key", "-pubout"]).stdout
    assert key_of(lab, daemon, "own") == own
    assert not (daemon.live("own") / "privkey.pem").is_symlink()
    check_names(lab, daemon, "xn--bcher-kva.example.test", ["*.xn--strae-oqa.example.test", "xn--bcher-kva.example.test"])


def check_names(lab, daemon, name, names):
    text = lab.run(["openssl", "x509", "-in", daemon.live(name) / "cert.pem", "-noout", "-ext", "subjectAltName"]).stdout
    assert sorted(re.findall(r"DNS:([^\s,]+)", text)) == names, text


def days(daemon, name):
    c = daemon.status()[name]
    begin, end = (datetime.datetime.fromisoformat(c[k].rstrip("Z")) for k in ("not_before", "expires"))
    return round((end - begin).total_seconds() / 86400)


def check_renewal(lab, daemon):
    """A new key each time, but where it is to stay."""
    names = ("p256.example.test", "rsa2.example.test", "own", "shop+rsa-2048")
    before = {n: (key_of(lab, daemon, n), daemon.status()[n]["serial"]) for n in names}
    daemon.ctl("renew", *names, "--force", "--wait")
    for name in names:
        key, serial = before[name]
        assert daemon.status()[name]["serial"] != serial, name
        assert (key_of(lab, daemon, name) == key) == (name in ("rsa2.example.test", "own")), name


def account(daemon, ca):
    return json.loads(daemon.ctl("account", "show", ca, "--json").stdout)["account"]


def check_account(lab, world, daemon):
    """Another key for the account, of another type; certificates go on as before."""
    before = account(daemon, "es384")
    assert before["key"] == "ecdsa-p384" and before["status"] == "valid", before
    daemon.ctl("account", "rollover", "es384", "--key", "rsa-3072")
    now = account(daemon, "es384")
    assert now["key"] == "rsa-3072" and now["url"] == before["url"] and now["thumbprint"] != before["thumbprint"], now
    daemon.stop()
    daemon.start()
    assert account(daemon, "es384") == now
    serial = daemon.status()["p384.example.test"]["serial"]
    daemon.ctl("renew", "p384.example.test", "--force", "--wait")
    assert daemon.status()["p384.example.test"]["serial"] != serial
    daemon.ctl("account", "deactivate", "rs256", "--force")
    assert daemon.ctl("renew", "rsa3.example.test", "--force", "--wait", check=False).returncode == 1


def check_revocation(lab, world, daemon):
    """By the account's key, by the certificate's own; of a certificate whose key is elsewhere."""
    status = daemon.status()
    daemon.ctl("revoke", "p256.example.test", "--reason", "superseded", "--force", "--replace")
    daemon.ctl("revoke", "cn.example.test", "--with", "cert-key", "--reason", "keyCompromise", "--force")
    daemon.ctl("revoke", "own", "--force")
    for name in ("p256.example.test", "cn.example.test", "own"):
        answer = json.loads(world.ca.manage(f"/cert-status-by-serial/{status[name]['serial']}"))
        assert answer["Status"] == "Revoked", (name, answer)
    now = daemon.status()
    assert now["p256.example.test"]["state"] == "ok" and now["own"]["state"] == "revoked", now
    answer = json.loads(world.ca.manage(f"/cert-status-by-serial/{now['p256.example.test']['serial']}"))
    assert answer["Status"] == "Valid", answer


def every_kind(version):
    with Lab("matrix") as lab:
        world = World(lab, dict(PEBBLE, version=version))
        files = lab.dir / "files"
        files.mkdir()
        roots = [world.ca.manage(f"/roots/{i}").decode() for i in range(3)]
        cn = field(lab, roots[1], "-subject", "-nameopt", "multiline").rsplit("= ", 1)[1]
        ski = key_id(lab, roots[2], "subjectKeyIdentifier")
        daemon = world.daemon(start=False)
        # Padded, of the other alphabet, in quotes: as some CAs hand it out.
        daemon.secret("eab", '"%s="' % HMAC.replace("-", "+").replace("_", "/"))
        daemon.secret("pfx", "secret")
        own_request(lab, daemon, ["own.example.test", "*.own.example.test"])
        eab = [f", eab: {{kid: {k}, hmac_key: {{file: eab}}}}" for k in KIDS]
        entries = {"es384": ", account_key: ecdsa-p384" + eab[1], "rs256": ", account_key: rsa-2048" + eab[2],
                   "by-name": f', preferred_chain: "{cn}"' + eab[3], "by-key": f', preferred_chain: "{ski}"' + eab[4],
                   "ed25519": ", account_key: ed25519" + eab[5], "unbound": ""}
        more = DEPLOYMENTS % {"files": files, "shop": lab.address(60)}
        daemon.write(inventory(world, CERTIFICATES, entries) + more)
        shop = Shop(lab.address(60), [daemon.live("shop"), daemon.live("shop+rsa-2048")])
        daemon.start()
        refused = dict(REFUSED, **({"week.example.test": "shortlived"} if version == "2.4" else {}))
        daemon.wait_state("ok", names=[n for n in daemon.status() if n not in refused], seconds=60)
        daemon.wait_state("failed", names=refused)
        check_refusals(daemon, refused)
        assert version == "2.4" or days(daemon, "week.example.test") == 6, daemon.status()["week.example.test"]
        staple = field(lab, pem(daemon.live("staple.example.test") / "cert.pem")[0], "-text")
        assert "status_request" in staple or version == "2.4", staple
        check_keys(lab, daemon)
        check_roots(lab, world, daemon, roots)
        check_files(lab, files, key_of(lab, daemon, "file.example.test"))
        assert {"shop.pem", "shop+rsa-2048.pem"} <= {f.name for f in files.iterdir()}
        hook = (files / "hook.json").read_text()
        assert "fullchain.pem" in hook and "privkey" not in hook, hook
        check_renewal(lab, daemon)
        check_account(lab, world, daemon)
        check_revocation(lab, world, daemon)
        why = daemon.status()["p256.example.test"]["why"]
        assert ("2/3" if version == "2.4" else "ARI") in why, why
        shop.socket.close()
        wait_for("all records to be removed", lambda: not world.primary.leftovers(), 20)


def test_pebble_210():
    every_kind("2.10")


def test_pebble_24():
    every_kind("2.4")


def test_request_and_key_in_turn():
    """A certificate goes from a key of ours to a request and back; the request is made anew."""
    with Lab("matrix-turn") as lab:
        world = World(lab, {})
        ours, theirs = "  - {name: own, names: [own.example.test]}", "  - {name: own, names: [own.example.test], csr: own.csr}"
        daemon = world.daemon(ours)
        key = daemon.live("own") / "privkey.pem"

        def renew(certificates):
            daemon.write(world.config(certificates))
            daemon.ctl("reload")
            daemon.ctl("renew", "own", "--force", "--wait")

        daemon.wait_state("ok")
        daemon.check_pair("own")
        for _ in range(2):
            own_request(lab, daemon, ["own.example.test"])
            renew(theirs)
            assert not key.is_symlink(), "the link to the old key is still there"
            assert key_of(lab, daemon, "own") == lab.run(["openssl", "pkey", "-in", lab.dir / "own.key", "-pubout"]).stdout
        renew(ours)
        daemon.check_pair("own")
        world.nothing_left()


test_request_and_key_in_turn.build = ["gcc", "asan"]


SAN = ("-addext", "subjectAltName=DNS:www.example.test,DNS:example.test")
P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
# key, further arguments -> what is said
REQUESTS = [
    (P256, ("-addext", "subjectAltName=DNS:www.example.test"), "the CSR lacks example.test"),
    (P256, ("-addext", "subjectAltName=DNS:www.example.test,DNS:example.test,DNS:a.example.test"),
     "the CSR is for a.example.test, too"),
    (P256, (), "has no names"),
    (P256, (*SAN, "-addext", "basicConstraints=CA:TRUE"), "CA's certificate"),
    (("rsa:1024",), SAN, "its key is rsa-1024"),
    (("ed25519",), SAN, "its key is ed25519"),
]
ENTRIES = [
    ("{names: [www.example.test], csr: missing.csr}", "missing.csr"),
    ("{names: [www.example.test], csr: own.key}", "request"),
    ("{names: [www.example.test, example.test], csr: good.csr, key: rsa-2048}", "csr excludes it"),
    ("{names: [www.example.test, example.test], csr: good.csr, reuse_key: true}", "csr excludes it"),
    ("{names: [www.example.test], ca: letsencrypt, must_staple: true}", "no OCSP"),
    ("{names: [www.example.test], key: [ecdsa-p256, rsa-2048], deploy: [{file: /tmp/x.pem}]}", "put %n in that path"),
    ("{names: [www.example.test], key: [rsa-2048, rsa-2048]}", "twice"),
]


def said_of(daemon, lab, entry):
    """What renewd -t says of the inventory whose 8th line is the entry."""
    daemon.write("defaults: {ca: lab, agree_tos: true}\ncas:\n  lab: {directory: 'https://127.0.0.1:1/dir'}\n"
                 f"providers: {{one: {{plugin: rfc2136, server: 127.0.0.1}}}}\ncertificates:\n  - {entry}\n")
    r = lab.run([daemon.program, "-t", "-c", daemon.file], check=False)
    lines = [line for line in r.stdout.splitlines() if "warning:" not in line]
    return r.returncode, "\n".join(lines)


def test_refused_when_read():
    """Requests and entries that cannot work are told by file and line, before anything is ordered."""
    with Lab("matrix-refused") as lab:
        daemon = Renewd(lab, "")

        def request(key, args, name):
            lab.run(["openssl", "req", "-new", "-newkey", *key, "-nodes", "-keyout", daemon.dir / "own.key",
                     "-out", daemon.dir / name, "-subj", "/", *args])

        request(P256, SAN, "good.csr")
        code, said = said_of(daemon, lab, "{names: [example.test, www.example.test], csr: good.csr}")
        assert code == 0, said
        cases = list(ENTRIES)
        for i, (key, args, text) in enumerate(REQUESTS):
            request(key, args, f"{i}.csr")
            cases.append((f"{{names: [www.example.test, example.test], csr: {i}.csr}}", text))
        for entry, text in cases:
            code, said = said_of(daemon, lab, entry)
            assert code == 2 and text in said and "renewd.yaml:8:" in said, f"{entry}\n{said}"
