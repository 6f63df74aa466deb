"""ACME_FALLBACK: a CA that fails three times in a row is left for the other, and gone back to when it answers."""

import http.server
import socket
import ssl
import threading

import pytest

from support.portico import run_command
from support.swaps import QUICK, wait_published

NAME = "app.example.com"  # no local name: those never go to a fallback
HOST = "acme-v02.api.letsencrypt.org"
FALLBACK = f"https://{HOST}/dir"


class Refusing:
    """A CA that has no time: 503 with Retry-After, on a port where another may listen later."""

    def __init__(self, authority):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(503)
                self.send_header("Retry-After", "3600")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*map(str, authority.issue_files("localhost", stem="refusing")))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Tunnel:
    """A proxy that leads every CONNECT to one port, and keeps what it was asked for."""

    def __init__(self, port):
        self.port = port
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head.split()[1].decode())
        server = socket.create_connection(("127.0.0.1", self.port))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        threading.Thread(target=self._pass, args=[server, client], daemon=True).start()
        self._pass(client, server)

    @staticmethod
    def _pass(reader, writer):
        try:
            while data := reader.recv(65536):
                writer.sendall(data)
            writer.shutdown(socket.SHUT_WR)
        except OSError:
            writer.close()

    def close(self):
        self.listener.close()


@pytest.fixture
def refusing(authority):
    server = Refusing(authority)
    yield server
    server.close()


@pytest.fixture
def tunnel():
    made = []

    def make(port):
        made.append(Tunnel(port))
        return made[-1]

    yield make
    for one in made:
        one.close()


def issuer_of(portico):
    return portico.status_of(NAME)["certificate"].get("directory")


def test_three_failures_lead_to_the_fallback_and_back(launch, nginx, pebbles, refusing, tunnel):
    fallback = pebbles(env=QUICK, hosts=[HOST]).start()
    way = tunnel(fallback.port)
    portico = launch(
        nginx,
        wrapper=("env", f"HTTPS_PROXY={way.url}", "NO_PROXY=localhost"),
        DOMAINS=NAME,
        **fallback.variables(ACME_DIRECTORY=f"https://localhost:{refusing.port}/dir", ACME_FALLBACK=FALLBACK),
    )

    def renew():
        return run_command(launch.binary, "renew", NAME, "--force", "--wait", timeout=60, STORAGE=portico.storage)

    assert portico.wait_event("order_failed")["class"] == "later"
    assert renew()[0] == 1  # the CA asks for an hour, which is passed over by force
    assert way.asked == [] and not portico.find_events("issuer_fallback")
    assert renew()[0] == 1
    assert portico.wait_event("issuer_fallback")["directory"] == FALLBACK
    wait_published(portico, NAME, 1)
    assert set(way.asked) == {f"{HOST}:443"}
    assert issuer_of(portico) == FALLBACK
    assert portico.get(NAME, "/hello", ca=fallback.root_path()).status == 200

    # It answers again: asked for anew, the name goes back.
    port = refusing.port
    refusing.close()
    first = pebbles(env=QUICK, port=port, http_port=fallback.http_port).start()
    assert renew()[0] == 0
    assert issuer_of(portico) == first.url
    assert portico.get(NAME, "/hello", ca=first.root_path()).status == 200
    assert first.num_orders() == 1 and fallback.num_orders() == 1


def start(launch, nginx, refusing, way, fallback):
    return launch(
        nginx,
        wrapper=("env", f"HTTPS_PROXY={way.url}", "NO_PROXY=localhost"),
        DOMAINS=NAME,
        **fallback.variables(ACME_DIRECTORY=f"https://localhost:{refusing.port}/dir", ACME_FALLBACK=FALLBACK),
    )


def fail_thrice(launch, portico):
    """By its owner, who passes over the hour that the CA asks for."""
    portico.wait_event("order_failed")
    for _ in range(2):
        assert run_command(launch.binary, "renew", NAME, "--force", "--wait", timeout=60, STORAGE=portico.storage)[0] == 1


def test_killed_while_the_fallback_is_asked(launch, nginx, pebbles, refusing, tunnel):
    """HARDENING A7: the order there is gone on with, and no other is made."""
    fallback = pebbles(env=QUICK, hosts=[HOST]).start()
    way = tunnel(fallback.port)
    victim = start(launch, nginx, refusing, way, fallback)
    fail_thrice(launch, victim)
    victim.wait_event("certificate_obtained", directory=FALLBACK, timeout=40)
    victim.killed()
    last = start(launch, nginx, refusing, way, fallback)
    last.wait_until(lambda: issuer_of(last) == FALLBACK, "certificate")
    last.wait_until(lambda: not list(last.storage.glob("order/*")), "the end of the journals")
    assert last.get(NAME, "/hello", ca=fallback.root_path()).status == 200
    assert fallback.num_accounts() == 1 and fallback.num_orders() == 1 and fallback.num_issued() == 1
