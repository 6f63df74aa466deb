"""The admin endpoint: health for whom it concerns, metrics that add up, status for this machine alone."""

import json
import re
import socket
import time

import pytest

from support.client import connect


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    return module_launch(module_backends())


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_health(portico, path):
    response = portico.ask_admin(path)
    assert (response.status, response.body) == (200, b"ok\n")
    head = portico.ask_admin(path, "HEAD")
    assert (head.status, head.body) == (200, b"")


def test_health_does_not_ask_the_backend(launch):
    portico = launch("http://127.0.0.1:1", UPSTREAM_WAIT="0")
    assert portico.ask_admin("/livez").status == 200
    assert portico.ask_admin("/readyz").status == 200


@pytest.mark.parametrize("method, path, status", [("POST", "/livez", 405), ("GET", "/", 404), ("GET", "/livez/x", 404), ("GET", "/etc/passwd", 404)])
def test_what_there_is_not(portico, method, path, status):
    assert portico.ask_admin(path, method).status == status


SERIES = re.compile(r'^[a-z_]+(\{[a-z_]+="[^"\n]*"(,[a-z_]+="[^"\n]*")*\})? -?\d+(\.\d+)?$')


def test_metrics_are_in_the_exposition_format(portico):
    response = portico.ask_admin("/metrics")
    assert response.get("Content-Type").startswith("text/plain; version=0.0.4")
    types, names = set(), set()
    for line in response.body.decode().splitlines():
        if line.startswith("# TYPE "):
            name = line.split()[2]
            assert name not in types, f"{name} is typed twice"
            types.add(name)
        elif not line.startswith("#"):
            assert SERIES.match(line), line
            names.add(re.split(r"[{ ]", line)[0])
    assert names <= types
    assert len({line.rsplit(" ", 1)[0] for line in response.body.decode().splitlines()}) == len(
        response.body.decode().splitlines()
    ), "a series stands twice"


def test_they_count_what_happened(launch, backends):
    portico = launch(backends())
    for _ in range(3):
        portico.get("a.test")
    with portico.tls("a.test") as client:
        client.get("a.test")
        client.get("c.test")
    with portico.plain() as client:
        client.get("a.test")
        metrics = portico.metrics()
    assert metrics['portico_requests_total{protocol="HTTP/1"}'] == 6
    assert metrics['portico_responses_total{code="2xx",protocol="HTTP/1"}'] == 4
    assert metrics['portico_responses_total{code="3xx",protocol="HTTP/1"}'] == 1
    assert metrics['portico_responses_total{code="4xx",protocol="HTTP/1"}'] == 1
    assert metrics['portico_handshakes_total{result="full"}'] == 4
    assert metrics["portico_connections_accepted_total"] == 5
    assert metrics["portico_upstream_connects_total"] >= 1
    assert metrics['portico_bytes_total{direction="to_clients"}'] > 0


def test_open_connections_go_back_to_none(launch, backends):
    portico = launch(backends())
    clients = [portico.tls("a.test") for _ in range(10)]
    portico.wait_until(lambda: portico.metrics()["portico_connections"] == 10, "ten open connections")
    for client in clients:
        client.close()
    portico.wait_until(lambda: portico.metrics()["portico_connections"] == 0, "no open connection")


def test_the_certificate_that_is_served(portico):
    metrics = portico.metrics()
    ends = [v for k, v in metrics.items() if k.startswith('portico_certificate_not_after_seconds{name="a.test"')]
    begins = [v for k, v in metrics.items() if k.startswith('portico_certificate_not_before_seconds{name="a.test"')]
    assert len(ends) == 1 and ends[0] > time.time()
    assert len(begins) == 1 and begins[0] < time.time()


def test_status_names_each_name(portico):
    status = portico.status()
    assert [entry["name"] for entry in status["names"]] == ["a.test", "b.test", "*.w.test"]
    certificate = status["names"][0]["certificate"]
    assert certificate["source"] == "own" and certificate["issuer"] == "Test CA"
    assert status["draining"] is False and status["workers"] == 2


def addresses():
    """This machine's, but for loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return [s.getsockname()[0]]
        except OSError:
            return []


def test_status_is_for_this_machine_alone(launch, backends):
    """Beyond loopback the token is needed, which comes with a later version; the first four answer everybody."""
    mine = [address for address in addresses() if not address.startswith("127.")]
    if not mine:
        pytest.skip("this machine has no address but loopback")
    portico = launch(backends(), ADMIN_LISTEN="0.0.0.0:0")
    port = portico.admin[1]
    for host, status in (("127.0.0.1", 200), (mine[0], 404)):
        with connect((host, port)) as client:
            assert client.get("localhost", "/status").status == status
    for path in ("/livez", "/readyz", "/startupz", "/metrics"):
        with connect((mine[0], port)) as client:
            assert client.get("localhost", path).status == 200


def test_hostile_bytes_on_the_admin_port_harm_nothing(portico):
    for sent in (b"\0" * 100, b"GET / HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", b"A" * 70000):
        with connect(portico.admin) as client:
            try:
                client.send(sent)
                client.read_to_end()
            except (AssertionError, OSError):
                pass
    assert portico.ask_admin("/livez").status == 200


def test_many_admin_connections_are_bounded_and_recover(portico):
    clients = []
    for _ in range(100):
        clients.append(connect(portico.admin))
    for client in clients:
        client.close()
    assert portico.ask_admin("/livez").status == 200
    assert json.loads(portico.ask_admin("/status").body)["version"]


def test_every_class_of_status_and_every_reuse_is_counted(launch, backends):
    portico = launch(backends(lambda c, r: c.reply(int(r.target[1:]), b"")))
    with portico.tls("a.test") as client:
        for status in (200, 200, 301, 404, 500, 503):
            client.get("a.test", f"/{status}")
    portico.wait_event("access", count=6)
    metrics = portico.metrics()
    series = 'portico_responses_total{{code="{}",protocol="HTTP/1"}}'
    counted = {code: metrics[series.format(code)] for code in ("2xx", "3xx", "4xx", "5xx")}
    assert counted == {"2xx": 2, "3xx": 1, "4xx": 1, "5xx": 2}
    assert metrics["portico_upstream_connects_total"] == 1
    assert metrics["portico_upstream_reuses_total"] == 5


def test_bytes_are_counted(launch, backends):
    portico = launch(backends(lambda c, r: (c.read_body(r), c.reply(200, b"y" * 200000))))
    with portico.tls("a.test") as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n", b"x" * 100000)
        client.read_response()
    portico.wait_event("access")
    metrics = portico.metrics()
    assert 100000 <= metrics['portico_bytes_total{direction="from_clients"}'] < 110000
    assert 200000 <= metrics['portico_bytes_total{direction="to_clients"}'] < 210000


def test_resumed_and_failed_handshakes_are_counted(launch, backends):
    portico = launch(backends())
    with portico.tls("a.test") as client:
        client.get("a.test")
        session, context = client.sock.session, client.sock.context
    portico.tls("a.test", context=context, session=session).close()
    assert portico.shown("unknown.example") is None
    expected = {"full": 1, "resumed": 1, "failed": 1}
    for result, count in expected.items():
        name = f'portico_handshakes_total{{result="{result}"}}'
        portico.wait_until(lambda name=name, count=count: portico.metrics()[name] == count, f"{name} at {count}")


def test_failures_of_the_backend_are_counted(launch, backends):
    backend = backends()
    backend.close()
    portico = launch(backend, UPSTREAM_WAIT="0")
    assert portico.get("a.test").status == 502
    assert portico.metrics()["portico_upstream_failures_total"] >= 1


def test_a_client_that_says_nothing_is_cut(portico):
    with connect(portico.admin) as client:
        client.send("GET /livez HT")
        assert client.ended()  # after 5 s; the client's own timeout is 15
