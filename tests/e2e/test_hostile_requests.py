"""R1 to R13: what two parsers could read differently is refused, and the backend sees nothing of it."""

import pytest

HOST = b"Host: a.test\r\n"


def get(*fields, line=b"GET / HTTP/1.1", host=HOST):
    return line + b"\r\n" + host + b"".join(f + b"\r\n" for f in fields) + b"\r\n"


def post(*fields, body=b"", line=b"POST / HTTP/1.1"):
    return get(*fields, line=line) + body


def chunked(body, *fields):
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


CL, TE = b"Content-Length: ", b"Transfer-Encoding: "

# id: (bytes, statuses that are right)
REFUSED = {
    # R1
    "R1-length-then-coding": (post(CL + b"5", TE + b"chunked", body=b"0\r\n\r\n"), {400}),
    "R1-coding-then-length": (post(TE + b"chunked", CL + b"5", body=b"0\r\n\r\n"), {400}),
    # R2
    "R2-repeated-different": (post(CL + b"1", CL + b"2", body=b"ab"), {400}),
    "R2-list": (post(CL + b"1, 1", body=b"a"), {400}),
    "R2-plus": (post(CL + b"+1", body=b"a"), {400}),
    "R2-minus": (post(CL + b"-1", body=b"a"), {400}),
    "R2-hex": (post(CL + b"0x1", body=b"a"), {400}),
    "R2-space-inside": (post(CL + b"1 1", body=b"a"), {400}),
    "R2-empty": (post(b"Content-Length:", body=b""), {400}),
    "R2-2^63": (post(CL + b"9223372036854775808"), {400}),
    "R2-2^64": (post(CL + b"18446744073709551616"), {400}),
    "R2-float": (post(CL + b"1.0", body=b"a"), {400}),
    # R3
    "R3-xchunked": (post(TE + b"xchunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-identity": (post(TE + b"identity"), {400, 501}),
    "R3-gzip-chunked": (post(TE + b"gzip, chunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-chunked-gzip": (post(TE + b"chunked, gzip", body=b"0\r\n\r\n"), {400, 501}),
    "R3-twice-in-one": (post(TE + b"chunked, chunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-two-lines": (post(TE + b"chunked", TE + b"chunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-leading-comma": (post(TE + b",chunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-vertical-tab": (post(TE + b"\x0bchunked", body=b"0\r\n\r\n"), {400, 501}),
    "R3-quoted": (post(TE + b'"chunked"', body=b"0\r\n\r\n"), {400, 501}),
    "R3-http-1.0": (post(TE + b"chunked", line=b"POST / HTTP/1.0", body=b"0\r\n\r\n"), {400}),
    # R4
    "R4-minus": (chunked(b"-1\r\na\r\n0\r\n\r\n"), {400}),
    "R4-plus": (chunked(b"+1\r\na\r\n0\r\n\r\n"), {400}),
    "R4-0x": (chunked(b"0x1\r\na\r\n0\r\n\r\n"), {400}),
    "R4-space-before": (chunked(b" 1\r\na\r\n0\r\n\r\n"), {400}),
    "R4-space-behind": (chunked(b"1 \r\na\r\n0\r\n\r\n"), {400}),
    "R4-underscore": (chunked(b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n"), {400}),
    "R4-2^63": (chunked(b"8000000000000000\r\na\r\n0\r\n\r\n"), {400}),
    "R4-2^64": (chunked(b"10000000000000001\r\na\r\n0\r\n\r\n"), {400}),
    "R4-no-crlf": (chunked(b"1\r\nab0\r\n\r\n"), {400}),
    "R4-bare-lf": (chunked(b"1\na\n0\n\n"), {400}),
    "R4-lf-behind-data": (chunked(b"1\r\na\n0\r\n\r\n"), {400}),
    "R4-extension-5k": (chunked(b"1;" + b"x" * 5000 + b"\r\na\r\n0\r\n\r\n"), {400}),
    "R4-extensions-5k-in-all": (chunked((b"1;" + b"x" * 200 + b"\r\na\r\n") * 25 + b"0\r\n\r\n"), {400}),
    "R4-trailers-9k": (chunked(b"0\r\n" + b"X-A: " + b"x" * 9000 + b"\r\n\r\n"), {400, 431}),
    "R4-empty-size": (chunked(b"\r\na\r\n0\r\n\r\n"), {400}),
    # R5
    "R5-bare-cr-in-value": (get(b"X-A: a\rb"), {400}),
    "R5-bare-lf": (b"GET / HTTP/1.1\nHost: a.test\n\n", {400}),
    "R5-nul-in-value": (get(b"X-A: a\0b"), {400}),
    "R5-nul-in-name": (get(b"X\0A: b"), {400}),
    "R5-obs-fold": (get(b"X-A: a\r\n b"), {400}),
    "R5-obs-fold-first": (b"GET / HTTP/1.1\r\n X-A: a\r\n" + HOST + b"\r\n", {400}),
    "R5-space-before-colon": (get(b"X-A : b"), {400}),
    "R5-tab-before-colon": (get(b"Content-Length\t: 5"), {400}),
    "R5-empty-name": (get(b": b"), {400}),
    "R5-no-colon": (get(b"X-A"), {400}),
    "R5-name-with-blank": (get(b"X A: b"), {400}),
    "R5-name-with-high-byte": (get(b"X\xe9: b"), {400}),
    "R5-name-in-brackets": (get(b"X[A]: b"), {400}),
    "R5-del-in-value": (get(b"X-A: a\x7fb"), {400}),
    "R5-control-in-value": (get(b"X-A: a\x01b"), {400}),
    # R6
    "R6-method-with-brackets": (get(line=b"G[T / HTTP/1.1"), {400, 501}),
    "R6-method-in-lower-case": (get(line=b"get / HTTP/1.1"), {400, 501}),
    "R6-unknown-method": (get(line=b"FROBNICATE / HTTP/1.1"), {400, 501}),
    "R6-two-spaces": (get(line=b"GET  / HTTP/1.1"), {400}),
    "R6-two-spaces-behind": (get(line=b"GET /  HTTP/1.1"), {400}),
    "R6-tab": (get(line=b"GET\t/ HTTP/1.1"), {400, 501}),
    "R6-other-authority": (get(line=b"GET http://b.test/ HTTP/1.1"), {400}),
    "R6-absolute-with-userinfo": (get(line=b"GET http://u@a.test/ HTTP/1.1"), {400}),
    "R6-http-1.2": (get(line=b"GET / HTTP/1.2"), {400, 505}),
    "R6-http-2.0": (get(line=b"GET / HTTP/2.0"), {400, 505}),
    "R6-http-9": (get(line=b"GET / HTTP/9"), {400, 505}),
    "R6-rtsp": (get(line=b"OPTIONS / RTSP/1.0"), {400}),
    "R6-no-version": (b"GET /\r\n\r\n", {400}),
    "R6-fragment": (get(line=b"GET /#f HTTP/1.1"), {400}),
    "R6-high-byte": (get(line=b"GET /\xe9 HTTP/1.1"), {400}),
    "R6-control": (get(line=b"GET /\x01 HTTP/1.1"), {400}),
    "R6-no-slash": (get(line=b"GET x HTTP/1.1"), {400}),
    "R6-star": (get(line=b"GET * HTTP/1.1"), {400}),
    "R6-two-requests-in-a-line": (get(line=b"GET / HTTP/1.1 HTTP/1.1"), {400}),
    # R7
    "R7-no-host": (get(host=b""), {400}),
    "R7-two-hosts": (get(b"Host: a.test"), {400}),
    "R7-two-different": (get(b"Host: b.test"), {400}),
    "R7-userinfo": (get(host=b"Host: u@a.test\r\n"), {400}),
    "R7-bad-port": (get(host=b"Host: a.test:x\r\n"), {400}),
    "R7-port-65536": (get(host=b"Host: a.test:65536\r\n"), {400}),
    "R7-comma": (get(host=b"Host: a.test,b.test\r\n"), {400}),
    "R7-space": (get(host=b"Host: a.test b.test\r\n"), {400}),
    "R7-empty": (get(host=b"Host:\r\n"), {400}),
    "R7-slash": (get(host=b"Host: a.test/b\r\n"), {400}),
    # R8
    "R8-unknown-name": (get(host=b"Host: c.test\r\n"), {421}),
    "R8-address": (get(host=b"Host: 127.0.0.1\r\n"), {421}),
    "R8-two-labels-under-the-wildcard": (get(host=b"Host: x.y.w.test\r\n"), {421}),
    # R10
    "R10-head-of-40k": (get(*[b"X-%d: " % i + b"a" * 1000 for i in range(40)]), {431}),
    "R10-one-field-of-40k": (get(b"X-A: " + b"a" * 40000), {431}),
    "R10-101-fields": (get(*[b"X-%d: a" % i for i in range(101)]), {431}),
    "R10-target-of-9k": (get(line=b"GET /" + b"a" * 9000 + b" HTTP/1.1"), {414}),
    "R10-body-over-limit": (post(CL + b"1048577"), {413}),
    # R11
    "R11-unknown-expectation": (post(b"Expect: 200-ok", CL + b"1", body=b"a"), {417}),
    # R12
    "R12-connect": (b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", {501}),
    "R12-trace": (get(line=b"TRACE / HTTP/1.1"), {405}),
}


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends()


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend, MAX_REQUEST_BODY="1m")


@pytest.mark.parametrize("case", REFUSED)
def test_refused(portico, backend, case):
    sent, statuses = REFUSED[case]
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(sent)
        response = client.read_response("HEAD" if sent.startswith(b"HEAD") else "GET")
        assert response.status in statuses, response
        if response.status != 421:
            assert response.get("Connection", "").lower() == "close"
            assert client.read_to_end() == b"", "something came behind the refusal"
    whole = [r for r in backend.seen[before:] if b"\r\n\r\n" in r.head + b"\r\n\r\n" and case[:2] not in ("R4",)]
    assert whole == [], f"the backend saw {whole[0].head!r}"


@pytest.mark.parametrize("case", [case for case in REFUSED if case.startswith("R4")])
def test_a_broken_chunk_never_completes_a_request(portico, backend, case):
    """The head had gone by then; the backend must see the request cut, not ended."""
    before = len(backend.connections)
    with portico.tls("a.test") as client:
        client.send(REFUSED[case][0])
        client.read_response()
    for request in backend.seen:
        assert request.connection.number < before or not request.body, "a broken request was completed"


@pytest.mark.parametrize("case", ["R1-length-then-coding", "R5-space-before-colon", "R7-two-hosts", "R10-101-fields"])
def test_refused_in_single_bytes_too(portico, backend, case):
    sent, statuses = REFUSED[case]
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        for i in range(0, len(sent), 1 if len(sent) < 500 else 97):
            client.send(sent[i : i + (1 if len(sent) < 500 else 97)])
        assert client.read_response().status in statuses
    assert len(backend.seen) == before


def test_r2_the_same_length_twice_is_no_exception(portico, backend):
    with portico.tls("a.test") as client:
        client.send(post(CL + b"1", CL + b"1", body=b"a"))
        assert client.read_response().status == 400


def test_r7_http_1_0_without_host_takes_the_name_of_the_connection(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send("GET /old HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200
        assert client.ended()
    assert backend.wait_requests(before + 1).all("Host") == ["a.test"]


def test_r7_http_1_0_without_host_on_port_80(portico):
    with portico.plain() as client:
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 400


def test_r8_after_421_the_connection_serves_on(portico):
    with portico.tls("a.test") as client:
        assert client.get("c.test").status == 421
        assert client.get("a.test").status == 200


def test_r10_limits_themselves_pass(portico, backend):
    with portico.tls("a.test") as client:
        client.send(get(*[b"X-%d: a" % i for i in range(99)]))
        assert client.read_response().status == 200
        client.send(get(line=b"GET /" + b"a" * 8000 + b" HTTP/1.1"))
        assert client.read_response().status == 200
        client.send(get(b"X-A: " + b"a" * 30000))
        assert client.read_response().status == 200


def test_r10_chunks_over_the_limit(portico):
    with portico.tls("a.test") as client:
        client.send(chunked(b"80000\r\n" + b"a" * 0x80000 + b"\r\n"))
        client.send(b"80001\r\n")
        try:
            client.send(b"a" * 0x80001 + b"\r\n0\r\n\r\n")
        except OSError:
            pass
        assert client.read_response().status == 413


@pytest.mark.parametrize(
    "fields",
    [
        (b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
        (b"Upgrade: TLS/1.0", b"Connection: Upgrade"),
        (b"Upgrade: websocket",),
    ],
)
def test_r12_upgrades_that_are_stripped(portico, backend, fields):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(get(*fields))
        assert client.read_response().status == 200
        assert client.get("a.test").status == 200
    seen = backend.wait_requests(before + 1)
    assert seen.all("Upgrade") == [] and seen.all("HTTP2-Settings") == []


def test_r12_upgrade_with_a_body_is_an_ordinary_request(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(post(b"Upgrade: websocket", b"Connection: Upgrade", CL + b"3", body=b"abc"))
        assert client.read_response().status == 200
        assert client.get("a.test").status == 200
    seen = backend.wait_requests(before + 1)
    assert seen.all("Upgrade") == [] and seen.body == b"abc"


def test_r13_bytes_behind_a_request_that_closed_are_not_read(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(get(b"Connection: close", line=b"GET /1 HTTP/1.1"), get(line=b"GET /smuggled HTTP/1.1"))
        assert client.read_response().body == b"GET /1\n"
        assert client.ended()
    assert [r.target for r in backend.seen[before:]] == ["/1"]


def test_r13_nothing_behind_a_refused_request_is_read(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(post(CL + b"1", TE + b"chunked", body=b"0\r\n\r\n"), get(line=b"GET /smuggled HTTP/1.1"))
        assert client.read_response().status == 400
        assert client.ended()
    assert backend.seen[before:] == []


def test_r13_a_pipelined_flood_is_bounded(launch, backends):
    """At most one request ahead is read: a client that never reads its answers cannot pile up work."""
    import threading

    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply(200, "ok")

    backend = backends(answer)
    portico = launch(backend)
    with portico.tls("a.test") as client:
        client.sock.settimeout(1)
        flood = get() * 20000
        sent = 0
        try:
            while sent < 8 << 20:
                sent += client.sock.send(flood)
        except (TimeoutError, OSError):
            pass
        backend.wait_requests(1)
        assert len(backend.seen) == 1
        gate.set()
        assert sent < 8 << 20, "megabytes of pipelined requests were taken in"


def test_errors_are_html_or_json_as_the_client_asks(portico):
    with portico.tls("a.test") as client:
        html = client.get("c.test", fields=[("Accept", "text/html")])
        json = client.get("c.test", fields=[("Accept", "application/json")])
    assert html.get("Content-Type").startswith("text/html")
    assert json.get("Content-Type") in ("application/json", "application/problem+json")
    assert b'"status":421' in json.body.replace(b" ", b"")
