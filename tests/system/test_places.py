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
