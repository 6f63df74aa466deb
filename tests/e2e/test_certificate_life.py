"""One certificate's life at a real CA, Pebble with its nonce rejection on: it is obtained, outlives a restart without its
CA, survives kill -9 at every state of its order, and is replaced under load without anybody noticing."""

import pathlib
import subprocess
import threading

import pytest

from support.client import connect_tls
from support.websocket import WebSocket
from support.websocket import echo as echo_frames

QUICK = {"PEBBLE_VA_NOSLEEP": "1"}


def serial_shown(portico, name):
    der = portico.shown(name)
    assert der, f"no handshake for {name}\n{portico.tail()}"
    return der


def test_first_certificate(launch, nginx, pebbles):
    """Nonces rejected, random delays on: two names, verified by their clients."""
    pebble = pebbles().start()
    portico = launch(nginx, DOMAINS="a.test,b.test", **pebble.variables())
    assert portico.find_events("placeholder_served")
    portico.wait_event("certificate_published", timeout=60, count=2, source="issued")
    root = pebble.root_path()
    for name in ("a.test", "b.test"):
        assert portico.get(name, "/hello", ca=root).body == b"hello from nginx\n"
    assert pebble.num_issued() == 2
    stored = sorted(path.name for path in (portico.storage / "certificate").iterdir())
    assert stored == ["a.test", "b.test"]
    assert (portico.storage / "certificate" / "a.test").stat().st_mode & 0o777 == 0o600
    assert portico.storage.stat().st_mode & 0o777 == 0o700
    assert not list((portico.storage / "order").glob("*")) if (portico.storage / "order").exists() else True


def test_terms_that_nobody_accepted(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables(ACME_ACCEPT_TERMS="false"))
    failed = portico.wait_event("order_failed", timeout=30)
    assert "PORTICO_ACME_ACCEPT_TERMS" in failed["msg"], failed
    assert pebble.num_issued() == 0
    assert portico.get("a.test", "/hello").status == 200  # the placeholder serves on


def test_restart_with_the_ca_down(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": "a.test", **pebble.variables()}
    first = launch(nginx, **variables)
    first.wait_event("certificate_published", timeout=60, source="issued")
    root, leaf = pebble.root_path(), serial_shown(first, "a.test")
    assert first.terminate() == 0
    pebble.stop()
    second = launch(nginx, **variables)
    assert second.get("a.test", "/hello", ca=root).status == 200  # at once: nothing was waited for but `started`
    assert serial_shown(second, "a.test") == leaf
    assert not second.find_events("placeholder_served") and not second.find_events("order_started")


STATES = ["order_started", "acme_account_created", "acme_order_created", "challenge_answered", "certificate_obtained"]


def test_kill_at_every_state(launch, nginx, pebbles):
    """HARDENING A7. The same storage all along: one certificate, one account, no torn file."""
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": "a.test", **pebble.variables()}
    for state in STATES:
        portico = launch(nginx, wait=False, **variables)
        portico.wait_until(
            lambda p=portico, s=state: p.find_events(s) or p.find_events("certificate_loaded"), state, timeout=60
        )
        portico.killed()
    last = launch(nginx, **variables)
    last.wait_until(
        lambda: last.find_events("certificate_published", source="issued") or last.find_events("certificate_loaded"),
        "certificate",
        timeout=60,
    )
    assert last.get("a.test", "/hello", ca=pebble.root_path()).status == 200
    assert pebble.num_issued() == 1, pebble.process.tail()
    assert pebble.count_lines("There are now 2 accounts") == 0
    assert len(list((last.storage / "account").iterdir())) == 1
    record = (last.storage / "certificate" / "a.test").read_text()
    assert record.count("BEGIN PRIVATE KEY") == 1 and record.count("BEGIN CERTIFICATE") >= 2


class Visitor(threading.Thread):
    """Requests without a pause, each on a new connection or all on one; counts what goes wrong."""

    def __init__(self, portico, keep):
        super().__init__(daemon=True)
        self.portico, self.keep = portico, keep
        self.num, self.failures, self.leaves = 0, [], set()
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                with connect_tls(self.portico.https, "a.test") as client:
                    self.leaves.add(client.certificate())
                    while True:
                        response = client.get("a.test", "/hello")
                        if response.status != 200:
                            self.failures.append(response.status)
                        self.num += 1
                        if not self.keep or self.over.wait(0.01):
                            break
        except Exception as error:  # noqa: BLE001: whatever it is, it is a failure
            self.failures.append(repr(error))

    def end(self):
        self.over.set()
        self.join(20)


@pytest.mark.release
def test_renewals_under_load(launch, nginx, backends, pebbles, tmp_path, need):
    """Certificates of 24 seconds, at least five swaps: no request fails, no connection is closed, a WebSocket and a
    ticket of the beginning live through them all."""
    need("wrk", "openssl")
    pebble = pebbles(env=QUICK, validity_s=24).start()
    frames = backends(echo_frames)
    portico = launch(
        DOMAINS=f"a.test -> {nginx.url}, ws.test -> {frames.url}", LOG_LEVEL="info", ACCESS_LOG="off", **pebble.variables()
    )
    portico.wait_event("certificate_published", timeout=60, count=2, source="issued")
    host, port = portico.https
    address = f"{host}:{port}"
    session = tmp_path / "session.pem"
    s_client = ["openssl", "s_client", "-connect", address, "-servername", "a.test", "-ign_eof"]
    request = "GET /hello HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    subprocess.run(
        [*s_client, "-sess_out", session], input=request, capture_output=True, text=True, timeout=20, check=True
    )
    kept, fresh = Visitor(portico, True), Visitor(portico, False)
    with portico.tls("ws.test") as socket_client:
        socket = WebSocket(socket_client, "ws.test")
        kept.start()
        fresh.start()
        for swap in range(1, 6):
            portico.wait_until(
                lambda n=swap: sum(e["name"] == "a.test" for e in portico.find_events("certificate_published", source="issued"))
                > n,
                f"swap {swap}",
                timeout=60,
            )
            socket.send(f"swap {swap}")
            assert socket.receive() == (1, f"swap {swap}".encode())
        resumed = subprocess.run(
            [*s_client, "-sess_in", session], input=request, capture_output=True, text=True, timeout=20, check=True
        )
        kept.end()
        fresh.end()
    assert kept.failures == [] and fresh.failures == []
    assert kept.num > 100 and fresh.num > 100
    assert len(kept.leaves) == 1 and len(fresh.leaves) >= 5
    assert "Reused, TLSv1.3" in resumed.stdout, resumed.stdout
    assert pathlib.Path(session).exists()
