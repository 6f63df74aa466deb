"""Chromium, which knows more of HTTP/2 than any test of ours, uses Portico for everything that pages do.

Debian's Chromium is driven by Playwright's core from npm, pinned in browser/package-lock.json."""

import hashlib
import json
import pathlib
import subprocess
import threading

import pytest

from support.websocket import echo as echo_frames

HERE = pathlib.Path(__file__).resolve().parent / "browser"
LARGE = bytes(range(256)) * (32 << 12)
SCENARIOS = ["page", "many", "download", "upload", "streamed", "events", "websocket", "abort", "cookies", "coalesced", "cut"]


class Site:
    """The backend of page.html."""

    def __init__(self, backends):
        self.next = threading.Semaphore(1)
        self.held = threading.Event()
        self.aborted = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        path = request.target.split("?")[0]
        if path == "/events":
            self.events(connection)
        elif path == "/ws":
            echo_frames(connection, request)
        elif path == "/hold":
            self.held.set()
            connection.wait_closed(60)
            self.aborted.set()
            connection.close()
        elif path == "/dies":
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
            connection.wait_sent()
            connection.close()
        else:
            connection.reply(200, *self.simple(connection, request, path))

    def simple(self, connection, request, path):
        """(body, fields) of what is answered at once."""
        body = connection.read_body(request)
        if path == "/":
            return (HERE / "page.html").read_bytes(), [("Content-Type", "text/html; charset=utf-8")]
        if path.startswith("/n/"):
            return path[3:], []
        if path == "/large":
            return LARGE, []
        if path == "/digest":
            return hashlib.sha256(body).hexdigest(), []
        if path == "/next":
            self.next.release()
        if path == "/held":
            self.held.wait(20)
        if path == "/cookies":
            return "\n".join(request.all("Cookie")), []
        if path == "/whoami":
            return request.get("Host"), [("Access-Control-Allow-Origin", "*")]
        return "ok", []

    def events(self, connection):
        connection.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(10):
            assert self.next.acquire(timeout=20)
            text = b"data: %d\n\n" % i
            connection.send(b"%x\r\n" % len(text), text, b"\r\n")
        connection.send("0\r\n\r\n")


@pytest.fixture(scope="module")
def site(module_backends):
    return Site(module_backends)


@pytest.fixture(scope="module")
def portico(module_launch, site):
    return module_launch(site.backend, codes=(0, 3))


@pytest.fixture(scope="module")
def results(need, portico):
    need("chromium", "node")
    if not (HERE / "node_modules" / "playwright-core").exists():
        pytest.skip("playwright-core is not installed; deploy/install-deps --test installs it")
    host, port = portico.https
    argv = ["node", HERE / "drive.js", f"https://a.test:{port}/", *SCENARIOS]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def came_of(results):
    def get(name):
        assert "error" not in results[name], results[name]["error"]
        return results[name]["value"]

    return get


def test_a_page_comes_over_h2(came_of):
    assert came_of("page") == "h2"


def test_three_hundred_requests_at_once(came_of):
    assert came_of("many") == {"right": True, "protocols": ["h2"]}


def test_a_large_download(came_of):
    assert came_of("download") == {"size": len(LARGE), "digest": hashlib.sha256(LARGE).hexdigest()}


def test_an_upload(came_of):
    assert came_of("upload") == {"same": True, "protocols": ["h2"]}


def test_an_upload_without_a_length(came_of):
    assert came_of("streamed") is True


def test_server_sent_events_one_by_one(came_of):
    assert came_of("events") == [str(i) for i in range(10)]


def test_a_websocket(came_of):
    assert came_of("websocket") == {"sizes": [1, 125, 126, 10000, 65536], "code": 1000}


def test_the_websocket_is_a_stream_of_the_connection(came_of, portico):
    """RFC 8441, which Chromium uses where the setting was announced."""
    came_of("websocket")
    assert portico.wait_event("access", path="/ws")["protocol"] == "HTTP/2.0"


def test_an_abort_reaches_the_backend(came_of, site):
    assert came_of("abort") == "AbortError"
    assert site.aborted.wait(10)


def test_cookies_are_one_field_at_the_backend(came_of):
    crumbs = came_of("cookies")
    assert "\n" not in crumbs
    assert sorted(crumbs.split("; ")) == sorted(f"c{i}={'v' * 100}{i}" for i in range(20))


def test_another_name_of_the_same_certificate(came_of, portico):
    assert came_of("coalesced") == f"b.test:{portico.https[1]}"


def test_b4_a_page_learns_that_an_answer_was_cut(came_of):
    assert came_of("cut") == "cut"
