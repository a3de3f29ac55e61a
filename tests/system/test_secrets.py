# SPDX-License-Identifier: ISC
"""Where keys are, and where they are not."""
import base64
import os
import re
import subprocess

from lab import Lab, World, wait_for


def memory_has(pid, needles):
    """Which of the needles are in the process's memory."""
    found = set()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if not m or "[v" in line:
                continue
            at, end = int(m.group(1), 16), int(m.group(2), 16)
            tail = b""
            while at < end:
                try:
                    mem.seek(at)
                    chunk = mem.read(min(1 << 22, end - at))
                except OSError:
                    break
                if not chunk:
                    break
                data = tail + chunk
                found |= {name for name, needle in needles.items() if needle in data}
                tail = data[-256:]
                at += len(chunk)
    return found


def key_needles(lab, path, name):
    """The private scalar, and the text of the file."""
    text = lab.run(["openssl", "pkey", "-in", path, "-text", "-noout"]).stdout
    scalar = re.search(r"priv:\n([0-9a-f:\s]+?)pub:", text).group(1)
    raw = bytes.fromhex(re.sub(r"[^0-9a-f]", "", scalar))[-32:]
    der = b"".join(path.read_bytes().splitlines()[1:-1])
    return {f"{name}, scalar": raw, f"{name}, reversed scalar": raw[::-1], f"{name}, PEM": der[:60]}


def test_no_key_in_the_memory_of_engine_and_workers():
    with Lab("memory") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test\n  - www.other.test")
        daemon.wait_state("ok")
        needles = key_needles(lab, daemon.live("www.example.test") / "privkey.pem", "certificate key")
        account = next((daemon.state / "accounts").glob("*/key.pem"))
        needles.update(key_needles(lab, account, "account key"))
        pids = daemon.pids()
        assert pids["renewd-engine"], pids
        # The search finds what is there: the keeper holds the account key.
        assert "account key, scalar" in memory_has(pids["renewd"][0], needles) or \
            "account key, reversed scalar" in memory_has(pids["renewd"][0], needles) or \
            "account key, PEM" in memory_has(pids["renewd"][0], needles)
        tsig = {"secret of one": base64.b64decode(world.key.secret), "secret of one, text": world.key.secret.encode(),
                "secret of two": base64.b64decode(world.key2.secret), "secret of two, text": world.key2.secret.encode()}
        for pid in pids["renewd-engine"]:
            assert memory_has(pid, {**needles, **tsig}) == set()
        for pid in pids["renewd-worker"]:
            have = memory_has(pid, {**needles, **tsig})
            assert not have & set(needles), have
            # Each has its own instance's secret, never the other's.
            assert not ({n for n in have if "one" in n} and {n for n in have if "two" in n}), have


def test_engine_opens_no_key_file():
    with Lab("opens") as lab:
        world = World(lab, {})
        trace = lab.dir / "trace"
        daemon = world.daemon("  - www.example.test",
                              wrap=["strace", "-ff", "-q", "-s", "300", "-e", "trace=execve,execveat,open,openat,openat2", "-o", trace])
        daemon.wait_state("ok", seconds=120)
        began = re.compile(r'exec(ve\("[^"]*|veat\(.*)renewd-engine".* = 0')
        engines = [f for f in lab.dir.glob("trace.*") if began.search(f.read_text())]
        assert engines, list(lab.dir.glob("trace.*"))
        for f in engines:
            text = f.read_text()
            text = text[began.search(text).start():]
            bad = [l for l in text.splitlines() if re.search(r"privkey|key\.pem|/accounts|/pending|\.key\"", l)
                   and "ca.key" not in l]
            assert not bad, bad


def test_no_secret_in_argv_environment_or_log():
    with Lab("canary") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", more="log_level: debug")
        daemon.wait_state("ok")
        secret = world.key.secret
        for pids in daemon.pids().values():
            for pid in pids:
                for part in ("cmdline", "environ"):
                    with open(f"/proc/{pid}/{part}", "rb") as f:
                        assert secret.encode() not in f.read(), (pid, part)
        assert secret not in daemon.log()
        assert "PRIVATE KEY" not in daemon.log()
        assert secret not in daemon.ctl("status", "--json").stdout


def test_files_have_the_right_modes():
    """Under umask 000 no private file is readable by others, and keys are 0600."""
    with Lab("umask") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", wrap=["sh", "-c", 'umask 000; exec "$@"', "sh"])
        daemon.wait_state("ok")
        live = daemon.live("www.example.test")
        assert not live.is_symlink() and oct(live.stat().st_mode & 0o777) == "0o755"
        assert oct((live / "privkey.pem").stat().st_mode & 0o777) == "0o600"
        for name in ("cert.pem", "chain.pem", "fullchain.pem"):
            assert oct((live / name).stat().st_mode & 0o777) == "0o644"
        assert (live / "README").exists()
        for folder, mode in (("accounts", "0o700"), ("engine", "0o700"), ("live", "0o755"), ("archive", "0o755"), (".", "0o755")):
            assert oct((daemon.state / folder).stat().st_mode & 0o777) == mode, folder
        open_ones = [p for p in daemon.state.rglob("*") if "key" in p.name and p.is_file() and p.stat().st_mode & 0o077]
        assert not open_ones, open_ones
