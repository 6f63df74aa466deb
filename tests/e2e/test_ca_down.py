"""A CA that is dead when Portico starts: it serves at once, waits longer each time, remembers that over a restart, and
has its certificate soon after the CA has come."""

import pytest

QUICK = {"PEBBLE_VA_NOSLEEP": "1"}


@pytest.mark.long
def test_ca_dead_at_boot(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK)
    variables = {"DOMAINS": "a.test", **pebble.variables()}
    first = launch(nginx, **variables)
    assert first.find_events("placeholder_served")
    assert first.get("a.test", "/hello").status == 200
    failed = first.wait_event("order_failed", timeout=120)
    assert failed["class"] == "transient" and failed["failures"] == 1, failed
    assert 30 <= failed["next_attempt_s"] <= 90, failed
    assert first.terminate() == 0

    second = launch(nginx, **variables)
    waits = second.status_of("a.test")
    assert waits["failures"] == 1 and waits["problem"]["sentence"], waits
    assert not second.find_events("order_started")  # the wait goes on where it was
    pebble.start()
    second.wait_event("certificate_published", timeout=120, source="issued")
    assert second.get("a.test", "/hello", ca=pebble.root_path()).status == 200
    assert second.status_of("a.test")["failures"] == 0
