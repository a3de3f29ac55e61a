# SPDX-License-Identifier: ISC
"""A machine of its own, as a reader of a recipe has it, and the part of the Internet that it needs.

The process goes into a mount and a network namespace: /etc and /usr/local may be written to, /var, /srv and /run are empty,
renewd is installed below its prefix, and the names of example.org, Let's Encrypt and Cloudflare resolve to servers
here: Knot, Pebble behind nginx, the stand-in for Cloudflare's API. So a page's commands run as they are written.
"""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

from .ca import Pebble
from .core import BUILD, REPO, LabError, Skip, tool, wait_for
from .names import Key, Knot, Unbound, Zone

CLONE_NEWNS, CLONE_NEWNET, MS_REC, MS_PRIVATE = 0x20000, 0x40000000, 0x4000, 1 << 18
WEB, CA, CLOUDFLARE = "192.0.2.10", "192.0.2.20", "192.0.2.21"
SIX = "2001:db8::10"
GATEWAYS = {"gw1": "192.0.2.11", "gw2": "192.0.2.12", "gw3": "192.0.2.13"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_libc = ctypes.CDLL(None, use_errno=True)


def _call(function, *args):
    if function(*args):
        raise Skip(f"namespaces: {os.strerror(ctypes.get_errno())}")


def isolate(folder):
    """This process, and what it starts, from now on."""
    if os.geteuid() != 0:
        raise Skip("not root: no namespaces")
    _call(_libc.unshare, CLONE_NEWNS | CLONE_NEWNET)
    _call(_libc.mount, None, b"/", None, MS_REC | MS_PRIVATE, None)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    for path in ("/etc", "/usr/local"):
        upper, work = (folder / (path.strip("/").replace("/", "-") + end) for end in ("", ".work"))
        upper.mkdir()
        work.mkdir()
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={path},upperdir={upper},workdir={work}", path],
                       check=True)
    for path in ("/var", "/srv", "/run"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path], check=True)
    for path in ("/var/lib", "/var/log/nginx", "/var/lib/nginx", "/var/www", "/var/tmp"):
        os.makedirs(path, exist_ok=True)
    shutil.rmtree("/etc/renewd", ignore_errors=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


class Outside:
    def __init__(self, lab):
        self.lab = lab
        self.daemon = None
        machine = lab.dir / "machine"
        machine.mkdir()
        isolate(machine)
        lab.stoppers.append(lambda: subprocess.run(["umount", "-l", "/etc", "/usr/local", machine], check=True))
        for address in (WEB, CA, CLOUDFLARE, *GATEWAYS.values()):
            self.address(f"{address}/32")
        self.address(f"{SIX}/128")
        self.key = Key("renewd.")
        self._names()
        self.ca = Pebble(lab, self.resolver.address, httpPort=80, tlsPort=443, profiles={
            "classic": {"description": "90 days", "validityPeriod": 7776000}})
        self._front()
        self._install()

    def address(self, address):
        subprocess.run(["ip", "addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else [])], check=True)

    def _names(self):
        ns = [("ns1.example.org", self.lab.address(2))]
        hosts = [("example.org", WEB), ("www.example.org", WEB), *(("rds.example.org", g) for g in GATEWAYS.values())]
        self.dns = Knot(self.lab, "names", self.lab.address(2))
        six = [f"{h}.example.org. 60 IN AAAA {SIX}" for h in ("six", "six-alpn")]
        self.dns.master(Zone("example.org", ns=ns, lines=[*(f"{h}. 60 IN A {a}" for h, a in hosts), *six]), self.key)
        for zone, hosts in (("letsencrypt.org", {"acme-v02.api": CA}), ("cloudflare.com", {"api": CLOUDFLARE}),
                            ("int", GATEWAYS)):
            self.dns.master(Zone(zone, ns=[(f"ns.{zone}", self.lab.address(2))],
                                 lines=[f"{host}.{zone}. 60 IN A {address}" for host, address in hosts.items()]))
        self.dns.start()
        zones = ("example.org", "letsencrypt.org", "cloudflare.com", "int")
        self.resolver = Unbound(self.lab, "resolver", self.lab.address(4), {z: [self.dns.address] for z in zones})
        pathlib.Path("/etc/resolv.conf").unlink(missing_ok=True)
        pathlib.Path("/etc/resolv.conf").write_text(f"nameserver {self.resolver.address}\n")

    def certificate(self, *names):
        """A key and a certificate for a server of the Internet, which this machine trusts."""
        stem = self.lab.dir / names[0]
        run = lambda *a: self.lab.run(["openssl", *a])
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{stem}.key")
        run("req", "-new", "-key", f"{stem}.key", "-subj", "/CN=server", "-out", f"{stem}.csr")
        pathlib.Path(f"{stem}.ext").write_text("subjectAltName=" + ",".join(f"DNS:{n}" for n in names) + "\n")
        run("x509", "-req", "-in", f"{stem}.csr", "-CA", self.ca.ca_file, "-CAkey", self.ca.dir / "ca.key", "-CAcreateserial",
            "-days", "30", "-extfile", f"{stem}.ext", "-out", f"{stem}.pem")
        return f"{stem}.pem", f"{stem}.key"

    def _front(self):
        """Pebble under Let's Encrypt's name and path; its root among the system's."""
        with open("/etc/ssl/certs/ca-certificates.crt", "a", encoding="ascii") as f:
            f.write(self.ca.ca_file.read_text())
        cert, key = self.certificate("acme-v02.api.letsencrypt.org")
        behind = self.ca.directory.removesuffix("/dir")
        self.nginx("front", f"""server {{ listen {CA}:443 ssl; ssl_certificate {cert}; ssl_certificate_key {key};
            proxy_set_header Host $host; proxy_ssl_verify off; client_max_body_size 1m;
            location = /directory {{ proxy_pass {behind}/dir; }} location / {{ proxy_pass {behind}; }} }}""")

    def nginx(self, name, servers, prefix=()):
        folder = self.lab.dir / f"nginx-{name}"
        folder.mkdir()
        temp = "".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = folder / "nginx.conf"
        conf.write_text(f"daemon off; user root; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;\n"
                        f"events {{}}\nhttp {{ access_log {folder}/access.log; {temp}\n{servers}\n}}\n")
        process = self.lab.start(f"nginx-{name}", [*prefix, tool("nginx"), "-c", conf])
        wait_for(f"nginx {name}", lambda: (folder / "pid").exists() or process.poll() is not None)
        if process.poll() is not None:
            raise LabError(f"nginx {name}: {self.lab.log(f'nginx-{name}')}")
        return process

    def cloudflare(self, token, zone="example.org", ident="0123456789abcdef0123456789abcdef"):
        cert, key = self.certificate("api.cloudflare.com")
        self.lab.start("cloudflare", [sys.executable, REPO / "tests/servers/fake_cloudflare.py", "--listen",
                                      f"{CLOUDFLARE}:443", "--dns", f"{self.dns.address}:53", "--tsig",
                                      f"{self.key.name.rstrip('.')}:{self.key.secret}", "--token", f"{token}=dns_edit,zone_read",
                                      "--zone", f"{zone}={ident}", "--tls", cert, key])
        wait_for("the API", lambda: "listening on" in self.lab.log("cloudflare"), 10)

    def gateway(self, name, servers):
        """Another machine, as far as files go: sshd and nginx with a /srv of their own. Returns its sshd."""
        folder = self.lab.dir / name
        folder.mkdir()
        self.lab.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"])
        (folder / "sshd.conf").write_text(
            f"ListenAddress {GATEWAYS[name]}\nHostKey {folder}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {folder}/keys\nPermitRootLogin prohibit-password\n")
        self.lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem", "-subj", "/CN=old", "-days", "1"])
        temp = "".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"user root; error_log {folder}/error.log; worker_processes 1; pid /srv/nginx.pid;\n"
                                           f"events {{}}\nhttp {{ access_log {folder}/access.log; {temp}\n{servers} }}\n")
        script = (f"mount -t tmpfs -o mode=755 tmpfs /srv; mkdir -p /srv/tls /srv/acme; cp {folder}/*.pem /srv/tls/; "
                  f"mount --bind {folder}/nginx.conf /etc/nginx/nginx.conf; "
                  f"nginx; exec {tool('sshd')} -D -e -f {folder}/sshd.conf")
        os.makedirs("/run/sshd", exist_ok=True)
        p = self.lab.start(name, ["unshare", "-m", "bash", "-c", script], env={"PATH": PATH})
        self.lab.wait_port(GATEWAYS[name], 22, p)
        return p

    def _install(self):
        self.lab.run(["cmake", "--install", BUILD])
        for user in ("renewd", "renewd-worker"):
            self.lab.run(["useradd", "-r", "-s", "/usr/sbin/nologin", user])

    def page(self, name):
        return (REPO / "contrib/recipes" / name).read_text()

    def follow(self, page, then=lambda number: None):
        """Does what a page of contrib/recipes says, in order: files are written, commands run. then(N) is called
        after the N-th block of it, for what the page asks of people."""
        for number, (kind, text) in enumerate(blocks(self.page(page)), 1):
            if kind == "sh":
                self.shell(text)
            else:
                self.write(text)
            then(number)

    def write(self, text):
        path, mode = re.match(r"(?:#!.*\n)?# (/\S+)(?:, mode (\d+))?\n", text).groups()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(path).write_text(text)
        os.chmod(path, int(mode or "600", 8))

    def shell(self, text):
        """A block of commands; what they ask of the service manager is done here."""
        before, start, after = text.partition("systemctl enable --now renewd\n")
        self.commands(before)
        if start:
            self.start()
            self.commands(after)

    def start(self):
        self.daemon = self.lab.start("renewd", ["/usr/local/sbin/renewd"], env={"PATH": PATH})
        answers = lambda: self.commands("renewctl status || test $? = 1", check=False).returncode == 0
        wait_for("renewd", lambda: answers() or self.daemon.poll() is not None)
        if self.daemon.poll() is not None:
            raise LabError(f"renewd has ended:\n{self.log()[-3000:]}")

    def commands(self, text, check=True):
        r = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           stdin=subprocess.DEVNULL, text=True, timeout=120, cwd="/", env={"PATH": PATH, "HOME": "/root"})
        if check and r.returncode:
            raise LabError(f"exit {r.returncode} of\n{text}\n{r.stdout}\n--- renewd\n{self.log()[-3000:]}")
        return r

    def log(self):
        return self.lab.log("renewd")


def blocks(markdown):
    """The fenced blocks that are marked sh, yaml or file."""
    for kind, text in re.findall(r"^```(sh|yaml|file)\n(.*?)^```$", markdown, re.S | re.M):
        yield ("sh" if kind == "sh" else "file"), text
