"""A request goes through to the backend and its answer comes back, over TLS, on kept-alive connections."""

import subprocess

import pytest

pytestmark = pytest.mark.smoke


def test_nginx_behind_tcp(launch, nginx, authority):
    (nginx.www / "page.html").write_text("<p>a page</p>")
    portico = launch(nginx)
    assert portico.get("a.test", "/page.html", ca=authority.path).body == b"<p>a page</p>"


def test_nginx_behind_a_unix_socket(launch, tmp_path, need):
    from support.nginx import Nginx

    need("nginx")
    server = Nginx(tmp_path / "nginx", path=tmp_path / "app.sock")
    try:
        portico = launch(server)
        assert portico.get("a.test", "/hello").body == b"hello from nginx\n"
    finally:
        server.close()


def test_curl_verifies_and_fetches(launch, nginx, authority, need):
    need("curl")
    portico = launch(nginx)
    host, port = portico.https
    url = f"https://a.test:{port}/hello"
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--cacert", authority.path, "--resolve", f"a.test:{port}:{host}", url],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "hello from nginx\n"), done.stderr


def test_many_requests_on_one_connection_use_one_backend_connection(launch, backends):
    backend = backends()
    portico = launch(backend)
    with portico.tls("a.test") as client:
        for i in range(50):
            assert client.get("a.test", f"/{i}").body == f"GET /{i}\n".encode()
    assert len(backend.connections) == 1


def test_pipelined_requests_are_answered_in_order(launch, backends):
    backend = backends()
    portico = launch(backend)
    with portico.tls("a.test") as client:
        client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a.test\r\n\r\n" for i in range(20)))
        for i in range(20):
            assert client.read_response().body == f"GET /{i}\n".encode()
    assert [request.target for request in backend.seen] == [f"/{i}" for i in range(20)]


def test_a_request_in_single_bytes(launch, backends):
    portico = launch(backends())
    with portico.tls("a.test") as client:
        for byte in b"POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc":
            client.send(bytes([byte]))
        assert client.read_response().body == b"POST /x\nabc"


def test_own_backends_of_a_name_and_redirect_of_a_name(launch, backends):
    first, second = backends(), backends()
    domains = f"a.test -> {first.url}, b.test -> {second.url}, *.w.test => https://a.test"
    portico = launch(DOMAINS=domains, **launch.own_certificate("a.test", "b.test", "*.w.test"))
    portico.get("a.test", "/one")
    portico.get("b.test", "/two")
    moved = portico.get("x.w.test", "/three?q=1")
    assert (moved.status, moved.get("Location")) == (308, "https://a.test/three?q=1")
    assert [r.target for r in first.seen] == ["/one"]
    assert [r.target for r in second.seen] == ["/two"]


def test_host_passes_unchanged_and_case_does_not_matter(launch, backends):
    backend = backends()
    portico = launch(backend)
    with portico.tls("A.Test") as client:
        assert client.get("A.TEST.:443").status == 200
    assert backend.seen[0].all("Host") == ["A.TEST.:443"]


def test_several_backends_share_the_load(launch, backends):
    first, second = backends(), backends()
    portico = launch(f"{first.url},{second.url}", WORKERS=1)
    clients = [portico.tls("a.test") for _ in range(4)]
    try:
        for client in clients:
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\n")
            # least connections: each is in flight when the next one comes
            total = len(clients[: clients.index(client) + 1])
            portico.wait_until(lambda n=total: len(first.seen) + len(second.seen) == n, "request at a backend")
        assert (len(first.seen), len(second.seen)) == (2, 2)
        for client in clients:
            client.send("x")
            assert client.read_response().status == 200
    finally:
        for client in clients:
            client.close()
