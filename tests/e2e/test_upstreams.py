"""Several backends: who gets a request, who is left alone, who waits (B1, UPSTREAM_MAX_CONNS, UPSTREAM_HEALTH)."""

import os
import subprocess
import threading

import pytest

from support.backend import Backend, echo
from support.h2_backend import H2Backend
from support.ports import free_port, in_parallel


def both(*backends):
    return ",".join(b if isinstance(b, str) else b.url for b in backends)


def nobody():
    return f"http://127.0.0.1:{free_port()}"


class Holds:
    """Answers when it is told to."""

    def __init__(self):
        self.go = threading.Event()

    def __call__(self, connection, request):
        self.go.wait(10)
        echo(connection, request)


# --- least connections ---


def test_equals_take_turns(launch, backends):
    first, second = backends(), backends()
    portico = launch(both(first, second), WORKERS=1)
    with portico.tls("a.test") as client:
        for _ in range(10):
            assert client.get("a.test").status == 200
    assert (len(first.seen), len(second.seen)) == (5, 5)


def test_the_one_that_is_busy_gets_no_more(launch, backends):
    hold = Holds()
    busy, free = backends(hold), backends()
    portico = launch(both(busy, free), WORKERS=1)
    with portico.tls("a.test") as waiting, portico.tls("a.test") as client:
        waiting.send("GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        client.send("GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        (client if busy.wait_requests(1).target == "/1" else waiting).read_response()
        idle = client if busy.seen[0].target == "/1" else waiting
        for _ in range(5):
            assert idle.get("a.test").status == 200
        assert (len(busy.seen), len(free.seen)) == (1, 6)
        hold.go.set()


# --- ejection ---


def test_b1_the_next_backend_is_asked_at_once(launch, backends):
    """UPSTREAM_WAIT=0: nothing is held, and yet the one that is there is found."""
    backend = backends()
    portico = launch(both(nobody(), nobody(), backend), WORKERS=1, UPSTREAM_WAIT="0s")
    assert [portico.get("a.test").status for _ in range(6)] == [200] * 6


def test_a_backend_that_is_gone_is_told_of_once_and_comes_back(launch, backends):
    port = free_port()
    stays = backends()
    portico = launch(both(f"http://127.0.0.1:{port}", stays), WORKERS=1)
    with portico.tls("a.test") as client:
        for _ in range(20):
            assert client.get("a.test").status == 200
        event = portico.wait_event("upstream_ejected")
        assert event["upstream"].endswith(f":{port}") and event["reason"] == "connect"
        back = backends(port=port)
        portico.wait_until(lambda: client.get("a.test").status == 200 and back.seen, "a trial", 5)
        portico.wait_event("upstream_returned")
        assert client.get("a.test").status == client.get("a.test").status == 200
        assert len(back.seen) >= 2
    assert len(portico.find_events("upstream_ejected")) == 1
    assert len(portico.find_events("upstream_returned")) == 1
    metrics = portico.metrics()
    assert metrics["portico_upstream_ejections_total"] == metrics["portico_upstream_returns_total"] == 1


def test_a_backend_that_fails_five_times_in_a_row_is_ejected(launch, backends):
    bad = backends(lambda c, r: c.close())
    good = backends()
    portico = launch(both(bad, good), WORKERS=1)
    with portico.tls("a.test") as client:
        for _ in range(40):
            assert client.get("a.test").status == 200
    assert portico.wait_event("upstream_ejected")["reason"] == "failures"
    assert len(bad.seen) == 5


def test_b1_503_with_retry_after_when_none_is_healthy(launch):
    portico = launch(both(nobody(), nobody()), WORKERS=1, UPSTREAM_WAIT="300ms")
    for _ in range(2):
        response = portico.get("a.test")
        assert response.status == 503
        (seconds,) = response.all("Retry-After")  # one
        assert 1 <= int(seconds) <= 60


def test_b1_502_when_the_only_one_is_not_there(launch):
    portico = launch(nobody(), UPSTREAM_WAIT="0s")
    response = portico.get("a.test")
    assert (response.status, response.get("Retry-After")) == (502, None)
    assert not portico.find_events("upstream_ejected")


def test_b2_a_failed_request_is_retried_elsewhere(launch, backends):
    """The retry does not go back to the one that has just failed it."""
    bad = backends(lambda c, r: c.close())
    good = backends()
    portico = launch(both(bad, good), WORKERS=1)
    with portico.tls("a.test") as client:
        for i in range(8):
            assert client.get("a.test", f"/{i}").body == f"GET /{i}\n".encode()


def test_two_protocols_in_one_group(launch, backends):
    first, second = backends(), H2Backend()
    portico = launch(both(first, second), WORKERS=1)
    for _ in range(6):
        assert portico.get("a.test").status == 200
    assert (len(first.seen), len(second.seen)) == (3, 3)
    second.close()


# --- MAX_CONNS ---


def test_requests_wait_in_line_for_max_conns(launch, backends):
    inside, most, lock = [0], [0], threading.Lock()

    def answer(connection, request):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        connection.sock.settimeout(0.02)
        try:
            connection.sock.recv(1)
        except TimeoutError:
            pass
        connection.sock.settimeout(None)
        with lock:
            inside[0] -= 1
        echo(connection, request)

    backend = backends(answer)
    portico = launch(backend, WORKERS=1, UPSTREAM_MAX_CONNS=2, UPSTREAM_WAIT="10s")
    assert [r.status for r in in_parallel(12, lambda i: portico.get("a.test", f"/{i}"))] == [200] * 12
    assert most[0] <= 2 and len(backend.connections) == 2
    assert portico.metrics()["portico_upstream_queued_total"] >= 1


def test_who_waits_too_long_gets_503(launch, backends):
    hold = Holds()
    backend = backends(hold)
    portico = launch(backend, WORKERS=1, UPSTREAM_MAX_CONNS=1, UPSTREAM_WAIT="300ms")
    with portico.tls("a.test") as first:
        first.send("GET /held HTTP/1.1\r\nHost: a.test\r\n\r\n")
        backend.wait_requests(1)
        response = portico.get("a.test")
        assert (response.status, response.get("Retry-After")) == (503, "1")
        hold.go.set()
        assert first.read_response().status == 200
    assert portico.get("a.test").status == 200


def test_a_client_that_leaves_the_line_is_not_served(launch, backends):
    hold = Holds()
    backend = backends(hold)
    portico = launch(backend, WORKERS=1, UPSTREAM_MAX_CONNS=1, UPSTREAM_WAIT="10s")
    with portico.tls("a.test") as first, portico.tls("a.test") as third:
        first.send("GET /1 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        backend.wait_requests(1)
        with portico.tls("a.test") as second:
            second.send("GET /2 HTTP/1.1\r\nHost: a.test\r\n\r\n")
            portico.wait_until(lambda: portico.metrics()["portico_upstream_queued_total"] == 1, "the second in line")
        portico.wait_event("access", path="/2")
        third.send("GET /3 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        hold.go.set()
        assert third.read_response().body == b"GET /3\n"
    assert [r.target for r in backend.seen] == ["/1", "/3"]


# --- active health ---


class Health:
    def __init__(self):
        self.status = 200
        self.asked = []

    def __call__(self, connection, request):
        if request.target != "/healthz":
            echo(connection, request)
            return
        self.asked.append(request)
        connection.reply(self.status, "x")


def test_health_ejects_and_brings_back(launch, backends):
    sick, well = Health(), Health()
    sick.status = 500
    first, second = backends(sick), backends(well)
    portico = launch(both(first, second), WORKERS=1, UPSTREAM_HEALTH="/healthz")
    event = portico.wait_event("upstream_ejected")
    assert event["upstream"] == first.url and event["reason"] == "health"
    assert len(sick.asked) == 2
    assert [portico.get("a.test", "/r").status for _ in range(4)] == [200] * 4
    assert "/r" not in [r.target for r in first.seen]
    sick.status = 302
    portico.wait_event("upstream_returned")
    assert [portico.get("a.test", "/r").status for _ in range(4)] == [200] * 4
    assert "/r" in [r.target for r in first.seen]
    assert well.asked[0].get("Host") == second.url.removeprefix("http://")
    assert well.asked[0].get("User-Agent") == "portico-health"
    assert len(portico.find_events("upstream_ejected")) == 1


def test_health_of_an_h2c_backend(launch):
    backend = H2Backend(lambda s: s.reply(500 if s.target == "/healthz" else 200, "x"))
    portico = launch(both(backend, nobody()), WORKERS=1, UPSTREAM_HEALTH="/healthz")
    portico.wait_event("upstream_ejected", upstream=backend.url)
    assert portico.get("a.test").status == 200, "all are ejected: one is asked all the same"
    backend.close()


def test_a_backend_that_hangs_is_unhealthy(launch, backends):
    hangs = backends(lambda c, r: c.wait_closed(30) if r.target == "/healthz" else echo(c, r))
    portico = launch(both(hangs, backends()), WORKERS=1, UPSTREAM_HEALTH="/healthz")
    assert portico.wait_event("upstream_ejected", timeout=15)["upstream"] == hangs.url


# --- names ---


@pytest.fixture
def hosts(tmp_path):
    """A hosts file of the test's own, and the command that puts a process behind it."""
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    script = f'mount --bind {path} /etc/hosts && exec "$@"'
    wrapper = ["unshare", "-m", "sh", "-c", script, "sh"]
    if os.geteuid() != 0 or subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine has no mount namespaces")
    return path, wrapper


class At(Backend):
    """On another address of the loopback."""

    def __init__(self, host, port, answer=echo):
        self.host = host
        super().__init__(answer, port=port)

    def start(self):
        import socket

        self._listener = socket.create_server((self.host, self._port), backlog=64)
        self._port = self._listener.getsockname()[1]
        self.url = f"http://{self.host}:{self._port}"
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()


def test_a_name_whose_address_changed_is_followed(launch, hosts):
    path, wrapper = hosts
    old = At("127.0.0.1", 0)
    new = At("127.0.0.2", old.port)
    path.write_text("127.0.0.1 app\n")
    portico = launch(f"http://app:{old.port}", wrapper=wrapper, WORKERS=1, UPSTREAM_DNS_TTL="1s", UPSTREAM_IDLE_TIMEOUT="60s")
    assert portico.get("a.test").status == 200 and old.seen
    path.write_text("127.0.0.2 app\n")
    portico.wait_until(lambda: portico.get("a.test").status == 200 and new.seen, "a request at the new address", 10)
    count = len(old.seen)
    assert [portico.get("a.test").status for _ in range(4)] == [200] * 4
    assert len(old.seen) == count
    portico.wait_until(lambda: all(c.closed for c in old.connections), "the end of idle connections to the old one")
    old.close()
    new.close()


def test_load_is_spread_over_the_addresses_of_a_name(launch, hosts):
    path, wrapper = hosts
    first = At("127.0.0.1", 0)
    second = At("127.0.0.2", first.port)
    path.write_text("127.0.0.1 app\n127.0.0.2 app\n")
    portico = launch(f"http://app:{first.port}", wrapper=wrapper, WORKERS=1, UPSTREAM_MAX_IDLE=0)
    assert [portico.get("a.test").status for _ in range(8)] == [200] * 8
    assert len(first.seen) >= 3 and len(second.seen) >= 3
    second.close()
    assert [portico.get("a.test").status for _ in range(4)] == [200] * 4, "the address that is left serves"
    first.close()


def test_requests_that_share_connections_are_spread_too(launch, hosts):
    """One connection would take all of them to one address, as long as it lives."""
    path, wrapper = hosts
    together = threading.Barrier(4)

    def answer(stream):
        together.wait(10)
        stream.reply(200, "x")

    first = H2Backend(answer)
    second = H2Backend(answer, host="127.0.0.2", port=first.port)
    path.write_text("127.0.0.1 app\n")
    portico = launch(f"h2c://app:{first.port}", wrapper=wrapper, WORKERS=1, UPSTREAM_DNS_TTL="1s")

    def four():
        assert [r.status for r in in_parallel(4, lambda i: portico.get("a.test"))] == [200] * 4
        return second.seen

    four()
    assert not second.seen
    path.write_text("127.0.0.1 app\n127.0.0.2 app\n")  # as when a service is scaled up
    portico.wait_until(four, "a request at the second address", 10)
    count = len(first.seen), len(second.seen)
    four()
    assert (len(first.seen) - count[0], len(second.seen) - count[1]) == (2, 2)
    assert (len(first.connections), len(second.connections)) == (1, 1)
    first.close()
    second.close()
