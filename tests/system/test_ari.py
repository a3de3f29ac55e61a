# SPDX-License-Identifier: ISC
"""Renewal information (RFC 9773)."""
import datetime
import pathlib

from lab import Lab, World, wait_for
from lab.proxy import CAProxy


def test_window_in_the_past():
    """The CA moves the window into the past: renewed at the next poll, naming what it replaces."""
    with Lab("ari") as lab:
        world = World(lab, {})
        proxy = CAProxy(lab, world.ca, lab.address(101), {"/renewalInfo/": {"Retry-After": "60"}})
        daemon = world.daemon("  - www.example.test", start=False)
        text = daemon.file.read_text().replace(world.ca.directory, proxy.directory)
        text = text.replace(str(world.ca.ca_file), str(proxy.ca_file))
        daemon.file.write_text(text)
        daemon.start()
        daemon.wait_state("ok")
        wait_for("the CA's window", lambda: daemon.status()["www.example.test"]["ari"], 20)
        status = daemon.status()["www.example.test"]
        now = datetime.datetime.now(datetime.timezone.utc)
        stamp = lambda minutes: (now - datetime.timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
        pem = (daemon.live("www.example.test") / "cert.pem").read_text()
        world.ca.set_renewal_info(pem, {"suggestedWindow": {"start": stamp(120), "end": stamp(60)},
                                        "explanationURL": "https://ca.example.test/incident"})
        wait_for("the renewal", lambda: daemon.status()["www.example.test"]["serial"] != status["serial"], 120, 0.5)
        daemon.wait_state("ok")
        daemon.check_pair("www.example.test")
        orders = proxy.payloads("/order-plz")
        assert len(orders) == 2, orders
        assert "replaces" not in orders[0] and orders[1].get("replaces"), orders
        explained = daemon.ctl("explain", "www.example.test").stdout
        assert "https://ca.example.test/incident" in explained or "ARI" in explained, explained


test_window_in_the_past.limit = 240
