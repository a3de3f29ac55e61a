# SPDX-License-Identifier: ISC
"""kill -9 of each process at random moments."""
import os
import random
import signal
import subprocess
import threading
import time

from lab import BUILD, Lab, LabError, World, wait_for

KILLS = int(os.environ.get("KILLS", "50"))


def look_at_pairs(daemon, names, problems, stop):
    """Key and chain match at every look, whatever is being killed."""
    while not stop.is_set():
        for name in names:
            live = daemon.live(name)
            try:
                # One set at one instant: the link that switches is read once.
                here = os.path.realpath(live / "privkey.pem").rsplit("/", 1)[0]
            except OSError:
                continue
            if not os.path.exists(live / "privkey.pem"):
                continue
            key = subprocess.run(["openssl", "pkey", "-in", f"{here}/privkey.pem", "-pubout"], capture_output=True)
            leaf = subprocess.run(["openssl", "x509", "-in", f"{here}/fullchain.pem", "-pubkey", "-noout"],
                                  capture_output=True)
            if key.returncode or leaf.returncode or key.stdout != leaf.stdout:
                problems.append(f"{name}: {key.stderr} {leaf.stderr}")
        time.sleep(0.02)


def victims(daemon, which):
    pids = daemon.pids()
    return pids[which] if pids[which] else pids["renewd-engine"] or pids["renewd"]


def test_kill_at_random_moments():
    seed = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 30))))
    print(f"SEED={seed} KILLS={KILLS}")
    rng = random.Random(seed)
    names = [f"k{i}.example.test" for i in range(20)]
    with Lab("kill") as lab:
        world = World(lab, {"retry_after": {"authz": 1, "order": 1}})
        daemon = world.daemon("\n".join(f"  - {n}" for n in names), start=False)
        problems, stop = [], threading.Event()
        watcher = threading.Thread(target=look_at_pairs, args=(daemon, names, problems, stop))
        daemon.start(ready=False)
        watcher.start()
        rounds = 0
        try:
            for kill in range(KILLS):
                time.sleep(rng.uniform(0.02, 0.9))
                which = rng.choice(["renewd", "renewd-engine", "renewd-worker"])
                if daemon.process.poll() is None:
                    for pid in victims(daemon, which)[:1]:
                        try:
                            os.kill(pid, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
                if which == "renewd" or daemon.process.poll() is not None:
                    lab.end(daemon.process)
                    daemon.start(ready=False)
                if all((daemon.live(n) / "cert.pem").exists() for n in names):
                    rounds += 1  # all there: go on with renewals
                    daemon.wait_ready()
                    daemon.ctl("renew", *names, "--force", check=False)
            daemon.wait_ready()
            wait_for("all to be issued", lambda: all(c["state"] == "ok" for c in daemon.status().values())
                     or _hurry(daemon), 150, 1)
        finally:
            stop.set()
            watcher.join()
        assert not problems, problems
        for n in names:
            daemon.check_pair(n)
        wait_for("nothing to be left in DNS", lambda: not world.primary.leftovers(), 30)
        print(f"{rounds} rounds of renewal, {world.ca.orders()} orders")


def _hurry(daemon):
    """What failed because its worker was killed waits a minute: ask at once, as an operator would."""
    daemon.ctl("renew", "--due", check=False)
    return False


test_kill_at_random_moments.limit = 400
