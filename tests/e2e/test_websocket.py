"""R12: a WebSocket is a tunnel of raw bytes, both ways, for as long as both want it; nothing else is."""

import time

import pytest

from support.websocket import WebSocket, accept_of, echo, frame


@pytest.fixture(scope="module")
def backend(module_backends):
    def answer(connection, request):
        kind = request.target.lstrip("/")
        if kind == "refuse":
            connection.reply(403, "no")
        elif kind == "plain":
            connection.read_body(request)
            connection.reply(200, "plain")
        elif kind == "bad-accept":
            connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n")
            connection.wait_closed()
        elif kind == "talks-first":
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}"
                "\r\n\r\n",
                frame(b"hello"),
            )
            connection.wait_closed()
        elif kind == "closes":
            connection.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}"
                "\r\n\r\n",
                frame(b"last words"),
            )
            connection.close()
        else:
            echo(connection, request)

    return module_backends(answer)


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend, STREAM_IDLE_TIMEOUT="3s", UPSTREAM_RESPONSE_TIMEOUT="1s", CLIENT_IDLE_TIMEOUT="1s")


@pytest.mark.smoke
def test_messages_of_every_size_are_echoed(portico):
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test")
        for size in (0, 1, 125, 126, 65535, 65536, 200000):
            socket.send(b"x" * size, opcode=2)
            assert socket.receive() == (2, b"x" * size)


def test_the_closing_handshake_reaches_both(portico, backend):
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test")
        socket.ask("hi")
        socket.send(b"\x03\xe8", opcode=8)
        assert socket.receive() == (8, b"\x03\xe8")
        assert client.ended()
    portico.wait_event("access", path="/ws", status=101)


def test_the_backend_talks_first(portico):
    with portico.tls("a.test") as client:
        assert WebSocket(client, "a.test", "/talks-first").receive() == (1, b"hello")


def test_last_words_of_the_backend_arrive(portico):
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test", "/closes")
        assert socket.receive() == (1, b"last words")
        assert client.ended()


def test_bytes_sent_with_the_head_go_to_the_tunnel(portico):
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test", early=frame(b"early", mask=True))
        assert socket.receive() == (1, b"early")


def test_bytes_sent_with_a_head_that_is_refused_are_the_next_request(portico):
    with portico.tls("a.test") as client:
        client.send(
            "GET /refuse HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            "GET /plain HTTP/1.1\r\nHost: a.test\r\n\r\n"
        )
        assert client.read_response().status == 403
        assert client.read_response().body == b"plain"


def test_a_101_to_something_else_is_no_tunnel(portico):
    with portico.tls("a.test") as client:
        client.send(
            "GET /bad-accept HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert client.read_response().status == 502


def test_a_silent_tunnel_outlives_the_other_timeouts_and_ends_at_its_own(portico):
    """Response and keep-alive limits are 1 s here, that of streams 3 s."""
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test")
        assert client.is_open(1.8)
        socket.ask("still here")
        began = time.monotonic()
        assert client.ended()
        assert 2 < time.monotonic() - began < 8


def test_a_client_that_dies_ends_the_backends_side(portico, backend):
    with portico.tls("a.test") as client:
        WebSocket(client, "a.test").ask("hi")
        connection = backend.seen[-1].connection
        assert not connection.closed
    portico.wait_until(lambda: connection.closed, "the backend's end of the tunnel")


def test_a_thousand_messages_in_one_burst(portico):
    with portico.tls("a.test") as client:
        socket = WebSocket(client, "a.test")
        client.send(b"".join(frame(b"%d" % i, mask=True) for i in range(1000)))
        for i in range(1000):
            assert socket.receive() == (1, b"%d" % i)
