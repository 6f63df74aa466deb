"""HTTP/2 to clients, as the usual programs speak it."""

import hashlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.smoke


def run(*argv, stdin=None):
    return subprocess.run([str(arg) for arg in argv], input=stdin, capture_output=True, timeout=60, check=False)


def curl(portico, path, *more, stdin=None):
    host, port = portico.https
    to = f"a.test:{port}:{host}"
    return run(
        "curl", "-sSk", "--http2", "--resolve", to, "-w", "%{http_version} %{http_code}\n", *more,
        f"https://a.test:{port}{path}", stdin=stdin,
    )  # fmt: skip


def digests_the_body(connection, request):
    connection.reply(200, hashlib.sha256(connection.read_body(request)).hexdigest())


def test_curl_gets_by_http2(launch, nginx, need):
    need("curl")
    portico = launch(nginx)
    done = curl(portico, "/hello")
    assert done.stdout == b"hello from nginx\n2 200\n", done.stderr
    assert portico.wait_event("access", protocol="HTTP/2.0")["status"] == 200


def test_curl_gets_a_mebibyte(launch, nginx, need):
    need("curl")
    body = bytes(range(256)) * 4096
    (nginx.www / "big").write_bytes(body)
    done = curl(launch(nginx), "/big")
    assert done.stdout == body + b"2 200\n"


@pytest.mark.parametrize("framing", ["length", "none"])
def test_curl_uploads_a_mebibyte(launch, backends, need, framing):
    need("curl")
    body = bytes(range(256)) * 4096
    more = ["-T", "-"] if framing == "none" else ["--data-binary", "@-"]
    done = curl(launch(backends(digests_the_body)), "/", "-X", "POST", *more, stdin=body)
    assert done.stdout == hashlib.sha256(body).hexdigest().encode() + b"2 200\n", done.stderr


def test_requests_are_counted_by_protocol(launch, nginx, need):
    need("curl")
    portico = launch(nginx)
    curl(portico, "/hello")
    portico.get("a.test", "/hello")
    metrics = portico.metrics()
    for protocol in ("HTTP/1", "HTTP/2"):
        assert metrics[f'portico_requests_total{{protocol="{protocol}"}}'] == 1
        assert metrics[f'portico_responses_total{{code="2xx",protocol="{protocol}"}}'] == 1


def test_http2_can_be_turned_off(launch, nginx, need):
    need("curl")
    assert curl(launch(nginx, HTTP2="false"), "/hello").stdout == b"hello from nginx\n1.1 200\n"


def test_nghttp_sees_the_settings(launch, nginx, need):
    need("nghttp")
    host, port = launch(nginx).https
    done = run("nghttp", "-nv", "--no-verify-peer", "-H", ":authority: a.test", f"https://{host}:{port}/hello")
    assert b"SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1" in done.stdout
    assert b"SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100" in done.stdout


def test_h2load_has_every_request_answered(launch, nginx, need):
    need("h2load")
    host, port = launch(nginx).https
    done = run("h2load", "-n", 1000, "-c", 4, "-m", 100, f"--connect-to={host}:{port}", f"https://a.test:{port}/hello")
    assert re.search(rb"status codes: 1000 2xx", done.stdout), done.stdout
