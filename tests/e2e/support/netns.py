"""A network of its own, with public addresses on its loopback device, a DNS server at /etc/resolv.conf, and port 80 free."""

import ctypes
import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request

from .process import Process

IPV4, IPV6 = "203.0.113.10", "2001:db8::10"  # where Portico listens
OTHER_IPV4, OTHER_IPV6 = "203.0.113.66", "2001:db8::66"  # somebody else's
NAME = "app.example.net"
_CLONE_NEWNET = 0x40000000
_MANAGEMENT = 8055

_SETUP = """
set -e
mount --bind "$1" /etc/resolv.conf
mount -t tmpfs tmpfs /run
ip link set lo up
shift
for address; do ip address add "$address" dev lo; done
echo ready
exec sleep infinity
"""


class Net:
    def __init__(self, directory):
        resolv = directory / "resolv.conf"
        resolv.write_text("nameserver 127.0.0.1\n")
        addresses = [f"{IPV4}/32", f"{OTHER_IPV4}/32", f"{IPV6}/128", f"{OTHER_IPV6}/128"]
        argv = ["unshare", "--net", "--mount", "bash", "-c", _SETUP, "net", str(resolv), *addresses]
        self._holder = Process("net", argv, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        self._holder.wait_line("^ready")
        self.wrapper = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--"]
        self._servers = []
        self.dns = Process(
            "challtestsrv",
            [*self.wrapper, "pebble-challtestsrv", "-dns01", "127.0.0.1:53", "-management", f"127.0.0.1:{_MANAGEMENT}"]
            + ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "", "-defaultIPv6", ""],
            env={"PATH": "/usr/bin:/bin"},
        )
        self.dns.wait_until(lambda: self.inside(self._answers), "the DNS server")

    @staticmethod
    def _answers():
        try:
            socket.create_connection(("127.0.0.1", _MANAGEMENT), timeout=5).close()
            socket.create_connection(("127.0.0.1", 53), timeout=5).close()
            return True
        except OSError:
            return False

    def inside(self, function, *args, **kwargs):
        """What it returns. Sockets that it makes are of this network for ever."""
        result = []

        def run():
            handle = os.open(f"/proc/{self._holder.pid}/ns/net", os.O_RDONLY)
            try:
                if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.append(function(*args, **kwargs))
            finally:
                os.close(handle)

        thread = threading.Thread(target=run)  # the thread ends there: nothing else of this process moves
        thread.start()
        thread.join()
        assert result, f"{function} failed in its network"
        return result[0]

    def _manage(self, path, **what):
        def post():
            request = urllib.request.Request(f"http://127.0.0.1:{_MANAGEMENT}/{path}", json.dumps(what).encode())
            return urllib.request.urlopen(request, timeout=10).status

        assert self.inside(post) == 200

    def resolve(self, name, ipv4=(), ipv6=(), caa=(), txt=None):
        """caa: (tag, value) pairs."""
        if ipv4:
            self._manage("add-a", host=name, addresses=list(ipv4))
        if ipv6:
            self._manage("add-aaaa", host=name, addresses=list(ipv6))
        if caa:
            self._manage("clear-caa", host=name)
            self._manage("add-caa", host=name, policies=[{"tag": tag, "value": value} for tag, value in caa])
        if txt:
            self._manage("set-txt", host=name + ".", value=txt)

    def serve(self, address, answer, port=80, context=None):
        """A web server; answer(handler) speaks for each GET. Returns its port."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                answer(self)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            daemon_threads = True

        server = self.inside(Server, (address, port), Handler)
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
        self._servers.append(server)
        return server.server_address[1]

    def close(self):
        for server in self._servers:
            server.shutdown()
            server.server_close()
        self.dns.stop()
        self._holder.stop()


def say(handler, status, body, **fields):
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body.encode())


class Directory:
    """A CA of which there is the directory alone. skew_s: of its clock."""

    def __init__(self, net, authority, skew_s=0, **meta):
        chain, key = authority.issue_files("localhost", stem=f"directory-{id(self)}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.meta = meta
        self.skew_s = skew_s
        self.authority = authority
        self.url = "https://localhost:%d/dir" % net.serve("127.0.0.1", self._answer, port=0, context=context)

    def _answer(self, handler):
        import time

        plain = handler.date_time_string
        handler.date_time_string = lambda timestamp=None: plain(time.time() + self.skew_s)
        base = self.url.removesuffix("/dir")
        document = {key: f"{base}/{key}" for key in ("newNonce", "newAccount", "newOrder")}
        say(handler, 200, json.dumps({**document, "meta": self.meta}))

    def variables(self, **more):
        return {"ACME_DIRECTORY": self.url, "ACME_CA_FILE": self.authority.path, "ACME_ACCEPT_TERMS": "true", **more}


class Ca:
    """Pebble in that network; with keys it asks for an external account. A host that the DNS does not have is given there.
    program: another Pebble (support.pebble.newer_pebble)."""

    def __init__(self, net, authority, directory, keys=None, host="localhost", program="pebble"):
        cert, key = authority.issue_files("localhost", host, stem=f"pebble-{directory.name}")
        config = {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": str(cert),
            "privateKey": str(key),
            "httpPort": 80,
            "tlsPort": 443,
            "externalAccountBindingRequired": bool(keys),
            "externalAccountMACKeys": keys or {},
            "retryAfter": {"authz": 1, "order": 1},
        }
        path = directory / "pebble.json"
        path.write_text(json.dumps({"pebble": config}))
        argv = [*net.wrapper, str(program), "-strict=false", "-config", str(path), "-dnsserver", "127.0.0.1:53"]
        self.process = Process("pebble", argv, env={"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1"})
        self.process.wait_line("ACME directory available")
        self.authority = authority
        self.url = f"https://{host}:14000/dir"
        if host != "localhost":
            net.resolve(host, ipv4=["127.0.0.1"])

    def variables(self, **more):
        common = {"ACME_DIRECTORY": self.url, "ACME_CA_FILE": self.authority.path, "ACME_ACCEPT_TERMS": "true"}
        return {"DOMAINS": NAME, "HTTP_LISTEN": ":80", "HTTPS_LISTEN": ":443", **common, **more}


def make(directory):
    """None where this machine cannot."""
    tools = ("unshare", "nsenter", "ip", "pebble-challtestsrv")
    if os.geteuid() != 0 or not all(shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") for tool in tools):
        return None
    tried = subprocess.run(
        ["unshare", "--net", "--mount", "ip", "link", "set", "lo", "up"], capture_output=True, check=False
    )
    has_ipv6 = pathlib.Path("/proc/net/if_inet6").exists()
    return Net(directory) if tried.returncode == 0 and has_ipv6 else None
