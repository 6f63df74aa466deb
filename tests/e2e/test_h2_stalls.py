"""H6 and R14 over HTTP/2: every state has a limit of time, and PING is no activity."""

import time

import pytest

from support.h2 import (
    CONTINUATION,
    END_STREAM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PING,
    PREFACE,
    frame,
    open_h2,
    request,
)

MIB = 1 << 20


def keeps_sending(client, data, until, every_s=0.1):
    """The frame again and again until the connection is over, which must be within so many seconds."""
    began = time.monotonic()
    while time.monotonic() - began < until:
        try:
            client.send(data)
        except OSError:
            break
        before = client.client.sock.gettimeout()
        client.client.sock.settimeout(every_s)
        try:
            while True:
                client.step()
        except TimeoutError:
            pass
        except AssertionError:  # Cut
            break
        finally:
            client.client.sock.settimeout(before)
    else:
        raise AssertionError(f"the connection still lives after {until} s")
    return time.monotonic() - began


def test_an_idle_connection_is_closed_after_its_time(launch, backends):
    with open_h2(launch(backends(), CLIENT_IDLE_TIMEOUT="1s")) as client:
        assert client.get("/").status == 200
        began = time.monotonic()
        client.ended(NO_ERROR)
        assert 0.7 < time.monotonic() - began < 4


def test_pings_do_not_keep_an_idle_connection(launch, backends):
    with open_h2(launch(backends(), CLIENT_IDLE_TIMEOUT="1s")) as client:
        assert client.get("/").status == 200
        keeps_sending(client, frame(PING, 0, 0, b"12345678"), 8)


def test_pings_do_not_shorten_or_end_a_stream(launch, backends):
    """A client's keep-alive while it waits: the backend takes three times the idle time."""

    def answer(connection, request):
        time.sleep(3)  # the time itself is what is tested
        connection.reply(200, "late")

    with open_h2(launch(backends(answer), CLIENT_IDLE_TIMEOUT="1s")) as client:
        stream = client.ask(path="/")
        while not stream.done:
            client.ping()
            time.sleep(0.2)
        assert stream.body == b"late"
        assert not client.goaways


@pytest.mark.parametrize("said", [b"", PREFACE[:10], PREFACE, PREFACE + frame(4, 0, 0)], ids=["nothing", "half a preface", "preface", "settings"])
def test_a_connection_without_a_request_is_closed(launch, backends, said):
    with open_h2(launch(backends(), CLIENT_HEADER_TIMEOUT="1s", CLIENT_IDLE_TIMEOUT="2s"), preface=False) as client:
        client.send(said)
        began = time.monotonic()
        client.dropped(*range(14))
        assert time.monotonic() - began < 6


def test_a_section_that_never_ends_is_limited_in_all(launch, backends):
    """HEADERS without END_HEADERS."""
    backend = backends()
    with open_h2(launch(backend, CLIENT_HEADER_TIMEOUT="1s", CLIENT_IDLE_TIMEOUT="2s")) as client:
        client.send_frame(HEADERS, END_STREAM, client.stream().number, client.encode(request("/")))
        began = time.monotonic()
        client.dropped(*range(14))
        assert time.monotonic() - began < 6
    assert backend.seen == []


def test_a_section_in_drops_is_limited_in_all(launch, backends):
    """A byte of a CONTINUATION at a time."""
    with open_h2(launch(backends(), CLIENT_HEADER_TIMEOUT="1s", CLIENT_IDLE_TIMEOUT="2s")) as client:
        number = client.stream().number
        client.send_frame(HEADERS, END_STREAM, number, client.encode(request("/")))
        client.send(frame(CONTINUATION, 0, number, b"", length=200))
        keeps_sending(client, b"\0", 6)


def test_a_frame_in_drops_is_limited_in_all(launch, backends):
    """Of no stream at all: an unknown frame of 16 KiB."""
    with open_h2(launch(backends(), CLIENT_HEADER_TIMEOUT="1s", CLIENT_IDLE_TIMEOUT="2s")) as client:
        client.send(frame(0x42, 0, 0, b"", length=16000))
        keeps_sending(client, b"\0", 8)


def test_a_section_that_was_refused_has_no_deadline_left(launch, backends):
    """What nghttp2 throws away ends unseen: the next frame may be a long time coming."""

    def answer(connection, request):
        time.sleep(2.5)  # longer than a head may take
        connection.reply(200, "late")

    with open_h2(launch(backends(answer), CLIENT_HEADER_TIMEOUT="1s")) as client:
        stream = client.ask(path="/")
        refused = client.done(client.ask(request("/", fields=[("X-Upper", "1")])))
        assert refused.reset is not None
        assert client.done(stream).body == b"late"


@pytest.mark.long
def test_h6_a_window_of_zero_times_out(launch, backends):
    """Write without progress for 60 s, whatever PINGs come meanwhile; the backend is let go."""
    gone = []

    def answer(connection, request):
        try:
            connection.reply(200, b"x" * (8 * MIB))
            connection.wait_closed(120)
        finally:
            gone.append(1)

    with open_h2(launch(backends(answer)), settings={INITIAL_WINDOW_SIZE: 0}) as client:
        stream = client.ask(path="/")
        began = time.monotonic()
        while time.monotonic() - began < 100 and stream.reset is None:
            try:
                client.ping()
            except (AssertionError, OSError):
                break
            time.sleep(1)
        assert stream.reset is not None or client.goaways
        assert 50 < time.monotonic() - began < 95


@pytest.mark.long
def test_r14_a_slow_body_is_refused_after_the_grace(launch, backends):
    """500 B/s at least, judged after 20 s; the other stream of the connection does not suffer."""
    backend = backends()
    with open_h2(launch(backend), timeout=5) as client:
        stream = client.ask(path="/slow", method="POST", end=False, fields=[("content-length", "100000")])
        began = time.monotonic()
        while time.monotonic() - began < 50 and not stream.done:
            client.data(stream, b"x")
            client.ping()
            time.sleep(0.2)  # well within the budget of PINGs
        assert stream.status == 408 or stream.reset is not None, stream
        assert 15 < time.monotonic() - began < 45
        assert client.get("/other").status == 200
    assert not [r for r in backend.seen if r.body]
