"""Flow control of HTTP/2 is tied to the exchange's: who is slow stops who is fast, in bounded memory, and nobody else."""

import hashlib
import subprocess
import threading
import time

import pytest

from support.h2 import INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, open_h2
from support.relay import Relay

MIB = 1 << 20
BLOCK = b"x" * 65536


def sends_much(connection, request):
    """16 MiB, or as many bytes as the path says."""
    size = int(request.target.lstrip("/") or 16 * MIB)
    connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
    for at in range(0, size, len(BLOCK)):
        connection.send(BLOCK[: min(len(BLOCK), size - at)])


def still(counter):
    before = counter()
    time.sleep(0.4)
    return before == counter()


# --- slow clients ---


def test_a_client_that_does_not_read_stops_the_backend(launch, backends):
    """A hundred streams of 16 MiB on one connection whose windows are never given back."""
    sent = []

    def answer(connection, request):
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {16 * MIB}\r\n\r\n")
        for _ in range(16 * MIB // len(BLOCK)):
            connection.send(BLOCK)
            sent.append(1)

    backend = backends(answer)
    portico = launch(backend, codes=(0, 3))
    portico.get("a.test", "/warm")
    with open_h2(portico, credit=False) as client:
        before = portico.rss_bytes()
        for i in range(100):
            client.ask(path=f"/{i}")
        backend.wait_requests(101)
        portico.wait_until(lambda: still(lambda: len(sent)), "standstill of the backends", 30)
        # FLOW_HIGH_BYTES and a read buffer for each, and what the allocator makes of it
        assert portico.rss_bytes() - before < 48 * MIB
        assert sum(stream.num_bytes for stream in client.streams.values()) <= 65535


def test_a_window_of_zero_for_ever_costs_bounded_memory(launch, backends):
    backend = backends(sends_much)
    portico = launch(backend, codes=(0, 3))
    with open_h2(portico, settings={INITIAL_WINDOW_SIZE: 0}) as client:
        before = portico.rss_bytes()
        streams = [client.ask(path="/") for _ in range(100)]
        client.wait(lambda: all(s.heads for s in streams), "the heads, which no window holds up")
        backend.wait_requests(100)
        portico.wait_until(lambda: still(portico.rss_bytes), "standstill", 30)
        assert portico.rss_bytes() - before < 48 * MIB
        assert not any(s.num_bytes for s in streams)


def test_a_slow_client_gets_everything(launch, backends):
    """Credit comes in small pieces, long after it was used up."""
    portico = launch(backends(sends_much))
    with open_h2(portico, credit=False) as client:
        streams = [client.ask(path=f"/{MIB}") for _ in range(4)]
        while not all(s.ended for s in streams):
            client.ping()
            client.window_update(0, 100000)
            for stream in streams:
                if not stream.ended:
                    client.window_update(stream.number, 30000)
        assert [s.num_bytes for s in streams] == [MIB] * 4


def test_one_stream_that_is_not_read_holds_up_no_other(launch, backends):
    portico = launch(backends(sends_much), codes=(0, 3))
    with open_h2(portico, settings={INITIAL_WINDOW_SIZE: 1000}, credit=False) as client:
        client.window_update(0, 64 * MIB)
        stuck = client.ask(path="/")
        client.wait(lambda: stuck.num_bytes == 1000, "its window's worth")
        reading = client.ask(path=f"/{4 * MIB}")
        client.window_update(reading.number, 8 * MIB)
        assert client.done(reading).num_bytes == 4 * MIB
        assert stuck.num_bytes == 1000
        client.window_update(stuck.number, 16 * MIB)
        assert client.done(stuck).num_bytes == 16 * MIB


def test_a_window_that_settings_make_smaller(launch, backends):
    """RFC 9113 §6.9.2: a window may become negative; nothing is sent until it is positive again."""
    portico = launch(backends(sends_much), codes=(0, 3))
    with open_h2(portico, credit=False) as client:
        client.window_update(0, 64 * MIB)
        stream = client.ask(path="/")
        client.wait(lambda: stream.num_bytes == 65535, "its window's worth")
        client.settings({INITIAL_WINDOW_SIZE: 1000})  # 64,535 less than nothing
        client.window_update(stream.number, 64535)
        client.ping()
        assert stream.num_bytes == 65535
        client.window_update(stream.number, 1)
        client.wait(lambda: stream.num_bytes > 65535, "a byte")
        client.ping()
        assert stream.num_bytes == 65536


def test_a_thousand_streams_a_hundred_at_a_time(launch, backends):
    def answer(connection, request):
        body = hashlib.sha256(request.target.encode()).digest() * 2048
        connection.reply(200, body)

    portico = launch(backends(answer))
    portico.get("a.test", "/warm")
    with open_h2(portico) as client:
        limit = client.theirs[MAX_CONCURRENT_STREAMS]
        assert limit == 100
        before = portico.rss_bytes()
        open_streams, peak, left = [], 0, list(range(1000))
        while left or open_streams:
            while left and len(open_streams) < limit:
                path = f"/{left.pop()}"
                open_streams.append((path, client.ask(path=path)))
            client.step()
            for path, stream in [pair for pair in open_streams if pair[1].done]:
                assert stream.body == hashlib.sha256(path.encode()).digest() * 2048
                stream.parts.clear()
            open_streams = [pair for pair in open_streams if not pair[1].done]
            peak = max(peak, portico.rss_bytes()) if len(left) % 50 == 0 else peak
        assert peak - before < 64 * MIB
        assert not client.goaways


# --- slow backends ---


class Stuck:
    """A backend that does not read the bodies of /stuck before the gate opens."""

    def __init__(self, backends):
        self.gate = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        if request.target.startswith("/stuck"):
            self.gate.wait(60)
        connection.reply(200, hashlib.sha256(connection.read_body(request)).hexdigest())


@pytest.fixture
def stuck(backends):
    made = Stuck(backends)
    yield made
    made.gate.set()


def offer(client, stream, size):
    """As much of so many bytes as the windows take before no more credit comes; how many that were."""
    sent = 0
    while sent < size:
        client.read_waiting()
        if min(client.window, stream.window) <= 0:
            client.read_for(0.5)
        count = min(client.window, stream.window, 16384, size - sent)
        if count <= 0:
            break
        client.data(stream, b"u" * count)
        sent += count
    return sent


def test_a_backend_that_does_not_read_stops_the_client(launch, stuck):
    portico = launch(stuck.backend)
    size = 24 * MIB
    with open_h2(portico, timeout=60) as client:
        before = portico.rss_bytes()
        stream = client.ask(path="/stuck", method="POST", end=False, fields=[("content-length", str(size))])
        sent = offer(client, stream, size)
        # its window, and what the sockets between proxy and backend hold
        assert sent < 12 * MIB
        assert portico.rss_bytes() - before < 24 * MIB
        assert client.get("/others").status == 200
        stuck.gate.set()
        client.body(stream, b"u" * (size - sent))
        assert client.done(stream).body.decode() == hashlib.sha256(b"u" * size).hexdigest()


def test_one_upload_that_is_not_taken_holds_up_no_other(launch, stuck):
    with open_h2(launch(stuck.backend), timeout=60) as client:
        held = client.ask(path="/stuck", method="POST", end=False)
        offer(client, held, 24 * MIB)
        body = bytes(range(256)) * (4 * MIB // 256)
        stream = client.ask(path="/flowing", method="POST", end=False)
        client.body(stream, body)
        assert client.done(stream).body.decode() == hashlib.sha256(body).hexdigest()
        client.reset(held)


def test_a_hundred_uploads_that_are_not_taken_cost_bounded_memory(launch, stuck):
    portico = launch(stuck.backend)
    with open_h2(portico, timeout=60) as client:
        before = portico.rss_bytes()
        for i in range(100):
            stream = client.ask(path=f"/stuck{i}", method="POST", end=False)
            count = min(client.window, stream.window)
            for at in range(0, max(count, 0), 16384):
                client.data(stream, b"u" * min(16384, count - at))
            client.read_waiting()
        client.ping()
        assert portico.rss_bytes() - before < 48 * MIB
        assert not client.goaways


def test_credit_of_streams_that_were_reset_is_given_back(launch, stuck):
    """Else the connection's window would be gone after a few of them."""
    with open_h2(launch(stuck.backend), timeout=60) as client:
        for i in range(60):
            stream = client.ask(path=f"/stuck{i}", method="POST", end=False)
            for _ in range(3):
                if min(stream.window, client.window) >= 16384:
                    client.data(stream, b"u" * 16384)
            client.reset(stream)
            client.ping()
        body = b"y" * (2 * MIB)
        stream = client.ask(path="/flowing", method="POST", end=False)
        client.body(stream, body)
        assert client.done(stream).body.decode() == hashlib.sha256(body).hexdigest()


# --- far away ---


@pytest.fixture
def relay():
    made = []

    def make(portico, **kwargs):
        made.append(Relay(portico.https, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.release
def test_an_upload_over_a_long_way_is_as_fast_as_over_http_1(launch, stuck, need, relay, authority, tmp_path):
    """100 ms there and back at 20 Mbit/s: a quarter of a megabyte is on the way, so that windows of 64 KiB would give a
    fourth of the speed. Windows have to grow."""
    need("curl")
    host, port = relay(launch(stuck.backend), delay_s=0.05, bytes_per_s=5 * MIB // 2).address
    body = tmp_path / "body"
    body.write_bytes(bytes(range(256)) * (8 * MIB // 256))

    def upload(version):
        argv = ["curl", "-sS", version, "--cacert", authority.path, "--resolve", f"a.test:{port}:{host}", "-w", " %{time_total}"]
        argv += ["-H", "Expect:", "-T", body, f"https://a.test:{port}/up"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
        digest, seconds = done.stdout.split()
        assert digest == hashlib.sha256(body.read_bytes()).hexdigest()
        return float(seconds)

    over_1 = min(upload("--http1.1") for _ in range(3))
    over_2 = min(upload("--http2") for _ in range(3))
    # half a second for the windows to grow, which TCP needs as well on a link of its own; 64 KiB would take 13 s
    assert over_2 < over_1 * 1.4 + 0.5, f"HTTP/2 {over_2:.2f} s, HTTP/1.1 {over_1:.2f} s"
