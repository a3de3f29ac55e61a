# SPDX-License-Identifier: ISC
"""Bad input: one clear error each, with its place, exit 2, nothing changed."""
import os
import re
import shutil
import subprocess

from lab import BUILD, Lab
from lab.core import REPO

RENEWD = BUILD / "bin" / "renewd"
HEAD = "defaults: {ca: letsencrypt, email: me@example.org, agree_tos: true}\n"
PROVIDER = "providers:\n  cf: {plugin: cloudflare, api_token: {file: token}}\n"


class Case:
    """A configuration of its own folder; `check` runs renewd -t on it."""

    def __init__(self, lab, name, text):
        self.dir = lab.dir / name
        self.dir.mkdir()
        self.secret("token", "t0ken-of-the-test")
        self.file = self.dir / "renewd.yaml"
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode())
        os.chmod(self.file, 0o600)

    def secret(self, name, text, mode=0o600):
        (self.dir / name).write_text(text + "\n")
        os.chmod(self.dir / name, mode)

    def check(self, *args):
        before = sorted(p.name for p in self.dir.iterdir())
        r = subprocess.run([RENEWD, "-t", "-c", self.file, *args], capture_output=True, text=True, timeout=30)
        assert sorted(p.name for p in self.dir.iterdir()) == before, "something was written"
        return r


BAD = [
    # name, text, line, what the message must say
    ("unknown-key", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], keyy: rsa-2048}\n", 5, r"keyy.*key"),
    ("wrong-type", HEAD + PROVIDER + "certificates:\n  - {names: a.example.org}\n", 5, r"list"),
    ("duplicate-name", HEAD + PROVIDER + "certificates:\n  - a.example.org\n  - a.example.org\n", 6, r"a\.example\.org"),
    ("missing-provider", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], provider: cg}\n", 5, r"no provider cg"),
    ("no-provider", HEAD + "certificates:\n  - a.example.org\n", 3, r"provider"),
    ("no-host-name", HEAD + PROVIDER + "certificates:\n  - 'a b.example.org'\n", 5, r"a b\.example\.org"),
    ("ip-address", HEAD + PROVIDER + "certificates:\n  - 192.0.2.1\n", 5, r"IP address"),
    ("redundant", HEAD + PROVIDER + "certificates:\n  - names: ['*.example.org', www.example.org]\n", 5, r"www\.example\.org"),
    ("unquoted-star", HEAD + PROVIDER + "certificates:\n  - names: [*.example.org]\n", 5, r"quote"),
    ("bare-duration", HEAD + PROVIDER + "dns: {timeout: 600}\ncertificates: []\n", 4, r"600s|unit|s, m, h"),
    ("yes-is-no-bool", "defaults: {agree_tos: yes}\n", 1, r"true"),
    ("shell-string", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], deploy: [{run: nginx -s reload}]}\n", 5,
     r'\[nginx, "-s", reload\]'),
    ("unquoted-mode", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], key_mode: 0640}\n", 5, r"quote|\"0640\""),
    ("duplicate-key", HEAD + PROVIDER + "state_dir: /a\nstate_dir: /b\ncertificates: []\n", 5, r"state_dir"),
    ("unknown-ca", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], ca: letsencrpt}\n", 5, r"letsencrypt"),
    ("later", HEAD + PROVIDER + "metrics: {listen: '127.0.0.1:9000'}\ncertificates: []\n", 4, r"metrics.*not yet available"),
    ("version", "version: 2\n", 1, r"version"),
    ("option", HEAD + "providers:\n  cf: {plugin: cloudflare, api_token: {file: token}, ttll: 60}\ncertificates: []\n", 3, r"ttll.*ttl"),
    ("no-plugin", HEAD + "providers:\n  cf: {plugin: cloudflair}\ncertificates: []\n", 3, r"cloudflair"),
    ("not-utf8", b"defaults: {email: \"\xff\xfe@example.org\"}\n", 1, r"UTF-8"),
    ("nul", b"defaults: {email: a\x00b}\n", 1, r"NUL|control"),
    ("large-scalar", "defaults:\n  email: '" + "a" * (1 << 20) + "'\n", 2, r"65536"),
    ("laughs", "x-a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"x-{c}: &{c} [{','.join(['*' + p] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi")) +
     "certificates: *i\n", None, r"alias|expan|nodes"),
]


def test_bad_input():
    with Lab("config") as lab:
        wrong = []
        for name, text, line, message in BAD:
            case = Case(lab, name, text)
            r = case.check()
            errors = [l for l in r.stderr.splitlines() if re.match(r".*:\d+:\d+: ", l) and "warning" not in l]
            place = f":{line}:" if line else ":"
            good = (r.returncode == 2 and len(errors) == 1 and f"renewd.yaml{place}" in errors[0]
                    and re.search(message, errors[0]))
            if not good:
                wrong.append(f"{name}: exit {r.returncode}, wanted {place} /{message}/\n{r.stderr[:1500]}")
        assert not wrong, "\n".join(wrong)


def test_files_that_others_can_read():
    with Lab("modes") as lab:
        case = Case(lab, "secret", HEAD + PROVIDER + "certificates: [a.example.org]\n")
        assert case.check().returncode == 0
        os.chmod(case.dir / "token", 0o644)
        r = case.check()
        assert r.returncode == 2 and "chmod" in r.stderr and "renewd.yaml:3:" in r.stderr, r.stderr
        os.remove(case.dir / "token")
        r = case.check()
        assert r.returncode == 2 and "token" in r.stderr and "renewd.yaml:3:" in r.stderr, r.stderr


def test_plugin_of_wrong_owner_or_mode():
    with Lab("plugins") as lab:
        for name, spoil in (("mode", lambda p: os.chmod(p, 0o666)), ("owner", lambda p: os.chown(p, 12345, -1))):
            case = Case(lab, name, "")
            plugin = case.dir / "mine.so"
            shutil.copy(BUILD / "plugins" / "cloudflare.so", plugin)
            os.chmod(plugin, 0o644)
            case.file.write_text(HEAD + f"providers:\n  p: {{plugin: {plugin}, api_token: {{file: token}}}}\n"
                                 "certificates: [a.example.org]\n")
            r = case.check()
            assert r.returncode == 0, r.stderr
            spoil(plugin)
            r = case.check()
            assert r.returncode == 2 and "mine.so" in r.stderr and "renewd.yaml:3:" in r.stderr, r.stderr


def test_examples():
    """home.yaml is accepted; the others are refused for features that are not there yet, by name."""
    home = REPO / "tests" / "unit" / "conf" / "data" / "home.yaml"
    with Lab("examples") as lab:
        case = Case(lab, "home", home.read_text())
        case.secret("cloudflare.token", "t0ken")
        r = case.check()
        assert r.returncode == 0, r.stderr
        for name in ("company", "hosting", "broker", "intranet"):
            text = (home.parent / f"{name}.yaml").read_text()
            r = Case(lab, name, text).check()
            assert r.returncode == 2 and "not yet available" in r.stderr, (name, r.stderr)
            assert "Segmentation" not in r.stderr


def test_print_as_understood():
    """-T prints what -t accepts again; no secret is in it."""
    with Lab("print") as lab:
        case = Case(lab, "c", HEAD + PROVIDER + "certificates:\n  - names: [a.example.org, '*.a.example.org']\n")
        r = subprocess.run([RENEWD, "-T", "-c", case.file], capture_output=True, text=True)
        assert r.returncode == 0 and "t0ken-of-the-test" not in r.stdout, r.stdout + r.stderr
        assert "*.a.example.org" in r.stdout, r.stdout


def test_reload():
    """A good file is taken, its changes are printed; a bad one changes nothing."""
    from lab import World
    with Lab("reload") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        daemon.write(world.config("  - www.example.test\n  - mail.example.test"))
        r = daemon.ctl("reload")
        assert "mail.example.test" in r.stdout, r.stdout
        daemon.wait_state("ok", names=["mail.example.test"])
        daemon.write("nonsense: true\n")
        r = daemon.ctl("reload", check=False)
        assert r.returncode == 2 and "renewd.yaml:" in r.stderr and "nonsense" in r.stderr, (r.returncode, r.stderr)
        assert set(daemon.status()) == {"www.example.test", "mail.example.test"}
        serial = daemon.status()["www.example.test"]["serial"]
        daemon.write(world.config("  - {name: www.example.test, names: [www.example.test, web.example.test]}"))
        r = daemon.ctl("reload")
        assert "mail.example.test" in r.stdout and "www.example.test" in r.stdout, r.stdout
        from lab import wait_for
        wait_for("reissue with the new name", lambda: daemon.status()["www.example.test"]["serial"] != serial, 60)
        assert "web.example.test" in daemon.check_pair("www.example.test")
        assert (daemon.live("mail.example.test") / "cert.pem").exists()
