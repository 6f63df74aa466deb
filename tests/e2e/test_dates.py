"""When a certificate is to be replaced, by its own dates alone: what status says for lifetimes of days and of weeks (ACME-114)."""

import datetime

import pytest

from support.swaps import QUICK, wait_published

HOUR_S = 3600
DAY_S = 24 * HOUR_S


def read(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


class Dates:
    """Of the certificate of a.test, as status has them; `part` is how far into its lifetime the renewal is planned."""

    def __init__(self, portico):
        shown = portico.status_of("a.test")["certificate"]
        self.begins, self.ends, self.renewal = (read(shown[key]) for key in ("not_before", "not_after", "renewal_at"))
        self.lifetime_s = (self.ends - self.begins).total_seconds()
        self.part = (self.renewal - self.begins).total_seconds() / self.lifetime_s


def start(launch, nginx, pebble, **more):
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables(**more))
    wait_published(portico, "a.test", 1)
    return portico


@pytest.mark.parametrize(
    "lifetime_s, renew_at, part",
    [
        (160 * HOUR_S, "auto", 1 / 2),
        (45 * DAY_S, "auto", 2 / 3),
        (160 * HOUR_S, "70%", 7 / 10),
    ],
)
def test_without_a_wish_of_the_ca(launch, nginx, pebbles, lifetime_s, renew_at, part):
    """Half of it under ten days, two thirds else, or what was asked for; more or less by a fiftieth (ACME-115), and the same
    behind a restart."""
    portico = start(launch, nginx, pebbles(env=QUICK, validity_s=lifetime_s).start(), ACME_RENEW_AT=renew_at)
    dates = Dates(portico)
    assert abs(dates.lifetime_s - lifetime_s) <= 1
    assert abs(dates.part - part) <= 0.0201, dates.part
    assert portico.terminate() == 0
    again = launch(**portico.variables)
    again.wait_event("storage_lock_granted")
    again.wait_until(lambda: "renewal_at" in again.status_of("a.test")["certificate"], "the plan")
    assert Dates(again).renewal == dates.renewal and not again.find_events("order_started")


def test_by_the_wish_of_the_ca(launch, nginx, newer_pebbles):
    """160 hours, and a window: within it, and never later than where a third is left (ACME-92, ACME-101)."""
    portico = start(launch, nginx, newer_pebbles(env=QUICK, validity_s=160 * HOUR_S).start())
    window = portico.wait_event("renewal_window")
    dates = Dates(portico)
    floor = dates.ends - datetime.timedelta(seconds=dates.lifetime_s / 3)
    assert read(window["start"]) <= dates.renewal <= min(read(window["end"]), floor), window
    assert window["by"] == ("window" if dates.renewal < floor else "floor")
