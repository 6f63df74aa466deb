"""pebble-challtestsrv as a DNS server whose TXT records can be set, and hooks that do so: a program and a URL."""

import base64
import http.server
import json
import threading
import urllib.request

from .ports import free_port, wait_port
from .process import Process

# Its clear-txt takes all values of a name away, so the hook keeps the others: calls about one name come one behind another.
PROGRAM = """#!/usr/bin/python3
import json, os, pathlib, sys, time, urllib.request
here = pathlib.Path(__file__).parent
action, fqdn, value = sys.argv[1:]
assert [os.environ["PORTICO_DNS_" + n] for n in ("ACTION", "FQDN", "VALUE")] == sys.argv[1:]
with open(here / "calls", "a") as calls:
    print(action, fqdn, value, file=calls)
(here / "environment").write_text(json.dumps(dict(os.environ)))
if action == "present" and (here / "fails").exists():
    sys.exit((here / "fails").read_text())
while action == "present" and (here / "holds").exists():
    time.sleep(0.05)
kept = here / fqdn
values = kept.read_text().split() if kept.exists() else []
values = values + [value] if action == "present" else [v for v in values if v != value]
kept.write_text(" ".join(values))
def post(path, **body):
    urllib.request.urlopen("%s/" + path, json.dumps(body).encode(), timeout=10).read()
post("clear-txt", host=fqdn)
for value in values:
    post("set-txt", host=fqdn, value=value)
"""


class ChallTestSrv:
    """Stands in for support.dns.Dns: every name is 127.0.0.1."""

    def __init__(self):
        self.port, management = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://127.0.0.1:{management}"
        argv = ["pebble-challtestsrv", "-dns01", self.address, "-management", f"127.0.0.1:{management}", "-http01", ""]
        argv += ["-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
        self.process = Process("challtestsrv", argv, env={"PATH": "/usr/bin:/bin"})
        wait_port(self.process, management)

    def post(self, path, **body):
        urllib.request.urlopen(f"{self.url}/{path}", json.dumps(body).encode(), timeout=10).read()

    def stop(self):
        self.process.stop()


class ProgramHook:
    def __init__(self, directory, dns):
        self.directory = directory
        self.directory.mkdir()
        self.path = directory / "hook"
        self.path.write_text(PROGRAM % dns.url)
        self.path.chmod(0o755)

    def calls(self):
        """[action, fqdn, value] of each call, in their order."""
        path = self.directory / "calls"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def environment(self):
        return json.loads((self.directory / "environment").read_text())

    def say(self, name, text=""):
        (self.directory / name).write_text(text)

    def unsay(self, name):
        (self.directory / name).unlink()


class UrlHook:
    """What lego's `httpreq` talks to, with a user and a password."""

    def __init__(self, dns, user="portico", password="s3cr:t/p@ss"):
        self.dns = dns
        self.made = []
        self.values = {}
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(hook._answer(self.path, self.headers, body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        quoted = "s3cr%3At%2Fp%40ss"
        self.url = f"http://{user}:{quoted}@127.0.0.1:{self.server.server_port}/dns"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _answer(self, path, headers, body):
        if headers["Authorization"] != self.authorization:
            return 401
        if headers["Content-Type"] != "application/json" or path not in ("/dns/present", "/dns/cleanup"):
            return 404
        asked = json.loads(body)
        action, fqdn, value = path.rsplit("/", 1)[1], asked["fqdn"], asked["value"]
        self.made.append([action, fqdn, value])
        values = self.values.setdefault(fqdn, [])
        values.append(value) if action == "present" else values.remove(value)
        self.dns.post("clear-txt", host=fqdn)
        for kept in values:
            self.dns.post("set-txt", host=fqdn, value=kept)
        return 204

    def calls(self):
        return list(self.made)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
