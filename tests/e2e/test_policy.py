"""Who may come in (BASIC_AUTH, ALLOW_IPS), and what is said when nobody answers (ERROR_PAGE)."""

import base64
import subprocess

import pytest

from support.ports import eventually, free_port

# "open sesame" of the least cost, of one that takes most of a second, and twice that
QUICK = "$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy"
SLOW = "$2b$14$abcdefghijklmnopqrstuuZZVux0kxY8OIwJAC7j70pUMvFzeHtu."

SLOWER = "$2b$15$abcdefghijklmnopqrstuuTdv1NytlKc5gD0LbLGtiMSNX2AgG9m6"


def basic(name, password):
    return "Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def ask(name, password):
    return f"GET / HTTP/1.1\r\nHost: a.test\r\n{': '.join(basic(name, password))}\r\n\r\n"


RIGHT = basic("ann", "open sesame")


@pytest.mark.smoke
def test_a_password_is_asked_for_and_the_right_one_lets_in(launch, backends):
    backend = backends()
    portico = launch(backend, BASIC_AUTH=f"ann:{QUICK}")
    with portico.tls("a.test") as client:
        refused = client.get("a.test")
        assert refused.status == 401
        assert refused.get("WWW-Authenticate") == 'Basic realm="restricted", charset="UTF-8"'
        assert client.get("a.test", fields=[basic("ann", "sherry")]).status == 401
        assert client.get("a.test", fields=[basic("bob", "open sesame")]).status == 401
        assert not backend.connections, "nothing reaches the backend before the password is right"
        assert client.get("a.test", fields=[RIGHT]).status == 200
    assert backend.seen[0].get("Authorization") == RIGHT[1], "the backend may want to know who it is"
    portico.wait_event("access", status=200)
    failures = [line.get("failure") for line in portico.access()]
    assert failures[:3] == ["no name and password", "wrong name or password", "wrong name or password"]


def test_curl_logs_in(launch, backends, need):
    need("curl")
    portico = launch(backends(), BASIC_AUTH=f"jürgen:{QUICK}")
    host, port = portico.https
    done = subprocess.run(
        ["curl", "-sk", "--user", "jürgen:open sesame", "--connect-to", f"::{host}:{port}", "https://a.test/x"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == "GET /x\n"


def test_a_body_waits_for_the_password_and_is_then_forwarded_whole(launch, backends):
    backend = backends()
    portico = launch(backend, BASIC_AUTH=f"ann:{SLOW}")
    body = b"x" * 200_000
    with portico.tls("a.test") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\n{': '.join(RIGHT)}\r\nContent-Length: {len(body)}\r\n\r\n", body)
        assert client.is_open(0.2) and not backend.connections
        response = client.read_response()
    assert response.status == 200 and response.body == b"POST /\n" + body


def test_the_body_of_a_refused_request_goes_nowhere(launch, backends):
    backend = backends()
    portico = launch(backend, BASIC_AUTH=f"ann:{QUICK}")
    fields = ": ".join(basic("ann", "wrong"))
    with portico.tls("a.test") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\nContent-Length: 100000\r\n\r\n", b"x" * 50000)
        assert client.read_response().status == 401
        assert client.ended()
    with portico.tls("a.test") as client:  # and no 100 invites it
        client.send(
            f"POST / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n"
        )
        response = client.read_response()
        assert response.status == 401 and not response.interim
    assert not backend.connections


def test_a_right_password_is_checked_once(launch, backends):
    portico = launch(backends(), BASIC_AUTH=f"ann:{SLOW}", WORKERS="1")
    with portico.tls("a.test") as client:
        before = portico.cpu_seconds()
        assert client.get("a.test", fields=[RIGHT]).status == 200
        first = portico.cpu_seconds() - before
        for _ in range(20):
            assert client.get("a.test", fields=[RIGHT]).status == 200
        assert portico.cpu_seconds() - before < 2 * first


def test_a_queue_of_passwords_does_not_delay_others(launch, backends):
    """Two threads at nice +10 have eight of them for some three seconds."""
    portico = launch(backends(), BASIC_AUTH=f"ann:{SLOW},bob:{QUICK}", WORKERS="1")
    bob = basic("bob", "open sesame")
    with portico.tls("a.test") as known:
        assert known.get("a.test", fields=[bob]).status == 200
        waiting = [portico.tls("a.test") for _ in range(8)]
        for i, client in enumerate(waiting):
            client.send(ask("ann", f"wrong {i}"))
        for _ in range(10):
            assert known.get("a.test", fields=[bob]).status == 200
        assert portico.get("a.test").status == 401
        with portico.plain() as plain:
            assert plain.get("a.test").status == 308
        assert waiting[-1].is_open(0), "the last of the eight has not been answered yet"
        for client in waiting:
            assert client.read_response().status == 401
            client.close()


def test_too_many_passwords_of_one_client_are_shed_and_those_given_up_cost_nothing(launch, backends):
    portico = launch(backends(), BASIC_AUTH=f"ann:{SLOWER}", WORKERS="1")
    clients = [portico.tls("a.test") for _ in range(20)]
    for i, client in enumerate(clients):
        client.send(ask("ann", f"wrong {i}"))
    portico.wait_event("access", status=503, count=4)  # whichever four came last
    with portico.tls("a.test") as late:
        shed = late.get("a.test", fields=[RIGHT])
        assert shed.status == 503 and shed.get("Retry-After") == "1"
    for client in clients:
        client.close()
    portico.wait_until(lambda: len(portico.access(status=499)) >= 14, "clients that left")
    with portico.tls("a.test") as client:
        eventually(lambda: client.get("a.test", fields=[RIGHT]).status == 200, "the end of the queue", timeout=60)
    assert portico.metrics()["portico_passwords_checked_total"] <= 6, "those given up were checked all the same"


def test_challenges_and_the_redirect_to_https_ask_nobody(launch, backends):
    backend = backends()
    portico = launch(
        backend,
        DOMAINS="a.test, old.test => https://a.test",
        ACME_DIRECTORY="internal",
        BASIC_AUTH=f"ann:{QUICK}",
        HTTP_MODE="redirect",
    )
    with portico.plain() as client:
        to_https = client.get("a.test", "/x")
        assert to_https.status == 308 and to_https.get("Location") == "https://a.test/x"
        assert client.get("a.test", "/.well-known/acme-challenge/abcdefghijklmnopqrstuv").status in (200, 404)
        moved = client.get("old.test", "/x")
        assert moved.get("Location") == "https://old.test/x", "no password is asked for in the clear"
    portico.wait_until(lambda: portico.shown("old.test"), "a certificate")
    with portico.tls("old.test") as client:
        assert client.get("old.test", "/x").status == 401
        assert client.get("old.test", "/x", fields=[RIGHT]).get("Location") == "https://a.test/x"


def test_passwords_never_reach_a_log(launch, backends):
    portico = launch(backends(), BASIC_AUTH=f"ann:{QUICK}", LOG_LEVEL="debug", ACCESS_LOG="json")
    with portico.tls("a.test") as client:
        for fields in ([RIGHT], [basic("ann", "sherry")], [("Authorization", "Basic sherry")], [RIGHT, RIGHT]):
            client.get("a.test", fields=fields)
    portico.wait_event("access", count=4)
    text = "\n".join(portico.lines)
    for secret in ("open sesame", "sherry", RIGHT[1].split()[1], basic("ann", "sherry")[1].split()[1], QUICK):
        assert secret not in text


@pytest.mark.parametrize("allowed, status", [("127.0.0.0/8", 200), ("private", 200), ("192.0.2.0/24, 2001:db8::/32", 403)])
def test_only_allowed_addresses_come_in(launch, backends, allowed, status):
    backend = backends()
    portico = launch(backend, ALLOW_IPS=allowed)
    response = portico.get("a.test")
    assert response.status == status
    assert bool(backend.connections) == (status == 200)


def test_the_address_is_the_one_that_trusted_proxies_tell(launch, backends):
    forwarded = [("X-Forwarded-For", "192.0.2.7")]
    allowed = launch(backends(), ALLOW_IPS="192.0.2.0/24", TRUSTED_PROXIES="127.0.0.1")
    with allowed.tls("a.test") as client:
        assert client.get("a.test", fields=forwarded).status == 200
        assert client.get("a.test").status == 403, "the proxy itself is not allowed"
    forged = launch(backends(), ALLOW_IPS="192.0.2.0/24", STORAGE=allowed.storage.with_name("other"))
    with forged.tls("a.test") as client:
        assert client.get("a.test", fields=forwarded).status == 403


def test_an_address_is_judged_before_a_password(launch, backends):
    portico = launch(backends(), ALLOW_IPS="192.0.2.1", BASIC_AUTH=f"ann:{QUICK}")
    with portico.tls("a.test") as client:
        response = client.get("a.test", fields=[RIGHT])
        assert response.status == 403 and not response.get("WWW-Authenticate")
    assert portico.wait_event("access", status=403)["failure"] == "the address is not in PORTICO_ALLOW_IPS"


def test_the_error_page_stands_for_a_backend_that_is_not_there(launch, tmp_path):
    page = "<h1>Zurück in fünf Minuten</h1>"
    (tmp_path / "page.html").write_text(page + "\n")
    portico = launch(f"http://127.0.0.1:{free_port()}", UPSTREAM_WAIT="0s", ERROR_PAGE_FILE=tmp_path / "page.html")
    with portico.tls("a.test") as client:
        response = client.get("a.test")
        assert response.status == 502 and response.body.decode() == page
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        head = client.get("a.test", method="HEAD")
        assert head.status == 502 and head.get("Content-Length") == str(len(page.encode()))
        json = client.get("a.test", fields=[("Accept", "application/json")])
        assert json.status == 502 and json.get("Content-Type") == "application/problem+json"
        other = client.get("b.example")
        assert other.status == 421 and page.encode() not in other.body


def test_the_largest_error_page_is_sent_whole(launch, tmp_path):
    page = "<p>" + "x" * (64 * 1024 - 3)
    (tmp_path / "page.html").write_text(page)
    portico = launch(f"http://127.0.0.1:{free_port()}", UPSTREAM_WAIT="0s", ERROR_PAGE_FILE=tmp_path / "page.html")
    with portico.tls("a.test") as client:
        for _ in range(3):
            assert client.get("a.test").body.decode() == page
