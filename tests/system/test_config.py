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

    def check(self, *args, env=None):
        before = sorted(p.name for p in self.dir.iterdir())
        r = subprocess.run([RENEWD, "-t", "-c", self.file, *args], capture_output=True, text=True, timeout=30,
                           env=env)
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
    ("one-label", HEAD + PROVIDER + "certificates:\n  - wiki\n", 5, r"wiki.*one label.*ca of your own"),
    ("wildcard-http", HEAD + PROVIDER + "certificates:\n  - {names: ['*.example.org'], challenge: http-01}\n", 5,
     r"wildcard.*challenge: dns-01"),
    ("bad-idn", HEAD + PROVIDER + "certificates:\n  - '\u2603.example.org'\n", 5, r"IDNA2008"),
    ("two-spellings", HEAD + PROVIDER + "certificates:\n  - names: [b\u00fccher.example, xn--bcher-kva.example]\n", 5, r"twice"),
    ("no-binding", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], ca: google}\n", 5, r"google.*eab: \{kid"),
    ("must-staple", HEAD + PROVIDER + "certificates:\n  - {names: [a.example.org], must_staple: true}\n", 5, r"no OCSP"),
    ("pkcs12", HEAD + PROVIDER + "deployments: {a: [{file: /x, content: [pkcs12]}]}\ncertificates: []\n", 4, r"password: \{file"),
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


SECRETS = ("cloudflare.token", "aws.key", "tsig", "tsig.secret", "google.eab", "pdns.key", "cf", "zerossl-eab")
EXAMPLES = {  # what is wrong with each: (line, column, message); nothing else is
    "home": [],
    "broker": [],
    "company": [(4, 1, r"metrics: not yet available"), (5, 1, r"notify: not yet available"),
                (17, 17, r"plugin: \S*/route53\.so: No such file or directory")],
    "hosting": [(9, 15, r"plugin: \S*/powerdns\.so: No such file or directory")],
    "intranet": [(3, 1, r"http_proxy: not yet available"), (4, 1, r"no_proxy: not yet available"),
                 (12, 47, r"resolvers: https://dns\.quad9\.net/dns-query: DNS over HTTPS is not yet available")],
}


def example(lab, name, text):
    case = Case(lab, name, text)
    for secret in SECRETS:
        case.secret(secret, "c2VjcmV0")
    lab.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=root", "-keyout", "/dev/null",
             "-out", case.dir / "corp-root.pem"])
    return case


def test_examples():
    """What needs nothing of a later version is accepted; of the others each refused key is named, and only it."""
    data = REPO / "tests" / "unit" / "conf" / "data"
    with Lab("examples") as lab:
        wrong = []
        for name, wanted in EXAMPLES.items():
            case = example(lab, name, (data / f"{name}.yaml").read_text())
            r = case.check(env=dict(os.environ, CREDENTIALS_DIRECTORY=str(case.dir)))
            errors = [l for l in r.stderr.splitlines() if re.match(r".*:\d+:\d+: (?!warning: )", l)]
            good = len(errors) == len(wanted) and r.returncode == (2 if wanted else 0) and all(
                re.search(rf"{name}/renewd\.yaml:{line}:{column}: {message}$", error)
                for (line, column, message), error in zip(wanted, errors))
            if not good:
                wrong.append(f"{name}: exit {r.returncode}\n{r.stderr}")
        case = example(lab, "customer", "include: {files: 'c*.yaml', on_error: keep}\n" + HEAD + PROVIDER)
        shutil.copy(data / "customer.yaml", case.dir / "c104711.yaml")
        r = case.check()
        if r.returncode or "1 certificate" not in r.stdout + r.stderr:
            wrong.append(f"customer: exit {r.returncode}\n{r.stdout}{r.stderr}")
        assert not wrong, "\n".join(wrong)


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
