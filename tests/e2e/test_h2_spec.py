"""H7: RFC 9113 frame by frame. A table in the manner of h2spec: what the client sends, and what must come of it.

Each case has its own connection, after SETTINGS were exchanged. The field sections need no table (HPACK's static one and
literals), so that frames are plain bytes."""

import struct

import pytest

from support.h2 import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_CONNECT_PROTOCOL,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    frame,
    open_h2,
    settings_payload,
)

AUTHORITY = b"\x01\x06a.test"
GET = b"\x82\x87\x84" + AUTHORITY
POST = b"\x83\x87\x84" + AUTHORITY
HOLD = b"\x82\x87\x04\x05/hold" + AUTHORITY  # the backend answers when the connection is over
DUMMY = b"\x00\x03x-a\x01b"
BOTH = END_HEADERS | END_STREAM
SIZE = 16384


def word(value):
    return struct.pack("!I", value)


def get(stream=1, flags=BOTH, block=GET):
    return frame(HEADERS, flags, stream, block)


def post(stream=1, *frames, block=POST):
    return frame(HEADERS, END_HEADERS, stream, block) + b"".join(frames)


def hold(stream=1, flags=BOTH):
    return get(stream, flags, HOLD)


def data(stream=1, payload=b"test", flags=END_STREAM, **kwargs):
    return frame(DATA, flags, stream, payload, **kwargs)


def dependency(on, weight=15):
    return struct.pack("!IB", on, weight)


def one_setting(key, value):
    return frame(SETTINGS, 0, 0, settings_payload({key: value}))


# --- what must come of it: each is called with the connection after the frames were sent ---


def served(stream=1, body=None):
    """The stream is answered with 200."""

    def check(client):
        found = client.done(client.streams[stream])
        assert found.ended and found.status == 200, found
        assert body is None or found.body.endswith(body)
        client.ping()
        assert not client.goaways

    return check


def lives():
    """Nothing happens: a PING is answered."""

    def check(client):
        client.ping()
        assert not client.goaways and not [s for s in client.streams.values() if s.reset], client

    return check


def connection(*codes):
    """An error of the connection (RFC 9113 §5.4.1)."""

    def check(client):
        client.ended(*codes)

    return check


def stream_error(stream, *codes):
    """An error of the stream, or of the connection as §5.4.1 allows for any."""

    def check(client):
        found = client.streams[stream]
        try:
            while found.reset is None:
                client.step()
            assert found.reset in codes, found
            assert not found.ended or found.status >= 400 or found.reset == STREAM_CLOSED
        except AssertionError:
            assert client.goaways and client.goaways[-1].code in codes, client

    return check


def stream_error_or_nothing(stream, *codes):
    """Of what RFC 9113 lets us ignore: priorities (§5.3.2), and DATA of a stream that is over (§5.1)."""

    def check(client):
        try:
            client.ping()
        except AssertionError:
            assert client.goaways and client.goaways[-1].code in codes, client
        found = client.streams[stream]
        assert found.reset is None or found.reset in codes, found

    return check


def acknowledged(payload):
    def check(client):
        client.wait(lambda: payload in client.acked, "the PING's answer")
        assert client.acked == {payload}

    return check


CASES = {
    # 3.4, 4: framing
    "a second preface": (PREFACE, connection(PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    "unknown type": (frame(0x16, 0, 0, b"\0" * 8) + get(), served()),
    "unknown type on a stream": (post(1, frame(0x16, 0xFF, 1, b"\0" * 8), data()), served()),
    "unknown type inside a block": (get(flags=END_STREAM) + frame(0x16, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(PROTOCOL_ERROR)),
    "undefined flags": (frame(PING, 0x16, 0, b"flags!!!"), acknowledged(b"flags!!!")),
    "reserved bit of the stream": (frame(PING, 0, 1 << 31, b"reserved"), acknowledged(b"reserved")),
    "DATA of the largest size": (post(1, data(payload=b"x" * SIZE)), served(body=b"x" * SIZE)),
    "DATA too large": (post(1, data(payload=b"x" * (SIZE + 1))), stream_error(1, FRAME_SIZE_ERROR)),
    "HEADERS too large": (get(block=GET + b"\0\x01x\x7f\x82\x7f" + b"a" * SIZE), connection(FRAME_SIZE_ERROR)),
    "SETTINGS too large": (frame(SETTINGS, 0, 0, settings_payload({0x42: 1}) * 3000), connection(FRAME_SIZE_ERROR)),
    "a block that cannot be decoded": (get(block=b"\x82\x87\x84\x41\xff\xff\xff\xff\xff\xff\xff\xff\xff"), connection(COMPRESSION_ERROR)),
    "PRIORITY inside a block": (get(flags=END_STREAM) + frame(PRIORITY, 0, 1, dependency(0)), connection(PROTOCOL_ERROR)),
    "PING inside a block": (get(flags=END_STREAM) + frame(PING, 0, 0, b"\0" * 8), connection(PROTOCOL_ERROR)),
    "DATA inside a block": (get(flags=0) + data(), connection(PROTOCOL_ERROR)),
    "another stream's HEADERS inside a block": (get(flags=END_STREAM) + get(3), connection(PROTOCOL_ERROR)),
    "another stream's CONTINUATION": (get(flags=END_STREAM) + frame(CONTINUATION, END_HEADERS, 3, DUMMY), connection(PROTOCOL_ERROR)),
    # 5.1: states
    "DATA on an idle stream": (data(), connection(PROTOCOL_ERROR)),
    "RST_STREAM on an idle stream": (frame(RST_STREAM, 0, 1, word(8)), connection(PROTOCOL_ERROR)),
    "WINDOW_UPDATE on an idle stream": (frame(WINDOW_UPDATE, 0, 1, word(100)), connection(PROTOCOL_ERROR)),
    "CONTINUATION on an idle stream": (frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(PROTOCOL_ERROR)),
    "PRIORITY on an idle stream": (frame(PRIORITY, 0, 1, dependency(0)) + get(), served()),
    "DATA on a half-closed stream": (hold() + data(), stream_error(1, STREAM_CLOSED)),
    "HEADERS on a half-closed stream": (hold() + get(), stream_error(1, STREAM_CLOSED)),
    "CONTINUATION on a half-closed stream": (hold() + frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(STREAM_CLOSED, PROTOCOL_ERROR)),
    "WINDOW_UPDATE on a half-closed stream": (hold() + frame(WINDOW_UPDATE, 0, 1, word(100)), lives()),
    "PRIORITY on a half-closed stream": (hold() + frame(PRIORITY, 0, 1, dependency(0)), lives()),
    "DATA after our RST_STREAM": (hold(flags=END_HEADERS) + frame(RST_STREAM, 0, 1, word(8)) + data(), stream_error_or_nothing(1, STREAM_CLOSED)),
    "HEADERS after our RST_STREAM": (hold() + frame(RST_STREAM, 0, 1, word(8)) + get(), stream_error(1, STREAM_CLOSED)),
    "CONTINUATION after our RST_STREAM": (
        hold() + frame(RST_STREAM, 0, 1, word(8)) + frame(CONTINUATION, END_HEADERS, 1, DUMMY),
        connection(STREAM_CLOSED, PROTOCOL_ERROR),
    ),
    "PRIORITY after our RST_STREAM": (hold() + frame(RST_STREAM, 0, 1, word(8)) + frame(PRIORITY, 0, 1, dependency(0)), lives()),
    "a stream's second RST_STREAM": (hold() + frame(RST_STREAM, 0, 1, word(8)) * 2, lives()),
    # 5.1.1: numbers
    "an even number": (get(2), connection(PROTOCOL_ERROR)),
    "a number below an earlier one": (get(5) + get(3), connection(PROTOCOL_ERROR, STREAM_CLOSED)),
    "numbers with gaps": (get(5) + get(1001), served(1001)),
    "the highest number": (get(2**31 - 1), served(2**31 - 1)),
    # 5.3: priorities
    "HEADERS that depend on themselves": (get(flags=BOTH | WITH_PRIORITY, block=dependency(1) + GET), stream_error_or_nothing(1, PROTOCOL_ERROR)),
    "PRIORITY that depends on itself": (hold() + frame(PRIORITY, 0, 1, dependency(1)), stream_error_or_nothing(1, PROTOCOL_ERROR)),
    "HEADERS with priority": (get(flags=BOTH | WITH_PRIORITY, block=dependency(0, 255) + GET), served()),
    "HEADERS with priority and padding": (get(flags=BOTH | WITH_PRIORITY | PADDED, block=b"\x08" + dependency(0) + GET + b"\0" * 8), served()),
    # 6.1: DATA
    "DATA on stream 0": (data(0), connection(PROTOCOL_ERROR)),
    "DATA padded": (post(1, data(payload=b"\x06test" + b"\0" * 6, flags=END_STREAM | PADDED)), served(body=b"test")),
    "DATA padded to its whole": (post(1, data(payload=b"\x05" + b"\0" * 5, flags=END_STREAM | PADDED)), served(body=b"body:")),
    "DATA padded beyond its end": (post(1, data(payload=b"\xfftest", flags=END_STREAM | PADDED)), connection(PROTOCOL_ERROR)),
    "DATA padded without a length": (post(1, data(payload=b"", flags=END_STREAM | PADDED)), connection(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    "DATA in several frames": (post(1, data(flags=0), data(flags=0), data()), served(body=b"testtesttest")),
    "DATA empty, with the end": (post(1, data(payload=b"")), served()),
    # 6.2: HEADERS
    "HEADERS on stream 0": (get(0), connection(PROTOCOL_ERROR)),
    "HEADERS padded": (get(flags=BOTH | PADDED, block=b"\x08" + GET + b"\0" * 8), served()),
    "HEADERS padded beyond their end": (get(flags=BOTH | PADDED, block=b"\xff" + GET), connection(PROTOCOL_ERROR)),
    "HEADERS without room for priority": (get(flags=BOTH | WITH_PRIORITY, block=b"\0\0"), connection(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    "HEADERS in the middle of a body": (post(1, data(flags=0), frame(HEADERS, END_HEADERS, 1, DUMMY), data()), stream_error(1, PROTOCOL_ERROR)),
    "trailers": (post(1, data(flags=0), frame(HEADERS, BOTH, 1, DUMMY)), served()),
    "trailers in two frames": (post(1, data(flags=0), frame(HEADERS, END_STREAM, 1, DUMMY), frame(CONTINUATION, END_HEADERS, 1, DUMMY)), served()),
    "DATA behind trailers": (post(1, frame(HEADERS, BOTH, 1, DUMMY), data(), block=b"\x83\x87\x04\x05/hold" + AUTHORITY), stream_error(1, STREAM_CLOSED)),
    # 6.3: PRIORITY
    "PRIORITY on stream 0": (frame(PRIORITY, 0, 0, dependency(0)), connection(PROTOCOL_ERROR)),
    "PRIORITY of a wrong size": (hold() + frame(PRIORITY, 0, 1, b"\0" * 4), stream_error(1, FRAME_SIZE_ERROR)),
    # 6.4: RST_STREAM
    "RST_STREAM on stream 0": (frame(RST_STREAM, 0, 0, word(8)), connection(PROTOCOL_ERROR)),
    "RST_STREAM of a wrong size": (hold() + frame(RST_STREAM, 0, 1, b"\0" * 3), connection(FRAME_SIZE_ERROR)),
    "RST_STREAM of an unknown code": (hold() + frame(RST_STREAM, 0, 1, word(0xABCDEF)) + get(3), served(3)),
    # 6.5: SETTINGS
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1, settings_payload({3: 100})), connection(PROTOCOL_ERROR)),
    "SETTINGS of a wrong size": (frame(SETTINGS, 0, 0, b"\0\x03\0"), connection(FRAME_SIZE_ERROR)),
    "SETTINGS: an acknowledgement with values": (frame(SETTINGS, ACK, 0, b"\0" * 6), connection(FRAME_SIZE_ERROR)),
    "SETTINGS: ENABLE_PUSH 2": (one_setting(ENABLE_PUSH, 2), connection(PROTOCOL_ERROR)),
    "SETTINGS: window above 2^31-1": (one_setting(INITIAL_WINDOW_SIZE, 1 << 31), connection(FLOW_CONTROL_ERROR)),
    "SETTINGS: frame size below 16,384": (one_setting(MAX_FRAME_SIZE, SIZE - 1), connection(PROTOCOL_ERROR)),
    "SETTINGS: frame size above 2^24-1": (one_setting(MAX_FRAME_SIZE, 1 << 24), connection(PROTOCOL_ERROR)),
    "SETTINGS: CONNECT protocol 2": (one_setting(ENABLE_CONNECT_PROTOCOL, 2), connection(PROTOCOL_ERROR)),
    "SETTINGS: unknown": (one_setting(0xFF, 1) + get(), served()),
    "SETTINGS: header table of 0": (one_setting(1, 0) + get() + get(3), served(3)),
    "SETTINGS: the same twice": (frame(SETTINGS, 0, 0, settings_payload({4: 1}) + settings_payload({4: 65535})) + get(), served()),
    # 6.6 to 6.8
    "PUSH_PROMISE": (get() + frame(PUSH_PROMISE, END_HEADERS, 1, word(2) + GET), connection(PROTOCOL_ERROR)),
    "PING": (frame(PING, 0, 0, b"h2spec!!"), acknowledged(b"h2spec!!")),
    "PING: an unasked acknowledgement": (frame(PING, ACK, 0, b"invalid!") + frame(PING, 0, 0, b"h2spec!!"), acknowledged(b"h2spec!!")),
    "PING on a stream": (frame(PING, 0, 1, b"\0" * 8), connection(PROTOCOL_ERROR)),
    "PING of a wrong size": (frame(PING, 0, 0, b"\0" * 6), connection(FRAME_SIZE_ERROR)),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, b"\0" * 8), connection(PROTOCOL_ERROR)),
    "GOAWAY too short": (frame(GOAWAY, 0, 0, b"\0" * 4), connection(FRAME_SIZE_ERROR)),
    # 6.9: WINDOW_UPDATE
    "WINDOW_UPDATE of a wrong size": (frame(WINDOW_UPDATE, 0, 0, b"\0" * 3), connection(FRAME_SIZE_ERROR)),
    "WINDOW_UPDATE of 0 on the connection": (frame(WINDOW_UPDATE, 0, 0, word(0)), connection(PROTOCOL_ERROR)),
    "WINDOW_UPDATE of 0 on a stream": (hold() + frame(WINDOW_UPDATE, 0, 1, word(0)), stream_error(1, PROTOCOL_ERROR)),
    # 6.10: CONTINUATION
    "CONTINUATION, several": (
        get(flags=END_STREAM) + frame(CONTINUATION, 0, 1, DUMMY) + frame(CONTINUATION, END_HEADERS, 1, DUMMY),
        served(),
    ),
    "CONTINUATION behind a whole block": (hold(flags=END_HEADERS) + frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(PROTOCOL_ERROR)),
    "CONTINUATION behind another": (
        hold(flags=0) + frame(CONTINUATION, END_HEADERS, 1, DUMMY) + frame(CONTINUATION, END_HEADERS, 1, DUMMY),
        connection(PROTOCOL_ERROR),
    ),
    "CONTINUATION behind DATA": (hold(flags=END_HEADERS) + data(flags=0) + frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(PROTOCOL_ERROR)),
    "CONTINUATION on stream 0": (get(flags=END_STREAM) + frame(CONTINUATION, END_HEADERS, 0, DUMMY), connection(PROTOCOL_ERROR)),
    # RFC 7541
    "HPACK: table size at the start": (get(block=b"\x20" + GET), served()),
    "HPACK: two table sizes at the start": (get(block=b"\x20\x3f\xe1\x1f" + GET), served()),
    "HPACK: an indexed field that was added before": (get(block=GET + b"\x40\x03x-a\x01b") + get(3, block=GET + b"\xbe"), served(3)),
    "HPACK: never indexed": (get(block=GET + b"\x10\x03x-a\x01b"), served()),
}


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    def answer(connection, request):
        if request.target == "/hold":
            connection.wait_closed(60)
            raise EOFError
        connection.reply(200, b"body:" + connection.read_body(request))

    return module_launch(module_backends(answer))


def open_with(portico, frames):
    """A connection that knows the streams that the frames open."""
    client = open_h2(portico, timeout=10)
    at = 0
    while at < len(frames) and not frames.startswith(PREFACE):
        high, low, kind, _, number = struct.unpack_from("!BHBBI", frames, at)
        if number & 0x7FFFFFFF and number not in client.streams:
            client.stream(number & 0x7FFFFFFF)
        at += 9 + (high << 16 | low)
    return client


@pytest.mark.parametrize("frames, expected", CASES.values(), ids=CASES.keys())
def test_h7(portico, frames, expected):
    with open_with(portico, frames) as client:
        client.send_quietly(frames)
        expected(client)


# --- after a stream is over ---

AFTER = {
    "DATA": (data(), stream_error_or_nothing(1, STREAM_CLOSED)),
    "HEADERS": (get(), stream_error(1, STREAM_CLOSED, PROTOCOL_ERROR)),
    "CONTINUATION": (frame(CONTINUATION, END_HEADERS, 1, DUMMY), connection(STREAM_CLOSED, PROTOCOL_ERROR)),
    "PRIORITY": (frame(PRIORITY, 0, 1, dependency(0)), lives()),
    "RST_STREAM": (frame(RST_STREAM, 0, 1, word(NO_ERROR)), lives()),
    "WINDOW_UPDATE": (frame(WINDOW_UPDATE, 0, 1, word(100)), lives()),
}


@pytest.mark.parametrize("frames, expected", AFTER.values(), ids=AFTER.keys())
def test_h7_on_a_closed_stream(portico, frames, expected):
    with open_h2(portico, timeout=10) as client:
        assert client.get("/").status == 200
        client.send_quietly(frames)
        expected(client)


# --- before anything ---

STARTS = {
    "another preface": b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0),
    "an HTTP/1.1 request": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "a frame of another kind first": PREFACE + frame(PING, 0, 0, b"\0" * 8),
    "a request first": PREFACE + get(),
    "an acknowledgement first": PREFACE + frame(SETTINGS, ACK, 0),
    "zeros": b"\0" * 100,
}


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS.keys())
def test_h7_a_wrong_start_ends_the_connection(portico, start):
    with open_h2(portico, preface=False) as client:
        client.send(start)
        client.dropped(PROTOCOL_ERROR)


def test_settings_come_first_and_are_acknowledged(portico):
    """RFC 9113 §3.4."""
    with open_h2(portico, preface=False) as client:
        client.send(PREFACE + frame(SETTINGS, 0, 0))
        assert client.step().kind == SETTINGS
        client.wait(lambda: client.num_settings_acks, "an acknowledgement")


def test_settings_and_the_first_request_in_one_write(portico):
    with open_h2(portico, preface=False) as client:
        client.stream(1)
        client.send(PREFACE + frame(SETTINGS, 0, 0) + get())
        assert client.done(client.streams[1]).status == 200


def test_a_byte_at_a_time(portico):
    """Every byte in a TLS record of its own."""
    with open_h2(portico, preface=False) as client:
        client.stream(1)
        everything = PREFACE + frame(SETTINGS, 0, 0) + post(1, data(payload=b"hello"))
        for i in range(len(everything)):
            client.send(everything[i : i + 1])
        assert client.done(client.streams[1]).body == b"body:hello"
