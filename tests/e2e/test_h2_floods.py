"""H4 and H6: what costs a client nothing may not cost us or the backend much. Budgets end in GOAWAY ENHANCE_YOUR_CALM;
what an ordinary client does stays far below them."""

import struct
import threading

import pytest

from support.backend import echo
from support.h2 import (
    CANCEL,
    DATA,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    HUGE_WINDOW,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    NO_ERROR,
    PING,
    PRIORITY,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    frame,
    open_h2,
    request,
    settings_payload,
)

MAX_STREAMS = 100  # PRODUCT and HARDENING: streams per connection
RESETS = 100  # HARDENING: resets per 10 s
ANY_ERROR = range(1, 14)


class Holding:
    """A backend that answers /on at once and holds everything else until the proxy lets go; counts what it works on."""

    def __init__(self, backends):
        self.lock = threading.Lock()
        self.now = 0
        self.peak = 0
        self.gate = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        if request.target == "/on":
            return echo(connection, request)
        with self.lock:
            self.now += 1
            self.peak = max(self.peak, self.now)
        connection.wait_closed(60)
        with self.lock:
            self.now -= 1
        raise EOFError

    @property
    def num_seen(self):
        return len([r for r in self.backend.seen if r.target != "/on"])


@pytest.fixture
def holding(backends):
    return Holding(backends)


@pytest.fixture
def calm(launch, backends):
    """A connection to a proxy with an echoing backend."""
    portico = launch(backends())
    with open_h2(portico) as client:
        client.portico = portico
        client.rss = portico.rss_bytes()
        yield client
    assert portico.get("a.test", "/others").status == 200, "others are served on"


def flood(client, data, times):
    """Until it is all sent or the connection refuses more."""
    try:
        for _ in range(times):
            client.send(data)
    except OSError:
        pass


def of_stream_or_connection(client, stream, code):
    """An error of the stream, which RFC 9113 §5.4.1 lets anyone make one of the connection."""
    try:
        client.wait(lambda: stream.reset is not None, "a reset")
    except AssertionError:
        assert client.goaways and client.goaways[-1].code == code, client
    else:
        assert stream.reset == code, stream


# --- H4: resets ---


def test_h4_rapid_reset(launch, holding):
    """CVE-2023-44487."""
    portico = launch(holding.backend)
    with open_h2(portico) as client:
        try:
            for _ in range(3000):
                client.reset(client.ask(path="/work"), CANCEL)
        except OSError:
            pass
        client.ended(ENHANCE_YOUR_CALM)
    assert holding.num_seen <= RESETS + MAX_STREAMS
    assert holding.peak <= MAX_STREAMS
    assert portico.get("a.test", "/on").status == 200


def test_h4_resets_in_batches_of_one_write(launch, holding):
    """The same, a hundred pairs in each TLS record."""
    with open_h2(launch(holding.backend)) as client:
        for _ in range(30):
            pairs = []
            for _ in range(100):
                stream = client.stream()
                pairs.append(frame(HEADERS, END_HEADERS | END_STREAM, stream.number, client.encode(request("/work"))))
                pairs.append(frame(RST_STREAM, 0, stream.number, struct.pack("!I", CANCEL)))
            client.send_quietly(b"".join(pairs))
        client.ended(ENHANCE_YOUR_CALM)
    assert holding.num_seen <= RESETS + MAX_STREAMS


def test_h4_a_browser_that_cancels_some_is_served_on(launch, holding):
    with open_h2(launch(holding.backend)) as client:
        for _ in range(60):
            client.reset(client.ask(path="/work"), CANCEL)
        assert client.get("/on").status == 200
        assert not client.goaways


PROVOKE = {
    "window of zero": lambda n: frame(WINDOW_UPDATE, 0, n, struct.pack("!I", 0)),
    "window overflow": lambda n: frame(WINDOW_UPDATE, 0, n, struct.pack("!I", HUGE_WINDOW)),
    "data behind the end": lambda n: frame(DATA, 0, n, b"x"),
    "head behind the end": lambda n: frame(HEADERS, END_HEADERS | END_STREAM, n, b"\x82"),
    "priority of five bytes too few": lambda n: frame(PRIORITY, 0, n, b"\0\0"),
    "depends on itself": lambda n: frame(PRIORITY, 0, n, struct.pack("!IB", n, 16)),
}


@pytest.mark.parametrize("provoke", PROVOKE.values(), ids=PROVOKE.keys())
def test_h4_made_you_reset(launch, holding, provoke):
    """CVE-2025-8671: the resets that we are brought to send count as well."""
    portico = launch(holding.backend)
    with open_h2(portico) as client:
        number = -1
        try:
            for _ in range(1500):
                number += 2
                stream = client.stream(number)
                client.send_frame(HEADERS, END_HEADERS | END_STREAM, number, client.encode(request("/work")))
                client.send(provoke(number))
                if number % 50 == 1:
                    client.read_waiting()
        except (OSError, AssertionError):
            pass
        client.ended(*ANY_ERROR)
    assert holding.num_seen <= RESETS + MAX_STREAMS
    assert holding.peak <= MAX_STREAMS
    assert portico.get("a.test", "/on").status == 200


def test_h4_malformed_requests_without_end(launch, holding):
    with open_h2(launch(holding.backend)) as client:
        try:
            for i in range(2000):
                client.ask(request("/work", fields=[("X-Upper", "1")]))
                if i % 50 == 49:  # never a hundred at once
                    client.ping()
        except (OSError, AssertionError):
            pass
        client.ended(ENHANCE_YOUR_CALM)
    assert holding.num_seen == 0


def test_h4_no_more_than_a_hundred_streams(launch, holding):
    with open_h2(launch(holding.backend)) as client:
        assert client.theirs[MAX_CONCURRENT_STREAMS] == MAX_STREAMS
        streams = [client.ask(path="/work") for _ in range(MAX_STREAMS)]
        holding.backend.wait_requests(MAX_STREAMS)
        for stream in streams[:10]:
            client.reset(stream)
        assert client.get("/on").status == 200


def test_h4_more_than_a_hundred_streams(launch, holding):
    """RFC 9113 §5.1.2: a stream error of either kind, or (§5.4.1) the connection's."""
    with open_h2(launch(holding.backend)) as client:
        streams = [client.ask(path="/work") for _ in range(MAX_STREAMS + 20)]
        try:
            client.ping()
        except AssertionError:
            assert client.goaways[-1].code == PROTOCOL_ERROR
        else:
            refused = [s for s in streams if s.reset is not None]
            assert refused == streams[MAX_STREAMS:]
            assert {s.reset for s in refused} <= {REFUSED_STREAM, PROTOCOL_ERROR}
    assert holding.num_seen <= MAX_STREAMS


def test_h4_streams_that_come_and_go_are_no_attack(calm):
    """No count of requests per connection."""
    for start in range(0, 1000, 50):
        streams = [calm.ask(path=f"/{start + i}") for i in range(50)]
        calm.done(*streams)
        assert {s.status for s in streams} == {200}
    assert not calm.goaways


# --- H6: floods ---

FLOODS = {
    "SETTINGS": frame(SETTINGS, 0, 0),
    "SETTINGS with values": frame(SETTINGS, 0, 0, settings_payload({INITIAL_WINDOW_SIZE: 65535})),
    "PING": frame(PING, 0, 0, b"12345678"),
    "PRIORITY": frame(PRIORITY, 0, 1, struct.pack("!IB", 0, 16)),
}


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_h6_floods_end_in_goaway(calm, data):
    flood(calm, data * 100, 200)
    calm.ended(ENHANCE_YOUR_CALM)


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_h6_a_flood_whose_answers_are_not_read_costs_bounded_memory(calm, data):
    calm.client.sock.settimeout(3)
    flood(calm, data * 1000, 2000)
    assert calm.portico.rss_bytes() - calm.rss < 24 << 20


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
def test_h6_a_few_are_no_flood(calm, data):
    """Browsers send PRIORITY in bunches, gRPC clients PING."""
    calm.send(data * 20)
    assert calm.get("/on").status == 200
    assert not calm.goaways


def test_h6_empty_data_without_end(calm):
    stream = calm.ask(path="/", method="POST", end=False)
    flood(calm, frame(DATA, 0, stream.number) * 100, 200)
    calm.dropped(ENHANCE_YOUR_CALM, PROTOCOL_ERROR)


def test_h6_padding_alone_without_end(calm):
    """DATA of a byte of padding's length and no content is as empty."""
    stream = calm.ask(path="/", method="POST", end=False)
    data = frame(DATA, 8, stream.number, b"\0") * 100
    flood(calm, data, 200)
    calm.dropped(ENHANCE_YOUR_CALM, PROTOCOL_ERROR, FLOW_CONTROL_ERROR)


def test_h6_a_body_in_small_frames_is_no_flood(calm):
    stream = calm.ask(path="/", method="POST", end=False)
    for _ in range(2000):
        calm.data(stream, b"abcdefgh")
    calm.data(stream, b"", end=True)
    assert len(calm.done(stream).body) == len("POST /\n") + 16000


def test_h6_window_updates_of_a_reading_client_are_no_flood(launch, backends):
    """One for each DATA frame, as the simplest of clients do: 16 MiB in frames of at most 16 KiB, credit in two parts."""
    portico = launch(backends(lambda c, r: c.reply(200, b"x" * (16 << 20))))
    with open_h2(portico, credit=False) as client:
        stream = client.ask(path="/")
        while not stream.ended:
            before = stream.num_bytes
            client.step()
            got = stream.num_bytes - before
            for part in (got // 2, got - got // 2):
                if part and not stream.ended:
                    client.window_update(0, part)
                    client.window_update(stream.number, part)
        assert stream.num_bytes == 16 << 20
        assert not client.goaways


def test_h6_window_update_of_zero_on_the_connection(calm):
    calm.window_update(0, 0)
    calm.ended(PROTOCOL_ERROR)


def test_h6_window_update_of_zero_on_a_stream(launch, holding):
    with open_h2(launch(holding.backend)) as client:
        stream = client.ask(path="/work")
        client.window_update(stream.number, 0)
        of_stream_or_connection(client, stream, PROTOCOL_ERROR)


def test_h6_window_overflow_of_the_connection(calm):
    calm.window_update(0, HUGE_WINDOW)
    calm.ended(FLOW_CONTROL_ERROR)


def test_h6_window_overflow_of_a_stream(launch, holding):
    with open_h2(launch(holding.backend)) as client:
        stream = client.ask(path="/work")
        client.window_update(stream.number, HUGE_WINDOW)
        client.refused(stream, FLOW_CONTROL_ERROR)


def test_h6_window_overflow_by_settings(launch, holding):
    """RFC 9113 §6.9.2: the new initial size moves each stream's window above the limit."""
    with open_h2(launch(holding.backend)) as client:
        stream = client.ask(path="/work")
        client.window_update(stream.number, HUGE_WINDOW - 70000)
        client.settings({INITIAL_WINDOW_SIZE: HUGE_WINDOW})
        of_stream_or_connection(client, stream, FLOW_CONTROL_ERROR)


def test_h6_more_data_than_there_is_window(launch, backends):
    """A client that sends against a closed window is stopped, and nothing of it is kept."""
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)

    portico = launch(backends(answer), codes=(0, 3))
    with open_h2(portico) as client:
        before = portico.rss_bytes()
        stream = client.ask(path="/", method="POST", end=False)
        flood(client, frame(DATA, 0, stream.number, b"x" * 16384) * 16, 256)
        of_stream_or_connection(client, stream, FLOW_CONTROL_ERROR)
        assert portico.rss_bytes() - before < 24 << 20
        gate.set()


def test_h6_resets_of_streams_that_are_over_are_tolerated_within_the_budget(calm):
    """RFC 9113 §5.1: RST_STREAM may cross the answer."""
    for _ in range(30):
        stream = calm.get("/")
        calm.reset(stream, NO_ERROR)
    assert calm.get("/on").status == 200


def test_h6_data_for_a_stream_that_we_reset_is_not_the_connections_end(launch, backends):
    """DATA in flight when we reset: counted against the connection's window, which is given back."""
    portico = launch(backends(), MAX_REQUEST_BODY="1k")
    with open_h2(portico) as client:
        for _ in range(40):
            stream = client.ask(path="/", method="POST", end=False)
            for _ in range(3):
                client.data(stream, b"x" * 16000)
            client.data(stream, b"", end=True)
            client.done(stream)
            client.ping()
            assert stream.status == 413 or stream.reset in (NO_ERROR, STREAM_CLOSED), stream
            client.wait(lambda: client.window > 0, "credit for what was thrown away")
        assert not [g for g in client.goaways if g.code != ENHANCE_YOUR_CALM]
