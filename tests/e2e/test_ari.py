"""A renewal when the CA would like it (RFC 9773), against a CA that is not of our own making."""

from support.swaps import QUICK, published, wait_published

LIFETIME_S = 60


def test_renewed_within_the_window_and_as_a_replacement(launch, nginx, newer_pebbles):
    """ACME-91, ACME-92, ACME-98: the window is asked for, met, and the CA takes the order as the replacement."""
    pebble = newer_pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    first = wait_published(portico, "a.test", 1)[0]
    window = portico.wait_event("renewal_window", name="a.test", serial=first)
    assert window["start"] < window["renew_at"] < window["end"], window
    status = portico.status_of("a.test")["certificate"]
    assert status["renewal_window"]["start"] == window["start"] and status["renewal_at"] == window["renew_at"]
    renewal = portico.wait_event("order_started", name="a.test", reason="renewal", timeout=LIFETIME_S)
    assert renewal["window"] == "met", renewal
    wait_published(portico, "a.test", 2)
    assert len(set(published(portico, "a.test"))) == len(published(portico, "a.test"))
    assert not portico.find_events("acme_amended"), "the CA did not take the order as a replacement"
    assert not portico.find_events("order_failed")
    assert portico.wait_event("renewal_window", serial=published(portico, "a.test")[1])  # asked for again at once
