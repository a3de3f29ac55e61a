#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A stand-in for Cloudflare's API v4: zones and DNS records, as far as a DNS-01 client sees them.

    fake_cloudflare.py --listen 127.0.0.1:0 --token TOKEN=RIGHTS ... --zone NAME=ID ... [options]

RIGHTS are dns_edit and zone_read, joined by commas; `@NAME` after them limits the token to one zone.
Two --zone of the same name are the same zone in two accounts. Prints "listening on URL" when it serves.

With --dns HOST:PORT and --tsig NAME:SECRET (base64, HMAC-SHA256) every record is published by a dynamic
update in a real name server, --lag-dns seconds later; --lag-list delays what listings show.

Control, for tests (no token needed): GET /_test/records, GET /_test/requests, POST /_test/faults with
{"status": 429|500|..., "count": N, "retry_after": S, "match": "POST"} | {"drop": N} | {"html": N} | {},
or {"lose": N}: the request is carried out, but the connection closes before the answer; {"hold": N}:
the answer waits for the next POST /_test/faults.
"""
import argparse
import base64
import hashlib
import hmac
import http.server
import json
import os
import secrets
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

PER_PAGE = {"zones": (5, 50, 20), "dns_records": (1, 5000000, 100)}


def wire_name(name):
    labels = [l for l in name.rstrip(".").lower().split(".") if l]
    return b"".join(bytes([len(l)]) + l.encode() for l in labels) + b"\0"


class Publisher:
    """RFC 2136 updates with TSIG, one by one, in order."""

    def __init__(self, server, tsig, zones):
        host, port = server.rsplit(":", 1)
        self.server = (host, int(port))
        self.key, secret = tsig.split(":", 1)
        self.secret = base64.b64decode(secret)
        self.zones = zones

    def message(self, name, content, ttl, add):
        zone = next(z for z in sorted(self.zones, key=len, reverse=True)
                    if name == z or name.endswith("." + z))
        text = content.encode()
        rdata = b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, max(len(text), 1), 255))
        ident = secrets.token_bytes(2)
        body = (struct.pack("!HHHHH", 0x2800, 1, 0, 1, 0) + wire_name(zone) + struct.pack("!HH", 6, 1)
                + wire_name(name) + struct.pack("!HHIH", 16, 1 if add else 254, ttl if add else 0, len(rdata))
                + rdata)
        now, algorithm = int(time.time()), wire_name("hmac-sha256")
        when = struct.pack("!HIH", now >> 32, now & 0xFFFFFFFF, 300)
        signed = ident + body + wire_name(self.key) + struct.pack("!HI", 255, 0) + algorithm + when + bytes(4)
        mac = hmac.new(self.secret, signed, hashlib.sha256).digest()
        tsig = algorithm + when + struct.pack("!H", len(mac)) + mac + ident + bytes(4)
        body = body[:8] + struct.pack("!H", 1) + body[10:]
        return ident + body + wire_name(self.key) + struct.pack("!HHIH", 250, 255, 0, len(tsig)) + tsig

    def publish(self, name, content, ttl, add):
        message = self.message(name, content, ttl, add)
        with socket.create_connection(self.server, timeout=10) as s:
            s.sendall(struct.pack("!H", len(message)) + message)
            answer = s.recv(65537)
        rcode = answer[5] & 15 if len(answer) > 5 else None
        if rcode != 0:
            print(f"publishing {name}: rcode {rcode}", file=sys.stderr, flush=True)


class Cloudflare:
    def __init__(self, args):
        self.lock = threading.RLock()
        self.tokens = {}
        for text in args.token:
            token, _, rights = text.partition("=")
            rights, _, only = rights.partition("@")
            self.tokens[token] = (set(rights.split(",")), only or None)
        self.zones = [tuple(z.split("=", 1)) for z in args.zone]  # (name, id)
        self.records = {}  # id -> record
        self.visible_at = {}
        self.lag_list, self.lag_dns = args.lag_list, args.lag_dns
        self.faults, self.requests = [], []
        self.held = threading.Event()  # set: nothing is held back any more
        self.publisher = Publisher(args.dns, args.tsig, {z[0] for z in self.zones}) if args.dns else None
        self.dns_gate = threading.Lock()

    def publish(self, record, add):
        if not self.publisher:
            return

        def later():
            time.sleep(self.lag_dns)
            with self.dns_gate:
                self.publisher.publish(record["name"], plain(record["content"]), record["ttl"], add)
        if self.lag_dns:
            threading.Thread(target=later, daemon=True).start()
        else:
            later()


def plain(content):
    """Text of a TXT record's content: bare, or quoted strings joined."""
    if not content.startswith('"'):
        return content
    out, inside, i = [], False, 0
    while i < len(content):
        c = content[i]
        if c == '"':
            inside = not inside
        elif inside:
            if c == "\\" and i + 1 < len(content):
                i += 1
            out.append(content[i])
        i += 1
    return "".join(out)


class ApiError(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cf = None

    def log_message(self, *args):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, status, value, headers=(), kind="application/json"):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def handle_any(self):
        raw = self.body()
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path.startswith("/_test/"):
            return self.control(url.path, raw)
        with self.cf.lock:
            self.cf.requests.append(f"{self.command} {self.path}")
            fault = self.take_fault()
        if fault and fault["kind"] not in ("lose", "hold"):
            return self.fail(fault)
        try:
            result, info = self.route(url.path.removeprefix("/client/v4").strip("/").split("/"), query, raw)
        except ApiError as e:
            return self.send(e.status, {"success": False, "errors": [{"code": e.code, "message": e.message}],
                                        "messages": [], "result": None})
        if fault and fault["kind"] == "hold":
            fault["release"].wait(60)
        if fault:
            return self.hang_up()
        answer = {"success": True, "errors": [], "messages": [], "result": result}
        if info:
            answer["result_info"] = info
        return self.send(200, answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def take_fault(self):
        for fault in self.cf.faults:
            if fault.get("match", self.command) == self.command and fault["count"] > 0:
                fault["count"] -= 1
                return fault
        return None

    def fail(self, fault):
        if fault["kind"] == "drop":
            return self.hang_up()
        if fault["kind"] == "html":
            self.send(200, b"<html><body>Please log in</body></html>", kind="text/html")
            return
        status = fault["status"]
        headers = [("Retry-After", str(fault["retry_after"]))] if "retry_after" in fault else []
        if status == 429:
            self.send(429, {"success": False, "messages": [], "result": None, "errors": [
                {"code": 971, "message": "Please wait and consider throttling your request speed"}]}, headers)
        else:
            self.send(status, b"<html><body>error code: %d</body></html>" % status, headers, "text/html")

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def control(self, path, raw):
        cf = self.cf
        with cf.lock:
            if path == "/_test/records":
                return self.send(200, [{k: r[k] for k in ("id", "zone_id", "name", "content", "ttl")}
                                       for r in cf.records.values()])
            if path == "/_test/requests":
                seen, cf.requests = cf.requests, []
                return self.send(200, seen)
            if path == "/_test/faults":
                wanted = json.loads(raw or b"{}")
                cf.held.set()
                cf.faults, cf.held = [], threading.Event()
                for kind in ("drop", "html", "lose", "hold", "status"):
                    if kind in wanted:
                        count = wanted.get("count", 1) if kind == "status" else wanted[kind]
                        cf.faults.append(dict(wanted, kind=kind, count=count, release=cf.held))
                return self.send(200, {})
        return self.send(404, {})

    def authenticate(self):
        header = self.headers.get("Authorization", "")
        if not header:
            raise ApiError(400, 9106, "Missing X-Auth-Key, X-Auth-Email or Authorization headers")
        kind, _, token = header.partition(" ")
        if kind != "Bearer" or not token or " " in token:
            raise ApiError(400, 6003, "Invalid request headers")
        if token.startswith("expired"):
            raise ApiError(403, 9109, "Invalid access token")
        if token not in self.cf.tokens:
            raise ApiError(401, 1000, "Invalid API Token")
        return self.cf.tokens[token]

    def route(self, parts, query, raw):
        rights, only = self.authenticate()
        if parts == ["user", "tokens", "verify"] and self.command == "GET":
            return {"id": "1", "status": "active"}, None
        if parts == ["zones"] and self.command == "GET":
            return self.list_zones(rights, only, query)
        if len(parts) >= 3 and parts[0] == "zones" and parts[2] == "dns_records":
            zone = next((z for z in self.cf.zones if z[1] == parts[1]), None)
            if not zone:
                raise ApiError(404, 7003, f"Could not route to /zones/{parts[1]}/dns_records, perhaps your "
                                          "object identifier is invalid?")
            if "dns_edit" not in rights or (only and only != zone[0]):
                raise ApiError(403, 10000, "Authentication error")
            return self.records(zone, parts[3:], query, raw)
        raise ApiError(404, 7000, "No route for that URI")

    def page(self, what, items, query):
        least, most, usual = PER_PAGE[what]
        per, page = int(query.get("per_page", usual)), int(query.get("page", 1))
        if not least <= per <= most:
            raise ApiError(400, 1002, f"per_page must be between {least} and {most}")
        per = min(per, self.server.page_size)
        shown = items[(page - 1) * per:page * per]
        return shown, {"page": page, "per_page": per, "count": len(shown), "total_count": len(items),
                       "total_pages": max(1, -(-len(items) // per))}

    def list_zones(self, rights, only, query):
        """A token without zone_read sees none; one for a zone sees that one."""
        seen = [z for z in self.cf.zones if "zone_read" in rights and (not only or only == z[0])]
        if "name" in query:
            seen = [z for z in seen if z[0] == query["name"]]
        return self.page("zones", [{"id": z[1], "name": z[0], "status": "active"} for z in seen], query)

    def records(self, zone, rest, query, raw):
        cf = self.cf
        with cf.lock:
            if not rest and self.command == "GET":
                now = time.monotonic()
                seen = [r for i, r in cf.records.items() if r["zone_id"] == zone[1] and cf.visible_at[i] <= now]
                for key in ("type", "name", "content"):
                    if key in query:
                        seen = [r for r in seen if r[key] == query[key]]
                return self.page("dns_records", seen, query)
            if not rest and self.command == "POST":
                return self.create(zone, json.loads(raw)), None
            if len(rest) == 1 and self.command == "DELETE":
                record = cf.records.get(rest[0])
                if not record or record["zone_id"] != zone[1]:
                    raise ApiError(404, 81044, "Record does not exist.")
                del cf.records[rest[0]]
                cf.publish(record, False)
                return {"id": rest[0]}, None
        raise ApiError(405, 10405, "Method not allowed")

    def create(self, zone, q):
        cf = self.cf
        name, content, ttl = q.get("name", "").lower().rstrip("."), q.get("content"), q.get("ttl", 1)
        if q.get("type") != "TXT" or not content or len(plain(content)) > 2048:
            raise ApiError(400, 9000, "DNS name or content is invalid.")
        if not (name == zone[0] or name.endswith("." + zone[0])):
            name = f"{name}.{zone[0]}"  # as the real one does
        if ttl != 1 and not 60 <= ttl <= 86400:
            raise ApiError(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.")
        for r in cf.records.values():
            if r["zone_id"] == zone[1] and r["name"] == name and plain(r["content"]) == plain(content):
                if r["ttl"] == ttl and r["content"] == content:
                    raise ApiError(400, 81058, "An identical record already exists.")
                raise ApiError(400, 81057, "The record already exists.")
        record = {"id": secrets.token_hex(16), "zone_id": zone[1], "zone_name": zone[0], "name": name,
                  "type": "TXT", "content": content, "ttl": ttl, "proxied": False, "proxiable": False}
        cf.records[record["id"]] = record
        cf.visible_at[record["id"]] = time.monotonic() + cf.lag_list
        cf.publish(record, True)
        return record


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    page_size = 100


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--listen", default="127.0.0.1:0")
    p.add_argument("--token", action="append", default=[], metavar="TOKEN=RIGHTS[@ZONE]")
    p.add_argument("--zone", action="append", default=[], metavar="NAME=ID")
    p.add_argument("--page-size", type=int, default=100, help="never more items than this on a page")
    p.add_argument("--dns", metavar="HOST:PORT")
    p.add_argument("--tsig", metavar="NAME:SECRET")
    p.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    p.add_argument("--lag-dns", type=float, default=0)
    p.add_argument("--lag-list", type=float, default=0)
    args = p.parse_args()
    host, port = args.listen.rsplit(":", 1)
    if not host.startswith(("127.", "192.0.2.")):
        p.error("only addresses in 127.0.0.0/8, or of documentation (192.0.2.0/24)")
    Handler.cf = Cloudflare(args)
    server = Server((host, int(port)), Handler)
    server.page_size = args.page_size
    if args.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*args.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    if os.getppid() == 1:
        sys.exit(1)
    print(f"listening on http{'s' if args.tls else ''}://{host}:{server.server_address[1]}/client/v4", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
