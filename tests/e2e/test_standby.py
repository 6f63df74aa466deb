"""A second process on the same storage: it serves what is stored, orders nothing, and takes over when the first has gone."""

from support.swaps import QUICK, wait_published


def pair(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": "a.test", **pebble.variables()}
    first = launch(nginx, **variables)
    wait_published(first, "a.test", 1)
    second = launch(nginx, **{**variables, "HTTP_LISTEN": "127.0.0.1:0"})
    second.wait_event("standby")
    return pebble, first, second


def test_a_standby_serves_what_is_stored_and_orders_nothing(launch, nginx, pebbles):
    pebble, first, second = pair(launch, nginx, pebbles)
    root = pebble.root_path()
    assert second.get("a.test", "/hello", ca=root).body == b"hello from nginx\n"
    assert second.shown("a.test") == first.shown("a.test")
    assert first.status()["writer"] and not second.status()["writer"]
    assert pebble.num_orders() == 1


def test_it_takes_over_from_one_that_ends_and_from_one_that_is_killed(launch, nginx, pebbles):
    pebble, first, second = pair(launch, nginx, pebbles)
    assert first.terminate() == 0
    second.wait_event("storage_lock_granted", timeout=30)
    third = launch(nginx, **second.variables)
    third.wait_event("standby")
    second.killed()
    third.wait_event("storage_lock_granted", timeout=30)
    assert third.get("a.test", "/hello", ca=pebble.root_path()).status == 200
    assert pebble.num_orders() == 1
