"""ACME_PROFILE: the first that the CA offers; another preference replaces the certificate at once, and only once."""

import datetime

import pytest

from support.swaps import QUICK, wait_published
from support.volume import Folder

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


def test_none_that_the_ca_offers(launch, nginx, pebble):
    """It is ordered without one, which is said; asked for again and again, it is not for that ordered again."""
    variables = {"DOMAINS": "a.test", "ACME_PROFILE": "unheard-of,gone", **pebble.variables()}
    portico = launch(nginx, **variables)
    said = portico.wait_event("acme_profile_not_offered")
    assert said["wanted"] == "unheard-of, gone" and {"long", "short"} == set(said["offered"].split(", ")), said
    wait_published(portico, "a.test", 1)
    assert portico.terminate() == 0
    again = launch(nginx, **variables)
    again.wait_event("certificate_loaded")
    again.wait_event("storage_lock_granted")
    assert "renewal_at" in again.status_of("a.test")["certificate"]
    assert not again.find_events("order_started") and pebble.num_orders() == 1


def test_another_preference_at_a_reload_replaces_the_certificate_at_once(launch, nginx, pebble, tmp_path):
    place = Folder(tmp_path / "env", DOMAINS="a.test", ACME_PROFILE="long")
    portico = launch(nginx, ENV_DIR=place.path, **{**pebble.variables(), "DOMAINS": None})
    wait_published(portico, "a.test", 1)
    assert days(portico) == 90
    place.write("ACME_PROFILE", "unheard-of,short")
    portico.wait_event("reloaded", changed="PORTICO_ACME_PROFILE")
    wait_published(portico, "a.test", 2)
    assert portico.find_events("order_started")[1]["reason"] == "another configuration"
    assert days(portico) == 6
    place.write("ACME_PROFILE", "long,short")  # one of which it has
    portico.wait_event("reloaded", count=2)
    portico.wait_until(lambda: not portico.status_of("a.test").get("step"), "nothing to do")
    assert len(portico.find_events("order_started")) == 2 and pebble.num_orders() == 2


def test_addresses_take_shortlived_by_themselves_where_it_is_offered(launch, nginx, newer_pebbles):
    """ACME-88."""
    profiles = {**PROFILES, "shortlived": {"description": "tests", "validityPeriod": 3 * 86400}}
    pebble = newer_pebbles(env=QUICK, profiles=profiles).start()
    portico = launch(nginx, DOMAINS="a.test,127.0.0.1", ACME_PROFILE="long", **pebble.variables())
    for name, length in (("a.test", 90), ("127.0.0.1", 3)):
        wait_published(portico, name, 1)
        assert days(portico, name) == length
    assert not portico.find_events("acme_profile_not_offered")
