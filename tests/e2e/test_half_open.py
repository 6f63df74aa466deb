"""T4 and X2: many clients that begin and do not go on cost a bounded time and a bounded memory, and nobody else."""

import time

import pytest

from support.client import connect
from support.ports import eventually
from test_hostile_tls import client_hello

MANY = 300
TO_CLIENTS = 'portico_bytes_total{direction="to_clients"}'
FAILED = 'portico_handshakes_total{result="failed"}'


def open_many(address, first_bytes, count=MANY):
    clients = []
    for _ in range(count):
        client = connect(address)
        client.sock.sendall(first_bytes)
        clients.append(client)
    return clients


def close_all(clients):
    for client in clients:
        client.close()


@pytest.mark.parametrize("sent", [0, 100], ids=lambda n: f"{n} bytes")
def test_t4_half_open_handshakes_are_ended_and_others_are_served_meanwhile(launch, backends, sent):
    portico = launch(backends())
    with portico.tls("a.test") as established:
        assert established.get("a.test", "/before").status == 200
        halves = open_many(portico.https, client_hello()[:sent])
        try:
            eventually(lambda: portico.metrics()["portico_connections"] > MANY, "all of them accepted")
            began = time.monotonic()
            worst = 0
            while portico.metrics().get(FAILED, 0) < MANY:
                asked = time.monotonic()
                assert established.get("a.test", "/while").status == 200
                assert portico.get("a.test", "/new").status == 200
                worst = max(worst, time.monotonic() - asked)
                assert time.monotonic() - began < 40, "the handshake timeout ends them in 10 s"
            assert worst < 2, "others waited"
        finally:
            close_all(halves)
        eventually(lambda: portico.metrics()["portico_connections"] == 1, "only the established one is left")


def endless(connection, _request):
    connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    try:
        while True:
            connection.send(b"x" * 65536)
    except OSError:
        pass


@pytest.mark.release
def test_x2_readers_that_stall_cost_no_more_than_the_documented_memory(launch, backends, binary, is_sanitized):
    """128 KiB are held for an exchange and direction at most; twice that with all that belongs to a connection."""
    num = 100
    portico = launch(backends(endless), LOG_LEVEL="info")
    before = portico.rss_bytes()
    clients = [portico.tls("a.test") for _ in range(num)]
    try:
        for client in clients:
            client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        eventually(lambda: portico.metrics()['portico_requests_total{protocol="HTTP/1"}'] >= num, "all requests")
        sent = -1
        while sent != portico.metrics()[TO_CLIENTS]:  # until every queue is as full as it gets
            sent = portico.metrics()[TO_CLIENTS]
            time.sleep(0.5)  # between two readings
        assert sent > num * 65536
        per_client = (portico.rss_bytes() - before) / num
        assert per_client < (1024 if is_sanitized(binary) else 256) * 1024
    finally:
        close_all(clients)
