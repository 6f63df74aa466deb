"""HTTP/2 to the backend: many requests on one connection, bodies and trailers both ways, what a backend may do wrong."""

import threading
import time

import pytest

from support.client import Cut
from support.h2_backend import H2Backend, echo
from support.nginx import Nginx
from support.ports import free_port, in_parallel

h2 = pytest.importorskip("h2")


@pytest.fixture
def h2_backends():
    made = []

    def make(answer=echo, **kwargs):
        made.append(H2Backend(answer, **kwargs))
        return made[-1]

    yield make
    for backend in made:
        backend.close()
    errors = [error for backend in made for error in backend.errors]
    if errors:
        raise errors[0]


@pytest.fixture(scope="module")
def h2c_nginx(tmp_path_factory, need):
    need("nginx")
    server = Nginx(tmp_path_factory.mktemp("nginx"), h2c=True)
    yield server
    server.close()


# --- what goes through ---


def test_a_request_and_its_fields(launch, h2_backends):
    backend = h2_backends()
    portico = launch(backend)
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/x?y=1", fields=[("X-Case", "Kept"), ("Connection", "X-Gone"), ("X-Gone", "1")])
    assert (response.status, response.body) == (200, b"GET /x?y=1\n")
    assert response.get("Content-Length") == "11"
    fields = backend.seen[0].all_fields
    assert fields[:4] == [(":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/x?y=1")]
    assert ("x-case", "Kept") in fields and ("x-forwarded-proto", "https") in fields
    assert not {"host", "connection", "x-gone"} & set(backend.seen[0].fields)


def test_a_unix_socket(launch, h2_backends, tmp_path):
    portico = launch(h2_backends(path=tmp_path / "app.sock"))
    assert portico.get("a.test", "/u").body == b"GET /u\n"


def test_bodies_of_both_framings(launch, h2_backends):
    backend = h2_backends()
    portico = launch(backend, WORKERS=1)
    body = bytes(range(256)) * 4096
    with portico.tls("a.test") as client:
        client.send(f"POST /l HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n", body)
        assert client.read_response().body == b"POST /l\n" + body
        client.send("POST /c HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send(f"{len(body):x}\r\n", body, "\r\n0\r\n\r\n")
        assert client.read_response().body == b"POST /c\n" + body
    assert backend.seen[0].fields["content-length"] == str(len(body))
    assert "content-length" not in backend.seen[1].fields
    assert len(backend.connections) == 1


def test_trailers_both_ways(launch, h2_backends):
    portico = launch(h2_backends(lambda s: (s.read_all(), s.head(), s.data(b"x"), s.end(s.trailers))))
    with portico.tls("a.test") as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.send("1\r\ny\r\n0\r\nX-T: 7\r\nHost: evil\r\n\r\n")
        response = client.read_response()
    assert response.trailers == [("x-t", "7")]


def test_interim_answers(launch, h2_backends):
    def answer(stream):
        stream.connection.say(lambda c: c.send_headers(stream.number, [(":status", "103"), ("link", "</x>")]))
        echo(stream)

    portico = launch(h2_backends(answer))
    response = portico.get("a.test")
    assert [r.status for r in response.interim] == [103] and response.status == 200


def test_head_204_and_304(launch, h2_backends):
    def answer(stream):
        status = int(stream.target[1:])
        stream.head(status, [("content-length", "99")] if status != 204 else [], end=True)

    portico = launch(h2_backends(answer))
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/200", method="HEAD").get("Content-Length") == "99"
        assert client.get("a.test", "/204").status == 204
        assert client.get("a.test", "/304").status == 304
        assert client.get("a.test", "/200", method="HEAD").status == 200


def test_a_websocket_upgrade_is_stripped(launch, h2_backends):
    backend = h2_backends()
    portico = launch(backend)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/ws", fields=upgrade).status == 200
    assert "upgrade" not in backend.seen[0].fields


def test_a_websocket_goes_by_extended_connect(launch, h2_backends):
    def answer(stream):
        stream.head(200)
        while piece := stream.read():
            stream.data(piece.upper())
        stream.end()

    backend = h2_backends(answer, settings={h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    portico = launch(backend)
    with portico.tls("a.test") as client:
        client.send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        client.send("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        response = client.read_response()
        assert (response.status, response.get("Sec-WebSocket-Accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        for text in (b"one", b"two"):
            client.send(text)
            assert client.read_some() == text.upper()
    fields = backend.seen[0].fields
    assert (fields[":method"], fields[":protocol"], fields[":path"]) == ("CONNECT", "websocket", "/ws")
    assert fields["sec-websocket-version"] == "13" and "sec-websocket-key" not in fields


# --- one connection for many ---


def test_requests_that_come_at_once_share_one_connection(launch, h2_backends):
    together = threading.Barrier(20)

    def answer(stream):
        together.wait(10)
        echo(stream)

    backend = h2_backends(answer)
    portico = launch(backend, WORKERS=1)
    assert [r.status for r in in_parallel(20, lambda i: portico.get("a.test", f"/{i}"))] == [200] * 20
    assert len(backend.connections) == 1
    assert portico.metrics()["portico_upstream_connects_total"] == 1


def test_a_second_connection_beyond_the_servers_limit(launch, h2_backends):
    together = threading.Barrier(6)

    def answer(stream):
        together.wait(10)
        echo(stream)

    limit = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 4}
    backend = h2_backends(answer, settings=limit)
    portico = launch(backend, WORKERS=1)
    assert [r.status for r in in_parallel(6, lambda i: portico.get("a.test", f"/{i}"))] == [200] * 6
    assert len(backend.connections) == 2


def test_a_slow_reader_does_not_stop_the_others(launch, h2_backends):
    backend = h2_backends(lambda s: s.reply(200, b"x" * (16 << 20)) if s.target == "/big" else echo(s))
    portico = launch(backend, WORKERS=1, codes=(0, 3))
    with portico.tls("a.test") as slow:
        slow.send("GET /big HTTP/1.1\r\nHost: a.test\r\n\r\n")
        backend.wait_requests(1)
        for i in range(5):
            assert portico.get("a.test", f"/{i}").status == 200
        assert len(slow.read_response().body) == 16 << 20
    assert len(backend.connections) == 1


def test_a_client_that_leaves_resets_its_stream_alone(launch, h2_backends):
    backend = h2_backends(lambda s: echo(s) if s.target == "/good" else None)
    portico = launch(backend, WORKERS=1)
    with portico.tls("a.test") as client:
        client.send("GET /left HTTP/1.1\r\nHost: a.test\r\n\r\n")
        stream = backend.wait_requests(1)
    backend.wait(lambda: stream.reset_code is not None, "RST_STREAM")
    assert stream.reset_code == 8  # CANCEL
    assert portico.get("a.test", "/good").status == 200
    assert len(backend.connections) == 1


def test_an_idle_connection_is_closed_with_goaway(launch, h2_backends):
    backend = h2_backends()
    portico = launch(backend, UPSTREAM_IDLE_TIMEOUT="300ms")
    assert portico.get("a.test").status == 200
    assert backend.connections[0].ended.wait(5)
    assert backend.connections[0].goaway == 0


def test_nginx(launch, h2c_nginx):
    portico = launch(h2c_nginx, WORKERS=1)
    (h2c_nginx.www / "big").write_bytes(bytes(range(256)) * 8192)
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/hello").body == b"hello from nginx\n"
        assert client.get("a.test", "/big").body == bytes(range(256)) * 8192
        assert client.get("a.test", "/none").status == 404
    assert [r.status for r in in_parallel(20, lambda i: portico.get("a.test", "/hello"))] == [200] * 20
    assert portico.metrics()["portico_upstream_connects_total"] == 1


def test_a_connection_that_is_announced_serves_its_client_alone(launch, tmp_path, need):
    """PROXY_PROTOCOL_OUT: the requests of one client's connection share one, those of another have their own."""
    need("nginx")
    server = Nginx(tmp_path / "nginx", h2c=True, proxy_protocol=True)
    portico = launch(server, WORKERS=1, PROXY_PROTOCOL_OUT="v2")
    with portico.tls("a.test") as one, portico.tls("a.test") as two:
        for _ in range(3):
            for client in (one, two):
                host, port = client.sock.getsockname()
                assert client.get("a.test", "/client").body.decode().split() == [host, str(port)]
    assert portico.metrics()["portico_upstream_connects_total"] == 2
    server.close()


# --- faults ---


def test_b2_goaway_sends_what_was_not_taken_elsewhere(launch, h2_backends):
    """A backend that restarts gracefully: nothing fails, not even a POST."""

    def answer(stream):
        if stream.connection.number == 0 and stream.target == "/2":
            stream.connection.say(lambda c: c.close_connection(last_stream_id=stream.number - 2))
        else:
            echo(stream)

    backend = h2_backends(answer)
    portico = launch(backend, WORKERS=1)
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/1").status == 200
        client.send("POST /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
        assert client.read_response().body == b"POST /2\nhello"
    assert len(backend.connections) == 2


def test_b2_refused_streams_are_retried(launch, h2_backends):
    refused = []

    def answer(stream):
        if not refused:
            refused.append(stream)
            stream.reset(7)
        else:
            echo(stream)

    portico = launch(h2_backends(answer))
    with portico.tls("a.test") as client:
        client.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
        assert client.read_response().body == b"POST /x\nhello"


def test_b2_a_post_that_may_have_been_acted_on_is_not_sent_twice(launch, h2_backends):
    backend = h2_backends(lambda s: s.reset(2))
    portico = launch(backend)
    with portico.tls("a.test") as client:
        client.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
        assert client.read_response().status == 502
    assert len(backend.seen) == 1


def test_b3_no_head_is_504(launch, h2_backends):
    backend = h2_backends(lambda s: s.read(20))
    portico = launch(backend, UPSTREAM_RESPONSE_TIMEOUT="500ms")
    assert portico.get("a.test").status == 504


def test_b4_a_stream_that_is_reset_in_its_body_is_cut(launch, h2_backends):
    def answer(stream):
        stream.head(200, [("content-length", "10")])
        stream.data(b"half")
        stream.reset()

    portico = launch(h2_backends(answer))
    with portico.tls("a.test") as client, pytest.raises(Cut):
        client.get("a.test")


def test_b5_http_1_1_in_answer_is_said_clearly(launch, backends):
    backend = backends(raw=lambda c: (c.read_until(b"SM\r\n\r\n"), c.send("HTTP/1.1 400 Bad Request\r\n\r\n"), c.close()))
    portico = launch(backend.url.replace("http://", "h2c://"), UPSTREAM_WAIT="10s")
    began = time.monotonic()
    assert portico.get("a.test").status == 502
    assert time.monotonic() - began < 5, "held, though waiting does not help"
    assert "use http://" in portico.wait_event("upstream_not_http2")["msg"]


def test_b1_a_backend_that_starts_late(launch, h2_backends):
    port = free_port()
    portico = launch(f"h2c://127.0.0.1:{port}", UPSTREAM_WAIT="10s")
    with portico.tls("a.test") as client:
        client.send("POST /late HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello")
        portico.wait_event("upstream_connect_failed")
        h2_backends(port=port)
        assert client.read_response().body == b"POST /late\nhello"


def test_b6_an_early_answer(launch, h2_backends):
    backend = h2_backends(lambda s: s.reply(413, "too much"))
    portico = launch(backend, WORKERS=1, codes=(0, 3))
    with portico.tls("a.test") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {64 << 20}\r\n\r\n", b"x" * 65536)
        assert client.read_response().status == 413
    assert portico.get("a.test").status == 413
    assert len(backend.connections) == 1
