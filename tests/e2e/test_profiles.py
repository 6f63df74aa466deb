"""ACME_PROFILE: the first that the CA offers; another preference replaces the certificate at once, and only once."""

import datetime

import pytest

from support.swaps import QUICK, wait_published

PROFILES = {
    "long": {"description": "tests", "validityPeriod": 90 * 86400},
    "short": {"description": "tests", "validityPeriod": 6 * 86400},
}


@pytest.fixture
def pebble(newer_pebbles):
    return newer_pebbles(env=QUICK, profiles=PROFILES).start()


def days(portico, name="a.test"):
    certificate = portico.status_of(name)["certificate"]
    ends, begins = (datetime.datetime.fromisoformat(certificate[key][:19]) for key in ("not_after", "not_before"))
    return round((ends - begins).total_seconds() / 86400)


def test_the_first_that_the_ca_offers(launch, nginx, pebble):
    variables = {"DOMAINS": "a.test", **pebble.variables()}
    portico = launch(nginx, ACME_PROFILE="unheard-of,short", **variables)
    wait_published(portico, "a.test", 1)
    assert days(portico) == 6
    assert "profile: short\n" in (portico.storage / "certificate/a.test").read_text()
    assert portico.terminate() == 0

    portico = launch(nginx, ACME_PROFILE="short", **variables)  # which is what it has
    portico.wait_event("certificate_loaded")
    assert days(portico) == 6 and pebble.num_orders() == 1
    assert portico.terminate() == 0

    portico = launch(nginx, ACME_PROFILE="long", **variables)
    assert portico.wait_event("order_started")["reason"] == "another configuration"
    wait_published(portico, "a.test", 1)
    assert days(portico) == 90 and pebble.num_orders() == 2
