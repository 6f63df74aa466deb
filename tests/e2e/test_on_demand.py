"""ON_DEMAND_ASK: a name outside DOMAINS that a client asks for gets a certificate where the URL allows it; nobody who invents
names makes Portico work, remember or order much."""

import ssl
import threading
import time

import pytest
from cryptography import x509

from support.certs import names_of
from support.client import connect, connect_tls
from support.ports import eventually
from support.swaps import QUICK


class Asked:
    """What ON_DEMAND_ASK leads to: answers by name, and remembers who was asked about."""

    def __init__(self, backends):
        self.status = {}
        self.backend = backends(self._answer)
        self.url = self.backend.url + "/may?token=t"

    def _answer(self, connection, request):
        connection.reply(self.status.get(request.target.rsplit("domain=", 1)[1], 404))

    @property
    def seen(self):
        """[(target, X-Forwarded-For)]"""
        return [(request.target, request.get("X-Forwarded-For")) for request in self.backend.seen]

    def names(self):
        return [target.rsplit("domain=", 1)[1] for target, _ in self.seen]


@pytest.fixture
def asked(backends):
    return Asked(backends)


@pytest.fixture
def serve(launch, backends, pebbles, asked):
    """With a CA, and a backend that tells its name."""

    def start(pebble=None, **variables):
        pebble = pebble or pebbles(env=QUICK).start()
        given = pebble.variables(**{"DOMAINS": "a.test", "ON_DEMAND_ASK": asked.url, **variables})
        backend = backends(lambda connection, request: connection.reply(200, b"the default site"))
        portico = launch(backend, **given)
        portico.wait_until(lambda: portico.status()["writer"], "the right to write")  # who may not write asks nobody
        return portico, pebble

    return start


def refused(portico, name):
    try:
        portico.tls(name).close()
        return False
    except ssl.SSLError as error:
        return "UNRECOGNIZED_NAME" in str(error).upper()


def issued(portico, name, since=0):
    portico.wait_event("certificate_published", since=since, name=name, source="issued", timeout=60)
    return x509.load_der_x509_certificate(portico.shown(name))


def test_an_allowed_name_is_refused_once_and_then_served(serve, asked):
    portico, pebble = serve()
    asked.status["shop.example.com"] = 200
    assert refused(portico, "shop.example.com")
    portico.wait_event("on_demand_added", name="shop.example.com")
    assert names_of(issued(portico, "shop.example.com")) == ["shop.example.com"]
    assert asked.seen == [("/may?token=t&domain=shop.example.com", "127.0.0.1")]
    with connect_tls(portico.https, "shop.example.com", ca=pebble.root_path()) as client:
        assert client.get("shop.example.com", "/").body == b"the default site"
        assert client.get("other.example.com", "/").status == 421
    assert portico.status_of("shop.example.com")["certificate"]["source"] == "issued"


def test_it_needs_no_domains(serve, asked):
    portico, pebble = serve(DOMAINS=None)
    asked.status["shop.example.com"] = 204
    with connect(portico.http) as client:  # the first visit is often a plain one
        answer = client.get("shop.example.com", "/x")
    assert answer.status == 308 and answer.get("Location").startswith("https://shop.example.com")
    assert refused(portico, "shop.example.com")
    issued(portico, "shop.example.com")
    assert pebble.num_orders() == 1


@pytest.mark.parametrize("status", [404, 302, 500])
def test_another_answer_gets_no_certificate(serve, asked, status):
    portico, pebble = serve()
    issued(portico, "a.test")
    orders = pebble.num_orders()
    asked.status["shop.example.com"] = status
    for _ in range(5):
        assert refused(portico, "shop.example.com")
    answer = "none" if status == 500 else "no"
    portico.wait_event("on_demand_asked", name="shop.example.com", answer=answer)
    if status == 500:
        assert "answered 500" in portico.wait_event("on_demand_unanswered")["msg"]
    assert refused(portico, "shop.example.com")
    assert asked.names() == ["shop.example.com"], "a name is asked about once"
    assert pebble.num_orders() == orders and not portico.find_events("on_demand_added")


def test_names_that_nobody_is_asked_about(serve, asked):
    portico, _ = serve()
    asked.status["last.example.com"] = 200
    for name in ["printer.local", "single", "x.internal", "a.a.example.com", "www.api.dev.example.com"]:
        assert refused(portico, name)
    assert refused(portico, "last.example.com")
    portico.wait_event("on_demand_added", name="last.example.com")
    assert asked.names() == ["last.example.com"]


def test_a_restart_serves_it_at_once_and_asks_nobody(serve, asked):
    portico, pebble = serve()
    asked.status["shop.example.com"] = 200
    assert refused(portico, "shop.example.com")
    leaf = issued(portico, "shop.example.com")
    assert portico.terminate() == 0
    orders, questions = pebble.num_orders(), len(asked.seen)
    portico, _ = serve(pebble)
    assert x509.load_der_x509_certificate(portico.shown("shop.example.com")).serial_number == leaf.serial_number
    assert (pebble.num_orders(), len(asked.seen)) == (orders, questions)
    assert portico.terminate() == 0
    portico, _ = serve(pebble, ON_DEMAND_ASK=None)
    assert refused(portico, "shop.example.com"), "without ON_DEMAND_ASK its names are nobody's"


def test_a_name_that_is_allowed_no_more_is_not_renewed(serve, asked, pebbles):
    portico, pebble = serve(pebbles(env=QUICK, validity_s=24).start(), DOMAINS=None)
    asked.status["shop.example.com"] = 200
    assert refused(portico, "shop.example.com")
    issued(portico, "shop.example.com")
    asked.status["shop.example.com"] = 404
    assert portico.terminate() == 0
    portico, _ = serve(pebble, DOMAINS=None)  # what was answered is forgotten
    portico.wait_event("on_demand_denied", name="shop.example.com", timeout=40)
    portico.wait_event("on_demand_removed", name="shop.example.com", timeout=40)
    assert refused(portico, "shop.example.com")
    assert pebble.num_orders() == 1
    eventually(lambda: not list(portico.storage.glob("certificate/shop*")), "its record is gone")


def test_a_flood_of_names_costs_little(serve, asked):
    portico, pebble = serve()
    issued(portico, "a.test")
    orders, before, began = pebble.num_orders(), portico.rss_bytes(), time.monotonic()

    def flood(worker):
        for i in range(400):
            assert refused(portico, f"n{worker}-{i}.example{i}.com")

    threads = [threading.Thread(target=flood, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    portico.wait_event("on_demand_shed")
    assert len(asked.seen) <= 10 * (seconds + 2), f"{len(asked.seen)} questions in {seconds:.1f} s"
    assert pebble.num_orders() == orders
    assert portico.rss_bytes() - before < 32 * 2**20
    asked.status["shop.example.com"] = 200  # and a client of good will is served behind it
    eventually(lambda: not refused(portico, "shop.example.com"), "it is allowed")
    issued(portico, "shop.example.com")
