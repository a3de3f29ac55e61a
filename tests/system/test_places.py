# SPDX-License-Identifier: ISC
"""Where the programs may lie."""
import os
import shutil

from lab import BUILD, Lab, World


def copy_of_build(lab, mode):
    folder = lab.dir / "build"
    folder.mkdir(mode=mode)
    for part in ("bin", "plugins"):
        shutil.copytree(BUILD / part, folder / part, ignore=shutil.ignore_patterns("CMakeFiles"))
    return folder


def test_build_tree_that_only_root_can_enter():
    """A checkout under /root: the engine's and the workers' users cannot reach it by path."""
    with Lab("places") as lab:
        world = World(lab, {})
        daemon = world.daemon("  - www.example.test", start=False)
        daemon.build = copy_of_build(lab, 0o700)
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
        daemon.build = copy_of_build(lab, 0o755)
        daemon.start()
        daemon.wait_state("ok")
        daemon.check_pair("www.example.test")
        assert "not started by root" in daemon.ctl("status").stdout
