# SPDX-License-Identifier: ISC
"""dns-persist-01 of draft -02, whose records depend on the account's key, and what a change of that key does to them."""
import json
import os
import subprocess

from lab import BUILD, Lab, World, wait_for
from lab.faulty import FaultyCA
from lab.names import query

KEPT, GIVEN = "_validation-persist.kept.example.test", "_validation-persist.given.example.test"


def txt(world, name):
    reply = query(world.primary.address, name, 16)
    return sorted(reply.txt) if reply else []


def by_hand(world, *commands):
    """As an operator edits the zone."""
    for command in (["zone-begin", "example.test"], *commands, ["zone-commit", "example.test"]):
        world.primary.knotc(*command)


def create(world, value):
    by_hand(world, ["zone-set", "example.test", GIVEN + ".", "60", "TXT", f'"{value}"'])


def told(text):
    """The value of the record that is to be created."""
    assert GIVEN in text and "TXT" in text, text
    return text.split(GIVEN, 1)[1].split('TXT "', 1)[1].split('"', 1)[0]


def thumbprint(daemon):
    return json.loads(daemon.ctl("account", "list", "--json").stdout)["accounts"][0]["thumbprint"]


def renew(daemon, name, check=True):
    return daemon.ctl("renew", name, "--force", "--wait", check=check)


def at_terminal(daemon, answer, *args):
    """(exit code, what is on the screen)"""
    end, terminal = os.openpty()
    p = subprocess.Popen([BUILD / "bin" / "renewctl", "-s", daemon.socket, *args], stdin=terminal, stdout=terminal,
                         stderr=terminal)
    os.close(terminal)
    os.write(end, f"{answer}\n".encode())
    code = p.wait(timeout=30)
    text = os.read(end, 1 << 16).decode()
    os.close(end)
    return code, text


def refused_until_it_is_there(world, daemon):
    account = next((daemon.state / "accounts").iterdir())
    old, key, before = txt(world, KEPT), thumbprint(daemon), txt(world, GIVEN)
    values = []
    for _ in range(2):
        r = daemon.ctl("account", "rollover", "lab", check=False)
        assert r.returncode == 4 and "--force" in r.stderr, (r.returncode, r.stderr)
        assert "writing the record " + KEPT in r.stderr and "create the record: " + KEPT not in r.stderr, r.stderr
        values.append(told(r.stderr))
        assert thumbprint(daemon) == key
        assert (account / "next.pem").exists() and not (account / "pending.pem").exists()
        wait_for("what was written to be removed", lambda: txt(world, KEPT) == old, 10)
    assert values[0] == values[1] not in before, values
    create(world, values[0])
    r = daemon.ctl("account", "rollover", "lab")
    assert "create the record" not in r.stderr, r.stderr
    assert thumbprint(daemon) != key
    assert not (account / "next.pem").exists() and not (account / "pending.pem").exists()
    wait_for("the former record to be removed", lambda: len(txt(world, KEPT)) == 1 and txt(world, KEPT) != old, 10)
    for value in before:
        by_hand(world, ["zone-unset", "example.test", GIVEN + ".", "TXT", f'"{value}"'])
    assert txt(world, GIVEN) == [values[0]]


def forced(world, daemon):
    old = txt(world, KEPT)
    r = daemon.ctl("account", "rollover", "lab", "--force")
    value = told(r.stderr)
    wait_for("the former record to be removed", lambda: len(txt(world, KEPT)) == 1 and txt(world, KEPT) != old, 10)
    renew(daemon, "kept.example.test")
    r = renew(daemon, "given.example.test", check=False)
    assert r.returncode == 1 and told(r.stderr + r.stdout) == value, (r.returncode, r.stdout, r.stderr)
    create(world, value)
    renew(daemon, "given.example.test")


def test_keys_change():
    """Ours are written for the new key before it is in force; of those made by hand it is told what they have to say."""
    with Lab("rekey") as lab:
        world = World(lab, second=False)
        plan = {"cas": {"lab": {"persist": True, "profiles": {"default": "any"}}}}
        world.ca = FaultyCA(lab, plan, world.primary.address)
        daemon = world.daemon("""
  - names: [kept.example.test, "*.kept.example.test"]
    challenge: dns-persist-01
    dns_persist01: {write: true, until: 365d}
  - {names: [given.example.test], challenge: dns-persist-01}
""")
        daemon.wait_state("ok", names=["kept.example.test"], seconds=30)
        daemon.wait_state("blocked", names=["given.example.test"], seconds=30)
        create(world, told(daemon.status()["given.example.test"]["why"]))
        renew(daemon, "given.example.test")

        refused_until_it_is_there(world, daemon)
        records = txt(world, KEPT)
        for name in ("kept.example.test", "given.example.test"):
            renew(daemon, name)
        assert txt(world, KEPT) == records
        forced(world, daemon)

        r = daemon.ctl("account", "deactivate", "lab", check=False)
        assert r.returncode == 4 and KEPT in r.stderr and GIVEN in r.stderr, (r.returncode, r.stderr)
        code, text = at_terminal(daemon, "n", "account", "deactivate", "lab")
        assert code == 4 and text.count(KEPT) == 2 and "[y/N]" in text.split(KEPT)[-1], (code, text)
        r = daemon.ctl("account", "deactivate", "lab", "--force")
        assert KEPT in r.stderr and GIVEN in r.stderr and "is deactivated" in r.stdout, (r.stdout, r.stderr)
        assert world.ca.log()["violations"] == []
