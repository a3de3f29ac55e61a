# SPDX-License-Identifier: ISC
"""renewctl and renewd as an operator meets them."""
import json
import os
import pty
import subprocess

from lab import BUILD, Lab, World

CTL = BUILD / "bin" / "renewctl"
VERBS = ["status", "explain", "plan", "renew", "deploy", "preflight", "check", "reload", "records", "plugin", "issue",
         "pause", "resume", "revoke", "delete", "account", "backup"]
LATER = ["import"]


def run(*args, **kw):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=60, **kw)


def test_help_and_usage():
    for program in ("renewd", "renewctl"):
        assert run(BUILD / "bin" / program, "--help").returncode == 0
        assert run(BUILD / "bin" / program, "--version").returncode == 0
        assert run(BUILD / "bin" / program, "--nonsense").returncode == 2
    for verb in VERBS:
        r = run(CTL, verb, "--help")
        assert r.returncode == 0 and f"renewctl {verb}" in r.stdout, (verb, r.stdout)
        assert run(CTL, verb, "--nonsense").returncode == 2, verb
    for verb in LATER:
        r = run(CTL, verb)
        assert r.returncode == 2 and "not yet available" in r.stderr, (verb, r.stderr)
    r = run(CTL, "statsu")
    assert r.returncode == 2 and "status" in r.stderr, r.stderr


def test_daemon_not_reachable():
    for verb in (["status"], ["plan"], ["renew", "x"], ["reload"], ["records"]):
        r = run(CTL, "-s", "/nonexistent/control.sock", *verb)
        assert r.returncode == 3 and "/nonexistent" in r.stderr, (verb, r.returncode, r.stderr)


def test_every_verb():
    with Lab("cli") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        for args in (["status"], ["status", "www.example.test"], ["status", "--failed"], ["plan"], ["plan", "--days", "90"],
                     ["explain", "www.example.test"], ["records"], ["records", "clean"]):
            assert daemon.ctl(*args).stdout.strip(), args
            json.loads(daemon.ctl(*args, "--json").stdout)
        text = daemon.ctl("status").stdout
        assert text.split()[:5] == ["NAME", "STATE", "EXPIRES", "NEXT", "WHY"], text
        assert "\033" not in text
        assert daemon.ctl("status", "nosuch.example.test", check=False).returncode == 2
        assert daemon.ctl("renew", "nosuch.example.test", check=False).returncode == 2
        r = daemon.ctl("renew", "www.example.test", check=False)
        assert r.returncode == 4 and "--force" in r.stderr, (r.returncode, r.stderr)
        r = daemon.ctl("renew", "www.example.test", "--force", "--wait")
        assert "www.example.test: " in r.stdout, r.stdout
        r = daemon.ctl("renew", "--due", "--wait")
        assert "Nothing" in r.stdout, r.stdout
        assert daemon.ctl("reload").returncode == 0
        assert daemon.ctl("status", "--check").returncode == 0
        r = run(BUILD / "bin" / "renewd", "-c", daemon.file)
        assert r.returncode == 4, (r.returncode, r.stderr)


def test_only_root_and_the_daemon_may_act():
    with Lab("rights") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", more="control_group: nogroup")
        daemon.wait_state("ok")
        as_user = ["setpriv", "--reuid=65533", "--regid=65534", "--clear-groups", str(CTL), "-s", str(daemon.socket)]
        assert run(*as_user, "status").returncode == 0
        r = run(*as_user, "renew", "www.example.test", "--force")
        assert r.returncode == 4, (r.returncode, r.stderr)
        r = run(*as_user, "reload")
        assert r.returncode in (3, 4), (r.returncode, r.stderr)
        stranger = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", str(CTL), "-s", str(daemon.socket)]
        assert run(*stranger, "status").returncode == 3


def test_live_lines_on_a_terminal():
    with Lab("tty") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test")
        daemon.wait_state("ok")
        main, sub = pty.openpty()
        p = subprocess.Popen([CTL, "-s", daemon.socket, "renew", "www.example.test", "--force", "--wait"], stdin=sub,
                             stdout=sub, stderr=sub, env=dict(os.environ, TERM="xterm"))
        os.close(sub)
        out = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:
                break
            if not chunk:
                break
            out += chunk
        assert p.wait(60) == 0, out
        assert b"\033[" in out and b"www.example.test" in out and b"1 of 1 done" in out, out


def test_plugins():
    r = run(CTL, "plugin", "list")
    assert r.returncode == 0 and "rfc2136" in r.stdout and "cloudflare" in r.stdout, r.stdout + r.stderr
    r = run(CTL, "plugin", "info", "cloudflare")
    assert r.returncode == 0 and "api_token" in r.stdout, r.stdout + r.stderr
    options = {o["name"] for o in json.loads(run(CTL, "plugin", "info", "rfc2136", "--json").stdout)["options"]}
    assert {"server", "key_name", "key_algorithm", "key_secret"} <= options, options
    assert run(CTL, "plugin", "info", "nosuch").returncode == 2
