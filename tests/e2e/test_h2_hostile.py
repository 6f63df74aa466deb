"""H1, H2, H3 and H5: what is malformed in HTTP/2 is an error of its stream, the backend sees nothing of it, and the
connection serves on; what would cost memory is bounded."""

import threading

import pytest

from support.h2 import (
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    HEADERS,
    INTERNAL_ERROR,
    PROTOCOL_ERROR,
    frame,
    open_h2,
    request,
)

METHOD, SCHEME, AUTHORITY, PATH = request()


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends()


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend)


@pytest.fixture
def client(portico):
    with open_h2(portico) as connection:
        yield connection


@pytest.fixture
def unseen(backend):
    """At the end the backend has seen nothing but what asked for /on."""
    before = len(backend.seen)
    yield
    assert [r.target for r in backend.seen[before:] if r.target != "/on"] == []


def refused_or(client, stream, *statuses):
    """A stream error PROTOCOL_ERROR or one of these answers; the connection serves on."""
    client.done(stream)
    if stream.status:
        assert stream.status in statuses, stream
    else:
        assert stream.reset == PROTOCOL_ERROR, stream
    assert client.get("/on").status == 200


# --- H1: fields ---

FIELDS = {
    "cr in a value": ("x-a", "a\rb"),
    "lf in a value": ("x-a", "a\nb"),
    "crlf in a value": ("x-a", "a\r\nx-evil: 1"),
    "nul in a value": ("x-a", "a\0b"),
    "leading space in a value": ("x-a", " a"),
    "trailing space in a value": ("x-a", "a "),
    "leading tab in a value": ("x-a", "\ta"),
    "trailing tab in a value": ("x-a", "a\t"),
    "cr in a name": ("x\ra", "b"),
    "lf in a name": ("x\na", "b"),
    "crlf in a name": ("x: 1\r\ny", "b"),
    "nul in a name": ("x\0a", "b"),
    "colon in a name": ("x:a", "b"),
    "colon at a name's end": ("x-a:", "b"),
    "upper case in a name": ("X-a", "b"),
    "space in a name": ("x a", "b"),
    "space before a name": (" x", "b"),
    "space behind a name": ("x ", "b"),
    "byte above 0x7f in a name": ("x\xe9", "b"),
    "del in a name": ("x\x7f", "b"),
    "empty name": ("", "b"),
    "unknown pseudo-field": (":evil", "1"),
    "a response's pseudo-field": (":status", "200"),
    ":protocol without CONNECT": (":protocol", "websocket"),
    "connection": ("connection", "close"),
    "connection: keep-alive": ("connection", "keep-alive"),
    "keep-alive": ("keep-alive", "timeout=5"),
    "proxy-connection": ("proxy-connection", "keep-alive"),
    "transfer-encoding": ("transfer-encoding", "chunked"),
    "upgrade": ("upgrade", "websocket"),
    "te: gzip": ("te", "gzip"),
    "te: trailers, gzip": ("te", "trailers, gzip"),
    "content-length: text": ("content-length", "x"),
    "content-length: sign": ("content-length", "+0"),
    "content-length: negative": ("content-length", "-1"),
    "content-length: list": ("content-length", "0, 0"),
    "content-length: 2^63": ("content-length", str(1 << 63)),
    "content-length: 2^64": ("content-length", str(1 << 64)),
}


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS.keys())
def test_h1_fields_that_are_malformed(client, unseen, field):
    stream = client.ask(request("/evil", fields=[field]))
    client.refused(stream)
    assert client.get("/on").status == 200


@pytest.mark.parametrize("field", [("x-a", "a\x01b"), ("x-a", "a\x7fb")], ids=["control byte", "del"])
def test_h1_control_bytes_in_values(client, unseen, field):
    """RFC 9113 §8.2.1 names CR, LF and NUL; RFC 9110 §5.5 and R5 the others."""
    refused_or(client, client.ask(request("/evil", fields=[field])), 400)


SECTIONS = {
    ":method repeated": [METHOD, METHOD, SCHEME, AUTHORITY, PATH],
    ":scheme repeated": [METHOD, SCHEME, SCHEME, AUTHORITY, PATH],
    ":authority repeated": [METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH],
    ":path repeated": [METHOD, SCHEME, AUTHORITY, PATH, PATH],
    ":path after a field": [METHOD, SCHEME, AUTHORITY, ("x-a", "b"), PATH],
    ":authority after a field": [METHOD, SCHEME, PATH, ("x-a", "b"), AUTHORITY],
    "no :method": [SCHEME, AUTHORITY, PATH],
    "no :scheme": [METHOD, AUTHORITY, PATH],
    "no :path": [METHOD, SCHEME, AUTHORITY],
    "empty :path": [METHOD, SCHEME, AUTHORITY, (":path", "")],
    "empty :method": [(":method", ""), SCHEME, AUTHORITY, PATH],
    "upper case pseudo-field": [METHOD, SCHEME, AUTHORITY, (":Path", "/")],
    "crlf in :path": [METHOD, SCHEME, AUTHORITY, (":path", "/ HTTP/1.1\r\nx: y")],
    "crlf in :method": [(":method", "GET / HTTP/1.1\r\nx: y\r\n"), SCHEME, AUTHORITY, PATH],
    "crlf in :authority": [METHOD, SCHEME, (":authority", "a.test\r\nx: y"), PATH],
    "nul in :path": [METHOD, SCHEME, AUTHORITY, (":path", "/\0")],
    "no field at all": [],
    "content-length twice, different": [*request(), ("content-length", "0"), ("content-length", "1")],
    "CONNECT with :path": [(":method", "CONNECT"), SCHEME, AUTHORITY, PATH],
}


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS.keys())
def test_h1_sections_that_are_malformed(client, unseen, section):
    stream = client.ask([(k, "/evil" if (k, v) == PATH else v) for k, v in section])
    client.refused(stream)
    assert client.get("/on").status == 200


def test_h1_pseudo_fields_in_trailers(client, unseen):
    stream = client.ask(path="/on", method="POST", end=False)
    client.data(stream, b"abc")
    client.trailers(stream, [(":path", "/evil"), ("x-a", "b")])
    client.done(stream)
    assert stream.reset == PROTOCOL_ERROR and not stream.ended
    assert client.get("/on").status == 200


@pytest.mark.parametrize("value", ["trailers", "Trailers"])
def test_h1_te_trailers_passes(client, value):
    assert client.get("/on", fields=[("te", value)]).status == 200


# --- H2: content-length and DATA ---


class Cutting:
    """A backend that tells whether a request's body came whole."""

    def __init__(self, backends):
        self.whole = []
        self.cut = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        try:
            connection.read_body(request)
        except (EOFError, ConnectionError):
            self.cut.set()
            raise
        self.whole.append(request)
        connection.reply(200, request.target)


@pytest.fixture
def cutting(backends):
    return Cutting(backends)


def is_refused(client, stream):
    client.done(stream)
    assert stream.reset == PROTOCOL_ERROR, stream
    assert not client.goaways


LENGTHS = {
    "more than said, in one frame": ("3", [b"abcd"]),
    "more than said, in two frames": ("3", [b"abc", b"d"]),
    "more than nothing": ("0", [b"a"]),
    "fewer than said": ("10", [b"abc"]),
    "none at all": ("10", [b""]),
}


@pytest.mark.parametrize("length, parts", LENGTHS.values(), ids=LENGTHS.keys())
def test_h2_data_that_differs_from_content_length(launch, cutting, length, parts):
    with open_h2(launch(cutting.backend)) as client:
        stream = client.stream()
        head = client.encode(request("/evil", method="POST", fields=[("content-length", length)]))
        frames = [frame(HEADERS, END_HEADERS, stream.number, head)]
        frames += [frame(DATA, END_STREAM if i == len(parts) - 1 else 0, stream.number, part) for i, part in enumerate(parts)]
        client.send(b"".join(frames))  # all before there can be an answer
        is_refused(client, stream)
        assert client.get("/on").status == 200
    # what comes behind as many bytes as were said comes too late for the backend not to have them all
    whole = [r.body for r in cutting.whole if r.target != "/on"]
    assert [body for body in whole if len(body) != int(length)] == [], "a part was taken for the whole"
    assert length != "10" or not whole


def test_h2_the_request_that_was_begun_is_aborted(launch, cutting):
    with open_h2(launch(cutting.backend)) as client:
        stream = client.ask(path="/evil", method="POST", end=False, fields=[("content-length", "100000")])
        client.data(stream, b"x" * 10000)
        cutting.backend.wait_requests(1)
        client.data(stream, b"", end=True)
        is_refused(client, stream)
        assert cutting.cut.wait(10)
        assert client.get("/on").status == 200
    assert [r.target for r in cutting.whole] == ["/on"]


def test_h2_content_length_with_end_stream_on_the_head(client, unseen):
    client.refused(client.ask(path="/evil", method="POST", fields=[("content-length", "5")]))
    assert client.get("/on").status == 200


def test_h2_fewer_than_said_before_trailers(launch, cutting):
    with open_h2(launch(cutting.backend)) as client:
        stream = client.ask(path="/evil", method="POST", end=False, fields=[("content-length", "100000")])
        client.data(stream, b"x" * 1000)
        cutting.backend.wait_requests(1)
        client.trailers(stream, [("x-a", "b")])
        is_refused(client, stream)
        assert cutting.cut.wait(10)
    assert cutting.whole == []


# --- H3: authority, path, scheme ---

TARGETS = {
    "host differs from :authority": request("/evil", fields=[("host", "b.test")]),
    "host differs by its port": request("/evil", fields=[("host", "a.test:8443")]),
    "host twice": request("/evil", authority=None, fields=[("host", "a.test"), ("host", "b.test")]),
    "neither :authority nor host": request("/evil", authority=None),
    "empty :authority": request("/evil", authority=""),
    "userinfo in :authority": request("/evil", authority="user@a.test"),
    "comma in :authority": request("/evil", authority="a.test,b.test"),
    "space in :authority": request("/evil", authority="a.test b.test"),
    "slash in :authority": request("/evil", authority="a.test/evil"),
    "bad port in :authority": request("/evil", authority="a.test:99999"),
    "* for a GET": request("*"),
    ":path without a slash": request("evil"),
    ":path is a URL": request("https://a.test/evil"),
    "fragment in :path": request("/evil#x"),
    "space in :path": request("/evil x"),
    "byte above 0x7f in :path": request("/evil\xe9"),
    ":scheme http": request("/evil", scheme="http"),
    ":scheme ftp": request("/evil", scheme="ftp"),
    "space in :method": request("/evil", method="GET /x"),
}


@pytest.mark.parametrize("section", TARGETS.values(), ids=TARGETS.keys())
def test_h3_targets_that_are_refused(client, unseen, section):
    refused_or(client, client.ask(section), 400)


def test_h3_options_asterisk_passes(client, backend):
    before = len(backend.seen)
    assert client.get("*", method="OPTIONS").status == 200
    assert backend.wait_requests(before + 1).target == "*"


# --- H5: field sections ---


def bounded(portico, before):
    assert portico.rss_bytes() - before < 24 << 20


def test_h5_a_section_over_max_header_is_431(client, unseen):
    big = [("x-%d" % i, "b" * 8000) for i in range(5)]
    payload = client.encode(request("/evil", fields=big))
    stream = client.stream()
    parts = [payload[at : at + 16384] for at in range(0, len(payload), 16384)]
    for i, part in enumerate(parts):
        flags = END_HEADERS if i == len(parts) - 1 else 0
        client.send_frame(CONTINUATION if i else HEADERS, flags | (0 if i else END_STREAM), stream.number, part)
    assert client.done(stream).status == 431
    assert client.get("/on").status == 200


def test_h5_a_section_within_max_header_passes(client):
    fields = [("x-%d" % i, "b" * 7000) for i in range(4)]
    payload = client.encode(request("/on", fields=fields))
    stream = client.stream()
    client.send_frame(HEADERS, END_STREAM, stream.number, payload[:16000])
    client.send_frame(CONTINUATION, END_HEADERS, stream.number, payload[16000:])
    assert client.done(stream).status == 200


def test_h5_hpack_bomb(client, portico, unseen):
    """One entry of 4,000 bytes in the table, named by single bytes: 15 KiB of them would be 60 MB of fields."""
    before = portico.rss_bytes()
    name, value = b"x", b"a" * 3900
    literal = b"\x40" + bytes([len(name)]) + name + b"\x7f" + bytes([0x80 | (len(value) - 127) & 0x7F, (len(value) - 127) >> 7]) + value
    client.encoder.header_table_size = 0  # the client's own table is out of step from here on
    for _ in range(8):
        stream = client.stream()
        plain = b"\x82\x87\x84\x41\x06a.test"  # GET https / a.test
        client.send_quietly(frame(HEADERS, END_HEADERS | END_STREAM, stream.number, plain + literal + b"\xbe" * 12000))
    try:
        client.done(*client.streams.values())
    except Exception:
        assert client.goaways and client.goaways[-1].code in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, COMPRESSION_ERROR, INTERNAL_ERROR)
    else:
        for stream in client.streams.values():
            assert stream.status == 431 or stream.reset in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, INTERNAL_ERROR), stream
    bounded(portico, before)


def test_h5_continuation_flood(client, portico, unseen):
    """CVE-2024-24549 and its kin: a block that never ends."""
    before = portico.rss_bytes()
    stream = client.stream()
    client.send_frame(HEADERS, END_STREAM, stream.number, client.encode(request("/evil")))
    part = b"\x00\x03x-a\x7f\x81\x7e" + b"a" * 16256  # one literal field, not indexed
    try:
        for _ in range(2000):
            client.send_frame(CONTINUATION, 0, stream.number, part)
    except OSError:
        pass
    client.dropped(ENHANCE_YOUR_CALM, PROTOCOL_ERROR, INTERNAL_ERROR, COMPRESSION_ERROR)
    bounded(portico, before)


def test_h5_flood_of_empty_continuations(client, portico, unseen):
    before = portico.rss_bytes()
    stream = client.stream()
    client.send_frame(HEADERS, END_STREAM, stream.number, client.encode(request("/evil")))
    try:
        for _ in range(200):
            client.send(frame(CONTINUATION, 0, stream.number) * 100)
    except OSError:
        pass
    client.dropped(ENHANCE_YOUR_CALM, PROTOCOL_ERROR, INTERNAL_ERROR)
    bounded(portico, before)


def test_h5_one_continuation_frame_a_byte(client, unseen):
    """Within the limit of size, beyond the one of frames (16 a block)."""
    stream = client.stream()
    payload = client.encode(request("/evil"))
    client.send_frame(HEADERS, END_STREAM, stream.number, payload[:1])
    rest = payload[1:] + b"\x00\x03x-a\x01b" * 8
    frames = [frame(CONTINUATION, 0, stream.number, rest[i : i + 1]) for i in range(len(rest))]
    client.send_quietly(b"".join(frames))
    client.dropped(ENHANCE_YOUR_CALM, PROTOCOL_ERROR, INTERNAL_ERROR)


BLOCKS = {
    "index 0": b"\x80",
    "index beyond both tables": b"\xff\xff\x01",
    "table size above what was allowed": b"\x3f\xe1\xff\x03",
    "table size in the middle": b"\x82\x20",
    "huffman with a padding of ones too long": b"\x40\x82\xff\xff\x01a",
    "huffman with EOS": b"\x40\x84\xff\xff\xff\xff\x01a",
    "cut in an integer": b"\x82\xff",
    "cut in a string": b"\x40\x0ax",
    "integer of twenty bytes": b"\xff" + b"\xff" * 20 + b"\x01",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_h5_blocks_that_cannot_be_decoded_end_the_connection(client, unseen, block):
    """RFC 7541 §2.3.3, §5, §6.3; RFC 9113 §4.3: the tables would be out of step."""
    client.send_frame(HEADERS, END_HEADERS | END_STREAM, client.stream().number, block)
    client.ended(COMPRESSION_ERROR)
