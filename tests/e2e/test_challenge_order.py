"""ACME-47: what failed is not tried again by the next order, which answers the CA in another way."""

from support.ports import free_port
from support.portico import run_command
from support.swaps import QUICK, wait_published


def answers(portico):
    """The ways in which a CA was answered for the name, without repetition."""
    return {e["challenge"] for e in portico.find_events("challenge_answered", name="a.test")}


def renew(portico, binary, *more):
    return run_command(binary, "renew", "a.test", "--wait", *more, timeout=60, STORAGE=portico.storage)


def failed_once(portico):
    failed = portico.wait_event("order_failed", timeout=40)
    assert failed["class"] == "validation" and failed["failures"] == 1, failed
    assert 720 <= failed["next_attempt_s"] <= 3600, failed  # ACME-107
    return failed


def other_way(portico, binary):
    """The next order, which its owner does not wait for."""
    code, out, err = renew(portico, binary, "--force")
    assert code == 0 and "a.test: certificate " in out, out + err
    wait_published(portico, "a.test", 1)


def test_port_80_leads_elsewhere(launch, nginx, pebbles, backends):
    stranger = backends()  # knows nothing of it
    pebble = pebbles(env=QUICK, http_port=stranger.port, tls_port=free_port()).start()
    variables = pebble.variables(HTTP_LISTEN="127.0.0.1:0", HTTPS_LISTEN=f"127.0.0.1:{pebble.tls_port}")
    portico = launch(nginx, DOMAINS="a.test", **variables)
    failed_once(portico)
    assert any("/.well-known/acme-challenge/" in request.target for request in stranger.seen) and answers(portico) == set()
    other_way(portico, launch.binary)
    assert answers(portico) == {"tls-alpn-01"} and pebble.num_orders() == 2
    num_seen = len(stranger.seen)
    code, out, err = renew(portico, launch.binary)
    assert code == 0, out + err  # what works is kept to
    assert len(stranger.seen) == num_seen and pebble.num_orders() == 3


def test_port_443_leads_elsewhere_also_behind_a_restart(launch, nginx, pebbles, backends):
    hangs_up = backends(raw=lambda connection: None)
    pebble = pebbles(env=QUICK, tls_port=hangs_up.port).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables(ACME_CHALLENGE="tls-alpn-01,http-01"))
    failed_once(portico)
    assert portico.terminate() == 0
    portico = launch(**portico.variables)
    portico.wait_event("storage_lock_granted")
    assert portico.status_of("a.test")["failures"] == 1 and not portico.find_events("order_started")
    other_way(portico, launch.binary)
    assert answers(portico) == {"http-01"} and pebble.num_orders() == 2
