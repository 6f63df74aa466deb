"""HARDENING A7: kill -9 at every state of the order and at any instant, then a restart: the same account, no torn file,
one certificate in service, and none that was ordered in vain."""

import random
import re
import subprocess

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from support.certs import names_of, parse_chain
from support.portico import run_command
from support.swaps import QUICK, published

STATES = [
    "storage_lock_granted",
    "order_started",
    "acme_account_created",
    "acme_order_created",
    "challenge_answered",
    "certificate_obtained",
]
INSTANTS = 8


def is_served(portico):
    """Whether a certificate of the CA's is served, new or stored."""
    return published(portico, "a.test") or portico.find_events("certificate_loaded", name="a.test")


def served_at_last(launch, variables):
    """A Portico that serves a certificate of the CA's. Where the CA's visit itself was cut by the kill, the CA has refused
    the name, and twelve minutes must pass (ACME-107): that is checked, and then taken as passed."""
    portico = launch(**variables)
    portico.wait_until(lambda: is_served(portico) or portico.find_events("order_failed"), "an outcome", 40)
    if is_served(portico):
        return portico
    failed = portico.find_events("order_failed")[0]
    assert failed["class"] == "validation" and failed["failures"] == 1, failed
    assert 720 <= failed["next_attempt_s"] <= 721, failed
    assert portico.terminate() == 0
    state = portico.storage / "state" / "a.test"
    state.write_text(re.sub(r'"next_ms": ?\d+', '"next_ms":0', state.read_text()))
    portico = launch(**variables)
    portico.wait_until(lambda: is_served(portico), "certificate", 40)
    return portico


def judge(portico, pebble):
    """What must be true in the end, however often it was killed."""
    root = pebble.root_path()
    with portico.tls("a.test", ca=root) as client:
        assert client.get("a.test", "/hello").status == 200
        shown = client.certificate()
    portico.wait_until(lambda: not list((portico.storage / "order").glob("*")), "the end of the order's journal")
    assert portico.terminate() == 0
    assert pebble.num_accounts() == 1, pebble.process.tail()
    assert pebble.num_issued() == 1, pebble.process.tail()
    assert [path.name for path in (portico.storage / "certificate").iterdir()] == ["a.test"]
    assert len(list((portico.storage / "account").iterdir())) == 1
    record = (portico.storage / "certificate" / "a.test").read_text()
    leaf = parse_chain(record)[0]
    assert names_of(leaf) == ["a.test"] and record.count("BEGIN PRIVATE KEY") == 1
    assert leaf.public_bytes(Encoding.DER) == shown
    for path in portico.storage.rglob("*"):
        assert not path.name.startswith((".tmp", "tmp")), f"{path} was left behind"


@pytest.mark.parametrize("state", STATES)
def test_killed_at_a_state_of_the_order(launch, nginx, pebbles, state):
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": f"a.test -> {nginx.url}", **pebble.variables()}
    victim = launch(wait=False, **variables)
    victim.wait_event(state)
    victim.killed()
    last = served_at_last(launch, variables)
    judge(last, pebble)
    if state == "certificate_obtained":  # earlier, the CA may have visited a dead process and refused the first order
        assert pebble.num_orders() == 1, "what was journalled was ordered again"
        assert last.find_events("acme_order_resumed") or last.find_events("certificate_loaded")
    assert pebble.num_orders() <= 2, pebble.process.tail()


def test_killed_again_and_again_at_random_instants(launch, nginx, pebbles):
    """Within the time that a first certificate takes here; the instants are drawn anew in each run and said on failure."""
    seed = random.randrange(1 << 30)
    source = random.Random(seed)
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": f"a.test -> {nginx.url}", **pebble.variables()}
    try:
        for _ in range(INSTANTS):
            victim = launch(wait=False, **variables)
            wait_instant(victim, source.uniform(0.05, 1.2))
            victim.killed()
        judge(served_at_last(launch, variables), pebble)
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


def test_killed_while_a_certificate_is_replaced(launch, nginx, pebbles):
    """The old one is served by the restart, and the renewal's order is resumed, not made again."""
    pebble = pebbles(env=QUICK, validity_s=100).start()
    variables = {"DOMAINS": f"a.test -> {nginx.url}", **pebble.variables(ACME_RENEW_AT="10%")}
    victim = launch(**variables)
    victim.wait_until(lambda: is_served(victim), "certificate")
    first = victim.shown("a.test")
    victim.wait_event("acme_order_created", count=2)
    victim.killed()
    last = launch(**variables)
    assert last.shown("a.test") == first
    assert not last.find_events("placeholder_served")
    last.wait_event("acme_order_resumed", name="a.test")
    last.wait_until(lambda: published(last, "a.test") or last.find_events("order_failed"), "an outcome")
    num_orders = 2
    if last.find_events("order_failed", **{"class": "validation"}):  # the CA's visit was cut by the kill, as above
        assert run_command(launch.binary, "renew", "a.test", STORAGE=last.storage)[0] == 0
        last.wait_until(lambda: published(last, "a.test"), "the renewal")
        num_orders = 3
    assert last.shown("a.test") != first
    assert pebble.num_orders() == num_orders and pebble.num_issued() == 2


def wait_instant(process, seconds):
    """The instant is the test's subject: no event marks it."""
    try:
        process.child.wait(seconds)
    except subprocess.TimeoutExpired:
        pass
