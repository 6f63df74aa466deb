"""R14: whoever is slow is bounded in time and memory, and nobody else notices."""

import select
import ssl
import threading
import time

import pytest

from support.client import Cut, tls_context


def something_came(client, seconds):
    """Within that time: bytes of an answer, or the end. A session ticket is neither."""
    if not select.select([client.sock], [], [], seconds)[0]:
        return False
    before = client.sock.gettimeout()
    client.sock.settimeout(0)
    try:
        data = client.sock.recv(65536)
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
    finally:
        client.sock.settimeout(before)
    client.kept += data
    return True


def drip(client, data, every_s):
    """Sends a byte at a time, and what came before the end of it."""
    for i in range(len(data)):
        client.send(data[i : i + 1])
        if something_came(client, every_s):
            break
    return client.read_response()


def test_a_slow_head_is_limited_in_all_not_per_byte(launch, backends):
    portico = launch(backends(), CLIENT_HEADER_TIMEOUT="1s")
    with portico.tls("a.test") as client:
        began = time.monotonic()
        assert drip(client, b"GET / HTTP/1.1\r\nHost: a.test\r\nX-A: " + b"a" * 200, 0.1).status == 408
        assert 0.8 < time.monotonic() - began < 4
        assert client.ended()


def test_a_connection_that_says_nothing_is_closed(launch, backends):
    portico = launch(backends(), CLIENT_HEADER_TIMEOUT="1s")
    with portico.tls("a.test") as client, portico.plain() as plain:
        assert client.ended()
        assert plain.ended()


def test_an_idle_connection_is_closed_after_its_time(launch, backends):
    portico = launch(backends(), CLIENT_IDLE_TIMEOUT="1s")
    with portico.tls("a.test") as client:
        assert client.get("a.test").status == 200
        began = time.monotonic()
        assert client.ended()
        assert 0.7 < time.monotonic() - began < 4


def test_an_old_connection_is_ended_after_an_answer_that_says_so(launch, backends):
    portico = launch(backends(), MAX_CONN_AGE="1s")
    with portico.tls("a.test") as client:
        assert client.get("a.test").get("Connection", "").lower() != "close"
        time.sleep(1.2)  # the age itself is what is tested
        assert client.get("a.test").get("Connection", "").lower() == "close"
        assert client.ended()


@pytest.mark.long
def test_a_slow_body_is_refused_after_the_grace(launch, backends):
    """500 B/s at least, judged after 20 s."""
    backend = backends()
    portico = launch(backend)
    with portico.tls("a.test", timeout=50) as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n")
        began = time.monotonic()
        assert drip(client, b"x" * 1000, 0.1).status == 408
        assert 15 < time.monotonic() - began < 45
    assert all(not request.body for request in backend.seen)


def test_a_reader_that_stalls_costs_bounded_memory(launch, backends):
    """The backend offers 256 MiB to eight clients that do not read."""
    block = b"x" * 65536
    stopped = threading.Event()

    def answer(connection, request):
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 << 20))
        for _ in range(512):
            connection.send(block)
        stopped.set()

    portico = launch(backends(answer), codes=(0, 3))
    portico.get("b.test", "/warm")
    stopped.clear()
    before = portico.rss_bytes()
    clients = [portico.tls("a.test") for _ in range(8)]
    try:
        for client in clients:
            client.sock.settimeout(10)
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert client.read_head().status == 200
        # until nothing moves any more: what the process reads stands still
        portico.wait_until(lambda: still(portico), "standstill", 15)
        assert portico.rss_bytes() - before < 24 << 20
        assert not stopped.is_set()
    finally:
        for client in clients:
            client.close()


def still(portico):
    first = portico.metrics()['portico_bytes_total{direction="to_clients"}']
    time.sleep(0.5)
    return portico.metrics()['portico_bytes_total{direction="to_clients"}'] == first


def test_stalled_clients_do_not_delay_others(launch, backends):
    portico = launch(backends(), WORKERS=1)
    stalled = [portico.tls("a.test") for _ in range(40)]
    try:
        for client in stalled:
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nabc")
        began = time.monotonic()
        with portico.tls("b.test") as client:
            for _ in range(50):
                assert client.get("b.test").status == 200
        assert time.monotonic() - began < 5
    finally:
        for client in stalled:
            client.close()


@pytest.mark.parametrize("alpn", [None, ["http/1.1"]])
def test_a_client_that_leaves_aborts_its_request(launch, backends, alpn):
    """The backend's connection is closed, and the log has 499."""
    ended = threading.Event()

    def answer(connection, request):
        if request.target == "/wait":
            connection.wait_closed()
            ended.set()
        else:
            connection.reply(200, "ok")

    portico = launch(backends(answer))
    with portico.tls("a.test", context=tls_context(alpn=alpn)) as client:
        client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
        portico.wait_until(lambda: portico.metrics()['portico_requests_total{protocol="HTTP/1"}'] >= 1, "request")
    assert ended.wait(10), "the backend went on working for nobody"
    assert portico.wait_event("access", path="/wait")["status"] == 499
    assert portico.get("a.test").status == 200


def test_a_client_that_leaves_in_a_body_never_completes_it(launch, backends):
    cut = threading.Event()

    def answer(connection, request):
        try:
            connection.read_body(request)
        except (EOFError, ConnectionError):
            cut.set()
            raise
        connection.reply(200, "ok")

    backend = backends(answer)
    portico = launch(backend)
    with portico.tls("a.test") as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        backend.wait_requests(1)
    assert cut.wait(10)
    assert backend.seen[0].body == b""


def test_half_a_head_and_gone(launch, backends):
    backend = backends()
    portico = launch(backend)
    for piece in ("G", "GET / HTTP/1.1\r\nHo", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Le"):
        with portico.tls("a.test") as client:
            client.send(piece)
            try:
                client.sock.unwrap().close()
            except (OSError, Cut):
                pass
    assert portico.get("a.test").status == 200
    assert len(backend.seen) == 1
