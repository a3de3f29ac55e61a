# SPDX-License-Identifier: ISC
"""renewd under test."""
import json
import os
import pathlib
import signal
import subprocess

from .core import BUILD, LabError, wait_for


class Renewd:
    def __init__(self, lab, config, name="renewd", wrap=()):
        self.lab, self.name, self.wrap = lab, name, list(wrap)
        self.dir = lab.dir / name
        self.dir.mkdir()
        self.state = self.dir / "state"
        self.file = self.dir / "renewd.yaml"
        self.socket = self.dir / "run" / "control.sock"
        self.socket.parent.mkdir()
        self.process = None
        self.build = BUILD
        self.write(config)

    def write(self, config):
        head = f"state_dir: {self.state}\ncontrol_socket: {self.socket}\n"
        self.file.write_text(head + config)
        os.chmod(self.file, 0o600)

    def secret(self, name, text):
        """A secret file beside the configuration; returns its name for {file: NAME}."""
        path = self.dir / name
        path.write_text(text + "\n")
        os.chmod(path, 0o600)
        return name

    @property
    def program(self):
        return self.build / "bin" / "renewd"

    def start(self, *args, ready=True):
        self.process = self.lab.start(self.name, [*self.wrap, self.program, "-c", self.file, *args])
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        def up():
            if self.process.poll() is not None:
                raise LabError(f"renewd ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            return self.ctl("status", "--json", check=False, quiet=True).returncode in (0, 1)
        wait_for("the daemon to answer", up, seconds)

    def log(self):
        return self.lab.log(self.name)

    def stop(self, sig=signal.SIGTERM):
        return self.lab.end(self.process, sig)

    def ctl(self, *args, check=True, timeout=120, quiet=False):
        r = subprocess.run([str(self.build / "bin" / "renewctl"), "-s", str(self.socket), *map(str, args)],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        if check and r.returncode != 0:
            raise LabError(f"renewctl {' '.join(map(str, args))}: exit {r.returncode}\n{r.stdout}{r.stderr}\n"
                           f"--- log\n{self.log()[-3000:]}")
        return r

    def status(self):
        """name -> object of `renewctl status --json`."""
        r = self.ctl("status", "--json", check=False)
        if r.returncode not in (0, 1):
            raise LabError(f"status: exit {r.returncode}: {r.stderr}")
        return {c["name"]: c for c in json.loads(r.stdout)["certificates"]}

    def wait_state(self, states, names=None, seconds=60):
        """Until all (named) certificates are in one of the states."""
        states = {states} if isinstance(states, str) else set(states)

        def there():
            now = self.status()
            return all(now[n]["state"] in states for n in (names or now))
        try:
            wait_for(f"{names or 'all'} to be {states}", there, seconds, 0.1)
        except LabError as e:
            text = self.ctl("status", check=False).stdout
            raise LabError(f"{e}\n{text[-3000:]}\n--- log\n{self.log()[-4000:]}") from None

    def live(self, cert):
        return self.state / "live" / cert

    def check_pair(self, cert):
        """Key and chain of live/ match; returns the leaf's text of `openssl x509`."""
        d = self.live(cert)
        key = self.lab.run(["openssl", "pkey", "-in", d / "privkey.pem", "-pubout"]).stdout
        leaf = self.lab.run(["openssl", "x509", "-in", d / "fullchain.pem", "-pubkey", "-noout"]).stdout
        if key != leaf:
            raise LabError(f"{cert}: key and certificate do not match")
        return self.lab.run(["openssl", "x509", "-in", d / "cert.pem", "-noout", "-text"]).stdout

    def pids(self):
        """name -> [pid] of keeper, engine and workers."""
        out = {"renewd": [self.process.pid], "renewd-engine": [], "renewd-worker": []}
        for p in pathlib.Path("/proc").iterdir():
            if not p.name.isdigit():
                continue
            try:
                name = os.readlink(p / "exe").rsplit("/", 1)[-1].replace(" (deleted)", "")
                if name in out and name != "renewd" and self._ancestor(int(p.name)):
                    out[name].append(int(p.name))
            except OSError:
                continue
        return out

    def _ancestor(self, pid):
        while pid > 1:
            if pid == self.process.pid:
                return True
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            pid = int(stat.rsplit(")", 1)[1].split()[1])
        return False
