# SPDX-License-Identifier: ISC
"""Deployment: a state of its own."""
import json
import os
import re
import subprocess
import time

from lab import Lab, World, wait_for
from lab.core import tool


def nginx(lab, address):
    directory = lab.dir / "web"
    directory.mkdir()
    lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
             directory / "key.pem", "-out", directory / "cert.pem", "-subj", "/CN=old", "-days", "1"])
    conf = directory / "nginx.conf"
    temp = "".join(f"{n}_temp_path {directory}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(f"daemon off; pid {directory}/pid; error_log {directory}/error.log; worker_processes 1; events {{}}\n"
                    f"http {{ access_log off; {temp} server {{ listen {address}:443 ssl; "
                    f"ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem; return 200 x; }} }}\n")
    process = lab.start("nginx", [tool("nginx"), "-c", conf])
    lab.wait_port(address, 443, process)
    return directory, conf


def served(lab, address):
    r = subprocess.run(["openssl", "s_client", "-connect", f"{address}:443", "-servername", "www.example.test"],
                       input="", capture_output=True, text=True)
    return lab.run(["openssl", "x509", "-noout", "-serial"], input=r.stdout).stdout.strip().split("=")[-1].lower().lstrip("0")


def test_copied_reloaded_and_proved_to_be_served():
    with Lab("served") as lab:
        world = World(lab, {})
        address = lab.address(20)
        directory, conf = nginx(lab, address)
        daemon = world.daemon(f"""
  - names: [www.example.test]
    deploy:
      - {{file: {directory}/cert.pem, content: [fullchain]}}
      - {{file: {directory}/key.pem, content: [privkey], mode: "0600"}}
      - {{run: [{tool('nginx')}, -c, {conf}, -s, reload]}}
      - {{verify: {{connect: "{address}:443"}}}}
""")
        daemon.wait_state("ok")
        assert served(lab, address) == daemon.status()["www.example.test"]["serial"].lower().lstrip("0")
        assert oct((directory / "key.pem").stat().st_mode & 0o777) == "0o600"


test_copied_reloaded_and_proved_to_be_served.build = ["gcc", "asan"]


def test_hook_gets_what_it_is_promised():
    with Lab("hook") as lab:
        world = World(lab, {})
        out = lab.dir / "out"
        out.mkdir()
        script = lab.dir / "hook"
        script.write_text(f"#!/bin/sh\ncat > {out}/stdin\nenv > {out}/env\npwd > {out}/pwd\nprintf '%s\\n' \"$@\" > {out}/args\n")
        os.chmod(script, 0o755)
        daemon = world.daemon(f'  - {{names: [www.example.test], deploy: [{{run: [{script}, "%n", "%d", "100%%"]}}]}}')
        daemon.wait_state("ok")
        live = str(daemon.live("www.example.test"))
        assert (out / "args").read_text().split("\n")[:3] == ["www.example.test", live, "100%"]
        assert (out / "pwd").read_text() == "/\n"
        env = dict(l.split("=", 1) for l in (out / "env").read_text().splitlines() if "=" in l)
        assert env["RENEWD_NAME"] == "www.example.test" and env["RENEWD_DIR"] == live == env["RENEWED_LINEAGE"], env
        given = json.loads((out / "stdin").read_text())
        assert given["name"] == "www.example.test", given


def test_failure_is_retried_at_its_step_and_orders_nothing_again():
    with Lab("retry") as lab:
        world = World(lab, {})
        counter, gate = lab.dir / "count", lab.dir / "gate"
        daemon = world.daemon(f"""
  - names: [www.example.test]
    deploy:
      - {{run: [/bin/sh, -c, "echo x >> {counter}"]}}
      - {{run: [/bin/sh, -c, "test -e {gate} || {{ echo the gate is shut >&2; exit 7; }}"]}}
""")
        daemon.wait_state("deploy-failed")
        why = daemon.status()["www.example.test"]["why"]
        assert "the gate is shut" in why and "7" in why, why
        orders = world.ca.count("issued serial") or world.ca.orders()
        daemon.stop()
        daemon.start()
        gate.touch()
        daemon.ctl("deploy", "www.example.test", "--wait", check=False)
        daemon.wait_state("ok", seconds=90)
        assert (world.ca.count("issued serial") or world.ca.orders()) == orders
        daemon.check_pair("www.example.test")


def test_named_deployments_are_independent():
    with Lab("independent") as lab:
        world = World(lab, {})
        a, b = lab.dir / "a", lab.dir / "b"
        daemon = world.daemon("  - {names: [www.example.test], deploy: [gw1, gw2]}", more=f"""
deployments:
  gw1: [{{run: [/bin/false]}}]
  gw2: [{{run: [/bin/sh, -c, "echo x >> {b}"]}}]
""")
        daemon.wait_state("deploy-failed")
        wait_for("gw2's run", b.exists, 10)
        assert b.read_text() == "x\n"


def test_hanging_hook_is_ended_with_its_children():
    with Lab("hang") as lab:
        world = World(lab, {})
        pid = lab.dir / "pid"
        daemon = world.daemon(f"""
  - names: [www.example.test]
    deploy: [{{run: [/bin/sh, -c, "sleep 1000 & echo $! > {pid}; wait"], timeout: 2s}}]
""")
        daemon.wait_state("deploy-failed", seconds=60)
        assert "timed out" in daemon.status()["www.example.test"]["why"], daemon.status()
        # A container may have nobody who reaps it: what is only in the table of processes runs no more.
        wait_for("the grandchild's end", lambda: not os.path.exists(f"/proc/{int(pid.read_text())}/exe"), 10)


def test_once_merges_the_certificates_that_are_ready():
    with Lab("merge") as lab:
        world = World(lab, {})
        out = lab.dir / "runs"
        names = [f"m{i}.example.test" for i in range(20)]
        daemon = world.daemon("\n".join(f"  - {{names: [{n}], deploy: [edge]}}" for n in names), more=f"""
deployments:
  edge: [{{run: [/bin/sh, -c, "tr -d '\\\\n' >> {out}; echo >> {out}"], once: true}}]
""")
        daemon.wait_state("ok", seconds=60)
        runs = [json.loads(l) for l in out.read_text().splitlines()]
        seen = [c["name"] for r in runs for c in r["certificates"]]
        assert sorted(seen) == sorted(names), seen
        assert len(runs) <= 5, f"{len(runs)} runs"
