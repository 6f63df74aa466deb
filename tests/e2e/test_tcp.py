"""tcp://: raw bytes behind TLS, both ways, with the ends and the pace of both sides kept."""

import os
import socket
import threading
import time

import pytest

from support.client import Cut
from support.ports import eventually
from support.raw import RawTls, echo_raw

@pytest.fixture
def start(launch, backends):
    """A Portico with a.test and b.test on HTTP and raw.test on raw bytes, of one certificate; and its raw backend."""

    def start(raw=echo_raw, **variables):
        http, backend = backends(), backends(raw=raw)
        own = launch.own_certificate("a.test", "b.test", "raw.test")
        domains = f"a.test b.test -> {http.url}, raw.test -> tcp://127.0.0.1:{backend.port}"
        portico = launch(DOMAINS=domains, **own, **variables)
        return portico, backend

    return start


def outcome_of(sock):
    """How the other side ended: "end", "reset", and what came before."""
    sock.settimeout(10)
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
        return "end", data
    except ConnectionResetError:
        return "reset", data


class Seen:
    """A backend that keeps what it got and how its client ended."""

    def __init__(self, greeting=b"ready"):
        self.greeting = greeting
        self.outcome = None
        self.done = threading.Event()

    def __call__(self, connection):
        connection.sock.sendall(self.greeting)
        self.outcome = outcome_of(connection.sock)
        self.done.set()

    def wait(self):
        assert self.done.wait(10), "the backend's connection has not ended"
        return self.outcome


@pytest.mark.smoke
def test_bytes_are_echoed_as_they_are(start):
    portico, _ = start()
    with RawTls(portico.https, "raw.test") as client:
        for data in (b"\x00", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100):
            client.send(data)
            assert client.receive_exactly(len(data)) == data


def test_the_server_speaks_first(start):
    """As SMTP, MySQL and SSH do: nothing is awaited from the client."""
    portico, _ = start(raw=Seen(b"220 mail.example ESMTP\r\n"))
    with RawTls(portico.https, "raw.test") as client:
        assert client.receive() == b"220 mail.example ESMTP\r\n"


def test_ten_megabytes_each_way_at_once(start):
    portico, _ = start()
    data = os.urandom(10 << 20)
    with RawTls(portico.https, "raw.test") as client:
        assert client.exchange(data, len(data)) == data


# --- ends ---


def test_the_client_ends_first_and_still_gets_the_answer(start):
    def reverse(connection):
        how, data = outcome_of(connection.sock)
        connection.sock.sendall(how.encode() + b" " + data[::-1])

    portico, _ = start(raw=reverse)
    with RawTls(portico.https, "raw.test") as client:
        client.send(b"abc")
        client.end()
        assert client.receive_to_end() == b"end cba"


def test_the_backend_ends_first_and_still_gets_the_rest(start):
    class EndsFirst(Seen):
        def __call__(self, connection):
            connection.sock.sendall(b"last words")
            connection.sock.shutdown(socket.SHUT_WR)
            self.outcome = outcome_of(connection.sock)
            self.done.set()

    raw = EndsFirst()
    portico, _ = start(raw=raw)
    with RawTls(portico.https, "raw.test") as client:
        assert client.receive_to_end() == b"last words"
        client.send(b"still listening?")
        client.end()
        assert raw.wait() == ("end", b"still listening?")
    portico.wait_event("access", protocol="tcp", bytes_in=16, bytes_out=10)


def test_bytes_and_an_end_before_there_is_a_connection_are_kept(launch, backends, start):
    """The backend starts late: what the client said, and that it ended, wait for it (UPSTREAM_WAIT)."""
    portico, backend = start(raw=echo_raw, UPSTREAM_WAIT="10s")
    backend.stop_listening()
    with RawTls(portico.https, "raw.test") as client:
        client.send(b"early")
        client.end()
        portico.wait_event("upstream_connect_failed")
        backend.start()
        assert client.receive_to_end() == b"early"


def test_t6_a_client_that_ends_without_close_notify_resets_the_backend(start):
    raw = Seen()
    portico, _ = start(raw=raw)
    with RawTls(portico.https, "raw.test") as client:
        assert client.receive() == b"ready"
        client.send(b"half a")
        client.end_without_notice()
        assert raw.wait()[0] == "reset"
    portico.wait_event("access", protocol="tcp", aborted=True, failure="the client ended without close_notify")


def test_t6_a_record_that_is_cut_resets_the_backend_and_is_not_passed_on(start):
    raw = Seen()
    portico, _ = start(raw=raw)
    with RawTls(portico.https, "raw.test") as client:
        assert client.receive() == b"ready"
        client.send_cut(b"x" * 1000)
        client.end_without_notice()
        assert raw.wait() == ("reset", b"")


def test_a_reset_of_the_client_resets_the_backend(start):
    raw = Seen()
    portico, _ = start(raw=raw)
    client = RawTls(portico.https, "raw.test")
    assert client.receive() == b"ready"
    client.reset()
    assert raw.wait()[0] == "reset"


def test_a_reset_of_the_backend_resets_the_client(start):
    def dies(connection):
        connection.sock.sendall(b"half")
        connection.sock.recv(1)
        connection.reset()

    portico, _ = start(raw=dies)
    with RawTls(portico.https, "raw.test") as client:
        assert client.receive() == b"half"
        client.send(b"x")
        with pytest.raises(Cut):
            client.receive()
    portico.wait_event("upstream_failed", host="raw.test")


def test_a_backend_that_is_not_there_is_an_abort_not_an_empty_answer(start):
    portico, backend = start(UPSTREAM_WAIT="0s")
    backend.stop_listening()
    with RawTls(portico.https, "raw.test") as client, pytest.raises(Cut):
        client.receive()
    portico.wait_event("upstream_unreachable", host="raw.test")
    portico.wait_event("access", protocol="tcp", failure="no connection to the backend")


# --- time and memory ---


def test_silence_ends_at_the_idle_time_and_a_byte_puts_it_off(start):
    raw = Seen()
    portico, _ = start(raw=raw, STREAM_IDLE_TIMEOUT="1s")
    with RawTls(portico.https, "raw.test") as client:
        began = time.monotonic()
        assert client.receive() == b"ready"
        for _ in range(3):
            time.sleep(0.5)  # the time itself is what is tested
            client.send(b".")
        with pytest.raises(Cut):
            client.receive()
        assert 2.4 < time.monotonic() - began < 6
        assert raw.wait() == ("reset", b"...")


def test_an_open_half_has_the_idle_time_too(start):
    over = threading.Event()

    def keeps_its_half(connection):
        assert outcome_of(connection.sock)[0] == "end"
        over.wait(20)

    portico, _ = start(raw=keeps_its_half, STREAM_IDLE_TIMEOUT="1s")
    with RawTls(portico.https, "raw.test") as client:
        client.end()
        with pytest.raises(Cut):
            client.receive()
    over.set()
    portico.wait_event("access", protocol="tcp", failure="nothing moved for the idle time")


def sent_until_full(sock, piece=b"x" * 65536, limit=64 << 20):
    """Sends until nothing is taken for half a second; how much."""
    sock.settimeout(0.5)
    sent = 0
    try:
        while sent < limit:
            sent += sock.send(piece)
    except TimeoutError:
        pass
    return sent


def test_a_client_that_does_not_read_stops_the_backend(start):
    """What is held is the kernel's buffers and one queue, not what the backend would say."""
    sent = []

    def floods(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        sent.append(sent_until_full(connection.sock))
        connection.sock.settimeout(10)

    portico, _ = start(raw=floods)
    with RawTls(portico.https, "raw.test") as client:
        before = portico.rss_bytes()
        eventually(lambda: sent, "the backend stopped", 30)
        assert 0 < sent[0] < 32 << 20
        assert portico.rss_bytes() - before < 16 << 20
        assert sum(map(len, iter(client.receive, b""))) == sent[0]


def test_a_backend_that_does_not_read_stops_the_client(start):
    may_read, got = threading.Event(), []

    def sleeps(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        may_read.wait(30)
        got.append(outcome_of(connection.sock))

    portico, _ = start(raw=sleeps)
    with RawTls(portico.https, "raw.test") as client:
        sent = 0
        client.sock.settimeout(1)
        before = portico.rss_bytes()
        with pytest.raises(TimeoutError):
            while sent < 64 << 20:
                client.send(b"x" * 16384)
                sent += 16384
        assert 0 < sent < 32 << 20
        assert portico.rss_bytes() - before < 16 << 20
        may_read.set()
    eventually(lambda: got, "the backend's end")
    assert len(got[0][1]) > 0


# --- which names ---


def test_alpn_selects_nothing_for_a_raw_name_and_http_for_others(start):
    portico, _ = start()
    with RawTls(portico.https, "raw.test", alpn=["h2", "http/1.1"]) as client:
        assert client.tls.selected_alpn_protocol() is None
        client.send(b"raw")
        assert client.receive() == b"raw"
    with RawTls(portico.https, "raw.test", alpn=["postgresql"]) as client:
        assert client.tls.selected_alpn_protocol() is None
    with RawTls(portico.https, "a.test", alpn=["http/1.1"]) as client:
        assert client.tls.selected_alpn_protocol() == "http/1.1"


def test_a_request_for_a_raw_name_is_misdirected_on_a_connection_of_another(start):
    """One certificate covers both: the backend of raw bytes must not be handed an HTTP request."""
    portico, backend = start()
    with portico.tls("a.test") as client:
        assert client.get("raw.test").status == 421
        assert client.get("a.test").status == 200
    assert backend.connections == []


def test_plain_http_on_a_raw_name_is_redirected(start):
    portico, backend = start()
    with portico.plain() as client:
        answer = client.get("raw.test", "/x")
        assert (answer.status, answer.get("Location", "")[:17]) == (308, "https://raw.test/")
    assert backend.connections == []


def test_no_name_and_unknown_names_have_the_default_where_it_is_asked_for(launch, backends):
    backend = backends(raw=echo_raw)
    portico = launch(f"tcp://127.0.0.1:{backend.port}", TLS_UNKNOWN_SNI="default")
    for name in (None, "unknown.test", "a.test"):
        with RawTls(portico.https, name) as client:
            client.send(b"hi")
            assert client.receive() == b"hi"


def test_addresses_that_are_not_allowed_reach_no_backend(start):
    portico, backend = start(ALLOW_IPS="192.0.2.0/24")
    with RawTls(portico.https, "raw.test") as client, pytest.raises(Cut):
        client.receive()
    portico.wait_event("access", protocol="tcp", failure="the client's address is not allowed")
    assert backend.connections == []


# --- what is told ---


def test_one_line_a_connection_at_its_end(start):
    portico, backend = start()
    with RawTls(portico.https, "raw.test") as client:
        client.send(b"12345")
        assert client.receive() == b"12345"
        assert portico.access() == []
        client.end()
        assert client.receive() == b""
    line = portico.wait_event("access")
    assert line["protocol"] == "tcp"
    assert line["host"] == "raw.test"
    assert (line["bytes_in"], line["bytes_out"]) == (5, 5)
    assert line["tls"] == "TLSv1.3"
    assert line["upstream"] == f"tcp://127.0.0.1:{backend.port}"
    assert line["client"] == "127.0.0.1"
    assert "failure" not in line


@pytest.mark.parametrize("form", ["common", "combined"])
def test_the_lines_of_ncsa_formats(start, form):
    portico, _ = start(ACCESS_LOG=form)
    with RawTls(portico.https, "raw.test") as client:
        client.send(b"12345")
        client.end()
        assert client.receive_to_end() == b"12345"
    end = r' "-" "-"$' if form == "combined" else "$"
    portico.wait_line(r'^127\.0\.0\.1 - - \[[^]]+\] "tcp raw\.test" - 5' + end)


def test_a_drain_leaves_relays_alone_until_its_time_and_does_not_count_them(start):
    portico, _ = start(DRAIN_TIMEOUT="2s")
    with RawTls(portico.https, "raw.test") as client:
        client.send(b"before")
        assert client.receive() == b"before"
        portico.signal(15)
        portico.wait_event("draining")
        client.send(b"during")
        assert client.receive() == b"during"
        with pytest.raises(Cut):
            client.receive()
    assert portico.wait_exit() == 0
