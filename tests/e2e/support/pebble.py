"""Pebble, the small ACME server for tests, with its nonce rejection and random delays on unless told otherwise."""

import json
import os
import pathlib
import ssl
import urllib.request

from .certs import parse
from .dns import Dns
from .ports import free_port, wait_port
from .process import Process


def newer_pebble():
    """The one with ARI, profiles and dns-persist-01 that deploy/install-deps --test fetches; None where it could not."""
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    path = pathlib.Path(os.environ.get("DEPS_CACHE") or pathlib.Path(cache) / "portico") / "pebble/usr/bin/pebble"
    return path if path.exists() else None


class Pebble:
    """One CA, by other names too where `hosts` has them. `ca_path` verifies its API, `root()` the certificates that it issues (new at each start)."""

    def __init__(self, directory, authority, http_port, validity_s=90 * 86400, env=None, dns=None, port=None, program="pebble", tls_port=1, profiles=None, hosts=()):
        self.directory = directory
        self.authority = authority
        self.ca_path = authority.path
        self.dns = dns or Dns()
        self.port = port or free_port()
        self.http_port = http_port
        self.tls_port = tls_port
        self.program = str(program)
        self.management_port = free_port()
        self.url = f"https://localhost:{self.port}/dir"
        self.process = None
        cert, key = authority.issue_files("localhost", "127.0.0.1", *hosts, stem=f"pebble-{self.port}")
        config = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management_port}",
            "certificate": str(cert),
            "privateKey": str(key),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "certificateValidityPeriod": validity_s,
            "profiles": profiles or {"default": {"description": "tests", "validityPeriod": validity_s}},
        }
        self._config = directory / f"pebble-{self.port}.json"
        self._config.write_text(json.dumps({"pebble": config}))
        self._env = {"PATH": "/usr/bin:/bin", **(env or {})}

    def variables(self, **more):
        """What Portico has to be told so that this CA can validate it."""
        return {
            "ACME_DIRECTORY": self.url,
            "ACME_CA_FILE": self.ca_path,
            "ACME_ACCEPT_TERMS": "true",
            "HTTP_LISTEN": f"127.0.0.1:{self.http_port}",
            **more,
        }

    def start(self):
        argv = [self.program, "-strict=false", "-config", str(self._config), "-dnsserver", self.dns.address]
        self.process = Process("pebble", argv, env=self._env)
        wait_port(self.process, self.management_port)
        wait_port(self.process, self.port)
        return self

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def close(self):
        self.stop()
        self.dns.stop()

    def _get(self, path, body=None):
        context = ssl.create_default_context(cafile=str(self.ca_path))
        url = f"https://localhost:{self.management_port}{path}"
        with urllib.request.urlopen(url, body, context=context, timeout=10) as answer:
            return answer.read().decode()

    def root(self):
        """PEM of the root of what it issues."""
        return self._get("/roots/0")

    def root_path(self):
        path = self.directory / f"root-{self.port}.pem"
        path.write_text(self.root())
        return path

    def intermediate(self):
        return parse(self._get("/intermediates/0"))

    def revocation(self, serial):
        """{"Status": "Valid"} or {"Status": "Revoked", "Reason": 1, ...} of one of its certificates."""
        return json.loads(self._get(f"/cert-status-by-serial/{serial}"))

    def set_renewal_info(self, serial, document):
        """What it says from now on of one of its certificates, when it is asked for the renewal (RFC 9773)."""
        certificate = json.loads(self._get(f"/cert-status-by-serial/{serial}"))["Certificate"]
        body = json.dumps({"certificate": certificate, "ariResponse": json.dumps(document)}).encode()
        self._get("/set-renewal-info/", body)

    def count_lines(self, text):
        return sum(text in line for line in self.process.lines)

    def num_issued(self):
        return self.count_lines("Issued certificate serial")

    def num_accounts(self):
        return self.count_lines("There are now") and max(
            int(line.split("There are now ")[1].split()[0])
            for line in self.process.lines
            if "There are now" in line and "account" in line
        )

    def num_orders(self):
        return self.count_lines("Added order")
