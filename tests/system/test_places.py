# SPDX-License-Identifier: ISC
"""Where the programs may lie."""
import os
import shutil

from lab import BUILD, Lab, World


def test_build_tree_that_only_root_can_enter():
    """A checkout under /root: the engine's and the workers' users cannot reach it by path."""
    with Lab("places") as lab:
        closed = lab.dir / "closed"
        closed.mkdir(mode=0o700)
        for part in ("bin", "plugins"):
            shutil.copytree(BUILD / part, closed / part, ignore=shutil.ignore_patterns("CMakeFiles"))
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", start=False)
        daemon.build = closed
        daemon.start()
        daemon.wait_state("ok")
        daemon.check_pair("www.example.test")
        owners = {os.stat(f"/proc/{pid}").st_uid for pids in daemon.pids().values() for pid in pids}
        assert len(owners) > 1, owners


def test_not_started_by_root():
    """One user for all processes: it works, and status says so."""
    with Lab("nonroot") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", start=False,
                              wrap=["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"])
        lab.run(["chown", "-R", "1234:1234", daemon.dir])
        daemon.start()
        daemon.wait_state("ok")
        daemon.check_pair("www.example.test")
        assert "not started by root" in daemon.ctl("status").stdout
