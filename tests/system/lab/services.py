# SPDX-License-Identifier: ISC
"""Servers that speak TLS only after they were asked to: Dovecot, OpenLDAP, PostgreSQL."""
import glob
import os
import pwd

from .core import Skip, tool


class Pair:
    """A key and a certificate in PEM, at first one that nobody wants."""

    def __init__(self, lab, directory):
        self.cert, self.key = directory / "cert.pem", directory / "key.pem"
        lab.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-keyout", self.key, "-out", self.cert, "-subj", "/CN=old", "-days", "1"])


def make_folder(lab, name):
    directory = lab.dir / name
    directory.mkdir()
    return directory


class Dovecot:
    """SMTP (submission) on 587, IMAP on 143, POP3 on 110."""

    def __init__(self, lab, address):
        self.lab, self.address = lab, address
        self.dir = make_folder(lab, "dovecot")
        self.pair = Pair(lab, self.dir)
        self.conf = self.dir / "dovecot.conf"
        off = "".join(f"service {s}-login {{\n inet_listener {p} {{\n  port = 0\n }}\n}}\n"
                      for s, p in (("imap", "imaps"), ("pop3", "pop3s")))
        version = lab.run([tool("dovecot"), "--version"]).stdout.split("-")[0].split()[0]
        written = self.of_2_4 if [int(n) for n in version.split(".")] >= [2, 4] else self.of_2_3
        self.conf.write_text(f"{written(version)}base_dir = {self.dir}/run\nstate_dir = {self.dir}/lib\n"
                             f"log_path = {self.dir}/log\nprotocols = imap pop3 submission\n"
                             f"listen = {address}\nssl = yes\nsubmission_relay_host = {address}\n{off}")

    def of_2_3(self, _):
        return (f"ssl_cert = <{self.pair.cert}\nssl_key = <{self.pair.key}\n"
                f"passdb {{\n driver = static\n args = password=x\n}}\n"
                f"userdb {{\n driver = static\n args = uid=65534 gid=65534 home=/tmp\n}}\n")

    def of_2_4(self, version):
        return (f"dovecot_config_version = {version}\ndovecot_storage_version = {version}\n"
                f"ssl_server_cert_file = {self.pair.cert}\nssl_server_key_file = {self.pair.key}\n"
                f"passdb static {{\n password = x\n}}\n"
                f"userdb static {{\n fields {{\n  uid = 65534\n  gid = 65534\n  home = /tmp\n }}\n}}\n")

    def start(self):
        p = self.lab.start("dovecot", [tool("dovecot"), "-F", "-c", self.conf])
        for port in (587, 143, 110):
            self.lab.wait_port(self.address, port, p)
        return self

    @property
    def reload(self):
        return [tool("doveadm"), "-c", self.conf, "reload"]


class Slapd:
    """LDAP on 389. It reads its certificate when it starts."""

    def __init__(self, lab, address):
        self.lab, self.address = lab, address
        self.dir = make_folder(lab, "slapd")
        (self.dir / "db").mkdir()
        self.pair = Pair(lab, self.dir)
        self.conf = self.dir / "slapd.conf"
        self.conf.write_text(f"include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
                             f"TLSCertificateFile {self.pair.cert}\nTLSCertificateKeyFile {self.pair.key}\n"
                             f"pidfile {self.dir}/pid\ndatabase mdb\ndirectory {self.dir}/db\nsuffix dc=test\n")

    def start(self):
        self.process = self.lab.start("slapd", [tool("slapd"), "-d", "0", "-f", self.conf, "-h",
                                                f"ldap://{self.address}:389/"])
        self.lab.wait_port(self.address, 389, self.process)
        return self

    def restart(self):
        self.lab.end(self.process)
        self.start()


class Postgres:
    """On 5432, as user postgres: it refuses to be root."""

    user = "postgres"

    def __init__(self, lab, address):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not found or os.geteuid() != 0:
            raise Skip("PostgreSQL is not installed, or we are not root")
        self.lab, self.address, self.bin = lab, address, found[-1]
        self.dir = make_folder(lab, "postgres")
        self.data = self.dir / "data"
        self.pair = Pair(lab, self.dir)
        who = pwd.getpwnam(self.user)
        for path in (self.dir, self.pair.cert, self.pair.key):
            os.chown(path, who.pw_uid, who.pw_gid)
        os.chmod(self.pair.key, 0o600)
        self.run("initdb", "-D", self.data, "-A", "trust", "--no-sync", "--no-instructions")

    def run(self, program, *args):
        return self.lab.run(["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups",
                             f"{self.bin}/{program}", *args])

    def start(self):
        p = self.lab.start("postgres", ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups",
                                        f"{self.bin}/postgres", "-D", self.data, "-k", self.dir, "-F",
                                        "-c", f"listen_addresses={self.address}", "-c", "ssl=on",
                                        "-c", f"ssl_cert_file={self.pair.cert}", "-c", f"ssl_key_file={self.pair.key}"])
        self.lab.wait_port(self.address, 5432, p)
        return self

    @property
    def reload(self):
        return [f"{self.bin}/pg_ctl", "-D", self.data, "reload"]


