"""Port 80: 308 to the right host, port and target; or serve, or challenges alone."""

import pytest


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends()


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend)


def ask(portico, host, path="/", method="GET", fields=()):
    with portico.plain() as client:
        return client.get(host, path, method, fields)


@pytest.mark.smoke
@pytest.mark.parametrize(
    "host, path, location",
    [
        ("a.test", "/", "https://a.test/"),
        ("a.test", "/x/y?q=1&r=%20", "https://a.test/x/y?q=1&r=%20"),
        ("a.test:80", "/", "https://a.test/"),
        ("A.TEST.", "/", "https://a.test/"),
        ("x.w.test", "/p", "https://x.w.test/p"),
        ("a.test", "//evil.example/", "https://a.test//evil.example/"),
        ("a.test", "http://a.test/abs", "https://a.test/abs"),
    ],
)
def test_where_to(portico, host, path, location):
    response = ask(portico, host, path)
    assert (response.status, response.get("Location")) == (308, location)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_every_method_and_the_body_is_not_waited_for(portico, method):
    response = ask(portico, "a.test", "/x", method, [("Content-Length", "0")] if method != "HEAD" else [])
    assert (response.status, response.get("Location")) == (308, "https://a.test/x")


def test_the_backend_sees_none_of_it(portico, backend):
    ask(portico, "a.test", "/unseen")
    assert "/unseen" not in [r.target for r in backend.seen]


@pytest.mark.parametrize("host", ["c.test", "127.0.0.1", "x.y.w.test"])
def test_a_name_that_is_not_served_is_not_redirected(portico, host):
    response = ask(portico, host)
    assert response.status == 421 and response.get("Location") is None


def test_the_connection_serves_on(portico):
    with portico.plain() as client:
        for _ in range(5):
            assert client.get("a.test").status == 308


def test_the_public_port(launch, backends):
    portico = launch(backends(), HTTPS_PUBLIC=":8443")
    assert ask(portico, "a.test:8080", "/x").get("Location") == "https://a.test:8443/x"


def test_serve(launch, backends):
    backend = backends()
    portico = launch(backend, HTTP_MODE="serve")
    assert ask(portico, "a.test", "/plain").body == b"GET /plain\n"
    assert backend.seen[0].get("X-Forwarded-Proto") == "http"
    assert ask(portico, "c.test").status == 421


def test_off(launch, backends):
    portico = launch(backends(), HTTP_MODE="off")
    assert ask(portico, "a.test").status == 404
    assert portico.get("a.test").status == 200


def test_a_name_that_moves(launch, backends):
    portico = launch(
        backends(),
        DOMAINS="a.test, b.test => https://new.example",
        **launch.own_certificate("a.test", "b.test"),
    )
    for secure in (True, False):
        response = portico.get("b.test", "/x?y") if secure else ask(portico, "b.test", "/x?y")
        assert (response.status, response.get("Location")) == (308, "https://new.example/x?y")
    assert portico.get("a.test").status == 200


def test_a_body_does_not_become_the_next_request(portico):
    """It is not read: the connection ends, and says so."""
    body = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with portico.plain() as client:
        client.send(f"POST /one HTTP/1.1\r\nHost: a.test\r\nContent-Length: {len(body)}\r\n\r\n", body)
        response = client.read_response()
        assert response.get("Location") == "https://a.test/one"
        assert response.get("Connection") == "close"
        assert client.ended()


def test_options_of_the_server_goes_to_the_root(portico):
    response = ask(portico, "a.test", "*", "OPTIONS")
    assert (response.status, response.get("Location")) == (308, "https://a.test/")


def test_http_1_0_gets_the_redirect_and_the_end(portico):
    with portico.plain() as client:
        client.send("GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n")
        response = client.read_response()
        assert (response.status, response.get("Location")) == (308, "https://a.test/x")
        assert client.ended()


def test_hsts_is_said_over_tls_alone(launch, backends):
    """RFC 6797 7.2: not over plain HTTP, neither with a redirect nor with an answer of the backend."""
    portico = launch(backends(), HSTS="1y", HTTP_MODE="serve", DOMAINS="a.test, b.test => https://a.test")
    for name in ("a.test", "b.test"):
        assert ask(portico, name).get("Strict-Transport-Security") is None
    assert portico.get("a.test").get("Strict-Transport-Security") == "max-age=31536000"


def test_an_ipv6_address_keeps_its_brackets(launch, backends):
    own = launch.own_certificate("::1", "127.0.0.1")
    portico = launch(backends(), DOMAINS="::1,127.0.0.1", HTTPS_PUBLIC=":8443", **own)
    assert ask(portico, "[::1]", "/x").get("Location") == "https://[::1]:8443/x"
    assert ask(portico, "127.0.0.1:80", "/x").get("Location") == "https://127.0.0.1:8443/x"
