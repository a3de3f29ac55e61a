# SPDX-License-Identifier: ISC
"""A reverse proxy before a CA: changes headers of its replies, remembers what was asked."""
import base64
import http.client
import http.server
import json
import ssl
import subprocess
import threading


class CAProxy:
    """headers: {path part: {header: value}} put into replies whose path has that part.

    hook(when, path): called "before" a POST is passed on and "after" the CA has answered it, before anybody
    hears of that; False ends the connection then and there.
    replace: {path part: (status, body)} answered to POSTs in the CA's place.
    """

    def __init__(self, lab, ca, address, headers=None, hook=None):
        self.ca, self.address = ca, address
        self.headers = headers or {}
        self.hook = hook
        self.replace = {}
        self.requests = []
        self.dir = lab.dir / f"proxy-{address}"
        self.dir.mkdir()
        self._certificate()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _relay(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length else b""
                proxy.requests.append((self.command, self.path, body))
                context = ssl.create_default_context(cafile=str(proxy.ca.ca_file))
                if not proxy._goes_on(self, "before"):
                    return
                for part, (status, answer) in proxy.replace.items():
                    if self.command == "POST" and part in self.path:
                        self._answer(status, answer)
                        return
                upstream = http.client.HTTPSConnection(proxy.ca.address, 14000, context=context, timeout=30)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection",)}
                upstream.request(self.command, self.path, body, headers)
                reply = upstream.getresponse()
                data = reply.read()
                if not proxy._goes_on(self, "after"):
                    return
                self.send_response(reply.status)
                extra = {}
                for part, values in proxy.headers.items():
                    if part in self.path:
                        extra.update(values)
                for k, v in reply.getheaders():
                    if k.lower() not in ("content-length", "transfer-encoding", "connection",
                                         *(e.lower() for e in extra)):
                        self.send_header(k, v)
                for k, v in extra.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(data)
                upstream.close()

            def _answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "application/problem+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_HEAD = _relay

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

        self.server = Server((address, 14000), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.dir / "server.pem", self.dir / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _goes_on(self, handler, when):
        if self.hook and handler.command == "POST" and self.hook(when, handler.path) is False:
            handler.close_connection = True
            return False
        return True

    def _certificate(self):
        run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        (self.dir / "ext.cnf").write_text(f"subjectAltName=IP:{self.address}\nauthorityKeyIdentifier=keyid\n")
        run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.dir / "server.key")
        run("req", "-new", "-key", self.dir / "server.key", "-subj", "/CN=proxy", "-out", self.dir / "server.csr")
        run("x509", "-req", "-in", self.dir / "server.csr", "-CA", self.ca.dir / "ca.pem", "-CAkey",
            self.ca.dir / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", self.dir / "ext.cnf",
            "-out", self.dir / "server.pem")

    @property
    def directory(self):
        return f"https://{self.address}:14000/dir"

    @property
    def ca_file(self):
        return self.ca.ca_file

    def payloads(self, path):
        """Decoded payloads of the POSTs to a path, in order, refused nonces included once each."""
        out = []
        for method, where, body in self.requests:
            if method == "POST" and path in where:
                payload = json.loads(body)["payload"]
                out.append(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)) or b"{}"))
        return out
