"""Bodies stream: as they come, in both directions, in bounded memory, however slow the other side is."""

import hashlib
import threading
import time

import pytest

BIG = 64 << 20
BLOCK = bytes(range(256)) * 256  # 64 KiB that no shift leaves unnoticed


@pytest.fixture
def allowance(binary, is_sanitized):
    """By how much memory may grow: the address sanitizer keeps back 16 MiB of what was freed, with its shadow."""
    return (44 if is_sanitized(binary) else 8) << 20


def digest_of_blocks(total):
    digest = hashlib.sha256()
    for _ in range(total // len(BLOCK)):
        digest.update(BLOCK)
    return digest.hexdigest()


def sends_blocks(connection, request, total=BIG, chunked=False):
    if chunked:
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(total // len(BLOCK)):
            connection.send(b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n")
        connection.send("0\r\n\r\n")
    else:
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")
        for _ in range(total // len(BLOCK)):
            connection.send(BLOCK)


def digests_the_body(connection, request):
    digest, left = hashlib.sha256(), int(request.get("Content-Length"))
    while left:
        data = connection.read_some()
        digest.update(data)
        left -= len(data)
    connection.reply(200, digest.hexdigest())


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("secure", [True, False])
def test_64_mib_to_the_client(launch, backends, allowance, chunked, secure):
    portico = launch(backends(lambda c, r: sends_blocks(c, r, chunked=chunked)), HTTP_MODE="serve")
    before = portico.rss_bytes()
    with portico.tls("a.test") if secure else portico.plain() as client:
        response = client.get("a.test")
        assert len(response.body) == BIG
        assert hashlib.sha256(response.body).hexdigest() == digest_of_blocks(BIG)
    assert portico.rss_bytes() - before < allowance


def test_64_mib_to_the_backend(launch, backends, allowance):
    portico = launch(backends(digests_the_body))
    before = portico.rss_bytes()
    with portico.tls("a.test") as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {BIG}\r\n\r\n")
        for _ in range(BIG // len(BLOCK)):
            client.send(BLOCK)
        assert client.read_response().body.decode() == digest_of_blocks(BIG)
    assert portico.rss_bytes() - before < allowance


def test_a_slow_client_holds_the_backend_back(launch, backends):
    """What the backend could get rid of is what sockets and one queue hold, not the whole."""
    sent = []

    def answer(connection, request):
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: {BIG}\r\n\r\n")
        for i in range(BIG // len(BLOCK)):
            connection.send(BLOCK)
            sent.append(i)

    portico = launch(backends(answer))
    with portico.tls("a.test", timeout=60) as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        response = client.read_head()
        portico.wait_until(lambda: standstill(sent), "standstill of the backend", 20)
        assert len(sent) * len(BLOCK) < 24 << 20
        client.read_body(response)
        assert hashlib.sha256(response.body).hexdigest() == digest_of_blocks(BIG)


def standstill(sent):
    before = len(sent)
    time.sleep(0.4)
    return before and len(sent) == before


def test_a_slow_backend_holds_the_client_back(launch, backends):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(30)
        digests_the_body(connection, request)

    portico = launch(backends(answer))
    sent = []
    with portico.tls("a.test", timeout=60) as client:
        client.send(f"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: {BIG}\r\n\r\n")

        def send():
            for i in range(BIG // len(BLOCK)):
                client.send(BLOCK)
                sent.append(i)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        portico.wait_until(lambda: standstill(sent), "standstill of the client", 20)
        assert len(sent) * len(BLOCK) < 24 << 20
        gate.set()
        sender.join(60)
        assert client.read_response().body.decode() == digest_of_blocks(BIG)


def test_events_are_passed_on_one_by_one(launch, backends):
    """Server-Sent Events: each is at the client before the next one is made."""
    step = threading.Semaphore(0)

    def answer(connection, request):
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            step.acquire(timeout=10)
            text = f"data: {i}\n\n".encode()
            connection.send(b"%x\r\n" % len(text), text, b"\r\n")
        connection.send("0\r\n\r\n")

    portico = launch(backends(answer))
    with portico.tls("a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\nAccept: text/event-stream\r\n\r\n")
        client.read_head()
        for i in range(20):
            step.release()
            text = b"data: %d\n\n" % i
            assert client._exactly(len(b"%x\r\n" % len(text)) + len(text) + 2, "an event").split(b"\r\n")[1] == text


def test_request_chunks_are_passed_on_one_by_one(launch, backends):
    """The backend's answer to each chunk comes before the next one is sent: nothing is gathered anywhere."""

    def answer(connection, request):
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            size = int(connection.read_until(b"\r\n"), 16)
            data = connection.read_exactly(size)
            connection.read_exactly(2)
            if size == 0:
                connection.send("0\r\n\r\n")
                return
            connection.send(b"%x\r\n" % size, data, b"\r\n")

    portico = launch(backends(answer))
    with portico.tls("a.test") as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n")
        response = client.read_head()
        assert client._exactly(6, "an echoed chunk") == b"1\r\n0\r\n"
        for i in range(1, 10):
            client.send(b"1\r\n%d\r\n" % i)
            assert client._exactly(6, "an echoed chunk") == b"1\r\n%d\r\n" % i
        client.send("0\r\n\r\n")
        assert client.read_body(response).body == b""


def test_many_large_answers_at_once(launch, backends):
    """Sixteen on two workers: none gets another's bytes."""

    def answer(connection, request):
        mark = request.target.encode()
        connection.reply(200, mark * ((4 << 20) // len(mark)))

    portico = launch(backends(answer))
    trouble = []

    def fetch(i):
        path = f"/{i:03}"
        with portico.tls("a.test", timeout=60) as client:
            for _ in range(2):
                body = client.get("a.test", path).body
                if body != path.encode() * ((4 << 20) // len(path)):
                    trouble.append(path)

    threads = [threading.Thread(target=fetch, args=[i]) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not trouble and not any(thread.is_alive() for thread in threads)
