"""RFC 8441, and R12: a WebSocket is a stream of HTTP/2 beside others, and an ordinary upgrade at the backend."""

import signal
import time

import pytest

from support.h2 import CANCEL, ENABLE_CONNECT_PROTOCOL, INITIAL_WINDOW_SIZE, NO_ERROR, PROTOCOL_ERROR, open_h2
from support.ports import eventually
from support.websocket import accept_of, echo, frame, read_frame

SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


def answering(connection, request):
    kind = request.target.lstrip("/")
    accept = f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key', ''))}\r\n"
    if kind == "refuse":
        connection.reply(403, "no")
    elif kind == "plain":
        connection.read_body(request)
        connection.reply(200, "plain")
    elif kind == "bad-accept":
        connection.send(SWITCH, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n")
        connection.wait_closed()
    elif kind == "no-accept":
        connection.send(SWITCH, "\r\n")
        connection.wait_closed()
    elif kind == "talks-first":
        connection.send(SWITCH, accept, "\r\n", frame(b"hello"))
        connection.wait_closed()
    elif kind == "closes":
        connection.send(SWITCH, accept, "\r\n", frame(b"last words"))
        connection.close()
    elif kind == "resets":
        connection.send(SWITCH, accept, "\r\n")
        connection.wait_sent()
        connection.reset()
    elif kind == "much":
        connection.send(SWITCH, accept, "\r\n")
        for _ in range(512):
            connection.send(b"x" * 65536)
    elif kind == "protocol":
        connection.send(SWITCH, accept, "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        connection.wait_closed()
    else:
        echo(connection, request)


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends(answering)


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend, STREAM_IDLE_TIMEOUT="3s", UPSTREAM_RESPONSE_TIMEOUT="2s")


@pytest.fixture
def client(portico):
    with open_h2(portico) as connection:
        yield connection


def connect(client, path="/ws", protocol="websocket", fields=()):
    """Extended CONNECT, RFC 8441 §4."""
    pseudo = [(":method", "CONNECT"), (":protocol", protocol), (":scheme", "https"), (":path", path), (":authority", "a.test")]
    return client.ask([*pseudo, ("sec-websocket-version", "13"), *fields], end=False)


class Socket:
    """Frames of RFC 6455 in the DATA of a stream."""

    def __init__(self, client, path="/ws", **kwargs):
        self.client = client
        self.stream = client.head(connect(client, path, **kwargs))
        assert self.stream.status == 200, self.stream
        self.at = 0

    def send(self, payload, opcode=1):
        self.client.body(self.stream, frame(payload, opcode, mask=True), end=False)

    def receive(self):
        def exactly(count):
            self.client.wait(lambda: self.stream.num_bytes - self.at >= count, "a WebSocket frame")
            self.at += count
            return self.stream.body[self.at - count : self.at]

        return read_frame(exactly)


def test_the_setting_is_announced(client):
    """RFC 8441 §3: without it no client would ask."""
    assert client.theirs[ENABLE_CONNECT_PROTOCOL] == 1


@pytest.mark.smoke
def test_messages_of_every_size_are_echoed(client):
    socket = Socket(client)
    for size in (0, 1, 125, 126, 65535, 65536, 200000):
        socket.send(b"x" * size, opcode=2)
        assert socket.receive() == (2, b"x" * size)


def test_r12_the_backend_sees_an_upgrade(client, backend):
    before = len(backend.seen)
    Socket(client, "/ws?token=1", fields=[("origin", "https://a.test"), ("sec-websocket-protocol", "chat"), ("cookie", "a=1"), ("cookie", "b=2")])
    seen = backend.wait_requests(before + 1)
    assert (seen.method, seen.target, seen.version) == ("GET", "/ws?token=1", "HTTP/1.1")
    assert [value.lower() for value in seen.all("Upgrade")] == ["websocket"]
    assert seen.get("Connection").lower() == "upgrade"
    assert len(seen.all("Sec-WebSocket-Key")) == 1 and len(seen.get("Sec-WebSocket-Key")) == 24
    assert seen.all("Sec-WebSocket-Version") == ["13"]
    assert seen.all("Host") == ["a.test"]
    assert seen.all("Origin") == ["https://a.test"]
    assert seen.all("Sec-WebSocket-Protocol") == ["chat"]
    assert seen.all("Cookie") == ["a=1; b=2"]
    assert seen.all("Transfer-Encoding") == [] and seen.all("Content-Length") == []


def test_r12_each_has_a_key_of_its_own_which_the_client_cannot_choose(client, backend):
    before = len(backend.seen)
    chosen = "AAAAAAAAAAAAAAAAAAAAAA=="
    for _ in range(2):
        stream = connect(client, fields=[("sec-websocket-key", chosen)])
        client.wait(lambda stream=stream: stream.done or stream.heads, "an answer")
    seen = backend.seen[before:]
    keys = [request.get("Sec-WebSocket-Key") for request in seen]
    assert chosen not in keys and len(set(keys)) == len(keys)


def test_r12_the_answer_is_a_200_without_the_handshakes_fields(client):
    stream = client.head(connect(client, "/protocol"))
    names = [name for name, _ in stream.fields]
    assert stream.status == 200 and not stream.ended
    assert stream.all("sec-websocket-protocol") == ["chat"]
    assert stream.all("sec-websocket-extensions") == ["permessage-deflate"]
    for name in ("upgrade", "connection", "sec-websocket-accept", "transfer-encoding", "content-length"):
        assert name not in names


@pytest.mark.parametrize("path", ["/bad-accept", "/no-accept"])
def test_r12_an_accept_that_is_wrong_is_502(portico, client, path):
    mark = portico.mark()
    stream = client.done(connect(client, path))
    assert portico.wait_event("access", since=mark)["status"] == 502, "the log says what the client got"
    assert stream.status == 502 or stream.reset is not None
    assert stream.status != 200
    client.ping()


def test_a_refusal_is_passed_on(client):
    stream = client.done(connect(client, "/refuse"))
    assert (stream.status, stream.body) == (403, b"no")
    client.ping()


def test_a_200_instead_of_the_101_is_no_tunnel(portico, client):
    """RFC 8441 §5: 2xx would tell the client that the socket is open."""
    mark = portico.mark()
    stream = client.done(connect(client, "/plain"))
    assert portico.wait_event("access", since=mark)["status"] == 502, "the log says what the client got"
    assert stream.status >= 400 or stream.reset is not None, stream
    client.ping()


def test_the_backend_may_talk_first(client):
    assert Socket(client, "/talks-first").receive() == (1, b"hello")


def test_early_bytes_of_the_client_are_held_for_the_tunnel(client):
    """Frames sent before the answer came."""
    stream = connect(client)
    client.body(stream, frame(b"early", 1, mask=True), end=False)
    client.wait(lambda: stream.num_bytes >= 7, "the echo")
    assert stream.body == frame(b"early", 1)


def test_the_backends_end_is_the_streams(client):
    socket = Socket(client, "/closes")
    assert socket.receive() == (1, b"last words")
    client.data(socket.stream, b"", end=True)
    assert client.done(socket.stream).ended
    assert socket.stream.reset in (None, NO_ERROR)


def test_a_backend_that_resets_resets_the_stream_alone(client):
    stream = client.done(connect(client, "/resets"))
    assert stream.reset is not None and stream.reset != NO_ERROR
    client.ping()


def test_the_clients_end_is_the_backends(client, backend):
    before = len(backend.seen)
    socket = Socket(client)
    request = backend.wait_requests(before + 1)
    client.data(socket.stream, b"", end=True)
    eventually(lambda: request.connection.closed, "the backend has read the end")
    client.done(socket.stream)
    client.ping()


def test_a_client_that_cancels_closes_the_backends_connection(client, backend):
    before = len(backend.seen)
    socket = Socket(client, "/talks-first")
    request = backend.wait_requests(before + 1)
    client.reset(socket.stream, CANCEL)
    client.ping()
    eventually(lambda: request.connection.closed, "the backend's connection is closed")


def test_many_beside_ordinary_requests(client):
    sockets = [Socket(client) for _ in range(20)]
    for i, socket in enumerate(sockets):
        socket.send(b"message %d" % i)
    assert client.get("/plain").body == b"plain"
    assert [socket.receive()[1] for socket in sockets] == [b"message %d" % i for i in range(20)]


def test_a_client_that_does_not_read_stops_the_backend(launch, backends):
    sent = []

    def answer(connection, request):
        connection.send(SWITCH, f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}\r\n\r\n")
        for _ in range(512):
            connection.send(b"x" * 65536)
            sent.append(1)

    portico = launch(backends(answer), codes=(0, 3))
    with open_h2(portico, settings={INITIAL_WINDOW_SIZE: 100}) as client:
        before = portico.rss_bytes()
        stream = client.head(connect(client))
        client.wait(lambda: stream.num_bytes == 100, "its window's worth")

        def still():
            count = len(sent)
            time.sleep(0.4)
            return count == len(sent)

        portico.wait_until(still, "standstill")
        assert len(sent) < 300
        assert portico.rss_bytes() - before < 24 << 20


@pytest.mark.parametrize("protocol", ["connect-udp", "h2c", "WebSocket/x"])
def test_r12_other_protocols_are_refused(client, backend, protocol):
    before = len(backend.seen)
    stream = client.done(connect(client, protocol=protocol))
    assert stream.status in (400, 501) or stream.reset == PROTOCOL_ERROR, stream
    assert backend.seen[before:] == []
    client.ping()


def test_r8_a_name_that_is_not_served_is_421(client, backend):
    before = len(backend.seen)
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/ws"), (":authority", "c.test")]
    assert client.done(client.ask(fields, end=False)).status == 421
    assert backend.seen[before:] == []


def test_it_ends_after_the_idle_limit_with_ping_frames_of_http2_as_no_activity(client):
    """STREAM_IDLE_TIMEOUT."""
    socket = Socket(client)
    began = time.monotonic()
    while not socket.stream.done and time.monotonic() - began < 10:
        client.ping()
        time.sleep(0.1)
    assert socket.stream.done
    assert 2 < time.monotonic() - began < 9


def test_a_drain_leaves_it_alone(launch, backends):
    portico = launch(backends(echo), codes=(0, 3), DRAIN_TIMEOUT="6s")
    with open_h2(portico) as client:
        socket = Socket(client)
        portico.signal(signal.SIGTERM)
        client.wait(lambda: len(client.goaways) == 2, "GOAWAY")
        socket.send(b"still here")
        assert socket.receive() == (1, b"still here")
        socket.send(b"", opcode=8)
        assert socket.receive()[0] == 8
    assert portico.wait_exit() == 0
