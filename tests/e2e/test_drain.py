"""PRODUCT.md, Drain: told to end, it finishes what is in flight, says so, and its exit code tells what was cut."""

import signal
import threading
import time

import pytest

from support.client import Cut
from support.websocket import WebSocket
from support.websocket import echo as echo_frames


class Gate:
    """A backend whose answers to /wait are given when the test says so."""

    def __init__(self, backends):
        self.open = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        if request.get("Upgrade"):
            echo_frames(connection, request)
            return
        if request.target == "/wait":
            self.open.wait(30)
        connection.reply(200, request.target)

    def ask(self, portico):
        """A client whose request is in flight."""
        before = len(self.backend.seen)
        client = portico.tls("a.test")
        client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
        self.backend.wait_requests(before + 1)
        return client


@pytest.fixture
def gate(backends):
    made = Gate(backends)
    yield made
    made.open.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_finished(launch, gate, number):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with gate.ask(portico) as client:
        portico.signal(number)
        portico.wait_event("listeners_closed")
        gate.open.set()
        response = client.read_response()
        assert (response.status, response.body) == (200, b"/wait")
        assert response.get("Connection", "").lower() == "close"
        assert client.ended()
    assert portico.wait_exit() == 0


def test_a_long_answer_is_finished(launch, backends):
    gate = threading.Event()

    def answer(connection, request):
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 20}\r\n\r\n", b"x" * (1 << 19))
        gate.wait(20)
        connection.send(b"y" * (1 << 19))

    portico = launch(backends(answer), DRAIN_TIMEOUT="20s")
    with portico.tls("a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = client.read_head()
        portico.signal(signal.SIGTERM)
        portico.wait_event("listeners_closed")
        gate.set()
        assert client.read_body(response).body == b"x" * (1 << 19) + b"y" * (1 << 19)
    assert portico.wait_exit() == 0


def test_the_cap_cuts_and_the_exit_code_says_so(launch, gate):
    portico = launch(gate.backend, codes=(3,), DRAIN_TIMEOUT="1s")
    with gate.ask(portico) as client:
        began = time.monotonic()
        portico.signal(signal.SIGTERM)
        with pytest.raises(Cut):
            client.read_response()
        assert portico.wait_exit() == 3
        assert 0.8 < time.monotonic() - began < 5
    assert portico.find_events("drain_cut")[0]["requests"] == 1


def test_a_second_int_ends_at_once(launch, gate):
    portico = launch(gate.backend, codes=(3,), DRAIN_TIMEOUT="60s")
    with gate.ask(portico):
        portico.signal(signal.SIGINT)
        portico.wait_event("draining")
        began = time.monotonic()
        portico.signal(signal.SIGINT)
        assert portico.wait_exit() == 3
        assert time.monotonic() - began < 4


def test_a_second_term_changes_nothing(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with gate.ask(portico) as client:
        portico.signal(signal.SIGTERM)
        portico.wait_event("listeners_closed")
        portico.signal(signal.SIGTERM)
        gate.open.set()
        assert client.read_response().status == 200
    assert portico.wait_exit() == 0


def test_not_ready_at_once_while_new_connections_are_still_served(launch, gate):
    portico = launch(gate.backend, DRAIN_MIN="1s", DRAIN_QUIET="500ms", DRAIN_TIMEOUT="20s")
    assert portico.ask_admin("/readyz").status == 200
    portico.signal(signal.SIGTERM)
    portico.wait_event("draining")
    assert portico.ask_admin("/readyz").status == 503
    assert portico.ask_admin("/livez").status == 200
    response = portico.get("a.test", "/new")
    assert (response.status, response.get("Connection", "").lower()) == (200, "close")
    closed = portico.wait_event("listeners_closed")
    assert closed["after_ms"] >= 1000
    assert portico.wait_exit() == 0


def test_the_listener_stays_open_until_it_is_quiet(launch, gate):
    """Each new connection puts the close off, at the latest to three quarters of DRAIN_TIMEOUT."""
    portico = launch(gate.backend, DRAIN_QUIET="700ms", DRAIN_TIMEOUT="4s")
    portico.signal(signal.SIGTERM)
    portico.wait_event("draining")
    began = time.monotonic()
    refused = False
    while time.monotonic() - began < 6 and not refused:
        try:
            portico.get("a.test", "/still")
        except OSError:
            refused = True
        time.sleep(0.05)
    assert refused
    assert 2500 <= portico.wait_event("listeners_closed")["after_ms"] <= 3600
    assert portico.wait_exit() == 0


def test_idle_connections_are_closed_and_others_after_their_answer(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with portico.tls("a.test") as idle, portico.plain() as silent:
        assert idle.get("a.test", "/x").status == 200
        portico.signal(signal.SIGTERM)
        assert idle.ended()
        assert silent.ended()
    assert portico.wait_exit() == 0


def test_tunnels_live_to_the_end_and_do_not_count(launch, gate):
    portico = launch(gate.backend, codes=(0,), DRAIN_TIMEOUT="2s")
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test")
        portico.signal(signal.SIGTERM)
        portico.wait_event("listeners_closed")
        socket.ask("still alive")
        assert portico.wait_exit() == 0
    cut = portico.find_events("drain_cut")
    assert len(cut) == 1 and cut[0]["tunnels"] == 1 and cut[0]["requests"] == 0


def test_it_ends_as_soon_as_the_last_request_has(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="30s")
    with gate.ask(portico) as client:
        portico.signal(signal.SIGTERM)
        portico.wait_event("listeners_closed")
        gate.open.set()
        client.read_response()
        began = time.monotonic()
    assert portico.wait_exit() == 0
    assert time.monotonic() - began < 5


def test_with_the_backend_gone_and_nothing_in_flight_it_ends_at_once(launch, gate):
    """A native sidecar whose app has ended first."""
    portico = launch(gate.backend, DRAIN_MIN="20s", DRAIN_TIMEOUT="30s", UPSTREAM_WAIT="0")
    gate.backend.close()
    assert portico.get("a.test", "/x").status == 502
    began = time.monotonic()
    portico.signal(signal.SIGTERM)
    assert portico.wait_exit() == 0
    assert time.monotonic() - began < 5


def test_connections_that_come_during_the_close_are_answered_or_refused_never_lost(launch, gate):
    """Clients that connect all the while see answers, or a refusal; never a reset of a request that was sent."""
    portico = launch(gate.backend, DRAIN_QUIET="100ms", DRAIN_TIMEOUT="3s")
    lost, answered = [], []
    over = threading.Event()

    def hammer():
        while not over.is_set():
            try:
                client = portico.plain(timeout=5)
            except OSError:
                return
            try:
                with client:
                    client.send("GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")
                    answered.append(client.read_response().status)
            except (Cut, OSError) as error:
                lost.append(repr(error))

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    portico.wait_until(lambda: len(answered) > 20, "answers")
    portico.signal(signal.SIGTERM)
    assert portico.wait_exit() == 0
    over.set()
    for thread in threads:
        thread.join(10)
    assert lost == [], f"{len(lost)} of {len(lost) + len(answered)}: {lost[:3]}"
