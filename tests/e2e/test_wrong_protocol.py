"""R15: another protocol than the port speaks is answered where it was HTTP, and closed otherwise."""

import os
import socket
import ssl
import struct

import pytest

from support.client import Cut, connect


@pytest.fixture(scope="module")
def portico(module_launch, module_backends):
    return module_launch(module_backends())


def test_plain_http_on_the_tls_port(portico):
    with connect(portico.https) as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = client.read_response()
        assert response.status == 400 and b"https" in response.body.lower()
        assert client.ended()


@pytest.mark.parametrize("port", ["https", "http"])
@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x07\x00\xc0" * 7,  # SSLv2
        b"\x00" * 64,
        b"\xff" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\xaa" * 200,
        b"\x16\x03\x01\x00\x00",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"EHLO x\r\n",
        b"\r\n\r\n\r\n",
    ],
    ids=["ssh", "sslv2", "nul", "ff", "h2", "huge-record", "empty-record", "alert", "proxy", "smtp", "newlines"],
)
def test_other_bytes_end_the_connection(portico, port, sent):
    with connect(portico.address(port), timeout=12) as client:
        try:
            client.send(sent)
            client.sock.shutdown(socket.SHUT_WR)
            client.read_to_end()
        except (Cut, ConnectionError):
            pass
    assert portico.get("a.test").status == 200


def test_tls_on_the_plain_port(portico):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        from support.client import connect_tls

        connect_tls(portico.http, "a.test")
    assert portico.get("a.test").status == 200


def test_random_bytes_on_both_ports_never_crash_or_spin(portico):
    """Seeded with what is printed on failure."""
    import random

    seed = struct.unpack("<I", os.urandom(4))[0]
    source = random.Random(seed)
    before = portico.cpu_seconds()
    for i in range(60):
        with connect(portico.https if i % 2 else portico.http) as client:
            try:
                prefix = source.choice([b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: a.test\r\n"])
                client.send(prefix + source.randbytes(source.randrange(1, 3000)))
                client.sock.shutdown(socket.SHUT_WR)
                client.read_to_end()
            except (Cut, ConnectionError):
                pass
    assert portico.get("a.test").status == 200, seed
    assert portico.cpu_seconds() - before < 5, seed
