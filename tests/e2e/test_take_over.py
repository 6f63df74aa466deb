"""`portico run --take-over`: a new process gets the listening sockets of the old one, which finishes and ends. No client sees
it; a new process that cannot serve changes nothing."""

import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading

import pytest

from support.client import Cut, connect_tls
from support.h2 import HUGE_WINDOW, open_h2
from support.manager import Passing
from support.ports import free_port
from support.swaps import QUICK, wait_published

TAKE_OVER = ["run", "--take-over"]


@pytest.fixture
def relieve(launch):
    """A process that takes over from the first."""

    def start(first, **variables):
        return launch(arguments=TAKE_OVER, **{**first.variables, **variables})

    return start


def relieved(first, second):
    first.wait_event("relieved", pid=second.pid)
    assert first.wait_exit() == 0


def test_the_new_process_serves_and_the_old_one_ends(launch, backends, relieve):
    first = launch(backends())
    places = (first.https, first.http, first.admin)
    second = relieve(first)
    assert second.wait_event("taking_over")["pid"] == first.pid
    assert (second.https, second.http, second.admin) == places
    relieved(first, second)
    assert second.get("a.test").status == 200
    assert second.ask_admin("/readyz").status == 200


def test_again_and_again(launch, backends, relieve):
    current = launch(backends())
    for _ in range(3):
        following = relieve(current)
        relieved(current, following)
        current = following
    assert current.get("a.test").status == 200


@pytest.mark.parametrize("before,after", [(3, 1), (1, 3), (2, 2)])
def test_another_number_of_workers_leaves_no_queue_without_one(launch, backends, relieve, before, after):
    """With SO_REUSEPORT the kernel spreads connections over the queues by their ports: in a hundred each is met."""
    first = launch(backends(), WORKERS=before)
    second = relieve(first, WORKERS=after)
    relieved(first, second)
    for _ in range(100):
        assert second.get("a.test", timeout=5).status == 200


def test_a_request_in_flight_is_finished_by_the_old_process(launch, backends, relieve):
    gate = threading.Event()

    def answer(connection, request):
        if request.target == "/wait":
            gate.wait(20)
        connection.reply(200, request.target)

    backend = backends(answer)
    first = launch(backend, DRAIN_TIMEOUT="20s")
    with first.tls("a.test") as client:
        client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
        backend.wait_requests(1)
        second = relieve(first)
        first.wait_event("relieved")
        assert second.get("a.test", "/new").body == b"/new"
        gate.set()
        assert client.read_response().body == b"/wait"
    relieved(first, second)


def test_a_kept_connection_is_told_in_an_answer(launch, backends, relieve):
    first = launch(backends(), DRAIN_TIMEOUT="20s")
    with first.tls("a.test") as client:
        assert client.get("a.test").get("Connection", "keep-alive").lower() != "close"
        second = relieve(first)
        first.wait_event("relieved")
        assert client.get("a.test").get("Connection", "").lower() == "close"
    relieved(first, second)


@pytest.mark.parametrize(
    "variables,code",
    [({"UPSTREAM": "nonsense"}, 78), ({"TLS_KEY_FILE": "/nowhere"}, 78), ({"HTTPS_LISTEN": "192.0.2.1:443"}, 1)],
)
def test_a_new_process_that_cannot_serve_changes_nothing(launch, backends, variables, code):
    first = launch(backends())
    second = launch(arguments=TAKE_OVER, wait=False, codes=(code,), **{**first.variables, **variables})
    assert second.wait_exit() == code
    assert first.get("a.test").status == 200
    assert not first.find_events("relieved") and not first.find_events("draining")


def test_a_new_process_that_dies_with_the_sockets_changes_nothing(launch, backends, monkeypatch):
    """It has them, and does not get to serving: its certificate's key is another's, which only shows then."""
    first = launch(backends())
    other = launch.own_certificate("other.test")
    variables = {**first.variables, "TLS_KEY_FILE": other["TLS_KEY_FILE"]}
    second = launch(arguments=TAKE_OVER, wait=False, codes=(78,), **variables)
    assert second.wait_exit() == 78
    first.wait_event("handover_failed", pid=second.pid)
    assert first.get("a.test").status == 200
    third = launch(arguments=TAKE_OVER, **first.variables)
    relieved(first, third)


def test_another_address_is_bound_and_the_old_one_given_up(launch, backends, relieve):
    first = launch(backends())
    old = first.https
    second = relieve(first, HTTPS_LISTEN="127.0.0.2:0")
    relieved(first, second)
    assert second.https != old
    assert second.get("a.test").status == 200
    with pytest.raises(OSError):
        connect_tls(old, "a.test")


def test_sockets_of_systemd_are_passed_on(launch, backends, relieve):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(16)
        first = launch(backends(), wrapper=Passing(("web", sock)), HTTPS_LISTEN="systemd:web")
        second = relieve(first)
        relieved(first, second)
        assert second.https == sock.getsockname()
        assert second.get("a.test").status == 200


@pytest.mark.parametrize("workers", [1, 3])
def test_sockets_that_a_reload_has_moved_are_passed_on(launch, backends, relieve, tmp_path, workers):
    listen = tmp_path / "PORTICO_HTTPS_LISTEN"
    listen.write_text("127.0.0.1:0")
    first = launch(backends(), HTTPS_LISTEN=None, ENV_DIR=tmp_path, WORKERS=workers)
    moved = ("127.0.0.1", free_port())
    listen.write_text(f"{moved[0]}:{moved[1]}")
    first.signal(signal.SIGHUP)
    first.wait_event("listening", listener="https", count=2)
    second = relieve(first)
    relieved(first, second)
    listening = second.wait_event("listening", listener="https")
    assert (second.https, listening["passed"]) == (moved, True)
    for _ in range(30):
        assert second.get("a.test", timeout=5).status == 200


def test_nobody_to_relieve_is_an_ordinary_start(launch, backends):
    portico = launch(backends(), arguments=TAKE_OVER)
    portico.wait_event("take_over_nobody")
    assert portico.get("a.test").status == 200


def test_one_that_was_killed_left_nothing_in_the_way(launch, backends):
    first = launch(backends())
    first.killed()
    second = launch(arguments=TAKE_OVER, **first.variables)
    second.wait_event("take_over_nobody")
    third = launch(arguments=TAKE_OVER, **second.variables)
    relieved(second, third)


def test_a_process_that_drains_hands_nothing_over(launch, backends):
    gate = threading.Event()

    def answer(connection, request):
        gate.wait(20)
        connection.reply(200, "")

    backend = backends(answer)
    first = launch(backend, DRAIN_TIMEOUT="20s")
    with first.tls("a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        backend.wait_requests(1)
        first.signal(signal.SIGTERM)
        first.wait_event("listeners_closed")
        second = launch(arguments=TAKE_OVER, **first.variables)
        second.wait_event("take_over_nobody")
        gate.set()
        assert client.read_response().status == 200


def test_only_the_same_user_is_answered(launch, backends, need):
    need("setpriv")
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    first = launch(backends())
    path = first.storage / ".handover"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    probe = "import socket,sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])"
    for directory in [first.storage, *first.storage.parents]:
        if directory.is_relative_to(tempfile.gettempdir()) and directory != pathlib.Path(tempfile.gettempdir()):
            directory.chmod(0o755)
    path.chmod(0o666)  # the mode would keep it out: it is the other guard that is tested
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", probe, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "another user" in first.wait_event("handover_failed")["error"]


@pytest.mark.parametrize("word", [b"", b"serving", b"portico-handover 2", b"x" * 4096])
def test_words_that_are_not_of_the_protocol_change_nothing(launch, backends, relieve, word):
    first = launch(backends())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.settimeout(10)
        stranger.connect(str(first.storage / ".handover"))
        if word:
            stranger.send(word)
            assert stranger.recv(100) == b""
    assert first.get("a.test").status == 200
    second = relieve(first)
    relieved(first, second)


def test_a_second_successor_is_turned_away(launch, backends):
    first = launch(backends())
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        one.connect(str(first.storage / ".handover"))
        one.send(b"portico-handover 1")
        first.wait_event("handover_offered")
        second = launch(arguments=TAKE_OVER, wait=False, codes=(1,), **first.variables)
        assert second.wait_exit() == 1
        assert "relieved already" in second.find_events("take_over_failed")[0]["error"]
    assert first.get("a.test").status == 200


def test_the_certificate_and_the_lock_go_over(launch, nginx, pebbles, relieve):
    """The new process is a standby of the store until the old one gives the lock up; nothing is ordered again."""
    pebble = pebbles(env=QUICK).start()
    first = launch(nginx, DOMAINS="a.test", **pebble.variables())
    wait_published(first, "a.test", 1)
    shown = first.shown("a.test")
    second = relieve(first)
    relieved(first, second)
    second.wait_event("storage_lock_granted", timeout=30)
    assert second.shown("a.test") == shown
    assert pebble.num_orders() == 1


# --- under load ---


def figures_of(output):
    """What h2load says of its requests, by word."""
    line = re.search(r"^requests: (.*)$", output, re.MULTILINE).group(1)
    return {word: int(num) for num, word in re.findall(r"(\d+) (\w+)", line)}


class Streams(threading.Thread):
    """Ten streams at a time, again and again. Behind a GOAWAY it asks no more, reads what is owed, and comes again. h2load
    would not do: it counts as failed what it had not sent yet when the GOAWAY came."""

    def __init__(self, portico):
        super().__init__(daemon=True)
        self.portico = portico
        self.enough = threading.Event()
        self.num_answered = self.num_connections = 0
        self.failed = []

    def run(self):
        while not self.enough.is_set() and not self.failed:
            with open_h2(self.portico, "localhost") as connection:
                self.num_connections += 1
                while not self.enough.is_set() and not connection.goaways and not self.failed:
                    self.ask_ten(connection)

    def ask_ten(self, connection):
        asked = [connection.ask(path="/hello", authority="localhost") for _ in range(10)]

        def owed():  # what is above the last GOAWAY's number was not looked at: whoever asked may ask elsewhere
            last = connection.goaways[-1].last if connection.goaways else HUGE_WINDOW
            return [stream for stream in asked if stream.number <= last]

        try:
            connection.wait(lambda: all(stream.done for stream in owed()), "ten answers")
        except Cut as error:
            self.failed.append(str(error))
        self.failed += [repr(stream) for stream in owed() if not stream.ended or stream.status != 200]
        self.num_answered += len(owed())


def test_no_stream_fails_under_load(launch, nginx, relieve):
    current = launch(nginx, DOMAINS="localhost", TLS_CERT_FILE=None, TLS_KEY_FILE=None, DRAIN_TIMEOUT="10s")
    clients = [Streams(current) for _ in range(4)]
    for client in clients:
        client.start()
    for _ in range(2):
        current.wait_until(lambda: len(current.access()) > 100, "load")
        following = relieve(current)
        relieved(current, following)
        current = following
    current.wait_until(lambda: len(current.access()) > 100, "load")
    for client in clients:
        client.enough.set()
        client.join(20)
        assert not client.is_alive()
    assert [failure for client in clients for failure in client.failed] == []
    assert all(client.num_connections >= 3 and client.num_answered > 30 for client in clients)


@pytest.mark.parametrize("tool", ["wrk", "h2load --h1"])
def test_no_request_fails_under_load(launch, nginx, relieve, need, tool):
    need(tool.split()[0])
    current = launch(nginx, DOMAINS="localhost", TLS_CERT_FILE=None, TLS_KEY_FILE=None, DRAIN_TIMEOUT="10s")
    host, port = current.https
    url = f"https://localhost:{port}/hello"
    if tool == "wrk":
        argv = ["wrk", "-t1", "-c16", "-d8s", "--timeout", "8s", url]
    else:
        argv = [*tool.split(), "-c16", "-t1", "-D8", f"--connect-to={host}:{port}", url]
    load = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for _ in range(2):
        current.wait_until(lambda: len(current.access()) > 50, "load")
        following = relieve(current)
        relieved(current, following)
        current = following
    current.wait_until(lambda: len(current.access()) > 50, "load")
    output, _ = load.communicate(timeout=60)
    assert load.returncode == 0, output
    if tool == "wrk":
        assert "Socket errors" not in output and "Non-2xx" not in output, output
        assert int(re.search(r"(\d+) requests in", output).group(1)) > 100, output
    else:
        figures = figures_of(output)
        assert figures["succeeded"] > 50, output
        assert figures["failed"] == figures["errored"] == figures["timeout"] == 0, output
