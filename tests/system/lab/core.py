# SPDX-License-Identifier: ISC
"""Processes, addresses and folders of a laboratory."""
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

REPO = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("RENEWD_BUILD", REPO / "build" / "gcc"))
TOOLS = pathlib.Path(os.environ.get("RENEWD_TOOLS", REPO / "build"))
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """The laboratory itself failed, or what it waited for did not come."""


class Skip(Exception):
    """This machine cannot run the test; the reason is the text."""


def wait_for(what, probe, seconds=30.0, interval=0.05):
    """Wait until probe() is true; its value is returned. Raises with `what` when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise LabError(f"waited {seconds:.0f} s for {what}")
        time.sleep(interval)


def free_port(address):
    with socket.socket() as s:
        s.bind((address, 0))
        return s.getsockname()[1]


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tool(name):
    """Path of a program that may live in sbin."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


class Lab:
    """with Lab("name") as lab: ..."""

    def __init__(self, name="lab", keep=None):
        self.name = name
        self.processes = []
        self.stoppers = []
        self.keep = bool(os.environ.get("LAB_KEEP")) if keep is None else keep
        self.failed = False

    def __enter__(self):
        self._take_net()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"renewd-{self.name}-"))
        os.chmod(self.dir, 0o755)
        return self

    def __exit__(self, kind, value, trace):
        self.failed = kind is not None
        self.stop()
        if self.keep or (self.failed and os.environ.get("LAB_KEEP_FAILED")):
            print(f"lab kept: {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
        return False

    def _take_net(self):
        for n in range(1, 250):
            lock = open(f"/tmp/.renewd-lab-{n}.lock", "w")
            name = socket.socket(socket.AF_UNIX)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Abstract names belong to the network, whatever /tmp another lab has.
                name.bind(f"\0renewd-lab-{n}")
            except OSError:
                lock.close()
                name.close()
                continue
            self._lock = lock, name
            self.net = f"127.77.{n}"
            return
        raise LabError("all of the laboratory's networks are taken")

    def address(self, host):
        return f"{self.net}.{host}"

    def start(self, name, argv, env=None, cwd=None, stdin=subprocess.DEVNULL, die=True):
        """Start a process; its output goes to NAME.log in the lab's folder."""
        log = open(self.dir / f"{name}.log", "ab")
        full = dict(os.environ if env is None else env)
        p = subprocess.Popen([str(a) for a in argv], stdin=stdin, stdout=log, stderr=log, env=full,
                             cwd=cwd or self.dir, start_new_session=True,
                             preexec_fn=_die_with_parent if die else None)
        log.close()
        p.lab_name = name
        self.processes.append(p)
        return p

    def log(self, name):
        try:
            return (self.dir / f"{name}.log").read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def run(self, argv, check=True, timeout=60, input=None, env=None):
        r = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=timeout, text=True, input=input, env=env, cwd=self.dir)
        if check and r.returncode != 0:
            raise LabError(f"{' '.join(map(str, argv))}: exit {r.returncode}\n{r.stdout}")
        return r

    def end(self, p, sig=signal.SIGTERM, seconds=10):
        if p.poll() is None:
            try:
                p.send_signal(sig)
                p.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        if p in self.processes:
            self.processes.remove(p)
        return p.returncode

    def stop(self):
        for p in reversed(list(self.processes)):
            self.end(p, seconds=8)
        for stop in reversed(self.stoppers):
            stop()
        for held in self._lock:
            held.close()

    def wait_port(self, address, port, process=None, seconds=20):
        def open_now():
            if process is not None and process.poll() is not None:
                raise LabError(f"{process.lab_name} ended with {process.returncode}:\n"
                               + self.log(process.lab_name)[-3000:])
            with socket.socket() as s:
                s.settimeout(1)
                return s.connect_ex((address, port)) == 0
        wait_for(f"{address}:{port} to listen", open_now, seconds)
