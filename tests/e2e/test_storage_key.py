"""PORTICO_STORAGE_KEY: no private key lies in the storage in plain text, and a wrong key is never an empty storage."""

import json

import pytest

from support.portico import run_command
from support.swaps import QUICK, wait_published

NAMES = "a.test,b.test"
KEY = bytes(range(32)).hex()
OTHER_KEY = bytes(range(1, 33)).hex()


def files_of(portico):
    return {path.relative_to(portico.storage): path.read_bytes() for path in portico.storage.rglob("*") if path.is_file()}


def check_no_key_lies_there(portico):
    files = files_of(portico)
    for path, content in files.items():
        assert b"PRIVATE KEY" not in content and b"MIGHAgEAMBMG" not in content, path  # nor PKCS#8 of P-256 without armour
    return files


def first_run(launch, nginx, pebbles, **more):
    """Variables of a Portico that has had its certificates and has ended; the CA; its last state."""
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": NAMES, **pebble.variables(), **more}
    portico = launch(nginx, **variables)
    for name in NAMES.split(","):
        wait_published(portico, name, 1)
    return variables, pebble, portico


def test_nothing_of_a_key_lies_in_the_storage_and_a_restart_serves(launch, nginx, pebbles):
    variables, pebble, first = first_run(launch, nginx, pebbles, STORAGE_KEY=KEY)
    leaf = first.shown("a.test")
    assert first.terminate() == 0
    files = check_no_key_lies_there(first)
    kinds = {str(path).split("/")[0]: content for path, content in files.items()}
    assert {"account", "certificate", "state", "storage-key"} <= kinds.keys()
    assert kinds["certificate"].startswith(b"portico-sealed: 1\n") and kinds["account"].startswith(b"portico-sealed: 1\n")
    assert json.loads(kinds["state"]), "what holds no secret stays readable for people"
    second = launch(nginx, **variables)
    assert second.shown("a.test") == leaf
    assert second.get("b.test", "/hello", ca=pebble.root_path()).body == b"hello from nginx\n"
    assert pebble.num_orders() == 2 and pebble.num_accounts() == 1
    assert not second.find_events("storage_sealed") and not second.find_events("placeholder_served")


@pytest.mark.parametrize("key,word", [(OTHER_KEY, "is the key"), (None, "set PORTICO_STORAGE_KEY")])
def test_a_wrong_key_orders_nothing_writes_nothing_and_is_said(launch, nginx, pebbles, key, word):
    variables, pebble, first = first_run(launch, nginx, pebbles, STORAGE_KEY=KEY)
    leaf = first.shown("a.test")
    assert first.terminate() == 0
    before = files_of(first)
    second = launch(nginx, **{**variables, "STORAGE_KEY": key, "DOMAINS": NAMES + ",c.test"})
    said = second.wait_event("storage_key_wrong")
    assert word in said["msg"] and "PORTICO_STORAGE_KEY" in said["msg"]
    assert second.wait_event("storage_unreadable")
    assert "PORTICO_STORAGE_KEY" in second.wait_event("storage_not_writable")["reason"]
    status = second.status()
    assert not status["writer"] and not status["store_readable"] and "PORTICO_STORAGE_KEY" in status["storage_problem"]
    assert all(name["certificate"]["source"] == "placeholder" for name in status["names"])
    assert second.terminate() == 0
    after = files_of(second)
    assert {p: c for p, c in after.items() if p.name != ".lock"} == {p: c for p, c in before.items() if p.name != ".lock"}
    assert pebble.num_orders() == 2 and pebble.num_accounts() == 1
    third = launch(nginx, **variables)
    assert third.shown("a.test") == leaf


def test_one_with_a_wrong_key_does_not_stand_in_the_way_of_one_with_the_right_one(launch, nginx, pebbles):
    variables, pebble, first = first_run(launch, nginx, pebbles, STORAGE_KEY=KEY)
    assert first.terminate() == 0
    wrong = launch(nginx, **{**variables, "STORAGE_KEY": OTHER_KEY, "HTTP_LISTEN": "127.0.0.1:0"})
    wrong.wait_event("storage_key_wrong")
    right = launch(nginx, **{**variables, "DOMAINS": NAMES + ",c.test"})
    wait_published(right, "c.test", 1)
    assert pebble.num_accounts() == 1


def test_a_key_that_is_given_later_seals_what_is_there(launch, nginx, pebbles):
    variables, pebble, first = first_run(launch, nginx, pebbles)
    leaf = first.shown("a.test")
    assert first.terminate() == 0
    assert any(b"BEGIN PRIVATE KEY" in content for content in files_of(first).values())
    second = launch(nginx, **{**variables, "STORAGE_KEY": KEY})
    said = second.wait_event("storage_sealed")
    assert said["records"] == 3, "two certificates and an account"
    assert second.shown("a.test") == leaf
    assert second.terminate() == 0
    check_no_key_lies_there(second)
    third = launch(nginx, **{**variables, "STORAGE_KEY": KEY})
    assert third.shown("a.test") == leaf
    assert pebble.num_orders() == 2


def test_the_local_root_is_sealed_and_never_made_anew(launch, backends):
    first = launch(backends(), DOMAINS="app.internal", STORAGE_KEY=KEY)
    sha256 = first.wait_event("local_root_made")["sha256"]
    first.wait_event("certificate_published", source="internal")
    assert first.terminate() == 0
    check_no_key_lies_there(first)
    wrong = launch(backends(), DOMAINS="app.internal", STORAGE_KEY=OTHER_KEY)
    assert wrong.wait_event("local_root_unreadable")["result"] == "sealed with another key"
    assert wrong.terminate() == 0
    second = launch(backends(), DOMAINS="app.internal", STORAGE_KEY=KEY)
    assert second.wait_event("local_root_loaded")["sha256"] == sha256


def test_check_shows_the_key_masked(binary):
    code, out, err = run_command(binary, "check", DOMAINS="a.test", STORAGE_KEY=KEY)
    assert code == 0, err
    assert KEY not in out + err and "PORTICO_STORAGE_KEY" in out
