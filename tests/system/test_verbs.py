# SPDX-License-Identifier: ISC
"""What an operator does to certificates and to the daemon as a whole."""
import json
import os
import shutil
import subprocess
import tarfile

from lab import BUILD, Lab, Pebble, World

NAME = "www.example.test"


def serial(daemon, name=NAME):
    text = daemon.lab.run(["openssl", "x509", "-in", daemon.live(name) / "cert.pem", "-noout", "-serial"]).stdout
    return text.strip().split("=")[1].lower().lstrip("0")


def status_at_ca(world, number):
    return json.loads(world.ca.manage(f"/cert-status-by-serial/{number}"))


def key_of(path):
    return subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], capture_output=True, check=True).stdout


def test_revoke():
    """By the account, by the certificate's own key, with a replacement; twice."""
    with Lab("revoke") as lab:
        world = World(lab, {})
        daemon = world.daemon(f"  - {{names: [{NAME}], reuse_key: true}}\n  - b.example.test")
        daemon.wait_state("ok")
        first = serial(daemon)
        r = daemon.ctl("revoke", NAME, check=False)
        assert r.returncode == 4 and "--force" in r.stderr, (r.returncode, r.stderr)
        r = daemon.ctl("revoke", NAME, "--reason", "boredom", "--force", check=False)
        assert r.returncode == 2 and "superseded" in r.stderr, r.stderr
        assert daemon.ctl("revoke", "nosuch.example.test", "--force", check=False).returncode == 2
        daemon.ctl("revoke", NAME, "--reason", "superseded", "--force")
        at_ca = status_at_ca(world, first)
        assert at_ca["Status"] == "Revoked" and at_ca["Reason"] == 4, at_ca
        c = daemon.status()[NAME]
        assert c["state"] == "revoked" and "revoked" in c["why"] and not c["next"], c
        assert daemon.ctl("status", "--check", check=False).returncode == 1
        daemon.ctl("revoke", NAME, "--force")  # again: is done
        daemon.stop()
        daemon.start()
        assert daemon.status()[NAME]["state"] == "revoked"
        orders = world.ca.orders()
        daemon.ctl("renew", NAME, "--wait")
        assert world.ca.orders() == orders + 1 and daemon.status()[NAME]["state"] == "ok"

        # keyCompromise: its own key signs, and the replacement has a new one although reuse_key says otherwise.
        second, key = serial(daemon), key_of(daemon.live(NAME) / "privkey.pem")
        r = daemon.ctl("revoke", NAME, "--reason", "1", "--replace", "--force")
        assert "first" in r.stderr, r.stderr
        at_ca = status_at_ca(world, second)
        assert at_ca["Status"] == "Revoked" and at_ca["Reason"] == 1, at_ca
        assert serial(daemon) != second and status_at_ca(world, serial(daemon))["Status"] == "Valid"
        assert key_of(daemon.live(NAME) / "privkey.pem") != key
        daemon.check_pair(NAME)
        assert daemon.status()[NAME]["state"] == "ok"

        # A former one, by its serial.
        third = serial(daemon)
        daemon.ctl("renew", NAME, "--force", "--wait")
        assert daemon.ctl("revoke", NAME, "--serial", "12ab", "--force", check=False).returncode == 2
        daemon.ctl("revoke", NAME, "--serial", third, "--reason", "keyCompromise", "--force")
        assert status_at_ca(world, third)["Status"] == "Revoked"
        assert status_at_ca(world, serial(daemon))["Status"] == "Valid" and daemon.status()[NAME]["state"] == "ok"

        # An account of its own for b no longer: by the certificate's key.
        daemon.stop()
        for account in (daemon.state / "accounts").iterdir():
            shutil.rmtree(account)
        daemon.start()
        b = serial(daemon, "b.example.test")
        daemon.ctl("revoke", "b.example.test", "--force")
        assert status_at_ca(world, b)["Status"] == "Revoked"
        daemon.ctl("revoke", NAME, "--with", "cert-key", "--force")


def test_revoke_at_an_old_pebble():
    with Lab("revoke24") as lab:
        world = World(lab, {"version": "2.4"})
        daemon = world.daemon(f"  - {NAME}")
        daemon.wait_state("ok")
        number = serial(daemon)
        daemon.ctl("revoke", NAME, "--reason", "keyCompromise", "--force")
        assert status_at_ca(world, number)["Status"] == "Revoked"
        daemon.ctl("revoke", NAME, "--force")
        daemon.ctl("account", "rollover", "lab")
        assert json.loads(daemon.ctl("account", "show", "--json").stdout.splitlines()[-1])["account"]["status"] == "valid"


def test_delete():
    with Lab("delete") as lab:
        world = World(lab, {})
        daemon = world.daemon(f"  - {NAME}\n  - b.example.test")
        daemon.wait_state("ok")
        r = daemon.ctl("delete", NAME, check=False)
        assert r.returncode == 4 and "configuration" in r.stderr, (r.returncode, r.stderr)
        assert daemon.ctl("delete", "nosuch", check=False).returncode == 2
        assert daemon.ctl("delete", "../accounts", check=False).returncode == 2
        number = serial(daemon)
        daemon.write(world.config("  - b.example.test"))
        daemon.ctl("reload")
        daemon.ctl("delete", NAME)
        assert not daemon.live(NAME).exists()
        gone = [d for d in (daemon.state / "archive" / NAME).iterdir() if d.name.startswith("deleted-")]
        assert len(gone) == 1
        assert number in lab.run(["openssl", "x509", "-in", gone[0] / "cert.pem", "-noout", "-serial"]).stdout.lower()
        assert (gone[0] / "privkey.pem").exists()
        daemon.ctl("delete", NAME)  # again: fine
        db = lab.run(["python3", "-c", "import sqlite3,sys; print([r[0] for r in sqlite3.connect(sys.argv[1])"
                      ".execute('select key from kv')])", daemon.state / "engine" / "state.db"]).stdout
        assert NAME not in db and "b.example.test" in db, db
        # It comes back as any new one.
        orders = world.ca.orders()
        daemon.write(world.config(f"  - b.example.test\n  - {NAME}"))
        daemon.ctl("reload")
        daemon.wait_state("ok", [NAME])
        assert world.ca.orders() == orders + 1


def test_pause():
    with Lab("pause") as lab:
        world = World(lab, {"profiles": {"default": {"description": "d", "validityPeriod": 7776000}}})
        daemon = world.daemon(f"  - {{names: [{NAME}], enabled: false}}")
        orders = world.ca.orders()
        for what in (NAME, "ca:lab", "provider:one"):
            daemon.ctl("pause", what)
        for what in ("nosuch", "ca:nosuch", "provider:nosuch", "provider:"):
            assert daemon.ctl("pause", what, check=False).returncode == 2, what
        daemon.write(world.config(f"  - {NAME}"))
        daemon.stop()
        daemon.start()
        c = daemon.status()[NAME]
        assert c["state"] == "paused" and "paused since" in c["why"] and c["since"], c
        r = daemon.ctl("renew", NAME, check=False)
        assert r.returncode == 4 and "paused" in r.stderr, (r.returncode, r.stderr)
        for what, left in ((NAME, "CA lab"), ("ca:lab", "provider one")):
            daemon.ctl("resume", what)
            assert left in daemon.status()[NAME]["why"], daemon.status()[NAME]
        assert world.ca.orders() == orders
        daemon.ctl("resume", "provider:one")
        daemon.wait_state("ok")
        daemon.ctl("pause", NAME)
        assert daemon.status()[NAME]["state"] == "paused"
        daemon.ctl("renew", NAME, "--force", "--wait")
        assert "not paused" in daemon.ctl("resume", "ca:lab").stdout


def test_issue():
    """As with certbot: one command, and it is kept renewed."""
    with Lab("issue") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - b.example.test", defaults=", agree_tos: true")
        daemon.wait_state("ok")
        r = daemon.ctl("issue", "-d", NAME, check=False)
        assert r.returncode == 2 and "include: conf.d/*.yaml" in r.stderr, (r.returncode, r.stderr)
        folder = daemon.dir / "conf.d"
        folder.mkdir()
        more = "include: conf.d/*.yaml"
        daemon.write(world.config("  - b.example.test", more=more))
        daemon.ctl("reload")
        before = daemon.file.read_text()
        r = daemon.ctl("issue", "-d", NAME, "*.two.example.test", "-m", "hostmaster@example.test", "--agree-tos",
                       "--key", "ecdsa-p384")
        assert daemon.file.read_text() == before, "the operator's file is the operator's"
        assert [f.name for f in folder.iterdir()] == [f"{NAME}.yaml"]
        text = daemon.check_pair(NAME)
        assert "DNS:*.two.example.test" in text and "secp384r1" in text, text
        assert daemon.status()[NAME]["state"] == "ok"
        assert daemon.ctl("issue", "-d", NAME, check=False).returncode == 2
        # What is wrong leaves nothing behind.
        for args, said in ((["-d", "not a name"], "not a name"), (["-d", "x.example.test", "--ca", "nosuch"], "nosuch"),
                           (["-d", "x.example.test", "-m", "other@example.test"], "email: other@example.test"),
                           (["-d", "x.example.test", "--name", "a/b"], "--name"),
                           (["-d", "x'y\n.example.test"], "name")):
            r = daemon.ctl("issue", *args, check=False)
            assert r.returncode == 2 and said in r.stdout + r.stderr, (args, r.returncode, r.stdout, r.stderr)
            assert len(list(folder.iterdir())) == 1, args
        assert daemon.ctl("reload").returncode == 0
        # What fails at the CA stays, and says so.
        r = daemon.ctl("issue", "-d", "x.nosuch.test", "--provider", "one", check=False)
        assert r.returncode == 1 and "rm " in r.stderr, (r.returncode, r.stderr)
        assert (folder / "x.nosuch.test.yaml").exists() and "x.nosuch.test" in daemon.status()
        daemon.stop()
        daemon.start()
        assert daemon.status()[NAME]["state"] == "ok"


def test_backup():
    """Restored into another place, the daemon goes on and orders nothing."""
    with Lab("backup") as lab:
        world = World(lab, {})
        daemon = world.daemon(f"  - {NAME}\n  - b.example.test")
        daemon.wait_state("ok")
        daemon.ctl("pause", "b.example.test")
        file = lab.dir / "backup.tar"
        os.makedirs(lab.dir / "elsewhere")
        r = subprocess.run([str(BUILD / "bin" / "renewctl"), "-s", str(daemon.socket), "backup", "../backup.tar"],
                           cwd=lab.dir / "elsewhere", capture_output=True, text=True, timeout=60)
        assert r.returncode == 0, r.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert daemon.ctl("backup", file, check=False).returncode == 4
        daemon.ctl("backup", file, "--force")
        assert daemon.ctl("backup", lab.dir / "nosuch" / "x.tar", check=False).returncode == 1
        assert [p.name for p in lab.dir.iterdir() if "partial" in p.name] == []
        names = tarfile.open(file).getnames()
        assert f"live/{NAME}/.current" in names and "engine/state.db" in names, names
        assert f"config{daemon.file}" in names, names
        assert not any(n.startswith("/") or "backup.db" in n for n in names), names
        assert not (daemon.state / "engine" / "backup.db").exists()
        numbers = serial(daemon), serial(daemon, "b.example.test")
        orders = world.ca.orders()
        daemon.stop()
        shutil.rmtree(daemon.state)

        # As renewctl(1) tells.
        other = world.daemon(start=False, name="restored")
        other.state.mkdir()
        lab.run(["tar", "-x", "-p", "-f", file, "-C", other.state, "live", "archive", "accounts", "pending", "engine"])
        lab.run(["tar", "-x", "-p", "-f", file, "-C", other.dir, f"--transform=s,.*/,,", f"config{daemon.file}"])
        other.file.write_text(other.file.read_text().replace(str(daemon.dir), str(other.dir)))
        other.start()
        status = other.status()
        assert status[NAME]["state"] == "ok" and status["b.example.test"]["state"] == "paused", status
        assert (serial(other), serial(other, "b.example.test")) == numbers
        other.check_pair(NAME)
        assert world.ca.orders() == orders
        other.ctl("renew", NAME, "--force", "--wait")
        assert world.ca.orders() == orders + 1
        assert "account" in other.ctl("account", "show").stdout


def test_dry_run():
    """A real order at the staging CA; nothing of ours changes."""
    with Lab("dry") as lab:
        world = World(lab, {})
        staging = Pebble(lab, world.resolver.address, host=101, name="staging")
        entry = f'  stage: {{directory: "{staging.directory}", ca_file: "{staging.ca_file}", profile: default}}'
        daemon = world.daemon(f"  - {{names: [{NAME}], deploy: [{{run: [/bin/false]}}], reuse_key: true}}",
                              start=False)
        r = subprocess.run([str(daemon.program), "-c", str(daemon.file), "--once", "--dry-run"], capture_output=True,
                           text=True, timeout=60)
        assert r.returncode == 1 and "staging: NAME" in r.stderr, (r.returncode, r.stderr[-2000:])
        text = daemon.file.read_text().replace("profile: default}", "profile: default, staging: stage}\n" + entry)
        daemon.file.write_text(text)
        r = subprocess.run([str(daemon.program), "-c", str(daemon.file), "--once", "--dry-run"], capture_output=True,
                           text=True, timeout=60)
        assert r.returncode == 0 and "went well" in r.stderr, (r.returncode, r.stderr[-2000:])
        assert staging.orders() == 1 and world.ca.orders() == 0 and not daemon.live(NAME).exists()
        world.nothing_left()
        daemon.file.write_text(text.replace("deploy: [{run: [/bin/false]}], ", ""))
        daemon.start()
        daemon.wait_state("ok")
        before, number, planned = key_of(daemon.live(NAME) / "privkey.pem"), serial(daemon), daemon.status()[NAME]["next"]
        r = daemon.ctl("renew", NAME, "--dry-run")
        assert "went well" in r.stdout and "1 of 1" in r.stdout, r.stdout
        assert staging.orders() == 2 and world.ca.orders() == 1
        assert (key_of(daemon.live(NAME) / "privkey.pem"), serial(daemon)) == (before, number)
        assert daemon.status()[NAME]["next"] == planned
        assert not list((daemon.state / "pending").iterdir())
        world.nothing_left()
        daemon.file.write_text(text.replace("profile: default}", "profile: nosuch}").replace("deploy: [{run: [/bin/false]}], ", ""))
        daemon.ctl("reload")
        r = daemon.ctl("renew", NAME, "--dry-run", check=False)
        assert r.returncode == 1 and "rehearsal" in r.stderr, (r.returncode, r.stderr)
        assert daemon.status()[NAME]["state"] == "ok" and daemon.status()[NAME]["failures"] == 0
        assert daemon.ctl("renew", "nosuch", "--dry-run", check=False).returncode == 2
        daemon.file.write_text(daemon.file.read_text().replace(", staging: stage", ""))
        daemon.ctl("reload")
        r = daemon.ctl("renew", NAME, "--dry-run", check=False)
        assert r.returncode == 2 and "staging: NAME" in r.stderr, (r.returncode, r.stderr)
