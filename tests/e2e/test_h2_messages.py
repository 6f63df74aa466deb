"""Over HTTP/2 a message means what it means over HTTP/1.1: the same requests at the backend, the same answers back."""

import threading

import pytest

from support.backend import echo
from support.client import tls_context
from support.h2 import CANCEL, NO_ERROR, open_h2
from support.ports import free_port

CHUNKED = "Transfer-Encoding: chunked\r\n"
HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "x-private"]


def answering(connection, request):
    kind = request.target.split("?")[0].lstrip("/")
    if kind == "refused":
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        connection.close()
        return
    if kind == "expect":
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
    connection.read_body(request)
    if kind == "trailers":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}Trailer: X-Sum\r\n\r\n")
        connection.send("3\r\nabc\r\n1\r\nd\r\n0\r\nX-Sum: 42\r\nSet-Cookie: late=1\r\n\r\n")
    elif kind == "only-trailers":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n0\r\nX-Sum: 42\r\n\r\n")
    elif kind == "close":
        connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        connection.close()
    elif kind == "204":
        connection.send("HTTP/1.1 204 No Content\r\n\r\n")
    elif kind == "304":
        connection.send('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12\r\n\r\n')
    elif kind == "204-with-body":
        connection.send("HTTP/1.1 204 No Content\r\n\r\npoison")
    elif kind == "head":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-A: b\r\n\r\n")
    elif kind == "head-chunked":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n")
    elif kind == "hints":
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n" * 2)
        connection.reply(200, "after hints")
    elif kind == "hop":
        fields = [("Connection", "keep-alive, X-Private"), ("Keep-Alive", "timeout=5"), ("X-Private", "1")]
        fields += [("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c"), ("X-UPPER", "Case Kept")]
        connection.reply(200, "x", [*fields, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    elif kind == "dies":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        connection.wait_sent()
        connection.close()
    elif kind == "dies-in-chunks":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n3\r\nabc\r\n")
        connection.wait_sent()
        connection.close()
    elif kind == "nonsense":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc")
        connection.close()
    elif kind == "empty":
        connection.reply(200)
    else:
        connection.reply(200, b"%d:" % len(request.body) + request.body + b"|" + request.trailers)


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends(answering)


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend, HSTS="1y")


@pytest.fixture
def client(portico):
    with open_h2(portico) as connection:
        yield connection


@pytest.fixture
def ask(client, backend):
    """One request: how the backend saw it, and the answer."""

    def run(path="/", **parts):
        before = len(backend.seen)
        stream = client.get(path, **parts)
        return backend.wait_requests(before + 1), stream

    return run


# --- requests ---


def test_a_request_is_an_ordinary_one_at_the_backend(ask):
    seen, stream = ask("/path?q=1", fields=[("x-a", "b")])
    assert (stream.status, stream.body) == (200, b"0:|")
    assert (seen.method, seen.target, seen.version) == ("GET", "/path?q=1", "HTTP/1.1")
    assert seen.all("Host") == ["a.test"]
    assert seen.all("X-A") == ["b"]
    assert not [name for name, _ in seen.fields if name.startswith(":")]
    assert seen.all("Transfer-Encoding") == [] and seen.all("Content-Length") in ([], ["0"])


def test_the_client_is_named_from_the_connection(ask):
    seen, _ = ask(fields=[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-proto", "http"), ("proxy", "evil"), ("x_real_ip", "6.6.6.6")])
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    assert seen.all("X-Forwarded-Host") == ["a.test"]
    assert seen.all("X-Real-IP") == ["127.0.0.1"]
    assert seen.all("Proxy") == [] and seen.all("x_real_ip") == []


def test_target_and_query_pass_byte_for_byte(ask):
    target = "/a//b/../c/%2e%2E/;p=1?x=%00&y=a+b&&="
    assert ask(target)[0].target == target


def test_cookie_crumbs_are_merged(ask):
    """RFC 9113 §8.2.3."""
    seen, _ = ask(fields=[("cookie", "a=1"), ("x-between", "1"), ("cookie", "b=2"), ("cookie", "c=3")])
    assert seen.all("Cookie") == ["a=1; b=2; c=3"]


def test_te_trailers_is_allowed(ask):
    """RFC 9113 §8.2.2: the one value that TE may have."""
    assert ask(fields=[("te", "trailers")])[1].status == 200


def test_host_alone_is_an_authority(ask):
    """RFC 9113 §8.3.1: :authority may be missing where Host is there."""
    seen, stream = ask(authority=None, fields=[("host", "a.test")])
    assert stream.status == 200 and seen.all("Host") == ["a.test"]


def test_host_that_says_the_same_is_passed_on_once(ask):
    seen, stream = ask(fields=[("host", "a.test")])
    assert stream.status == 200 and seen.all("Host") == ["a.test"]


@pytest.mark.parametrize("body", [b"", b"hello", b"x" * 100000], ids=len)
def test_bodies_with_content_length(client, backend, body):
    before = len(backend.seen)
    stream = client.ask(path="/", method="POST", fields=[("content-length", str(len(body)))], end=False)
    client.body(stream, body)
    client.done(stream)
    assert stream.body == b"%d:" % len(body) + body + b"|"
    seen = backend.wait_requests(before + 1)
    assert seen.all("Content-Length") == [str(len(body))] and seen.all("Transfer-Encoding") == []


def test_a_body_of_unknown_length_is_chunked(client, backend):
    before = len(backend.seen)
    stream = client.ask(path="/", method="POST", end=False)
    client.body(stream, b"hello")
    assert client.done(stream).body == b"5:hello|"
    seen = backend.wait_requests(before + 1)
    assert seen.all("Transfer-Encoding") == ["chunked"] and seen.all("Content-Length") == []


def test_request_trailers_reach_the_backend(client):
    stream = client.ask(path="/", method="POST", end=False, fields=[("te", "trailers"), ("trailer", "x-sum")])
    client.body(stream, b"hello", end=False)
    client.trailers(stream, [("x-sum", "42")])
    head, _, trailers = client.done(stream).body.partition(b"|")
    assert head == b"5:hello"
    assert trailers.lower() == b"x-sum: 42\r\n"


def test_padding_is_no_part_of_a_body(client):
    stream = client.ask(path="/", method="POST", end=False)
    client.send_frame(0, 0x8 | 0x1, stream.number, bytes([10]) + b"hello" + b"\0" * 10)
    assert client.done(stream).body == b"5:hello|"


def test_expect_is_answered_by_the_backend(client):
    stream = client.ask(path="/expect", method="POST", end=False, fields=[("expect", "100-continue")])
    client.wait(lambda: stream.heads, "100 Continue")
    assert stream.status == 100
    client.body(stream, b"hello")
    assert client.done(stream).body == b"5:hello|"


# --- answers ---


def test_the_answers_fields_are_lower_case_and_free_of_hop_by_hop(ask):
    _, stream = ask("/hop")
    names = [name for name, _ in stream.fields]
    assert names[0] == ":status" and names.count(":status") == 1
    assert names == [name.lower() for name in names]
    assert not set(names) & set(HOP_BY_HOP)
    assert stream.all("x-upper") == ["Case Kept"]
    assert stream.all("set-cookie") == ["a=1", "b=2"]
    assert stream.all("content-length") == ["1"]
    assert stream.all("strict-transport-security") == ["max-age=31536000"]


@pytest.mark.parametrize("path, body, trailers", [("/trailers", b"abcd", {"x-sum": "42"}), ("/only-trailers", b"", {"x-sum": "42"})])
def test_trailers_reach_the_client(client, path, body, trailers):
    stream = client.get(path)
    assert stream.body == body
    assert stream.all("transfer-encoding") == []
    assert dict(stream.trailers) == trailers


def test_an_answer_until_close_ends_with_end_stream(client):
    assert client.get("/close").body == b"until the end"
    assert client.get("/").status == 200


@pytest.mark.parametrize("method, path", [("GET", "/204"), ("GET", "/304"), ("HEAD", "/head"), ("HEAD", "/head-chunked"), ("GET", "/empty")])
def test_answers_without_a_body(client, method, path):
    stream = client.get(path, method=method)
    assert stream.status == {"/204": 204, "/304": 304}.get(path, 200)
    assert stream.num_bytes == 0 and stream.trailers is None
    if path == "/head":
        assert stream.all("content-length") == ["12345"]
    if path == "/304":
        assert stream.all("etag") == ['"x"']
    if path == "/204":
        assert stream.all("content-length") == []
    assert client.get("/").body == b"0:|"


def test_b6_a_204_with_a_body_poisons_nothing(client):
    stream = client.get("/204-with-body")
    assert (stream.status, stream.num_bytes) == (204, 0)
    assert client.get("/").body == b"0:|"


def test_interim_answers_come_before_the_answer(client):
    stream = client.get("/hints")
    assert [dict(head)[":status"] for head in stream.interim] == ["103", "103"]
    assert dict(stream.interim[0])["link"] == "</s.css>; rel=preload"
    assert (stream.status, stream.body) == (200, b"after hints")


@pytest.mark.parametrize("path", ["/dies", "/dies-in-chunks"])
def test_b4_a_backend_that_dies_in_the_body_resets_the_stream_alone(client, path):
    stream = client.done(client.ask(path=path))
    assert stream.status in (0, 200) and not stream.ended
    assert stream.reset is not None and stream.reset != NO_ERROR
    assert client.get("/").body == b"0:|"


def test_b5_a_nonsensical_answer_is_502(client):
    assert client.get("/nonsense").status == 502
    assert client.get("/").status == 200


def test_b6_an_early_answer_comes_whole_and_then_no_error(client):
    """RFC 9113 §8.1: RST_STREAM NO_ERROR after the complete answer, while the request's body still flows."""
    stream = client.ask(path="/refused", method="POST", end=False, fields=[("content-length", "10000000")])
    client.done(stream)
    assert (stream.status, stream.body, stream.ended) == (403, b"no", True)
    client.wait(lambda: stream.reset is not None, "RST_STREAM")
    assert stream.reset == NO_ERROR
    assert client.get("/").status == 200


# --- answers of our own ---


def test_error_pages_over_h2(launch):
    portico = launch(f"http://127.0.0.1:{free_port()}", UPSTREAM_WAIT="100ms")
    with open_h2(portico) as client:
        html = client.get("/", fields=[("accept", "text/html")])
        json = client.get("/", fields=[("accept", "application/json")])
        head = client.get("/", method="HEAD")
    assert [s.status for s in (html, json, head)] == [502, 502, 502]
    assert html.get("content-type").startswith("text/html") and b"502" in html.body
    assert json.get("content-type") in ("application/json", "application/problem+json")
    assert int(html.get("content-length")) == len(html.body)
    assert head.num_bytes == 0
    assert not set(name for name, _ in html.fields) & set(HOP_BY_HOP)


def test_r8_a_name_that_is_not_served_is_421(client, backend):
    """What a browser that coalesces connections learns (RFC 9110 §15.5.20); the connection serves on."""
    before = len(backend.seen)
    assert client.get("/", authority="c.test").status == 421
    assert client.get("/", authority="b.test").status == 200
    assert client.get("/", authority="a.test").status == 200
    assert [r.get("Host") for r in backend.seen[before:]] == ["b.test", "a.test"]


def test_r10_a_body_over_the_limit(launch, backends):
    backend = backends()
    with open_h2(launch(backend, MAX_REQUEST_BODY="64k")) as client:
        declared = client.ask(path="/declared", method="POST", end=False, fields=[("content-length", "65537")])
        assert client.head(declared).status == 413
        counted = client.ask(path="/counted", method="POST", end=False)
        client.body(counted, b"x" * 65537)
        assert client.head(counted).status == 413
        within = client.ask(path="/within", method="POST", end=False)
        client.body(within, b"x" * 65536)
        assert client.done(within).status == 200
    assert [(r.target, len(r.body)) for r in backend.seen if r.body] == [("/within", 65536)]


def test_r10_limits_of_target_and_fields(client, backend):
    before = len(backend.seen)
    assert client.get("/" + "a" * 8300).status == 414
    assert client.get("/", fields=[(f"x-{i}", "a") for i in range(101)]).status == 431
    assert backend.seen[before:] == []
    assert client.get("/" + "a" * 8000).status == 200
    assert client.get("/", fields=[(f"x-{i}", "a") for i in range(96)]).status == 200


def test_r12_trace_is_refused(client, backend):
    before = len(backend.seen)
    assert client.get("/", method="TRACE").status == 405
    assert backend.seen[before:] == []


def test_r12_plain_connect_is_refused(client, backend):
    before = len(backend.seen)
    stream = client.ask([(":method", "CONNECT"), (":authority", "a.test:443")], end=False)
    client.done(stream)
    assert stream.status == 501 or stream.reset is not None
    client.get("/")
    assert [r.method for r in backend.seen[before:]] == ["GET"]


# --- together ---


def test_streams_are_answered_as_they_are_ready(launch, backends):
    """A slow answer does not hold up the others."""
    gate = threading.Event()

    def answer(connection, request):
        if request.target == "/slow":
            gate.wait(20)
        echo(connection, request)

    with open_h2(launch(backends(answer))) as client:
        slow = client.ask(path="/slow")
        for i in range(10):
            assert client.get(f"/{i}").body == f"GET /{i}\n".encode()
        assert not slow.heads
        gate.set()
        assert client.done(slow).body == b"GET /slow\n"


def test_a_client_that_cancels_aborts_its_request_alone(launch, backends):
    ended = threading.Event()

    def answer(connection, request):
        if request.target == "/wait":
            connection.wait_closed()
            ended.set()
        else:
            echo(connection, request)

    backend = backends(answer)
    portico = launch(backend)
    with open_h2(portico) as client:
        stream = client.ask(path="/wait")
        backend.wait_requests(1)
        client.reset(stream, CANCEL)
        assert ended.wait(10), "the backend went on working for nobody"
        assert client.get("/on").status == 200
    assert portico.wait_event("access", path="/wait")["status"] == 499


def test_a_client_that_leaves_aborts_all_its_requests(launch, backends):
    gone = threading.Semaphore(0)

    def answer(connection, request):
        connection.wait_closed()
        gone.release()

    backend = backends(answer)
    with open_h2(launch(backend)) as client:
        for i in range(5):
            client.ask(path=f"/{i}")
        backend.wait_requests(5)
    for _ in range(5):
        assert gone.acquire(timeout=10)


def test_a_body_that_is_reset_is_never_completed(launch, backends):
    """H2's word for a reset: the backend must not take a part for the whole."""
    cut = threading.Event()

    def answer(connection, request):
        try:
            connection.read_body(request)
        except (EOFError, ConnectionError):
            cut.set()
            raise
        connection.reply(200, "ok")

    backend = backends(answer)
    with open_h2(launch(backend)) as client:
        stream = client.ask(path="/", method="POST", end=False)
        client.data(stream, b"hello")
        backend.wait_requests(1)
        client.reset(stream, CANCEL)
        assert cut.wait(10)
        client.ping()


def test_one_line_of_the_access_log_for_each_stream(portico, client):
    client.get("/log-1")
    client.get("/log-2")
    for path in ("/log-1", "/log-2"):
        line = portico.wait_event("access", path=path)
        assert line["status"] == 200
        assert "2" in str(line.get("protocol", line.get("proto", line.get("version"))))
    assert len(portico.access(path="/log-1")) == 1


def test_h1_is_still_there(portico):
    """Without ALPN, or with http/1.1 alone."""
    assert portico.get("a.test", "/").status == 200


def test_http2_can_be_turned_off(launch, backends):
    portico = launch(backends(), HTTP2="false")
    with portico.tls("a.test", context=tls_context(alpn=["h2", "http/1.1"])) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        assert client.get("a.test").status == 200


def test_h2_is_preferred(portico):
    with portico.tls("a.test", context=tls_context(alpn=["http/1.1", "h2"])) as client:
        assert client.sock.selected_alpn_protocol() == "h2"
