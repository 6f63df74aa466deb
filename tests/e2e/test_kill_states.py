"""HARDENING A7, beside test_kill.py: kill -9 between two certificates of a name, while the account's key is exchanged, and
while a certificate is revoked. In the end there is one account, each key is beside its own chain, and what was ordered
is what is served."""

import json
import re
import signal
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.certs import parse_chain
from support.portico import environment, run_command
from support.swaps import QUICK, published, wait_published

REUSE = {**QUICK, "PEBBLE_AUTHZREUSE": "100"}  # only the first order of a name is validated


@pytest.fixture
def pebble(pebbles):
    return pebbles(env=REUSE).start()


def check_pairs(portico, *kinds):
    """What is stored of a.test: a key of each kind, each with the chain of its own."""
    seen = []
    for path in (portico.storage / "certificate").iterdir():
        text = path.read_text()
        key = load_pem_private_key(re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", text, re.S)[0].encode(), None)
        assert parse_chain(text)[0].public_key().public_numbers() == key.public_key().public_numbers(), path
        seen += [kind for kind in (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey) if isinstance(key, kind)]
    assert sorted(map(str, seen)) == sorted(map(str, kinds))


def command(portico, binary, *args):
    return run_command(binary, *args, timeout=60, STORAGE=portico.storage)


def begun(portico, binary, *args):
    """A command whose process is killed under it."""
    env = environment({"STORAGE": portico.storage})
    return subprocess.Popen([binary, *args], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


# --- two kinds of key ---


@pytest.mark.parametrize("event, count", [("certificate_obtained", 1), ("acme_order_created", 2)])
def test_between_two_certificates_of_a_name(launch, nginx, pebble, event, count):
    variables = {"DOMAINS": "a.test", "ACME_KEY_TYPE": "p256,rsa2048", **pebble.variables()}
    victim = launch(nginx, wait=False, **variables)
    victim.wait_event(event, count=count, timeout=40)
    victim.killed()
    last = launch(nginx, **variables)
    last.wait_until(
        lambda: len(published(last, "a.test")) + len(last.find_events("certificate_loaded")) == 2, "both certificates", 40
    )
    last.wait_until(lambda: not list((last.storage / "order").glob("*")), "the end of the journals")
    check_pairs(last, ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)
    assert last.get("a.test", "/hello", ca=pebble.root_path()).status == 200
    assert pebble.num_accounts() == 1 and pebble.num_orders() == 2 and pebble.num_issued() == 2


# --- another key of the account ---


def account(portico):
    (path,) = (portico.storage / "account").iterdir()
    return json.loads(path.read_text())


def check_account(launch, pebble, victim, before):
    """It is the same account, by whichever key the CA has, and orders with it."""
    last = launch(**victim.variables)
    last.wait_event("storage_lock_granted")
    code, out, err = command(last, launch.binary, "renew", "a.test", "--wait")
    assert code == 0, out + err
    after = account(last)
    assert after["url"] == before["url"] and "next_key" not in after
    assert pebble.num_accounts() == 1 and pebble.num_orders() == 2
    return after


def test_while_the_ca_is_told_of_another_account_key(launch, nginx, pebble):
    """ACME-36: it may have heard of it, or not."""
    victim = launch(nginx, DOMAINS="a.test", **pebble.variables())
    wait_published(victim, "a.test", 1)
    before = account(victim)
    pebble.process.signal(signal.SIGSTOP)
    child = begun(victim, launch.binary, "account", "rollover")
    victim.wait_until(lambda: "next_key" in account(victim), "the new key in the storage")
    victim.killed()
    pebble.process.signal(signal.SIGCONT)
    assert child.wait(20) != 0
    check_account(launch, pebble, victim, before)


def test_when_the_ca_has_taken_another_account_key(launch, nginx, pebble):
    victim = launch(nginx, DOMAINS="a.test", **pebble.variables())
    wait_published(victim, "a.test", 1)
    before = account(victim)
    child = begun(victim, launch.binary, "account", "rollover")
    victim.wait_event("acme_account_key_exchanged")
    victim.killed()
    child.wait(20)
    assert check_account(launch, pebble, victim, before)["key"] != before["key"]


# --- revocation ---


@pytest.mark.parametrize("event", [None, "acme_order_created", "certificate_published"])
def test_while_a_certificate_is_replaced_to_be_revoked(launch, nginx, pebble, event):
    victim = launch(nginx, DOMAINS="a.test", **pebble.variables())
    serial = wait_published(victim, "a.test", 1)[0]
    mark = victim.mark()
    child = begun(victim, launch.binary, "revoke", "a.test", "--reason", "superseded")
    victim.wait_until(lambda: list(victim.storage.glob("revocation/*")), "what is to be done, in the storage")
    if event:
        victim.wait_event(event, since=mark)
    victim.killed()
    child.wait(20)
    last = launch(**victim.variables)
    last.wait_until(lambda: pebble.revocation(serial)["Status"] == "Revoked", "the revocation", 40)
    last.wait_until(lambda: not list(last.storage.glob("revocation/*")), "its end")
    shown = last.status_of("a.test")["certificate"]["serial"]
    assert shown != serial and pebble.revocation(shown)["Status"] == "Valid"
    check_pairs(last, ec.EllipticCurvePrivateKey)
    assert pebble.num_accounts() == 1 and pebble.num_issued() == 2
    assert pebble.num_orders() == 2 or event is None  # where the answer to newOrder was not read, nobody knows its URL
