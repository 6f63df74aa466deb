"""T2 to T7 at the socket: odd, slow and broken TLS is refused or bounded, never mistaken and never a crash."""

import socket
import ssl
import struct
import time

import pytest

from support.client import Client, Cut, connect, connect_tls, tls_context


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    return module_launch(module_backends())


def client_hello(name="a.test"):
    """The bytes of a real one, from Python's own TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def handshake_over(sock, name, cut):
    """Finishes a handshake by hand, sending each flight through `cut`, which yields pieces. An ssl object with BIOs."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = tls_context().wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        for piece in cut(outgoing.read()):
            sock.sendall(piece)
        if done:
            return tls, incoming, outgoing
        data = sock.recv(65536)
        assert data, "closed in the handshake"
        incoming.write(data)


def answer_of(data):
    """(type, first bytes) of the first record in what came."""
    return data[:1], data[5:7]


def test_t3_a_hello_byte_by_byte(portico):
    with socket.create_connection(portico.https) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tls, incoming, outgoing = handshake_over(sock, "a.test", lambda data: (bytes([b]) for b in data))
        tls.write(b"GET /t3 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        for byte in outgoing.read():
            sock.sendall(bytes([byte]))
        got = b""
        while b"GET /t3" not in got:
            incoming.write(sock.recv(65536))
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                pass


def test_t3_a_hello_in_records_of_one_byte(portico):
    """Each byte of the handshake message in a record of its own: served, or refused by an alert; never left hanging."""
    hello = client_hello()[5:]
    with socket.create_connection(portico.https, timeout=12) as sock:
        sock.sendall(b"".join(b"\x16\x03\x01\x00\x01" + bytes([b]) for b in hello))
        assert answer_of(sock.recv(65536))[0] in (b"\x16", b"\x15")


def test_t3_a_hello_of_64_kib(portico):
    body = b"\x01" + struct.pack(">I", 65000)[1:] + b"\x03\x03" + bytes(64998)
    records = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(p)) + p for p in (body[:16384], body[16384:32768], body[32768:49152], body[49152:]))
    with connect(portico.https, timeout=12) as client:
        try:
            client.send(records)
            data = client.read_to_end()
        except (Cut, OSError):
            data = b"\x15"
        assert data[:1] in (b"\x15", b"")


@pytest.mark.parametrize("seed", range(8))
def test_t3_a_hello_with_flipped_bytes(portico, seed):
    import random

    source = random.Random(seed)
    for _ in range(15):
        hello = bytearray(client_hello())
        for _ in range(source.randrange(1, 6)):
            hello[source.randrange(5, len(hello))] = source.randrange(256)
        with connect(portico.https, timeout=12) as client:
            try:
                client.send(bytes(hello))
                client.sock.shutdown(socket.SHUT_WR)
                client.read_to_end()
            except (Cut, OSError):
                pass
    assert portico.get("a.test").status == 200


def test_t4_a_stalled_handshake_ends_in_ten_seconds_and_others_are_served(portico):
    hello = client_hello()
    stalled = [connect(portico.https, timeout=20) for _ in range(60)]
    try:
        for i, client in enumerate(stalled):
            client.send(hello[: 1 + i * 3 % len(hello)])
        began = time.monotonic()
        for _ in range(10):
            assert portico.get("a.test").status == 200
        assert time.monotonic() - began < 5
        for client in stalled:
            assert client.ended()
        assert time.monotonic() - began < 16
    finally:
        for client in stalled:
            client.close()


def test_t6_an_end_without_close_notify_in_a_body_is_an_error(portico):
    """A request whose last bytes were cut by an attacker must not be taken as whole."""
    with portico.tls("a.test") as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\n\r\nhalf")
        raw = socket.socket(fileno=client.sock.detach())
        raw.shutdown(socket.SHUT_WR)
        raw.settimeout(10)
        try:
            while raw.recv(65536):
                pass
        except ConnectionError:
            pass
        raw.close()
    line = portico.wait_event("access", method="POST")
    assert line["status"] in (400, 499)


def test_t6_the_answers_end_is_a_close_notify(portico):
    with portico.tls("a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        assert client.read_response().status == 200
        assert client.read_to_end() == b""  # Cut without close_notify


def test_t7_acme_tls_alpn_without_a_challenge(portico):
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        connect_tls(portico.https, "a.test", context=tls_context(alpn=["acme-tls/1"]))


def test_t2_renegotiation_is_refused(portico):
    """TLS 1.2: a second ClientHello on an established connection ends it, without an answer to it."""
    import subprocess

    host, port = portico.https
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "a.test", "-tls1_2"],
        input=b"R\n",
        capture_output=True,
        timeout=20,
        check=False,
    )
    output = done.stdout + done.stderr
    assert b"RENEGOTIATING" in output
    assert b"no renegotiation" in output or b"alert" in output or b"unexpected eof" in output, output[-600:]
    assert portico.get("a.test").status == 200


def test_alert_floods_and_empty_records_end(portico):
    with socket.create_connection(portico.https, timeout=12) as sock:
        tls, incoming, outgoing = handshake_over(sock, "a.test", lambda data: [data])
        client = Client(sock)
        before = portico.cpu_seconds()
        try:
            for _ in range(200):
                sock.sendall(b"\x17\x03\x03\x00\x11" + bytes(17))
            client.read_to_end()
        except (Cut, OSError):
            pass
        assert portico.cpu_seconds() - before < 2
    assert portico.get("a.test").status == 200
