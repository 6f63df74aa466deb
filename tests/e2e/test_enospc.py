"""A storage that is full: nothing is asked of the CA that could be lost, what has come is served, and is stored in the end."""

import subprocess

import pytest

from support.certs import parse_chain
from support.portico import run_command
from support.small_disk import SmallDisk
from support.swaps import QUICK, wait_published


@pytest.fixture
def disk(tmp_path):
    """Portico's storage. Named before `launch`, it outlives the processes."""
    try:
        made = SmallDisk(tmp_path / "storage")
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("this machine lets us mount nothing")
    yield made
    made.unmount()


@pytest.fixture
def pebble(pebbles):
    return pebbles(env=QUICK).start()


def renew(launch, portico, name):
    return run_command(launch.binary, "renew", name, "--wait", timeout=60, STORAGE=portico.storage)


def check_said(portico):
    said = portico.wait_event("storage_unusable")
    assert said["writing"] == "no space left" and "No space left on device" in said["msg"], said
    assert "No space left on device" in portico.status()["storage_problem"]


def refused(portico, name):
    """The order of the name has failed for want of space."""
    failed = portico.wait_event("order_failed", name=name)
    assert failed["class"] == "local" and "no space left" in failed["msg"], failed
    check_said(portico)


def is_stored(portico, name):
    path = portico.storage / "certificate" / name
    return path.exists() and parse_chain(path.read_text())[0]


def served_anew(launch, portico, name):
    """By a process that finds it in the storage."""
    shown = portico.shown(name)
    portico.killed()
    again = launch(**portico.variables)
    assert again.shown(name) == shown and not again.find_events("placeholder_served", name=name)


def with_certificate(launch, nginx, pebble, name):
    """Variables of a Portico that has an account and a certificate, and has ended."""
    portico = launch(nginx, DOMAINS=name, **pebble.variables())
    wait_published(portico, name, 1)
    assert portico.terminate() == 0
    return portico.variables


def test_full_before_there_is_an_account(disk, launch, nginx, pebble):
    """ACME-38: none is made whose key could not be written."""
    assert launch(nginx).terminate() == 0  # the storage exists
    disk.fill()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    refused(portico, "a.test")
    assert portico.get("a.test", "/hello").status == 200  # by a placeholder
    assert pebble.num_accounts() == 0 and pebble.num_orders() == 0
    disk.free()
    assert renew(launch, portico, "a.test")[0] == 0
    assert pebble.num_accounts() == 1 and pebble.num_orders() == 1
    served_anew(launch, portico, "a.test")


def test_full_before_the_journal(disk, launch, nginx, pebble):
    """No order is made that nobody would find again."""
    variables = with_certificate(launch, nginx, pebble, "b.test")
    disk.fill()
    portico = launch(**{**variables, "DOMAINS": "a.test,b.test"})
    refused(portico, "a.test")
    assert portico.get("b.test", "/hello", ca=pebble.root_path()).status == 200
    assert pebble.num_orders() == 1
    disk.free()
    assert renew(launch, portico, "b.test")[0] == 0  # which shows that there is space: a.test need not wait longer
    wait_published(portico, "a.test", 1, timeout=20)
    assert pebble.num_accounts() == 1 and pebble.num_orders() == 3
    assert "storage_problem" not in portico.status()
    served_anew(launch, portico, "a.test")


@pytest.fixture
def unstored(disk, launch, nginx, pebble):
    """A Portico that has a certificate of the CA's for a.test, served, but not stored."""
    variables = with_certificate(launch, nginx, pebble, "b.test")
    portico = launch(**{**variables, "DOMAINS": "a.test,b.test"})
    portico.wait_event("challenge_answered", name="a.test")
    disk.fill()
    wait_published(portico, "a.test", 1)
    said = portico.wait_event("certificate_not_stored", name="a.test")
    assert said["result"] == "no space left" and "a restart would lose it" in said["msg"], said
    assert not is_stored(portico, "a.test")
    check_said(portico)
    assert portico.get("a.test", "/hello", ca=pebble.root_path()).status == 200
    return portico


def test_full_at_the_commit_it_is_stored_later(unstored, disk, launch, pebble):
    disk.free()
    assert renew(launch, unstored, "b.test")[0] == 0
    unstored.wait_until(lambda: is_stored(unstored, "a.test"), "the certificate in the storage")
    assert pebble.num_orders() == 3 and not unstored.find_events("order_failed")
    served_anew(launch, unstored, "a.test")


def test_full_at_the_commit_and_killed_it_is_fetched_again(unstored, disk, launch, pebble):
    """What was ordered is the CA's to give, and the key of it is in the journal."""
    shown = unstored.shown("a.test")
    unstored.killed()
    disk.free()
    again = launch(**unstored.variables)
    wait_published(again, "a.test", 1)
    assert again.shown("a.test") == shown and again.find_events("acme_order_resumed")
    assert pebble.num_orders() == 2 and pebble.num_issued() == 2
