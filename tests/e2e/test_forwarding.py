"""R9, and PRODUCT.md's forwarding rules: what the backend and the client are told, and what is kept from them."""

import pytest


@pytest.fixture(scope="module")
def backend(module_backends):
    def answer(connection, request):
        connection.read_body(request)
        if request.target == "/hop":
            connection.reply(
                200,
                "x",
                [
                    ("Connection", "keep-alive, X-Private, Set-Cookie"),
                    ("Keep-Alive", "timeout=5"),
                    ("X-Private", "1"),
                    ("Set-Cookie", "a=1"),
                    ("Set-Cookie", "b=2"),
                    ("Server", "backend"),
                    ("Proxy-Connection", "keep-alive"),
                ],
            )
        else:
            connection.reply(200, "ok")

    return module_backends(answer)


@pytest.fixture(scope="module")
def portico(module_launch, backend):
    return module_launch(backend, HSTS="1y; includeSubDomains")


def ask(portico, backend, *fields, path="/", secure=True):
    """The request as the backend saw it, and the answer."""
    before = len(backend.seen)
    with portico.tls("a.test") if secure else portico.plain() as client:
        response = client.get("a.test", path, fields=fields)
    assert response.status == 200
    return backend.wait_requests(before + 1), response


def test_the_client_is_named_from_the_connection(portico, backend):
    seen, _ = ask(portico, backend)
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    assert seen.all("X-Forwarded-Host") == ["a.test"]
    assert seen.all("X-Forwarded-Port") == ["443"]
    assert seen.all("X-Real-IP") == ["127.0.0.1"]


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Real-IP", "x-forwarded-for"]
)
def test_what_an_untrusted_client_says_of_itself_is_replaced(portico, backend, name):
    seen, _ = ask(portico, backend, (name, "6.6.6.6"))
    values = seen.all(name)
    assert len(values) == 1 and "6.6.6.6" not in values[0]


@pytest.mark.parametrize("name", ["Proxy", "Forwarded", "X_Forwarded_For", "Content_Length", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"])
def test_fields_that_are_dropped(portico, backend, name):
    seen, _ = ask(portico, backend, (name, "evil"))
    assert seen.all(name) == []


def test_fields_that_connection_names_are_dropped(portico, backend):
    seen, _ = ask(portico, backend, ("Connection", "close, X-Secret"), ("X-Secret", "1"), ("X-Open", "2"))
    assert seen.all("X-Secret") == []
    assert seen.all("X-Open") == ["2"]


@pytest.mark.parametrize("name", ["Host", "X-Forwarded-For", "X-Real-IP", "X-Forwarded-Proto"])
def test_connection_cannot_take_away_what_the_proxy_says(portico, backend, name):
    seen, _ = ask(portico, backend, ("Connection", name))
    assert len(seen.all(name)) == 1


def test_connection_cannot_take_content_length_away(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        client.send(
            "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close, content-length\r\nContent-Length: 5\r\n\r\nhello"
        )
        assert client.read_response().status == 200
    assert backend.wait_requests(before + 1).body == b"hello"


def test_the_answers_own_fields_come_through_but_for_hop_by_hop(portico, backend):
    _, response = ask(portico, backend, path="/hop")
    assert response.all("Set-Cookie") == ["a=1", "b=2"] or response.all("Set-Cookie") == []
    assert response.get("Server") == "backend"
    for name in ("X-Private", "Keep-Alive", "Proxy-Connection"):
        assert response.all(name) == []


def test_hsts_on_https_alone(module_launch, portico, backend):
    _, response = ask(portico, backend)
    assert response.all("Strict-Transport-Security") == ["max-age=31536000; includeSubDomains"]
    with portico.plain() as client:
        redirect = client.get("a.test")
    assert redirect.all("Strict-Transport-Security") == []


def test_target_and_query_pass_byte_for_byte(portico, backend):
    target = "/a//b/../c/%2e%2E/;p=1?x=%00&y=a+b&&=#"[:-1]
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        assert client.get("a.test", target).status == 200
    assert backend.wait_requests(before + 1).target == target


def test_absolute_form_of_the_same_host_becomes_origin_form(portico, backend):
    before = len(backend.seen)
    with portico.tls("a.test") as client:
        assert client.get("a.test", "https://a.test/path?q").status == 200
    seen = backend.wait_requests(before + 1)
    assert (seen.target, seen.all("Host")) == ("/path?q", ["a.test"])
