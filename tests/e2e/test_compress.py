"""COMPRESS: text that the backend left plain is compressed for clients that take it, and nothing else changes."""

import gzip
import hashlib
import subprocess
import threading
import zlib

import pytest

try:
    import brotli
    import zstandard
except ImportError:
    brotli = zstandard = None

PAGE = b"<p>Portico stands in front of any backend.</p>\n" * 400
ALL = "zstd, br, gzip"


class Gzip:
    def __init__(self):
        self.inner = zlib.decompressobj(31)

    def feed(self, data):
        return self.inner.decompress(data)

    def ended(self):
        return self.inner.eof and not self.inner.unused_data


class Br:
    def __init__(self):
        self.inner = brotli.Decompressor()

    def feed(self, data):
        return self.inner.process(data)

    def ended(self):
        return self.inner.is_finished()


class Zstd:
    def __init__(self):
        # the default of a browser: no window above 8 MiB (RFC 9659)
        self.inner = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()

    def feed(self, data):
        return self.inner.decompress(data)

    def ended(self):
        return self.inner.eof and not self.inner.unused_data


DECODERS = {"gzip": Gzip, "br": Br, "zstd": Zstd}
each_encoding = pytest.mark.parametrize("encoding", DECODERS)


def decoded(encoding, data):
    decoder = DECODERS[encoding]()
    text = decoder.feed(data)
    assert decoder.ended()
    return text


@pytest.fixture(autouse=True)
def libraries():
    if brotli is None:
        pytest.skip("python3-brotli and python3-zstandard are not installed; deploy/install-deps --test installs them")


@pytest.fixture
def page(nginx):
    (nginx.www / "page.html").write_bytes(PAGE)
    return nginx


def names(response):
    """Of the fields, without those that differ from answer to answer."""
    framing = ("transfer-encoding", "content-length")
    return sorted((k, v) for k, v in response.fields if k.lower() not in ("date", "x-request-id", *framing))


@each_encoding
def test_a_page_of_nginx_is_compressed(launch, page, encoding):
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        for _ in range(2):  # on one connection
            response = client.get("a.test", "/page.html", fields=[("Accept-Encoding", encoding)])
            assert response.get("Content-Encoding") == encoding
            assert len(response.body) < len(PAGE) / 10
            assert decoded(encoding, response.body) == PAGE


def test_the_head_of_a_compressed_answer(launch, page):
    """RFC 9110: another representation has another tag, and byte ranges of the plain one mean nothing in it."""
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        plain = client.get("a.test", "/page.html")
        encoded = client.get("a.test", "/page.html", fields=[("Accept-Encoding", "gzip")])
    assert plain.body == PAGE
    assert plain.get("Content-Length") == str(len(PAGE)) and plain.get("Accept-Ranges") == "bytes"
    assert plain.get("Vary") == encoded.get("Vary") == "Accept-Encoding"
    assert encoded.get("ETag") == "W/" + plain.get("ETag")
    assert encoded.get("Accept-Ranges") is None and encoded.get("Content-Length") is None


def test_the_client_chooses_and_ties_are_ours(launch, page):
    portico = launch(page, COMPRESS="br, gzip")
    with portico.tls("a.test") as client:

        def chosen(accept):
            return client.get("a.test", "/page.html", fields=[("Accept-Encoding", accept)]).get("Content-Encoding")

        assert chosen("gzip, deflate, br, zstd") == "br"
        assert chosen("gzip, br;q=0.5") == "gzip"
        assert chosen("zstd") is None
        assert chosen("br;q=0, gzip;q=0") is None


def test_off_by_default(launch, page):
    portico = launch(page)
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/page.html", fields=[("Accept-Encoding", "gzip")])
    assert response.body == PAGE and response.get("Vary") is None


def test_curl_decodes_what_it_asked_for(launch, page, authority, need):
    need("curl")
    portico = launch(page, COMPRESS=ALL)
    host, port = portico.https
    arguments = ["--compressed", "--cacert", authority.path, "--resolve", f"a.test:{port}:{host}"]
    done = subprocess.run(
        ["curl", "-sS", "--fail", "-D", "-", *arguments, f"https://a.test:{port}/page.html"],
        capture_output=True,
        timeout=20,
        check=True,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"content-encoding: " in head.lower() and body == PAGE


def test_a_weak_tag_of_ours_revalidates(launch, page):
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        accept = ("Accept-Encoding", "br")
        tag = client.get("a.test", "/page.html", fields=[accept]).get("ETag")
        again = client.get("a.test", "/page.html", fields=[accept, ("If-None-Match", tag)])
    assert again.status == 304
    assert again.get("ETag") == tag and again.get("Vary") == "Accept-Encoding"


def test_an_answer_to_head_says_what_get_would(launch, page):
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        accept = [("Accept-Encoding", "gzip")]
        assert names(client.get("a.test", "/page.html", fields=accept)) == names(
            client.get("a.test", "/page.html", method="HEAD", fields=accept)
        )


def test_a_part_is_passed_on_plain(launch, page):
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/page.html", fields=[("Accept-Encoding", "gzip"), ("Range", "bytes=10-509")])
    assert response.status == 206 and response.body == PAGE[10:510]
    assert response.get("Content-Encoding") is None


def test_what_is_encoded_already_passes_byte_for_byte(launch, backends):
    body = gzip.compress(PAGE)
    fields = [("Content-Type", "text/html"), ("Content-Encoding", "gzip"), ("ETag", '"x"')]
    backend = backends(lambda c, r: c.reply(200, body, fields))
    portico = launch(backend, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        response = client.get("a.test", fields=[("Accept-Encoding", "zstd;q=1, gzip;q=0.5")])
    assert response.body == body and response.get("ETag") == '"x"'
    assert response.get("Content-Length") == str(len(body))
    assert backend.seen[0].get("Accept-Encoding") == "zstd;q=1, gzip;q=0.5"  # it could have done it by itself


@pytest.mark.parametrize(
    "fields",
    [
        [("Content-Type", "image/png")],
        [("Content-Type", "text/event-stream")],
        [("Content-Type", "application/grpc+json")],
        [("Content-Type", "text/html"), ("Cache-Control", "public, no-transform")],
        [("Content-Type", "text/html"), ("Content-Digest", "sha-256=:x:")],
    ],
    ids=lambda fields: fields[-1][1],
)
def test_what_must_stay_as_it_is(launch, backends, fields):
    portico = launch(backends(lambda c, r: c.reply(200, PAGE, fields)), COMPRESS=ALL)
    with portico.tls("a.test") as client:
        response = client.get("a.test", fields=[("Accept-Encoding", ALL)])
    assert response.body == PAGE
    assert response.get("Content-Encoding") is None and response.get("Vary") is None


@each_encoding
def test_a_stream_is_not_delayed(launch, backends, encoding):
    """Each line can be decoded by the client before the backend says the next one."""
    step = threading.Semaphore(0)

    def answer(connection, request):
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            step.acquire(timeout=10)
            text = b'{"line":%d}\n' % i
            connection.send(b"%x\r\n" % len(text), text, b"\r\n")
        connection.send("0\r\n\r\n")

    portico = launch(backends(answer), COMPRESS=ALL)
    decoder = DECODERS[encoding]()
    with portico.tls("a.test") as client:
        client.send(f"GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: {encoding}\r\n\r\n")
        assert client.read_head().get("Content-Encoding") == encoding  # before the first line
        for i in range(20):
            step.release()
            shown = b""
            while not shown.endswith(b"\n"):
                size = int(client._until(b"\r\n", "a chunk"), 16)
                shown += decoder.feed(client._exactly(size + 2, "a chunk")[:-2])
            assert shown == b'{"line":%d}\n' % i


@each_encoding
def test_an_answer_that_the_backend_cuts_is_cut(launch, backends, encoding):
    """B4: what was compressed so far must not look whole, in its framing or in its coding."""

    def answer(connection, request):
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n", PAGE)
        connection.close()

    portico = launch(backends(answer), COMPRESS=ALL)
    with portico.tls("a.test") as client:
        client.send(f"GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: {encoding}\r\n\r\n")
        received = b""
        with pytest.raises((AssertionError, OSError)):
            while True:
                data = client.read_some()
                assert data, "an end"
                received += data
    assert b"0\r\n\r\n" not in received[-5:]


@each_encoding
def test_32_mib_in_bounded_memory(launch, backends, binary, is_sanitized, encoding):
    block = b"".join(b"%d %s\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode()) for i in range(1000))[:65536]

    def answer(connection, request):
        total = 512 * len(block)
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {total}\r\n\r\n")
        for _ in range(512):
            connection.send(block)

    portico = launch(backends(answer), COMPRESS=ALL)
    before = portico.rss_bytes()
    with portico.tls("a.test", timeout=60) as client:
        response = client.get("a.test", fields=[("Accept-Encoding", encoding)])
    assert decoded(encoding, response.body) == block * 512
    assert portico.rss_bytes() - before < (44 if is_sanitized(binary) else 8) << 20


def test_the_bytes_are_counted(launch, page):
    portico = launch(page, COMPRESS=ALL)
    with portico.tls("a.test") as client:
        response = client.get("a.test", "/page.html", fields=[("Accept-Encoding", "br")])
    metrics = portico.metrics()
    assert metrics['portico_compressed_bytes_total{direction="in"}'] == len(PAGE)
    assert metrics['portico_compressed_bytes_total{direction="out"}'] == len(response.body)
    assert portico.wait_event("access")["bytes_out"] == len(response.body)
