"""Certificates that are replaced every few seconds, and clients that must not notice."""

import subprocess
import threading

from .client import connect_tls

QUICK = {"PEBBLE_VA_NOSLEEP": "1"}  # for tests that are not about a slow CA
LIFETIME_S = 16
RENEW_AT = "25%"  # the order starts some 4 s after the beginning of a certificate of LIFETIME_S


def published(portico, name):
    """Serials of the CA's certificates for the name that every worker has served, in order."""
    return [e["serial"] for e in portico.find_events("certificate_published", name=name, source="issued")]


def wait_published(portico, name, count, timeout=60):
    """Until every worker serves the count-th certificate of the CA for this name."""
    portico.wait_until(lambda: len(published(portico, name)) >= count, f"certificate {count} of {name}", timeout)
    return published(portico, name)


class Background(threading.Thread):
    """Runs work(over) until `end`; an exception in it is raised there."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.over, self.error = work, threading.Event(), None
        self.start()

    def run(self):
        try:
            self.work(self.over)
        except BaseException as error:  # whatever it is, the test is to see it
            self.error = error

    def end(self):
        self.over.set()
        self.join(20)
        assert not self.is_alive(), "a visitor hangs"
        if self.error:
            raise self.error


class Visitor(Background):
    """Requests without a pause, each verified; all on one connection (`keep`) or each on a new one."""

    def __init__(self, portico, name, root, keep, path="/hello"):
        self.portico, self.name_asked, self.root, self.keep, self.path = portico, name, root, keep, path
        self.num, self.leaves = 0, set()
        super().__init__(self.visit)

    def visit(self, over):
        while not over.is_set():
            with connect_tls(self.portico.https, self.name_asked, ca=self.root) as client:
                self.leaves.add(client.certificate())
                while True:
                    response = client.get(self.name_asked, self.path)
                    assert response.status == 200, response
                    self.num += 1
                    if not self.keep or over.wait(0.01):
                        break


class Session:
    """openssl s_client with a session that it keeps in a file."""

    def __init__(self, portico, name, path, *options):
        host, port = portico.https
        self.path, self.name = path, name
        self.argv = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", name, "-ign_eof", *options]

    def _ask(self, *more):
        request = f"GET /hello HTTP/1.1\r\nHost: {self.name}\r\nConnection: close\r\n\r\n"
        done = subprocess.run([*self.argv, *more], input=request, capture_output=True, text=True, timeout=20, check=False)
        assert "HTTP/1.1 200 OK" in done.stdout, done.stdout + done.stderr
        return done.stdout

    def begin(self):
        """A full handshake, whose ticket is kept."""
        output = self._ask("-sess_out", str(self.path))
        assert "\nNew, TLSv1" in output, output
        assert "TLS session ticket" in output, output

    def resumes(self):
        """Whether the ticket kept is taken; either way a request is answered."""
        output = self._ask("-sess_in", str(self.path))
        assert ("\nReused, TLSv1" in output) != ("\nNew, TLSv1" in output), output
        return "\nReused, TLSv1" in output
