# SPDX-License-Identifier: ISC
"""Certificates by the names that people give them: in their own letters, one name for several keys."""
import json
import os
import pty
import subprocess

from lab import Lab, World

READABLE, NAME = "münchen.example.test", "xn--mnchen-3ya.example.test"
RSA = NAME + "+rsa-2048"


def on_a_terminal(daemon, *args):
    """What renewctl shows there."""
    main, end = pty.openpty()
    p = subprocess.Popen([str(daemon.build / "bin" / "renewctl"), "-s", str(daemon.socket), *args], stdout=end,
                         env=dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm", NO_COLOR="1"))
    os.close(end)
    out = b""
    try:
        while data := os.read(main, 4096):
            out += data
    except OSError:  # the other end is closed
        pass
    p.wait()
    os.close(main)
    return out.decode()


def test_names():
    with Lab("named") as lab:
        world = World(lab, {})
        daemon = world.daemon(f"""
  - names: ["*.{READABLE}", {READABLE}, a.b.{READABLE}]  # {NAME}
    key: [ecdsa-p256, rsa-2048]  # {NAME}
    deploy: [{{run: [/bin/true]}}]  # {NAME}
  - plain.example.test
""")
        daemon.wait_state("ok", seconds=60)
        serials = lambda: {n: c["serial"] for n, c in daemon.status().items()}
        first = serials()
        assert set(first) == {NAME, RSA, "plain.example.test"}, first

        shown = json.loads(daemon.ctl("status", READABLE, "--json").stdout)["certificates"]
        assert {c["name"]: (c["entry"], c["key"]) for c in shown} == {
            NAME: (NAME, "ecdsa-p256"), RSA: (NAME, "rsa-2048")}, shown
        assert shown[0]["unicode"] == {"*." + NAME: "*." + READABLE, NAME: READABLE, "a.b." + NAME: "a.b." + READABLE}
        assert "unicode" not in daemon.status()["plain.example.test"]
        assert len(json.loads(daemon.ctl("status", RSA, "--json").stdout)["certificates"]) == 1
        assert NAME in daemon.ctl("status").stdout, "what is no terminal gets the certificates' names"
        lines = on_a_terminal(daemon, "status").splitlines()
        assert sum(READABLE in line for line in lines) == 2 and READABLE + "+rsa-2048" in "".join(lines), lines
        assert len({line.index(" ok ") for line in lines if " ok " in line}) == 1, lines

        explained = daemon.ctl("explain", READABLE).stdout
        assert explained.count("why now:") == 2 and "ecdsa-p256" in explained and "rsa-2048" in explained, explained
        one = json.loads(daemon.ctl("explain", READABLE + "+ecdsa-p256", "--json").stdout)
        assert one["explanation"]["name"] == NAME and "others" not in one, one
        for name in (READABLE, "a.b." + READABLE, READABLE + "+rsa-2048"):
            daemon.ctl("preflight", name)
        for verb in ("status", "explain", "renew", "deploy", "pause"):
            r = daemon.ctl(verb, READABLE + "+rsa-4096", check=False)
            assert r.returncode == 2 and "no certificate named" in r.stderr, (verb, r)

        daemon.ctl("renew", READABLE, "--force", "--wait")
        second = serials()
        assert [n for n in first if first[n] == second[n]] == ["plain.example.test"], (first, second)
        r = daemon.ctl("deploy", READABLE.upper().replace("Ü", "ü") + ".", "--wait", "--json")
        assert {x["name"] for x in json.loads(r.stdout.splitlines()[-1])["results"]} == {NAME, RSA}, r.stdout
        assert "paused" in daemon.ctl("pause", READABLE).stdout
        assert [daemon.status()[n]["state"] for n in (NAME, RSA)] == ["paused", "paused"]
        daemon.ctl("resume", RSA)
        assert [daemon.status()[n]["state"] for n in (NAME, RSA)] == ["paused", "ok"]
        assert "goes on" in daemon.ctl("resume", READABLE).stdout
        assert [daemon.status()[n]["state"] for n in (NAME, RSA)] == ["ok", "ok"]

        daemon.ctl("revoke", READABLE + "+ecdsa-p256", "--force")
        assert [daemon.status()[n]["state"] for n in (NAME, RSA)] == ["revoked", "ok"]
        r = daemon.ctl("revoke", READABLE, "--force", "--reason", "superseded")
        assert second[NAME] in r.stdout and second[RSA] in r.stdout, r.stdout
        assert [daemon.status()[n]["state"] for n in (NAME, RSA)] == ["revoked", "revoked"]
        daemon.ctl("revoke", READABLE, "--serial", second[RSA], "--force")
        assert daemon.ctl("revoke", READABLE, "--serial", "12ab", "--force", check=False).returncode == 2

        assert daemon.ctl("delete", READABLE, check=False).returncode == 4
        daemon.file.write_text("".join(line for line in daemon.file.read_text().splitlines(True) if NAME not in line))
        daemon.ctl("reload")
        daemon.ctl("delete", READABLE)
        assert not daemon.live(NAME).exists() and not daemon.live(RSA).exists()
        assert (daemon.state / "archive" / NAME).exists()
