"""PRODUCT.md, Drain, over HTTP/2: GOAWAY in two steps, streams in flight are finished, and then the connection ends."""

import signal
import threading

import pytest

from support.client import Cut
from support.h2 import GOAWAY, HUGE_WINDOW, NO_ERROR, REFUSED_STREAM, open_h2


class Gate:
    """A backend whose answers to /wait are given when the test says so."""

    def __init__(self, backends):
        self.open = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        connection.read_body(request)
        if request.target == "/half":
            connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 20}\r\n\r\n", b"x" * (1 << 19))
            self.open.wait(30)
            connection.send(b"y" * (1 << 19))
            return
        if request.target == "/wait":
            self.open.wait(30)
        connection.reply(200, request.target)


@pytest.fixture
def gate(backends):
    made = Gate(backends)
    yield made
    made.open.set()


def wait_goaway(client, count=1):
    client.wait(lambda: len(client.goaways) >= count, f"GOAWAY {count}")
    return client.goaways[count - 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stream_in_flight_is_finished(launch, gate, number):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with open_h2(portico) as client:
        stream = client.ask(path="/wait")
        gate.backend.wait_requests(1)
        portico.signal(number)
        first = wait_goaway(client)
        assert (first.code, first.last) == (NO_ERROR, HUGE_WINDOW)
        second = wait_goaway(client, 2)
        assert (second.code, second.last) == (NO_ERROR, stream.number)
        gate.open.set()
        assert client.done(stream).body == b"/wait"
        assert client.ended(NO_ERROR) == second
    assert portico.wait_exit() == 0


def test_a_stream_that_crosses_the_first_goaway_is_served(launch, gate):
    """What the client sent before it could know."""
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with open_h2(portico) as client:
        waiting = client.ask(path="/wait")
        gate.backend.wait_requests(1)
        portico.signal(signal.SIGTERM)
        portico.wait_event("draining")
        crossing = client.ask(path="/crossing")  # nothing was read since
        client.done(crossing)
        assert crossing.body == b"/crossing"
        assert wait_goaway(client, 2).last == crossing.number
        gate.open.set()
        assert client.done(waiting).body == b"/wait"
        client.ended(NO_ERROR)
    assert portico.wait_exit() == 0


def test_a_stream_after_the_second_goaway_is_not_begun(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s", CLIENT_HEADER_TIMEOUT="1s")
    with open_h2(portico) as client:
        waiting = client.ask(path="/wait")
        gate.backend.wait_requests(1)
        portico.signal(signal.SIGTERM)
        wait_goaway(client, 2)
        client.ping()
        late = client.ask(path="/late")
        client.read_for(2)  # no deadline of the late one's ends the connection
        gate.open.set()
        assert client.done(waiting).body == b"/wait"
        client.ended(NO_ERROR)
        assert not late.heads and late.reset in (None, REFUSED_STREAM)
    assert [r.target for r in gate.backend.seen] == ["/wait"]
    assert portico.wait_exit() == 0


def test_a_body_under_way_is_finished(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with open_h2(portico) as client:
        stream = client.head(client.ask(path="/half"))
        portico.signal(signal.SIGTERM)
        wait_goaway(client)
        gate.open.set()
        assert client.done(stream).body == b"x" * (1 << 19) + b"y" * (1 << 19)
        client.ended(NO_ERROR)
    assert portico.wait_exit() == 0


def test_an_upload_under_way_is_finished(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with open_h2(portico) as client:
        stream = client.ask(path="/up", method="POST", end=False)
        client.body(stream, b"u" * 100000, end=False)
        portico.signal(signal.SIGTERM)
        wait_goaway(client, 2)
        client.body(stream, b"u" * 1000000)
        assert client.done(stream).body == b"/up"
        client.ended(NO_ERROR)
    assert portico.wait_exit() == 0
    assert len(gate.backend.seen[0].body) == 1100000


def test_an_idle_connection_ends_at_once(launch, gate):
    portico = launch(gate.backend, DRAIN_TIMEOUT="20s")
    with open_h2(portico) as client:
        assert client.get("/").status == 200
        portico.signal(signal.SIGTERM)
        client.ended(NO_ERROR)
    assert portico.wait_exit(10) == 0


def test_the_cap_cuts_and_the_exit_code_says_so(launch, gate):
    portico = launch(gate.backend, codes=(3,), DRAIN_TIMEOUT="1s")
    with open_h2(portico) as client:
        streams = [client.ask(path="/wait") for _ in range(3)]
        gate.backend.wait_requests(3)
        portico.signal(signal.SIGTERM)
        with pytest.raises(Cut):
            while True:
                client.step()
        assert not any(stream.ended for stream in streams)
        assert portico.wait_exit() == 3
    assert portico.find_events("drain_cut")[0]["requests"] == 3


def test_a_client_that_goes_away_itself_is_finished_and_closed(launch, gate):
    """GOAWAY from the client: its streams are answered."""
    portico = launch(gate.backend)
    with open_h2(portico) as client:
        stream = client.ask(path="/wait")
        gate.backend.wait_requests(1)
        client.send_frame(GOAWAY, 0, 0, b"\0" * 8)
        client.ping()
        gate.open.set()
        assert client.done(stream).body == b"/wait"


def test_an_old_connection_is_ended_after_its_streams(launch, gate):
    """MAX_CONN_AGE: the next request is answered, and then the connection ends."""
    portico = launch(gate.backend, MAX_CONN_AGE="1s")
    with open_h2(portico) as client:
        waiting = client.ask(path="/wait")
        client.read_for(1.2)  # the age itself is what is tested
        assert not client.goaways
        assert client.get("/next").status == 200
        wait_goaway(client, 2)
        gate.open.set()
        assert client.done(waiting).body == b"/wait"
        client.ended(NO_ERROR)
    with open_h2(portico) as client:
        assert client.get("/").status == 200
