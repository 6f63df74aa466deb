"""A restart costs nothing: what is stored is served at once, with or without its CA, and nothing is ordered again."""

import calendar
import time

from support.swaps import QUICK, wait_published

NAMES = "a.test,b.test"


def obtained(launch, nginx, pebbles):
    """Variables of a Portico that has had its certificates and has ended; the CA; the leaves by name."""
    pebble = pebbles(env=QUICK).start()
    variables = {"DOMAINS": NAMES, **pebble.variables()}
    portico = launch(nginx, **variables)
    for name in NAMES.split(","):
        wait_published(portico, name, 1)
    leaves = {name: portico.shown(name) for name in NAMES.split(",")}
    assert portico.terminate() == 0
    return variables, pebble, leaves


def test_with_the_ca_down_the_stored_certificates_are_served_at_once(launch, nginx, pebbles):
    variables, pebble, leaves = obtained(launch, nginx, pebbles)
    root = pebble.root_path()
    pebble.stop()
    portico = launch(nginx, **variables)  # `started`, and not a moment later
    for name, leaf in leaves.items():
        assert portico.get(name, "/hello", ca=root).body == b"hello from nginx\n"
        assert portico.shown(name) == leaf
    assert not portico.find_events("placeholder_served")


def test_a_second_start_orders_nothing_and_never_shows_anything_else(launch, nginx, pebbles):
    variables, pebble, leaves = obtained(launch, nginx, pebbles)
    orders = pebble.num_orders()
    portico = launch(nginx, **variables)
    portico.wait_event("storage_lock_granted")
    portico.wait_until(lambda: portico.status_of("a.test").get("next_attempt"), "the renewal's time")
    for name, leaf in leaves.items():
        status = portico.status_of(name)
        assert "step" not in status, status
        days = (parse_time(status["next_attempt"]) - time.time()) / 86400
        assert 57 < days < 63, status  # two thirds of Pebble's 90 days, jitter of 2 %
        assert portico.shown(name) == leaf
    assert not portico.find_events("order_started") and not portico.find_events("placeholder_served")
    assert (pebble.num_orders(), pebble.num_accounts()) == (orders, 1)


def test_the_renewals_time_was_chosen_once(launch, nginx, pebbles):
    """A new random instant at each restart would bias towards early renewals."""
    variables, _, _ = obtained(launch, nginx, pebbles)
    times = set()
    for _ in range(3):
        portico = launch(nginx, **variables)
        portico.wait_until(lambda p=portico: p.status_of("a.test").get("next_attempt"), "the renewal's time")
        times.add(portico.status_of("a.test")["next_attempt"])
        assert portico.terminate() == 0
    assert len(times) == 1, times


def parse_time(text):
    return calendar.timegm(time.strptime(text.split(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S"))
