"""An HTTP/2 client that sends exactly the frames it is given, right or wrong, and keeps account of what comes back.

Acknowledgements of SETTINGS and PING are sent by themselves; credit too, unless `credit` is False."""

import os
import socket
import struct
from collections import namedtuple

import hpack

from .client import Cut, tls_context

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
(
    NO_ERROR,
    PROTOCOL_ERROR,
    INTERNAL_ERROR,
    FLOW_CONTROL_ERROR,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    FRAME_SIZE_ERROR,
    REFUSED_STREAM,
    CANCEL,
    COMPRESSION_ERROR,
    CONNECT_ERROR,
    ENHANCE_YOUR_CALM,
) = range(12)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
DEFAULT_WINDOW = 65535
HUGE_WINDOW = 2**31 - 1

Frame = namedtuple("Frame", "kind flags stream payload")
Goaway = namedtuple("Goaway", "last code debug")


def frame(kind, flags, stream, payload=b"", length=None):
    """Bytes of one frame; length: what the head says instead of the truth."""
    size = len(payload) if length is None else length
    return struct.pack("!BHBBI", size >> 16, size & 0xFFFF, kind, flags, stream) + payload


def settings_payload(settings):
    return b"".join(struct.pack("!HI", key, value) for key, value in settings.items())


def request(path="/", method="GET", authority="a.test", scheme="https", fields=()):
    """A whole field section; None leaves a pseudo-field out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(fields)


def _text(value):
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Stream:
    """One of ours: what was answered so far."""

    def __init__(self, number, window):
        self.number = number
        self.window = window  # what we may still send
        self.heads = []
        self.trailers = None
        self.parts = []
        self.num_bytes = 0
        self.ended = False
        self.reset = None  # the code

    @property
    def done(self):
        return self.ended or self.reset is not None

    @property
    def body(self):
        return b"".join(self.parts)

    @property
    def fields(self):
        return self.heads[-1] if self.heads else []

    @property
    def status(self):
        return int(self.get(":status", "0"))

    @property
    def interim(self):
        return self.heads[:-1]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.fields if key == name]

    def __repr__(self):
        return f"<stream {self.number}: {self.fields} {self.num_bytes} bytes, ended {self.ended}, reset {self.reset}>"


class H2:
    """One connection. Owns the client given to it: close it, or use it in a `with`."""

    def __init__(self, client, settings=None, preface=True, credit=True):
        self.client = client
        self.credit = credit
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self.streams = {}
        self.goaways = []
        self.acked = set()
        self.num_settings_acks = 0
        self.theirs = {}  # the peer's settings
        self.window = DEFAULT_WINDOW
        self.last = -1
        self._block = None
        if preface:
            self.send(PREFACE, frame(SETTINGS, 0, 0, settings_payload(settings or {ENABLE_PUSH: 0})))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()

    def close(self):
        self.client.close()

    # --- sending ---

    def send(self, *parts):
        self.client.send(*parts)

    def send_frame(self, kind, flags, stream, payload=b""):
        self.send(frame(kind, flags, stream, payload))

    def stream(self, number=None):
        """A new one of ours, without a frame."""
        if number is None:
            self.last += 2
            number = self.last
        self.last = max(self.last, number)
        self.streams[number] = Stream(number, self.theirs.get(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW))
        return self.streams[number]

    def encode(self, fields):
        """With the connection's table: to be sent in the order of encoding."""
        return self.encoder.encode([(name, value) for name, value in fields])

    def ask(self, section=None, end=True, number=None, **parts):
        """Opens a stream with a field section (by default request(**parts)) in one HEADERS frame."""
        stream = self.stream(number)
        flags = END_HEADERS | (END_STREAM if end else 0)
        self.send_frame(HEADERS, flags, stream.number, self.encode(request(**parts) if section is None else section))
        return stream

    def trailers(self, stream, fields):
        self.send_frame(HEADERS, END_HEADERS | END_STREAM, stream.number, self.encode(fields))

    def data(self, stream, payload=b"", end=False):
        """One frame, whatever the window."""
        self.window -= len(payload)
        stream.window -= len(payload)
        self.send_frame(DATA, END_STREAM if end else 0, stream.number, payload)

    def body(self, stream, payload, end=True):
        """As the windows allow; stops early where the peer reset the stream or ended its answer."""
        size = self.theirs.get(MAX_FRAME_SIZE, 16384)
        at = 0
        while at < len(payload):
            self.wait(lambda: stream.done or min(self.window, stream.window) > 0, "credit")
            if stream.done:
                return at
            count = min(self.window, stream.window, size, len(payload) - at)
            self.data(stream, payload[at : at + count], end and at + count == len(payload))
            at += count
            self.read_waiting()
        if end and not payload:
            self.data(stream, b"", True)
        return at

    def reset(self, stream, code=CANCEL):
        self.send_frame(RST_STREAM, 0, stream.number, struct.pack("!I", code))

    def window_update(self, number, increment):
        self.send_frame(WINDOW_UPDATE, 0, number, struct.pack("!I", increment))

    def settings(self, settings):
        self.send_frame(SETTINGS, 0, 0, settings_payload(settings))

    # --- reading ---

    def step(self):
        """Reads one frame and takes account of it. Cut at the connection's end."""
        size_high, size_low, kind, flags, stream = struct.unpack("!BHBBI", self.client._exactly(9, "a frame's head"))
        payload = self.client._exactly(size_high << 16 | size_low, "a frame")
        got = Frame(kind, flags, stream & HUGE_WINDOW, payload)
        handler = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            CONTINUATION: self._on_continuation,
            RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window,
        }.get(kind)
        assert handler or kind != PUSH_PROMISE, "pushed"
        if handler:
            handler(got)
        return got

    def _on_data(self, got):
        stream = self.streams[got.stream]
        assert not stream.ended, f"DATA after the end: {stream}"
        assert stream.heads, f"DATA before a head: {stream}"
        payload = got.payload
        if got.flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        stream.parts.append(payload)
        stream.num_bytes += len(payload)
        stream.ended = bool(got.flags & END_STREAM)
        if self.credit and got.payload:
            self.send_quietly(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", len(got.payload))))
            if not stream.ended:
                self.send_quietly(frame(WINDOW_UPDATE, 0, got.stream, struct.pack("!I", len(got.payload))))

    def _on_headers(self, got):
        payload = got.payload
        if got.flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if got.flags & WITH_PRIORITY:
            payload = payload[5:]
        self._block = (got.stream, got.flags & END_STREAM, payload)
        self._on_block(got.flags)

    def _on_continuation(self, got):
        number, end, payload = self._block
        assert number == got.stream
        self._block = (number, end, payload + got.payload)
        self._on_block(got.flags)

    def _on_block(self, flags):
        if not flags & END_HEADERS:
            return
        number, end, payload = self._block
        self._block = None
        fields = [(_text(name), _text(value)) for name, value in self.decoder.decode(payload, raw=True)]
        stream = self.streams[number]
        assert not stream.ended, f"HEADERS after the end: {stream}"
        if stream.heads and stream.status >= 200:
            assert end, "a field section in the middle"
            stream.trailers = fields
        else:
            stream.heads.append(fields)
        stream.ended = bool(end)

    def _on_reset(self, got):
        self.streams[got.stream].reset = struct.unpack("!I", got.payload)[0]

    def _on_settings(self, got):
        if got.flags & ACK:
            self.num_settings_acks += 1
            return
        for at in range(0, len(got.payload), 6):
            key, value = struct.unpack_from("!HI", got.payload, at)
            if key == INITIAL_WINDOW_SIZE:
                change = value - self.theirs.get(INITIAL_WINDOW_SIZE, DEFAULT_WINDOW)
                for stream in self.streams.values():
                    stream.window += change
            if key == HEADER_TABLE_SIZE:
                self.encoder.header_table_size = min(value, 4096)
            self.theirs[key] = value
        self.send_quietly(frame(SETTINGS, ACK, 0))

    def _on_ping(self, got):
        if got.flags & ACK:
            self.acked.add(got.payload)
        else:
            self.send_quietly(frame(PING, ACK, 0, got.payload))

    def _on_goaway(self, got):
        last, code = struct.unpack_from("!II", got.payload)
        self.goaways.append(Goaway(last, code, got.payload[8:]))

    def _on_window(self, got):
        (increment,) = struct.unpack("!I", got.payload)
        if got.stream == 0:
            self.window += increment
        elif got.stream in self.streams:
            self.streams[got.stream].window += increment

    def send_quietly(self, data):
        """Where the peer may have gone already: what it said before is still to be read."""
        try:
            self.send(data)
        except OSError:
            pass

    def read_waiting(self):
        """Frames that have already come, without waiting."""
        while self.client.kept or self._readable():
            self.step()

    def read_for(self, seconds):
        """Frames until none has come for so long."""
        while self.client.kept or self._readable(seconds):
            self.step()

    def _readable(self, seconds=0):
        before = self.client.sock.gettimeout()
        self.client.sock.settimeout(seconds)
        try:
            data = self.client.sock.recv(65536)
        except OSError:  # nothing now, or an end, which the next reading meets again
            return False
        finally:
            self.client.sock.settimeout(before)
        self.client.kept += data
        return bool(data)

    # --- waiting ---

    def wait(self, condition, what):
        """Reads until the condition holds."""
        while not condition():
            try:
                self.step()
            except (Cut, TimeoutError) as error:
                raise Cut(f"{error}, while waiting for {what}; {self}") from None

    def done(self, *streams):
        """Until all of them have ended or were reset; the first of them."""
        self.wait(lambda: all(s.done for s in streams), f"the end of {[s for s in streams if not s.done]}")
        return streams[0]

    def head(self, stream):
        self.wait(lambda: stream.done or stream.status >= 200, f"a head of {stream}")
        return stream

    def get(self, path="/", **parts):
        """One request and its whole answer, which must not be cut."""
        stream = self.done(self.ask(path=path, **parts))
        assert stream.ended and stream.reset in (None, NO_ERROR), stream
        return stream

    def ping(self):
        """Everything sent before has been seen by the peer, and the connection lives."""
        payload = os.urandom(8)
        self.send_frame(PING, 0, 0, payload)
        self.wait(lambda: payload in self.acked, "a PING's answer")
        return self

    def ready(self):
        """The peer's settings have come and ours are acknowledged."""
        self.wait(lambda: self.theirs and self.num_settings_acks, "the peer's SETTINGS")
        return self

    def refused(self, stream, code=PROTOCOL_ERROR):
        """The stream was reset with this code, nothing was answered, and the connection lives."""
        self.done(stream)
        assert stream.reset == code, stream
        assert not stream.heads, stream
        self.ping()
        assert not self.goaways, self

    def ended(self, *codes):
        """Waits for the connection's end; GOAWAY must have named one of the codes before."""
        try:
            while True:
                self.step()
        except Cut:
            pass
        assert self.goaways, "the connection ended without GOAWAY"
        assert self.goaways[-1].code in codes, f"GOAWAY says {self.goaways[-1]}, not one of {codes}"
        return self.goaways[-1]

    def dropped(self, *codes):
        """As ended, but an end without a GOAWAY that came through will do."""
        try:
            while True:
                self.step()
        except Cut:
            pass
        assert not self.goaways or self.goaways[-1].code in codes, self

    def __repr__(self):
        return f"<h2: {self.goaways} {list(self.streams.values())[-4:]}>"


def open_h2(portico, name="a.test", settings=None, credit=True, preface=True, timeout=15):
    """A connection with ALPN h2 that has exchanged SETTINGS (unless preface is False)."""
    context = tls_context(alpn=["h2"])
    client = portico.tls(name, context=context, timeout=timeout)
    assert client.sock.selected_alpn_protocol() == "h2", "no h2 by ALPN"
    client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = H2(client, settings=settings, preface=preface, credit=credit)
    return connection.ready() if preface else connection

