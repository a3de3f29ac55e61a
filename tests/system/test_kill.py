# SPDX-License-Identifier: ISC
"""kill -9 of each process, at random moments and at the worst one; no order is made twice."""
import os
import random
import signal
import subprocess
import threading
import time

from lab import Lab, World, wait_for
from lab.proxy import CAProxy

KILLS = int(os.environ.get("KILLS", "50"))
CONNECTIONS = 4  # of ours to a server that speaks HTTP/1.1


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


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_kill_at_random_moments():
    seed = int(os.environ.get("SEED", str(random.SystemRandom().randrange(1 << 30))))
    print(f"SEED={seed} KILLS={KILLS}")
    rng = random.Random(seed)
    names = [f"k{i}.example.test" for i in range(20)]
    with Lab("kill") as lab:
        # Enough orders on a page that the list, oldest first, is read to its end.
        world = World(lab, {"retry_after": {"authz": 1, "order": 1}, "env": {"PEBBLE_WFE_ORDERS_PER_PAGE": "20"}})
        daemon = world.daemon("\n".join(f"  - {n}" for n in names), start=False)
        problems, stop = [], threading.Event()
        watcher = threading.Thread(target=look_at_pairs, args=(daemon, names, problems, stop))
        daemon.start(ready=False)
        watcher.start()
        rounds = first = 0
        try:
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.02, 0.9))
                which = rng.choice(["renewd", "renewd-engine", "renewd-worker"])
                victim = victims(daemon, which)[:1]
                kill(victim)
                if victim == [daemon.process.pid]:
                    lab.end(daemon.process)
                    daemon.start(ready=False)
                if all((daemon.live(n) / "cert.pem").exists() for n in names):
                    first = first or count_orders(world, daemon, len(names))
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
        orders, issued, vain = world.ca.orders(), world.ca.count("Issued certificate serial"), in_vain(daemon)
        print(f"{rounds} rounds of renewal, {orders} orders, {issued} certificates, {vain} forced in vain")
        # Not one order was left behind, and none was made for a round that had one.
        assert issued <= orders <= issued + vain, explain(world, daemon)
        assert len(names) <= orders <= len(names) * (1 + rounds), (orders, rounds)


def in_vain(daemon):
    """Renewals asked for that failed with their order, because the worker was killed: that order is given up."""
    return sum("it was not due yet" in line and "adding the record" in line for line in daemon.log().splitlines())


def count_orders(world, daemon, wanted):
    assert world.ca.orders() == wanted, explain(world, daemon)
    return wanted


def explain(world, daemon):
    lines = [line for line in world.ca.lab.log(world.ca.name).splitlines() if "Added order" in line]
    return f"{len(lines)} orders:\n" + "\n".join(lines) + "\n--- log\n" + daemon.log()[-6000:]


def _hurry(daemon):
    """What failed because its worker was killed waits a minute: ask at once, as an operator would."""
    daemon.ctl("renew", "--due", check=False)
    return False


test_kill_at_random_moments.limit = 400


def behind_proxy(lab, world, names, hook):
    proxy = CAProxy(lab, world.ca, lab.address(101), hook=hook)
    daemon = world.daemon("\n".join(f"  - {n}" for n in names), start=False)
    text = daemon.file.read_text().replace(world.ca.directory, proxy.directory)
    daemon.file.write_text(text.replace(str(world.ca.ca_file), str(proxy.ca_file)))
    return proxy, daemon


def asked(proxy, part):
    return [path for method, path, _ in proxy.requests if method == "POST" and part in path]


class Killer:
    """Kills the engine when all the newOrder requests have got so far; no reply to them gets through."""

    def __init__(self, when, n):
        self.when, self.n = when, n
        self.lock = threading.Condition()
        self.seen, self.done = 0, False
        self.daemon = None

    def __call__(self, when, path):
        if "/order-plz" not in path or when != self.when or self.done:
            return True
        with self.lock:
            self.seen += 1
            if self.seen == self.n:
                kill(self.daemon.pids()["renewd-engine"])
                self.done = True
                self.lock.notify_all()
            self.lock.wait_for(lambda: self.done, 20)
        return False


def killed(when, names, orders_before, **pebble):
    with Lab("kill") as lab:
        world = World(lab, pebble)
        killer = Killer(when, min(len(names), CONNECTIONS))
        proxy, daemon = behind_proxy(lab, world, names, killer)
        killer.daemon = daemon
        daemon.start()
        wait_for("the engine to be killed", lambda: killer.done, 30)
        assert world.ca.orders() == orders_before
        daemon.wait_ready()
        daemon.wait_state("ok")
        assert world.ca.orders() == len(names), explain(world, daemon)
        assert world.ca.count("Issued certificate serial") == len(names)
        for n in names:
            daemon.check_pair(n)
        world.nothing_left()
        return proxy


def test_killed_before_the_reply_to_new_order():
    """The CA has the order, nobody knows its URL: it is found, and the certificate is issued from it."""
    proxy = killed("after", ["www.example.test"], 1)
    assert len(asked(proxy, "/order-plz")) == 1, asked(proxy, "")
    assert len(asked(proxy, "/list-orderz")) == 1, asked(proxy, "")


def test_killed_before_many_replies_to_new_order():
    """One reading of the list, three orders a page, for all that look: half of them have an order."""
    names = [f"k{i}.example.test" for i in range(2 * CONNECTIONS)]
    proxy = killed("after", names, CONNECTIONS)
    assert len(asked(proxy, "/order-plz")) == len(names), asked(proxy, "")
    assert len(asked(proxy, "/list-orderz")) == 2, asked(proxy, "")


def test_killed_before_new_order_arrives():
    """There was none to be found: one is made."""
    proxy = killed("before", ["www.example.test"], 0)
    assert len(asked(proxy, "/order-plz")) == 2, asked(proxy, "")


def test_killed_with_an_older_pebble():
    proxy = killed("after", ["www.example.test"], 1, version="2.4")
    assert len(asked(proxy, "/order-plz")) == 1, asked(proxy, "")


def test_reply_to_new_order_is_lost():
    """Without a crash: the connection ends before the reply."""
    with Lab("kill") as lab:
        world = World(lab, {})
        lost = []

        def lose(when, path):
            if when == "after" and "/order-plz" in path and not lost:
                lost.append(path)
                return False
            return True
        proxy, daemon = behind_proxy(lab, world, ["www.example.test"], lose)
        daemon.start()
        daemon.wait_state("ok")
        assert lost
        assert world.ca.orders() == 1, explain(world, daemon)
        assert len(asked(proxy, "/order-plz")) == 1, asked(proxy, "")


def test_force_again_and_again_makes_one_order():
    names = [f"k{i}.example.test" for i in range(3)]
    with Lab("kill") as lab:
        world = World(lab, {"retry_after": {"authz": 1, "order": 1}})
        daemon = world.daemon("\n".join(f"  - {n}" for n in names))
        daemon.wait_state("ok")
        for rounds in range(1, 3):
            before = {n: daemon.status()[n]["serial"] for n in names}
            for _ in range(5):
                daemon.ctl("renew", *names, "--force")
            wait_for("new certificates", lambda: all(daemon.status()[n]["serial"] != before[n] for n in names), 60)
            daemon.wait_state("ok")
            assert world.ca.orders() == len(names) * (1 + rounds), explain(world, daemon)
