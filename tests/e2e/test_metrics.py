"""The admin endpoint: health for whom it concerns, metrics that add up, status for this machine alone."""

import json
import re
import socket
import subprocess
import time
import urllib.request

import pytest

from support.client import connect
from support.ports import free_port
from support.process import Process


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


@pytest.mark.parametrize("method, path, status", [("POST", "/livez", 405), ("GET", "/livez/x", 404), ("GET", "/etc/passwd", 404)])
def test_what_there_is_not(portico, method, path, status):
    assert portico.ask_admin(path, method).status == status


def test_metrics_are_good_prometheus(portico, need):
    """In their syntax, and in how Prometheus' own tool wants metrics named and explained."""
    need("promtool")
    response = portico.ask_admin("/metrics")
    assert response.get("Content-Type").startswith("text/plain; version=0.0.4")
    checked = subprocess.run(["promtool", "check", "metrics"], input=response.body, capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert b"# EOF" not in response.body


def open_metrics(portico):
    with connect(portico.admin) as client:
        client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n\r\n")
        return client.read_response()


SAMPLE = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*)\})? (-?\d+(?:\.\d+)?)$')
SUFFIXES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "info": ("_info",),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
}


def test_metrics_are_good_open_metrics(portico):
    """OpenMetrics 1.0: every family has HELP, TYPE and, where its name says so, UNIT; its samples stand together and
    have its type's suffixes; nothing stands twice; the end is marked."""
    response = open_metrics(portico)
    assert response.get("Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    text = response.body.decode()
    assert text.endswith("\n# EOF\n")
    families, seen, family = {}, set(), None
    for line in text.splitlines()[:-1]:
        if line.startswith("# "):
            _, kind, name, value = line.split(" ", 3)
            if kind == "HELP":
                assert name not in families, f"{name} stands twice"
                families[name], family = {}, name
            assert name == family and value
            families[name][kind] = value
            continue
        name, _, value = SAMPLE.match(line).groups()
        assert name in [family + suffix for suffix in SUFFIXES[families[family]["TYPE"]]], line
        series = line.rsplit(" ", 1)[0]
        assert series not in seen, f"{series} stands twice"
        seen.add(series)
    for name, meta in families.items():
        unit = [unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")]
        assert meta.get("UNIT") == (unit[0] if unit else None), name
        assert meta["HELP"].endswith("."), name


def test_prometheus_scrapes_them(portico, need, tmp_path):
    need("prometheus")
    port = free_port()
    target = "{}:{}".format(*portico.admin)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: portico, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    prometheus = Process(
        "prometheus",
        ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
         f"--web.listen-address=127.0.0.1:{port}"],
    )

    def query(text):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?query={text}", timeout=2) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    try:
        prometheus.wait_until(lambda: query("up==1"), "a good scrape", timeout=60)
        assert query("portico_certificate_not_after_seconds")[0]["metric"]["issuer"] == "Test CA"
        assert query("portico_request_duration_seconds_bucket")
    finally:
        prometheus.stop()


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
    """Beyond loopback the token is needed, and without one nobody has it; the first four answer everybody."""
    mine = [address for address in addresses() if not address.startswith("127.")]
    if not mine:
        pytest.skip("this machine has no address but loopback")
    portico = launch(backends(), ADMIN_LISTEN="0.0.0.0:0")
    port = portico.admin[1]
    for host, status in (("127.0.0.1", 200), (mine[0], 403)):
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


# --- what is told of handshakes, durations, the process and orders ---


def changed(portico, name, to, timeout=20):
    portico.wait_until(lambda: portico.metrics().get(name) == to, f"{name} at {to}", timeout)


def test_handshakes_by_version_cipher_and_resumption(launch, backends):
    portico = launch(backends())
    with portico.tls("a.test") as client:
        client.get("a.test")
        version, cipher = client.sock.version(), client.sock.cipher()[0]
        session, context = client.sock.session, client.sock.context
    portico.tls("a.test", context=context, session=session).close()
    assert version == "TLSv1.3"
    for resumed in ("false", "true"):
        changed(portico, f'portico_tls_handshakes_total{{version="{version}",cipher="{cipher}",resumed="{resumed}"}}', 1)


@pytest.mark.parametrize(
    "sent, reason",
    [
        (b"\x16\x03\x01\x00\x05hello", "protocol"),
        (b"\x16\x03\x01", "closed"),
        (b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "not_tls"),
        (b"SSH-2.0-x\r\n", "not_tls"),
    ],
)
def test_failed_handshakes_by_reason(launch, backends, sent, reason):
    portico = launch(backends())
    with connect(portico.https) as client:
        client.send(sent)
        client.sock.shutdown(socket.SHUT_WR)
        client.read_to_end()
    changed(portico, f'portico_tls_handshake_failures_total{{reason="{reason}"}}', 1)


def test_a_handshake_that_takes_too_long_is_a_reason_of_its_own(launch, backends):
    portico = launch(backends())
    with connect(portico.https) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01")
        changed(portico, 'portico_tls_handshake_failures_total{reason="timeout"}', 1, timeout=30)  # after 10 s


def test_an_unknown_name_is_a_reason_of_its_own(launch, backends):
    portico = launch(backends())
    assert portico.shown("unknown.example") is None
    changed(portico, 'portico_tls_handshake_failures_total{reason="unknown_name"}', 1)


def test_durations_are_a_histogram(launch, backends):
    portico = launch(backends())
    for _ in range(3):
        portico.get("a.test")
    changed(portico, "portico_request_duration_seconds_count", 3)
    metrics = portico.metrics()
    buckets = [(k, v) for k, v in metrics.items() if k.startswith("portico_request_duration_seconds_bucket")]
    counts = [v for _, v in buckets]
    assert counts == sorted(counts) and counts[-1] == 3
    assert buckets[-1][0].endswith('{le="+Inf"}')
    assert metrics["portico_request_duration_seconds_sum"] < 30


def test_tunnels_are_no_durations(launch, backends):
    from support.websocket import accept_of

    def upgrade(connection, request):
        key = request.get("Sec-WebSocket-Key")
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(key)}\r\n\r\n"
        )

    portico = launch(backends(upgrade))
    with portico.tls("a.test") as client:
        client.send(
            "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        client.read_head()
    portico.wait_event("access", status=101)
    assert portico.metrics()["portico_request_duration_seconds_count"] == 0


def test_the_process_is_told(portico):
    metrics = portico.metrics()
    assert abs(metrics["process_open_fds"] - portico.num_files()) <= 3
    assert abs(metrics["process_resident_memory_bytes"] - portico.rss_bytes()) < 64 * 1024 * 1024
    assert 0 < metrics["process_cpu_seconds_total"] <= portico.cpu_seconds() + 0.1
    assert metrics["process_max_fds"] > 100
    assert abs(metrics["process_start_time_seconds"] - time.time()) < 600
    lags = [k for k in metrics if k.startswith("portico_event_loop_lag_seconds")]
    assert lags == [f'portico_event_loop_lag_seconds{{loop="{loop}"}}' for loop in ("control", "worker-0", "worker-1")]
    assert all(0 <= metrics[lag] < 10 for lag in lags)


def test_orders_by_result_and_problem(launch, nginx, pebbles):
    pebble = pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    portico.wait_event("certificate_published", source="issued")
    metrics = portico.metrics()
    assert metrics['portico_acme_attempts_total{name="a.test",result="issued",problem=""}'] == 1
    failed = [v for k, v in metrics.items() if k.startswith('portico_acme_attempts_total{name="a.test",result="failed"')]
    assert failed == [0] * 6
    [renewal] = [v for k, v in metrics.items() if k.startswith("portico_certificate_renewal_at_seconds")]
    [attempt] = [v for k, v in metrics.items() if k.startswith("portico_acme_next_attempt_seconds")]
    assert time.time() < renewal == attempt
    assert metrics['portico_certificate_source{name="a.test",source="issued"}'] == 1


def test_failed_orders_are_counted_by_problem(launch, nginx, pebbles):
    pebble = pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    portico = launch(nginx, **{**pebble.variables(), "DOMAINS": "a.test", "HTTP_LISTEN": "127.0.0.1:0"})  # elsewhere
    portico.wait_event("order_failed")
    metrics = portico.metrics()
    assert metrics['portico_acme_attempts_total{name="a.test",result="failed",problem="validation"}'] == 1
    assert metrics['portico_acme_failures{name="a.test"}'] == 1
    assert metrics['portico_acme_next_attempt_reason{name="a.test",reason="retry"}'] == 1
    assert metrics["portico_placeholders"] == 1


def test_the_window_of_the_ca(launch, nginx, newer_pebbles):
    """ACME-92: when it begins and ends, and that it is why the name is renewed then."""
    pebble = newer_pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    portico.wait_event("renewal_window")
    metrics = portico.metrics()
    series = 'portico_certificate_{}_seconds{{name="a.test",issuer="{}"}}'
    issuer = portico.status_of("a.test")["certificate"]["issuer"]
    start, end, renewal, not_after = (
        metrics[series.format(what, issuer)]
        for what in ("renewal_window_start", "renewal_window_end", "renewal_at", "not_after")
    )
    assert time.time() < start <= renewal < end < not_after
    assert metrics['portico_acme_next_attempt_reason{name="a.test",reason="window"}'] == 1
