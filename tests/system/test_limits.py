# SPDX-License-Identifier: ISC
"""What a CA allows is kept: orders beyond it wait, also after a restart, and say so."""
import json

from lab import Lab, World, wait_for


def states(daemon):
    return sorted(c["state"] for c in daemon.status().values())


def test_orders_wait_for_the_budget():
    with Lab("limits") as lab:
        world = World(lab, {})
        names = [f"h{i}.example.test" for i in range(4)]
        daemon = world.daemon("\n".join(f"  - {n}" for n in names), cas=", limits: {orders: 2/1h}")
        wait_for("two to be issued", lambda: states(daemon).count("ok") == 2, 30)
        assert states(daemon) == ["due", "due", "ok", "ok"], states(daemon)
        waiting = [c for c in daemon.status().values() if c["state"] == "due"]
        assert all("2 new orders in 1 h" in c["why"] and c["next"] for c in waiting), waiting
        limit = json.loads(daemon.ctl("plan", "--json").stdout)["limits"]
        assert [(l["ca"], l["left"]) for l in limit] == [("lab", 0)] and limit[0]["free"], limit
        assert "lab allows 2 new orders in 1 h: 0 left" in daemon.ctl("plan").stdout
        # A restart is no new start, killed or not; a renewal of the same names is no new order.
        daemon.stop(9)
        daemon.start()
        done = next(c["name"] for c in daemon.status().values() if c["state"] == "ok")
        daemon.ctl("renew", done, "--force", "--wait")
        assert states(daemon) == ["due", "due", "ok", "ok"], states(daemon)
        assert world.ca.orders() == 3
        # The CA has granted more.
        daemon.write(world.config("\n".join(f"  - {n}" for n in names), cas=", limits: {orders: 100/1h}"))
        daemon.ctl("reload")
        daemon.wait_state("ok")
        assert world.ca.orders() == 5
        world.nothing_left()
