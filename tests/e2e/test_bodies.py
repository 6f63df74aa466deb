"""B6 and framing: bodies arrive as they were sent, however they are framed on either side."""

import pytest

CHUNKED = "Transfer-Encoding: chunked\r\n"


def answering(connection, request):
    kind = request.target.lstrip("/")
    if kind == "expect":
        connection.send("HTTP/1.1 100 Continue\r\n\r\n")
    if kind == "no-continue":
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        connection.close()
        return
    connection.read_body(request)
    if kind == "chunked":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}Trailer: X-Sum\r\n\r\n")
        connection.send("3;ext=1\r\nabc\r\n", "1\r\nd\r\n", "0\r\nX-Sum: 42\r\nSet-Cookie: late=1\r\n\r\n")
    elif kind == "close":
        connection.send("HTTP/1.1 200 OK\r\n\r\nuntil the end")
        connection.close()
    elif kind == "http10":
        connection.send("HTTP/1.0 200 OK\r\n\r\nold and short")
        connection.close()
    elif kind == "204":
        connection.send("HTTP/1.1 204 No Content\r\n\r\n")
    elif kind == "304":
        connection.send('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12\r\n\r\n')
    elif kind == "head":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-A: b\r\n\r\n")
    elif kind == "head-chunked":
        connection.send(f"HTTP/1.1 200 OK\r\n{CHUNKED}\r\n")
    elif kind == "204-with-body":
        connection.send("HTTP/1.1 204 No Content\r\n\r\npoison")
    elif kind == "304-with-body":
        connection.send("HTTP/1.1 304 Not Modified\r\n\r\npoison")
    elif kind == "head-with-body":
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    elif kind == "early":
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </s.css>; rel=preload\r\n\r\n")
        connection.reply(200, "after hints")
    elif kind == "empty":
        connection.reply(200)
    else:
        connection.reply(200, b"%d:" % len(request.body) + request.body + b"|" + request.trailers)


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends(answering)


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend)


def serves_on(client):
    """The connection is good for another request, and nothing of the last one is left in it."""
    return client.get("a.test", "/plain").body == b"0:|"


def test_chunked_answer_with_trailers(portico):
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/chunked")
        assert response.body == b"abcd"
        assert response.trailers == [("X-Sum", "42")]
        assert serves_on(client)


@pytest.mark.parametrize("path, body", [("/close", b"until the end"), ("/http10", b"old and short")])
def test_answer_until_close_is_framed_for_the_client(portico, path, body):
    with portico.tls("a.test") as client:
        response = client.get("a.test", path)
        assert response.body == body
        assert response.get("Transfer-Encoding") == "chunked"
        assert serves_on(client)


@pytest.mark.parametrize("path", ["/chunked", "/close"])
def test_http_1_0_clients_get_no_chunks(portico, path):
    with portico.tls("a.test") as client:
        client.send(f"GET {path} HTTP/1.0\r\nHost: a.test\r\n\r\n")
        response = client.read_response()
        assert response.get("Transfer-Encoding") is None
        assert response.body in (b"abcd", b"until the end")


def test_http_1_0_is_kept_alive_only_if_asked(portico):
    with portico.tls("a.test") as client:
        client.send("GET /plain HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n")
        response = client.read_response()
        assert response.get("Connection", "").lower() == "keep-alive"
        client.send("GET /plain HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert client.read_response().body == b"0:|"
        assert client.ended()


@pytest.mark.parametrize("method, path", [("GET", "/204"), ("GET", "/304"), ("HEAD", "/head"), ("HEAD", "/head-chunked")])
def test_answers_without_a_body(portico, method, path):
    with portico.tls("a.test") as client:
        response = client.get("a.test", path, method)
        assert response.status == {"/204": 204, "/304": 304}.get(path, 200)
        if path == "/head":
            assert response.get("Content-Length") == "12345"
        if path == "/304":
            assert response.get("ETag") == '"x"'
        assert serves_on(client)


@pytest.mark.parametrize("method, path", [("GET", "/204-with-body"), ("GET", "/304-with-body"), ("HEAD", "/head-with-body")])
def test_body_bytes_where_none_belong_poison_nothing(portico, backend, method, path):
    with portico.tls("a.test") as client:
        client.get("a.test", path, method)
        poisoned = backend.seen[-1].connection
        assert serves_on(client)
        assert backend.seen[-1].connection is not poisoned, "the connection went back to the pool"


def test_request_body_with_a_length(portico):
    with portico.tls("a.test") as client:
        client.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\nhello world")
        assert client.read_response().body == b"11:hello world|"
        assert serves_on(client)


def test_request_body_in_chunks_with_trailers(portico, backend):
    with portico.tls("a.test") as client:
        client.send(f"POST /x HTTP/1.1\r\nHost: a.test\r\n{CHUNKED}\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\n")
        client.send("X-Sum: 1\r\nX-Forwarded-For: 6.6.6.6\r\nAuthorization: x\r\n\r\n")
        assert client.read_response().body == b"6:hello!|X-Sum: 1\r\n"
        assert serves_on(client)


def test_a_length_of_zero(portico):
    with portico.tls("a.test") as client:
        client.send("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
        assert client.read_response().body == b"0:|"


def test_an_empty_answer(portico):
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/empty")
        assert (response.body, response.get("Content-Length")) == (b"", "0")
        assert serves_on(client)


def test_100_continue_is_the_backends_word(portico):
    with portico.tls("a.test") as client:
        client.send("POST /expect HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        interim = client.read_head()
        assert interim.status == 100
        client.send("body")
        assert client.read_response().body == b"4:body|"


def test_a_refusal_instead_of_100_continue(portico):
    with portico.tls("a.test") as client:
        client.send("POST /no-continue HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        response = client.read_response()
        assert (response.status, response.body, response.interim) == (403, b"no", [])


def test_103_early_hints(portico):
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/early")
        assert [i.status for i in response.interim] == [103]
        assert response.interim[0].get("Link") == "</s.css>; rel=preload"
        assert response.body == b"after hints"


def test_no_interim_answer_to_http_1_0(portico):
    with portico.tls("a.test") as client:
        client.send("GET /early HTTP/1.0\r\nHost: a.test\r\n\r\n")
        response = client.read_response()
        assert (response.interim, response.body) == ([], b"after hints")


def test_every_method_passes(portico, backend):
    with portico.tls("a.test") as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"):
            client.send(f"{method} /m HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
            assert client.read_response().status == 200
            assert backend.seen[-1].method == method
