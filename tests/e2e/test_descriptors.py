"""X1: where descriptors are few, accepting pauses before they run out, and resumes; what is established lives on."""

import threading
import time

import pytest

from support.client import connect
from support.ports import eventually

FEW = 64


class Gate:
    """A backend that answers /wait when the test says so."""

    def __init__(self, backends):
        self.open = threading.Event()
        self.backend = backends(self.answer)

    def answer(self, connection, request):
        if request.target == "/wait":
            self.open.wait(30)
        connection.reply(200, request.target)


@pytest.fixture
def gate(backends):
    made = Gate(backends)
    yield made
    made.open.set()


@pytest.fixture
def clients():
    made = []
    yield made
    for client in made:
        client.close()


def limit_of(portico):
    return portico.find_events("started")[0]["max_conns"]


def fill(portico, clients, more=8):
    """Takes every connection there is, and some that the kernel has to keep."""
    for _ in range(limit_of(portico) + more):
        clients.append(connect(portico.https))
    portico.wait_event("accept_paused")


def test_the_limit_follows_the_descriptors(launch, backends):
    portico = launch(backends(), nofile=FEW, MAX_CONNS=1000)
    event = portico.wait_event("max_conns_reduced")
    assert event["wanted"] == 1000
    assert event["possible"] == limit_of(portico) < FEW // 2
    assert limit_of(portico) >= 4


def test_established_connections_live_while_accepting_pauses(launch, backends, clients):
    portico = launch(backends(), nofile=FEW)
    with portico.tls("a.test") as established:
        assert established.get("a.test", "/before").status == 200
        fill(portico, clients)
        for i in range(20):
            assert established.get("a.test", f"/{i}").status == 200
        assert portico.num_files() < FEW
        eventually(lambda: portico.metrics()["portico_connections"] == limit_of(portico), "as many as the limit says")


def test_standard_descriptors_may_be_closed(launch, backends):
    """libuv ends a process that closes one of them; the log is on the one that stays."""
    portico = launch(backends(), wrapper=("sh", "-c", 'exec "$@" <&- 2>&-', "sh"))
    with portico.tls("a.test") as client:
        assert client.get("a.test", "/").status == 200
    portico.terminate()


def test_every_connection_has_a_descriptor_for_its_backend(launch, gate, clients):
    portico = launch(gate.backend, nofile=FEW)
    for _ in range(limit_of(portico)):
        clients.append(portico.tls("a.test"))
    for client in clients:
        client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
    gate.backend.wait_requests(len(clients))
    gate.open.set()
    for client in clients:
        assert client.read_response().status == 200


def test_accepting_resumes_and_the_queue_is_served(launch, backends, clients):
    portico = launch(backends(), nofile=FEW)
    fill(portico, clients)
    answers = []
    late = threading.Thread(target=lambda: answers.append(portico.get("a.test", "/late").status))
    late.start()
    queued = portico.metrics()["portico_connections_accepted_total"]
    late.join(0.3)
    assert late.is_alive() and portico.metrics()["portico_connections_accepted_total"] == queued
    for client in clients:
        client.close()
    late.join(10)
    assert answers == [200]
    assert portico.get("a.test").status == 200


def test_a_pause_does_not_spin(launch, backends, clients):
    portico = launch(backends(), nofile=FEW, LOG_LEVEL="info")
    fill(portico, clients)
    before = portico.cpu_seconds()
    time.sleep(2)  # the time that is measured
    assert portico.cpu_seconds() - before < 0.2


def test_churn_at_the_limit_says_so_once_a_second_at_most(launch, backends, clients):
    portico = launch(backends(), nofile=FEW)
    fill(portico, clients)
    began = time.monotonic()
    while time.monotonic() - began < 3:
        clients.append(connect(portico.https))
        clients.pop(0).close()
        time.sleep(0.01)
    lines = [e for e in portico.find_events() if e["event"].startswith("accept_")]
    assert len(lines) <= 2 + (time.monotonic() - began), lines


def test_the_admin_endpoint_answers_while_accepting_pauses(launch, backends, clients):
    portico = launch(backends(), nofile=FEW)
    fill(portico, clients)
    for path in ("/livez", "/readyz", "/metrics"):
        assert portico.ask_admin(path).status == 200


def test_the_end_is_in_order_while_accepting_pauses(launch, backends, clients):
    portico = launch(backends(), nofile=FEW)
    fill(portico, clients)
    assert portico.terminate() == 0


def test_max_conns_is_a_limit_of_its_own(launch, backends, clients):
    portico = launch(backends(), MAX_CONNS=5)
    assert limit_of(portico) == 5
    fill(portico, clients, more=3)
    eventually(lambda: portico.metrics()["portico_connections"] == 5, "five connections")
    clients.pop(0).close()
    clients.pop(0).close()
    eventually(lambda: portico.metrics()["portico_connections_accepted_total"] >= 7, "the next two are accepted")
