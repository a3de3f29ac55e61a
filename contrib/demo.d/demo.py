#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The demonstration that contrib/demo runs, on the tests' own laboratory."""
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "system"))
from lab import Knot, Lab, LabError, Pebble, Renewd, Unbound, Zone, wait_for  # noqa: E402
from lab.names import Key  # noqa: E402

BOLD, DIM, OFF = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


def say(text):
    print(f"\n{BOLD}== {text}{OFF}", flush=True)


def name_servers(lab, key):
    primary, secondary = Knot(lab, "primary", lab.address(2)), Knot(lab, "secondary", lab.address(3))
    ns = [("ns1.example.test", primary.address), ("ns2.example.test", secondary.address)]
    main = Zone("example.test", ns=ns, lines=[
        f"example.test. 60 IN A {lab.address(20)}",
        "_acme-challenge.shop.example.test. 60 IN CNAME shop.validation.test."])
    alias = Zone("validation.test", ns=ns)
    for zone in (main, alias):
        primary.master(zone, key, notify=[secondary])
        secondary.slave(zone, primary)
    primary.start()
    secondary.start()
    return primary, secondary


def web_server(lab, live, resolver):
    """nginx with a certificate of its own making, until renewd's is there."""
    directory = lab.dir / "web"
    directory.mkdir()
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", directory / "self.key", "-out", directory / "self.pem", "-subj", "/CN=placeholder",
                    "-days", "1"], check=True, stderr=subprocess.DEVNULL)
    # A small indirection: what nginx reads is a link that begins at the placeholder.
    (directory / "cert.pem").symlink_to(directory / "self.pem")
    (directory / "key.pem").symlink_to(directory / "self.key")
    conf = directory / "nginx.conf"
    conf.write_text(f"""daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;
worker_processes 1;
events {{}}
http {{
  access_log off; client_body_temp_path {directory}/b; proxy_temp_path {directory}/p;
  fastcgi_temp_path {directory}/f; uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s;
  server {{
    listen {lab.address(20)}:443 ssl;
    server_name example.test;
    ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
    return 200 "hello\\n";
  }}
}}
""")
    process = lab.start("nginx", [nginx, "-c", conf])
    lab.wait_port(lab.address(20), 443, process)
    for name, source in (("cert.pem", live / "fullchain.pem"), ("key.pem", live / "privkey.pem")):
        (directory / name).unlink()
        (directory / name).symlink_to(source)
    return nginx, conf


def follow(daemon, stop):
    """Print the daemon's log as it grows."""
    seen = 0
    while True:
        text = daemon.log()
        for line in text[seen:].splitlines(keepends=True):
            if not line.endswith("\n"):
                break
            seen += len(line)
            print(f"{DIM}{line.rstrip()}{OFF}", flush=True)
        if stop.is_set():
            return
        time.sleep(0.2)


def inventory(lab, ca, primary, resolver, nginx, conf, key):
    text = (TOP / "contrib/demo.d/inventory.yaml").read_text()
    for mark, value in {"DIRECTORY": ca.directory, "CA_FILE": ca.ca_file, "RESOLVER": resolver.address,
                        "PRIMARY": primary.address, "NGINX": nginx, "NGINX_CONF": conf,
                        "WEB": lab.address(20)}.items():
        text = text.replace(f"@{mark}@", str(value))
    return text


def serial_of(daemon, name):
    return daemon.status()[name]["serial"]


def main():
    keep = "--keep" in sys.argv[1:]
    with Lab("demo", keep=keep) as lab:
        say("A CA (Pebble) and two name servers (Knot, primary and secondary) on this machine")
        key = Key("renewd.", "hmac-sha256")
        primary, secondary = name_servers(lab, key)
        servers = [primary.address, secondary.address]
        resolver = Unbound(lab, "resolver", lab.address(4), {"example.test": servers, "validation.test": servers})
        ca = Pebble(lab, resolver.address, profiles={
            "default": {"description": "90 days", "validityPeriod": 7776000},
            "minute": {"description": "40 seconds", "validityPeriod": 40}})
        print(f"CA {ca.directory}\nname servers {' and '.join(servers)}, zones example.test and validation.test")

        daemon = Renewd(lab, "")
        daemon.secret("tsig.secret", key.secret)
        nginx, conf = web_server(lab, daemon.live("example.test"), resolver)
        text = inventory(lab, ca, primary, resolver, nginx, conf, key)
        daemon.write(text)
        say("The inventory")
        print(text)

        say("renewd starts")
        daemon.start()
        done = threading.Event()
        follower = threading.Thread(target=follow, args=(daemon, done))
        follower.start()
        try:
            daemon.wait_state("ok", seconds=90)
            first = serial_of(daemon, "short.example.test")
            say("All certificates are there; the short one renews at half of its 40 seconds")
            wait_for("the short certificate's renewal",
                     lambda: serial_of(daemon, "short.example.test") not in ("", None, first), 90, 0.5)
            daemon.wait_state("ok", seconds=60)
        finally:
            done.set()
            follower.join()

        say("renewctl status")
        print(daemon.ctl("status").stdout)
        say("renewctl explain short.example.test")
        print(daemon.ctl("explain", "short.example.test").stdout)
        say("What is served at example.test:443")
        print(lab.run(["sh", "-c", f"openssl s_client -connect {lab.address(20)}:443 -servername example.test "
                       "</dev/null 2>/dev/null | openssl x509 -noout -issuer -dates -ext subjectAltName"]).stdout)
        left = [line for k in (primary,) for line in k.leftovers()]
        print(f"TXT records left in DNS: {len(left)}")
        say("Stopping everything")
        daemon.stop()
        if keep:
            print(f"The folder stays: {lab.dir}")
    return 1 if left else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        sys.exit(main())
    except LabError as e:
        sys.exit(f"the demo failed: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
