# SPDX-License-Identifier: ISC
"""Accounts at CAs: shown, updated, given other keys, lost, found, taken over, ended."""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess

from lab import BUILD, Lab, Pebble, World, wait_for
from lab.proxy import CAProxy

CTL = BUILD / "bin" / "renewctl"


def folder(daemon):
    found = list((daemon.state / "accounts").iterdir())
    assert len(found) == 1, found
    return found[0]


def thumbprint(daemon):
    return json.loads(daemon.ctl("account", "list", "--json").stdout)["accounts"][0]["thumbprint"]


def shown(daemon):
    """What `account show` says: the last line is the answer."""
    return json.loads(daemon.ctl("account", "show", "--json").stdout.splitlines()[-1])["account"]


def issue_again(daemon, name="www.example.test"):
    daemon.ctl("renew", name, "--force", "--wait")


def test_account_of_its_own():
    """show, update, rollover to each kind of key, recover, deactivate: one account's life."""
    with Lab("account") as lab:
        world = World(lab, {"authz_reuse": 0})
        daemon = world.daemon("  - www.example.test")
        r = daemon.ctl("account", "show", "nosuch", check=False)
        assert r.returncode == 2 and "nosuch" in r.stderr, (r.returncode, r.stderr)
        daemon.wait_state("ok")
        account = folder(daemon)
        url = json.loads((account / "account.json").read_text())["url"]
        text = daemon.ctl("account", "list").stdout
        assert "lab" in text and url in text and "ecdsa-p256" in text, text
        a = shown(daemon)
        assert a["status"] == "valid" and a["url"] == url, a
        assert a["contact"] == ["mailto:hostmaster@example.test"], a

        daemon.file.write_text(daemon.file.read_text().replace("hostmaster@", "ops@"))
        daemon.ctl("reload")
        daemon.ctl("account", "update", "lab")
        assert shown(daemon)["contact"] == ["mailto:ops@example.test"]

        for kind in ("ecdsa-p384", "rsa-2048", "ecdsa-p256"):
            before = thumbprint(daemon)
            r = daemon.ctl("account", "rollover", "lab", "--key", kind)
            assert kind in r.stdout, r.stdout
            assert thumbprint(daemon) != before
            assert not (account / "pending.pem").exists()
            assert (account / "key.pem").stat().st_mode & 0o777 == 0o600
            assert shown(daemon)["status"] == "valid"
        issue_again(daemon)
        assert daemon.ctl("account", "rollover", "lab", "--key", "dsa", check=False).returncode == 2

        # The state file is lost, and found by the key.
        daemon.stop()
        (account / "account.json").unlink()
        daemon.start()
        r = daemon.ctl("account", "show", check=False)
        assert r.returncode == 1 and "recover" in r.stderr, r.stderr
        assert url in daemon.ctl("account", "recover", "lab").stdout
        assert shown(daemon)["url"] == url

        r = daemon.ctl("account", "deactivate", "lab", check=False)
        assert r.returncode == 4 and "--force" in r.stderr, (r.returncode, r.stderr)
        daemon.ctl("account", "deactivate", "lab", "--force")
        orders = world.ca.orders()
        r = daemon.ctl("renew", "www.example.test", "--force", "--wait", check=False)
        assert r.returncode == 1 and "deactivated" in r.stderr, r.stderr
        assert world.ca.orders() == orders
        daemon.stop()
        daemon.start()
        assert "deactivated" in daemon.ctl("account", "list").stdout
        assert len(list((daemon.state / "accounts").iterdir())) == 1, "no account was made silently"
        assert daemon.ctl("account", "update", "lab", check=False).returncode == 2


def test_only_root_may():
    with Lab("account-rights") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", more="control_group: nogroup")
        daemon.wait_state("ok")
        os.chmod(daemon.socket.parent / "admin.sock", 0o666)  # the peer's credentials decide
        as_user = ["setpriv", "--reuid=65533", "--regid=65534", "--clear-groups", str(CTL), "-s", str(daemon.socket)]
        for args in (["account", "list"], ["account", "rollover", "lab"], ["revoke", "www.example.test", "--force"],
                     ["delete", "www.example.test"], ["backup", "/tmp/x.tar"], ["issue", "-d", "a.example.test"]):
            r = subprocess.run([*as_user, *args], capture_output=True, text=True, timeout=30)
            assert r.returncode == 4, (args, r.returncode, r.stderr)


def stopper(daemon, when, part):
    """A hook that kills the keeper at this moment of the request whose path has that part."""
    def hook(at, path):
        if at == when and part in path:
            os.kill(daemon[0].process.pid, signal.SIGKILL)
            daemon[0].process.wait()
            return False
        return True
    return hook


def key_of(path):
    return subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, check=True).stdout


def test_rollover_killed():
    """kill -9 of the keeper before the CA has the request, and after it has carried it out."""
    with Lab("rollover") as lab:
        world = World(lab, {})
        ca, cell = world.ca, [None]
        proxy = CAProxy(lab, ca, lab.address(110))
        world.ca = proxy
        world.ca.version = ca.version
        daemon = cell[0] = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        account = folder(daemon)
        for when in ("before", "after"):
            old = key_of(account / "key.pem")
            proxy.hook = stopper(cell, when, "rollover")
            r = daemon.ctl("account", "rollover", "lab", check=False)
            assert r.returncode == 3, (r.returncode, r.stdout, r.stderr)
            proxy.hook = None
            pending = key_of(account / "pending.pem")
            assert key_of(account / "key.pem") == old and pending != old
            lab.end(daemon.process)
            daemon.start()
            # The next use asks the CA which key it knows.
            issue_again(daemon)
            assert not (account / "pending.pem").exists()
            assert key_of(account / "key.pem") == (old if when == "before" else pending), when
            assert shown(daemon)["status"] == "valid"
        # The answer alone is lost: the daemon itself finds out.
        old = key_of(account / "key.pem")
        proxy.hook = lambda at, path: not (at == "after" and "rollover" in path)
        r = daemon.ctl("account", "rollover", "lab")
        proxy.hook = None
        assert key_of(account / "key.pem") != old, r.stdout
        assert shown(daemon)["status"] == "valid"
        # A CA that does not do it.
        old = key_of(account / "key.pem")
        proxy.replace = {"rollover": (501, b'{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not implemented"}')}
        r = daemon.ctl("account", "rollover", "lab", check=False)
        assert r.returncode == 1 and "stays" in r.stderr, r.stderr
        proxy.replace = {}
        assert key_of(account / "key.pem") == old and not (account / "pending.pem").exists()
        issue_again(daemon)


def test_rollover_waits_for_orders():
    """No key changes between a record and its validation."""
    with Lab("rollover-wait") as lab:
        world = World(lab, {})
        ca = world.ca
        gate = __import__("threading").Event()
        held = __import__("threading").Event()

        def hook(at, path):
            if at == "before" and "/chalZ/" in path:
                held.set()
                gate.wait(20)
            return True
        proxy = CAProxy(lab, ca, lab.address(110), hook=hook)
        proxy.version = ca.version
        world.ca = proxy
        daemon = world.daemon("  - www.example.test")
        assert held.wait(30)
        p = subprocess.Popen([str(CTL), "-s", str(daemon.socket), "account", "rollover", "lab"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = p.stderr.readline()
        while "under way" not in line:
            assert line, "the rollover did not wait"
            line = p.stderr.readline()
        assert not any("rollover" in path for _, path, _ in proxy.requests)
        gate.set()
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0, (out, err)
        daemon.wait_state("ok")
        world.nothing_left()


def b64(n, width=None):
    data = n.to_bytes(width or (n.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rsa_jwk(pem):
    """As certbot writes private_key.json."""
    text = subprocess.run(["openssl", "rsa", "-in", pem, "-noout", "-text"], capture_output=True, text=True,
                          check=True).stdout
    names = {"modulus": "n", "privateExponent": "d", "prime1": "p", "prime2": "q", "exponent1": "dp",
             "exponent2": "dq", "coefficient": "qi"}
    found, current = {}, None
    for line in text.splitlines():
        if line.startswith("    ") and current:
            found[current] += line.strip().replace(":", "")
        else:
            current = names.get(line.split(":")[0])
            if current:
                found[current] = ""
    jwk = {k: b64(int(v, 16)) for k, v in found.items()}
    return {**jwk, "e": "AQAB", "kty": "RSA"}


def test_import():
    """The account of another client: its key, as it keeps it, is found at the CA."""
    with Lab("import-account") as lab:
        world = World(lab, {})
        first = world.daemon("  - www.example.test", cas=", profile: default, account_key: rsa-2048")
        first.wait_state("ok")
        url = json.loads((folder(first) / "account.json").read_text())["url"]
        jwk = lab.dir / "private_key.json"
        jwk.write_text(json.dumps(rsa_jwk(folder(first) / "key.pem")))
        first.stop()

        second = world.daemon("  - {names: [www.example.test], enabled: false}", name="second")
        os.chmod(jwk, 0o644)
        r = second.ctl("account", "import", "lab", jwk, check=False)
        assert r.returncode == 2 and "chmod 600" in r.stderr, (r.returncode, r.stderr)
        os.chmod(jwk, 0o600)
        assert url in second.ctl("account", "import", "lab", jwk).stdout
        assert shown(second)["url"] == url

        # Of a key that the CA does not know nothing is kept.
        stranger = lab.dir / "stranger.pem"
        lab.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", stranger])
        os.chmod(stranger, 0o600)
        before = key_of(folder(second) / "key.pem")
        r = second.ctl("account", "import", "lab", stranger, check=False)
        assert r.returncode == 4, (r.returncode, r.stderr)
        r = second.ctl("account", "import", "lab", stranger, "--force", check=False)
        assert r.returncode == 1, (r.returncode, r.stderr)
        assert key_of(folder(second) / "key.pem") == before
        assert not (folder(second) / "pending.pem").exists()
