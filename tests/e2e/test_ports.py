"""Listening: both families, unix sockets, and a port that is taken is refused with its cure."""

import socket

import pytest

from support.client import Client, connect, connect_tls, tls_context
from support.ports import free_port
from support.portico import run_command


def test_a_second_process_on_the_same_ports_is_refused(launch, backends, tmp_path):
    """Or it would silently take half of the connections (SO_REUSEPORT)."""
    first = launch(backends(), WORKERS=3)
    for listener, variable in (("https", "HTTPS_LISTEN"), ("http", "HTTP_LISTEN"), ("admin", "ADMIN_LISTEN")):
        host, port = first.address(listener)
        second = launch(wait=False, codes=(1,), STORAGE=tmp_path / variable, **{variable: f"{host}:{port}"})
        assert second.wait_exit() == 1
        failed = second.find_events("listen_failed")[0]
        assert failed["listener"] == listener and str(port) in failed["address"]
        assert "another process" in failed["msg"]
    for _ in range(20):
        assert first.get("a.test").status == 200


@pytest.mark.parametrize(
    ("where", "cure"),
    [
        ("unix:/nowhere/portico.sock", "its directory does not exist"),
        ("unix:/tmp", "choose another path"),
        ("192.0.2.1:8443", "does not have that address"),
    ],
)
def test_where_nobody_can_listen_it_is_said_what_to_do(launch, where, cure):
    portico = launch(wait=False, codes=(1,), HTTPS_LISTEN=where)
    assert portico.wait_exit() == 1
    failed = portico.find_events("listen_failed")[0]
    assert failed["address"] == where and cure in failed["msg"]


def test_every_address_of_both_families(launch, backends, ipv6):
    backend = backends()
    port = free_port()
    portico = launch(backend, HTTPS_LISTEN=f":{port}")
    assert portico.address("https") == ("::", port)
    for address in ("127.0.0.1", "::1"):
        with connect_tls((address, port), "a.test") as client:
            assert client.get("a.test").status == 200
    assert [r.get("X-Forwarded-For") for r in backend.seen] == ["127.0.0.1", "::1"]


def test_ipv6_alone(launch, backends, ipv6):
    portico = launch(backends(), HTTPS_LISTEN="[::1]:0", HTTP_LISTEN="[::1]:0")
    assert portico.https[0] == "::1"
    assert portico.get("a.test").status == 200
    with portico.plain() as client:
        assert client.get("a.test").status == 308


def test_an_ipv6_backend(launch, ipv6):
    import threading

    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen(5)

        def serve():
            sock, _ = listener.accept()
            sock.recv(65536)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv6")
            sock.close()

        threading.Thread(target=serve, daemon=True).start()
        portico = launch(f"http://[::1]:{listener.getsockname()[1]}")
        assert portico.get("a.test").body == b"v6"


def test_a_backend_name_with_both_families_of_which_one_is_deaf(launch, backends):
    """localhost is ::1 and 127.0.0.1; the backend listens on the latter alone (RFC 8305)."""
    backend = backends()
    portico = launch(f"http://localhost:{backend.port}")
    assert portico.get("a.test").status == 200


def test_unix_sockets(launch, backends, tmp_path):
    https, http = tmp_path / "https.sock", tmp_path / "http.sock"
    launch(backends(), HTTPS_LISTEN=f"unix:{https}", HTTP_LISTEN=f"unix:{http}", HTTP_MODE="serve")
    for path, secure in ((https, True), (http, False)):
        for _ in range(4):  # whichever worker takes it
            raw = socket.socket(socket.AF_UNIX)
            raw.connect(str(path))
            wrapped = tls_context().wrap_socket(raw, server_hostname="a.test") if secure else raw
            with Client(wrapped) as client:
                assert client.get("a.test").body == b"GET /\n"


def test_a_unix_socket_left_behind_is_taken_over(launch, backends, tmp_path):
    path = tmp_path / "https.sock"
    first = launch(backends(), HTTPS_LISTEN=f"unix:{path}")
    first.killed()
    assert path.exists()
    launch(backends(), HTTPS_LISTEN=f"unix:{path}")


@pytest.mark.parametrize("variable", ["HTTPS_LISTEN", "HTTP_LISTEN"])
def test_off(launch, backends, variable):
    portico = launch(backends(), **{variable: "off"})
    listening = {event["listener"] for event in portico.find_events("listening")}
    assert listening == {"https", "http", "admin"} - {variable.split("_")[0].lower()}


def test_without_names_plain_http_is_served_and_https_is_not_opened(launch, backends):
    backend = backends()
    portico = launch(backend, DOMAINS=None)
    assert not portico.find_events("listening", listener="https")
    with portico.plain() as client:
        assert client.get("whatever.example").status == 200


def test_a_privileged_port_without_the_right_says_what_to_do(binary, need, tmp_path):
    import os

    need("setpriv")
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 81:
            pytest.skip("this machine lets everybody bind every port")
    import subprocess

    from support.portico import environment

    (tmp_path / "s").mkdir(mode=0o777)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", str(binary)],
        env=environment({"HTTP_LISTEN": "127.0.0.1:81", "ADMIN_LISTEN": "off", "STORAGE": tmp_path / "s"}),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "CAP_NET_BIND_SERVICE" in done.stdout


def test_two_listeners_at_one_place_are_a_mistake(binary):
    code, _, err = run_command(binary, "check", DOMAINS="a.example", HTTP_LISTEN=":8443", HTTPS_LISTEN=":8443")
    assert code == 78 and "PORTICO_HTTPS_LISTEN" in err


def test_connections_are_spread_over_workers_and_all_of_them_serve(launch, backends):
    portico = launch(backends(), WORKERS=4)
    for _ in range(40):
        with connect(portico.http) as client:
            assert client.get("a.test").status == 308
