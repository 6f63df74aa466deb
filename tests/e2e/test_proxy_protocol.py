"""PROXY protocol: who the client is, told by the proxy in front and to the backend behind."""

import socket
import ssl
import struct
import time

import pytest

from support import proxy_line
from support.client import Client, Cut, connect, tls_context
from support.nginx import Nginx
from support.ports import eventually, free_port, wait_port
from support.process import Process
from support.raw import RawTls

CLIENT = ("203.0.113.7", 40000)


def tls_over(sock, name="a.test"):
    wrapped = tls_context().wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
    return Client(wrapped)


def connect_with(address, header, name="a.test"):
    """TLS behind a header."""
    sock = socket.create_connection(address, timeout=15)
    sock.sendall(header)
    return tls_over(sock, name)


def ask_identity(client):
    """What the backend was told of the client: (X-Forwarded-For, X-Real-IP)."""
    body = client.get("a.test").body.decode()
    return tuple(body.split("\n")[:2])


def identity(connection, request):
    connection.reply(200, f"{request.get('X-Forwarded-For')}\n{request.get('X-Real-IP')}\n")


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    return module_launch(module_backends(identity), PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.1,::1")


# --- in ---


@pytest.mark.smoke
@pytest.mark.parametrize("header", [proxy_line.v1, proxy_line.v2], ids=["v1", "v2"])
def test_the_client_is_whom_the_header_names(portico, header):
    with connect_with(portico.https, header(*CLIENT)) as client:
        assert ask_identity(client) == ("203.0.113.7", "203.0.113.7")
    portico.wait_event("access", client="203.0.113.7")


def test_an_ipv6_client_through_an_ipv4_balancer(portico):
    with connect_with(portico.https, proxy_line.v2("2001:db8::7", 1, "2001:db8::1")) as client:
        assert ask_identity(client) == ("2001:db8::7", "2001:db8::7")


def test_a_mapped_address_is_the_ipv4_one(portico):
    with connect_with(portico.https, proxy_line.v1("::ffff:203.0.113.9", 1, "::1")) as client:
        assert ask_identity(client) == ("203.0.113.9", "203.0.113.9")


def test_tlvs_are_skipped(portico):
    tlvs = b"\x02\x00\x06a.test\x04\x00\x10" + bytes(16) + b"\xea\x00\x02\x01x"
    with connect_with(portico.https, proxy_line.v2(*CLIENT, tlvs=tlvs)) as client:
        assert ask_identity(client)[0] == "203.0.113.7"


def test_before_plain_http_too(portico, launch, backends):
    with connect(portico.http) as client:
        client.send(proxy_line.v1(*CLIENT), "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_response().status == 308
    portico.wait_event("access", client="203.0.113.7", status=308)


@pytest.mark.parametrize("header", [proxy_line.v1, proxy_line.v2], ids=["v1", "v2"])
def test_a_header_and_a_hello_byte_by_byte(portico, header):
    class Slow(socket.socket):
        def sendall(self, data, *flags):
            for i in range(len(data)):
                super().sendall(data[i : i + 1], *flags)

    sock = Slow()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.connect(portico.https)
    sock.sendall(header(*CLIENT))
    with tls_over(sock) as client:
        assert ask_identity(client)[0] == "203.0.113.7"


@pytest.mark.parametrize("header", [proxy_line.v1, proxy_line.v2], ids=["v1", "v2"])
def test_header_and_hello_in_one_piece(portico, header):
    with RawTls(portico.https, "a.test", together=header(*CLIENT)) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert b"203.0.113.7" in client.receive()


def test_a_header_cut_at_every_byte_is_put_together(portico):
    """Each beginning waits, the rest completes it; a request rides with the rest, in plain HTTP."""
    header = proxy_line.v2(*CLIENT)
    request = b"GET /cut HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
    since = portico.mark()
    for cut in range(1, len(header)):
        with connect(portico.http) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.send(header[:cut])
            client.send(header[cut:] + request)
            assert client.read_response().status == 308
    portico.wait_event("access", since=since, count=len(header) - 1, client="203.0.113.7", path="/cut")


REFUSED = {
    "none": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "v1-lf": b"PROXY TCP4 203.0.113.7 127.0.0.1 1 443\n",
    "v1-endless": b"PROXY UNKNOWN " + b"x" * 200,
    "v1-port": b"PROXY TCP4 203.0.113.7 127.0.0.1 99999 443\r\n",
    "v2-command": proxy_line.SIGNATURE + b"\x2f\x11\x00\x0c" + bytes(12),
    "v2-version": proxy_line.SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    "v2-short": proxy_line.SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
    "v2-long": proxy_line.SIGNATURE + b"\x21\x11\xff\xff" + bytes(64),
    "v2-tlv": proxy_line.v2(*CLIENT, tlvs=b"\x02\xff\xff"),
    "v2-checksum": proxy_line.v2(*CLIENT, tlvs=b"\x03\x00\x04\x01\x02\x03\x04"),
}


@pytest.mark.parametrize("listener", ["https", "http"])
@pytest.mark.parametrize("case", REFUSED)
def test_r15_a_trusted_peer_without_a_good_header_is_closed_and_counted(portico, listener, case):
    before = portico.metrics()["portico_proxy_protocol_refused_total"]
    since = portico.mark()
    with connect(portico.address(listener)) as client:
        client.send(REFUSED[case])
        assert client.read_to_end() == b""
    assert portico.wait_event("proxy_header_refused", since=since)["client"] == "127.0.0.1"
    assert portico.metrics()["portico_proxy_protocol_refused_total"] == before + 1
    assert portico.find_events("access", since=since) == []


def test_r15_a_header_twice_is_no_tls_and_no_request(portico):
    with connect(portico.https) as client:
        client.send(proxy_line.v1(*CLIENT), proxy_line.v1("203.0.113.8", 1))
        assert b"203.0.113.8" not in client.read_to_end()
    with connect(portico.http) as client:
        client.send(proxy_line.v1(*CLIENT), proxy_line.v1("203.0.113.8", 1), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_response().status == 400


def test_local_keeps_the_peers_own_address(portico):
    for block in (b"", b"\x04\x00\x01x", b"whatever it is"):
        with connect_with(portico.https, proxy_line.local(block)) as client:
            assert ask_identity(client)[0] == "127.0.0.1"


def test_unknown_keeps_the_peers_own_address(portico):
    for header in (b"PROXY UNKNOWN\r\n", proxy_line.SIGNATURE + b"\x21\x00\x00\x00"):
        with connect_with(portico.https, header) as client:
            assert ask_identity(client)[0] == "127.0.0.1"


def test_health_checks_are_silent(portico):
    """Connect and close, connect and reset, LOCAL and close, on both listeners: no line above debug's own, no failure."""
    accepted = "portico_connections_accepted_total"
    since, before = portico.mark(), portico.metrics()
    for listener in ("https", "http"):
        connect(portico.address(listener)).close()
        with connect(portico.address(listener)) as client:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with connect(portico.address(listener)) as client:
            client.send(proxy_line.local())
    eventually(lambda: portico.metrics()[accepted] >= before[accepted] + 6, "six connections")
    with connect_with(portico.https, proxy_line.local()) as client:  # a round trip behind them
        assert client.get("a.test").status == 200
    after = portico.metrics()
    for name in ('portico_handshakes_total{result="failed"}', "portico_proxy_protocol_refused_total"):
        assert after[name] == before[name]
    names = {event["event"] for event in portico.find_events(since=since)}
    assert not names & {"handshake_failed", "proxy_header_refused"}


@pytest.mark.long
def test_t4_a_header_that_does_not_come_has_the_handshakes_time(portico):
    with connect(portico.https, timeout=20) as silent, connect(portico.http, timeout=20) as half:
        began = time.monotonic()
        half.send("PROXY TCP4 203.0")
        assert silent.ended() and half.ended()
        assert 9 < time.monotonic() - began < 15
    portico.wait_event("proxy_header_refused", reason="no header came in time", count=2)


def test_others_are_served_without_a_header_and_may_not_send_one(launch, backends):
    portico = launch(backends(identity), PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="192.0.2.0/24")
    with portico.tls("a.test") as client:
        assert ask_identity(client)[0] == "127.0.0.1"
    with portico.plain() as client:
        client.send(proxy_line.v1(*CLIENT), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_response().status == 400
    with connect(portico.https) as client:
        client.send(proxy_line.v2(*CLIENT))
        assert client.read_to_end() == b""
    assert portico.metrics()["portico_proxy_protocol_refused_total"] == 0
    assert portico.find_events("access", client="203.0.113.7") == []


def test_off_a_header_is_a_protocol_error(launch, backends):
    portico = launch(backends(identity), TRUSTED_PROXIES="127.0.0.1")
    with portico.plain() as client:
        client.send(proxy_line.v1(*CLIENT), "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_response().status == 400


def test_on_a_unix_socket_too(launch, backends, tmp_path):
    """A peer there is as trusted as 127.0.0.1."""
    path = tmp_path / "https.sock"
    portico = launch(
        backends(identity), PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.1", HTTPS_LISTEN=f"unix:{path}"
    )
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.sendall(proxy_line.v2(*CLIENT))
    with tls_over(sock) as client:
        assert ask_identity(client)[0] == "203.0.113.7"
    portico.wait_event("access", client="203.0.113.7")


HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 20s
    timeout server 20s
listen tls
    bind 127.0.0.1:{port}
    server portico 127.0.0.1:{https} {send} check {check_send}
"""


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_haproxy_in_front(portico, need, tmp_path, send):
    """Its health checks come too, each with a header of its own."""
    need("haproxy")
    port = free_port()
    config = tmp_path / "haproxy.cfg"
    check = "check-send-proxy inter 100ms"
    config.write_text(HAPROXY.format(port=port, https=portico.https[1], send=send, check_send=check))
    since = portico.mark()
    refused, accepted = "portico_proxy_protocol_refused_total", "portico_connections_accepted_total"
    before = portico.metrics()
    haproxy = Process("haproxy", ["haproxy", "-db", "-f", str(config)], env={"PATH": "/usr/sbin:/usr/bin:/bin"})
    try:
        wait_port(haproxy, port)
        sock = socket.create_connection(("127.0.0.1", port), timeout=15, source_address=("127.0.0.2", 0))
        with tls_over(sock) as client:
            assert ask_identity(client)[0] == "127.0.0.2"
        eventually(lambda: portico.metrics()[accepted] > before[accepted] + 4, "some health checks")
    finally:
        haproxy.stop()
    assert portico.metrics()[refused] == before[refused]
    assert portico.find_events("handshake_failed", since=since) == []


# --- out ---


def header_then_identity(seen):
    """A backend that reads a header off each connection, then answers requests."""

    def serve(connection):
        seen.append(proxy_line.read(connection))
        number = len(seen)
        while True:
            request = connection.read_head()
            connection.read_body(request)
            connection.reply(200, f"{number} {request.target}")

    return serve


@pytest.fixture
def told(launch, backends):
    """Portico with a backend that is told; the headers it saw."""

    def start(form, **variables):
        seen = []
        portico = launch(backends(raw=header_then_identity(seen)), PROXY_PROTOCOL_OUT=form, **variables)
        return portico, seen

    return start


@pytest.mark.parametrize("form, version", [("v1", 1), ("v2", 2), ("v2-tls", 2)])
def test_the_backend_is_told_the_clients_address_and_ours(told, form, version):
    portico, seen = told(form)
    with portico.tls("a.test") as client:
        ours = client.sock.getsockname()
        assert client.get("a.test", "/x").body == b"1 /x"
    assert seen[0][:3] == (version, ours, portico.https)


def test_the_client_of_a_header_that_came_in_is_told_on(told):
    portico, seen = told("v2", PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.1")
    with connect_with(portico.https, proxy_line.v1(*CLIENT, "198.51.100.1", 8443)) as client:
        assert client.get("a.test").status == 200
    with connect_with(portico.https, proxy_line.local()) as client:
        assert client.get("a.test").status == 200
        ours = client.sock.getsockname()
    assert seen[0][:3] == (2, CLIENT, ("198.51.100.1", 8443))
    assert seen[1][:3] == (2, ours, portico.https)


def test_the_clients_tls_is_told(told):
    portico, seen = told("v2-tls")
    context = tls_context(alpn=["http/1.1"], maximum=ssl.TLSVersion.TLSv1_2)
    with portico.tls("B.test", context=context) as client:
        assert client.get("b.test").status == 200
        cipher = client.sock.cipher()[0]
    tlvs = seen[0][3]
    assert tlvs[0x01] == b"http/1.1"
    assert tlvs[0x02] == b"b.test"
    assert tlvs[0x20][:5] == b"\x01\x00\x00\x00\x01"  # TLS, and no certificate of the client's
    assert tlvs[(0x20, 0x21)] == b"TLSv1.2"
    assert tlvs[(0x20, 0x23)].startswith(b"TLS_ECDHE_") and cipher.startswith("ECDHE-")


def test_the_clients_certificate_is_told(told, authority):
    chain, key = authority.issue_files("device.test", stem="device", client=True)
    portico, seen = told("v2-tls", TLS_CLIENT_AUTH="optional", TLS_CLIENT_CA_FILE=authority.path)
    context = tls_context()
    context.load_cert_chain(chain, key)
    with portico.tls("a.test", context=context) as client:
        assert client.get("a.test").status == 200
    with portico.tls("a.test") as client:
        assert client.get("a.test").status == 200
    assert [header[3][0x20][:5] for header in seen] == [b"\x07\0\0\0\0", b"\x01\0\0\0\x01"]
    assert [header[3].get((0x20, 0x22)) for header in seen] == [b"device.test", None]


def test_no_connection_serves_two_clients_requests(told):
    """Each client's requests keep to the connection that was announced for it."""
    portico, seen = told("v1")
    with portico.tls("a.test") as one, portico.tls("a.test") as two:
        bodies = [client.get("a.test", "/").body for client in (one, two, one, two)]
        ports = [client.sock.getsockname()[1] for client in (one, two)]
    assert bodies == [b"1 /", b"2 /", b"1 /", b"2 /"]
    assert [header[1][1] for header in seen] == ports


@pytest.mark.parametrize("form, source", [("v1", None), ("v2-tls", "local")])
def test_a_health_probe_is_announced_as_our_own(launch, backends, form, source):
    """A backend that awaits a header would refuse it otherwise, and be taken for ill."""
    seen = []

    def serve(connection):
        header = proxy_line.read(connection)
        while True:
            seen.append((header[1], connection.read_head().target))
            connection.reply(200)

    launch(backends(raw=serve), PROXY_PROTOCOL_OUT=form, UPSTREAM_HEALTH="/health")
    eventually(lambda: seen, "a probe")
    assert seen[0] == (source, "/health")


def test_a_retry_is_announced_too(launch, backends):
    seen = []

    def dies_once(connection):
        seen.append(proxy_line.read(connection))
        request = connection.read_head()
        if len(seen) > 1:
            connection.reply(200, request.target)

    portico = launch(backends(raw=dies_once), PROXY_PROTOCOL_OUT="v2")
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/again").body == b"/again"
    assert len(seen) == 2 and seen[0] == seen[1]


def test_raw_bytes_are_announced(launch, backends):
    seen = []

    def echo(connection):
        seen.append(proxy_line.read(connection))
        while True:
            connection.send(connection.read_some())

    backend = backends(raw=echo)
    portico = launch(f"tcp://127.0.0.1:{backend.port}", PROXY_PROTOCOL_OUT="v2-tls")
    with RawTls(portico.https, "a.test") as client:
        client.send(b"raw")
        assert client.receive() == b"raw"
        ours = client.sock.getsockname()
    assert seen[0][:3] == (2, ours, portico.https)
    assert seen[0][3][0x02] == b"a.test"
    assert 0x01 not in seen[0][3]


@pytest.fixture(scope="module")
def nginx_that_is_told(tmp_path_factory, need):
    need("nginx")
    server = Nginx(tmp_path_factory.mktemp("nginx"), proxy_protocol=True)
    yield server
    server.close()


@pytest.mark.parametrize("form", ["v1", "v2", "v2-tls"])
def test_nginx_understands_it(launch, nginx_that_is_told, form):
    portico = launch(
        nginx_that_is_told.url, PROXY_PROTOCOL_OUT=form, PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.1"
    )
    with connect_with(portico.https, proxy_line.v2(*CLIENT)) as client:
        for _ in range(3):
            assert client.get("a.test", "/client").body == b"203.0.113.7 40000\n"
