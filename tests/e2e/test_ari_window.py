"""The CA's wish (RFC 9773) while a certificate is served: a window that has moved, one that makes no sense, the reason."""

import base64
import datetime
import json

from support.acme import Account
from support.swaps import QUICK, published, wait_published

LIFETIME_S = 200  # of which a certificate must be 4 s old before it is given back
EXPLANATION = "https://ca.test/incident-42"


def window(start, end, **more):
    """A RenewalInfo document, in hours from now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    at = [(now + datetime.timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ") for hours in (start, end)]
    return {"suggestedWindow": {"start": at[0], "end": at[1]}, **more}


def ari_serial(serial):
    """The second half of a certificate's id (ACME-90): the serial as DER has it."""
    number = bytes.fromhex(serial)
    return base64.urlsafe_b64encode(b"\0" * (number[0] >> 7) + number).rstrip(b"=").decode()


def first_certificate(launch, nginx, pebble):
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    wait_published(portico, "a.test", 1)
    portico.wait_event("renewal_window", name="a.test")
    return portico


def ask_again(launch, portico):
    """A process that asks at once: the CA says how long to wait, hours, which is taken as passed."""
    assert portico.terminate() == 0
    path = portico.storage / "state" / "a.test"
    state = json.loads(path.read_text())
    assert state["ask_at_ms"] and state["window"], state
    path.write_text(json.dumps({**state, "ask_at_ms": 0}))
    return launch(**portico.variables)


def test_a_window_in_the_past_renews_at_once_as_a_replacement(launch, nginx, newer_pebbles):
    """ACME-93, ACME-97, ACME-98, ACME-100."""
    pebble = newer_pebbles(env={**QUICK, "PEBBLE_WFE_NONCEREJECT": "0"}, validity_s=LIFETIME_S).start()
    portico = first_certificate(launch, nginx, pebble)
    serial = published(portico, "a.test")[0]
    pebble.set_renewal_info(serial, window(-48, -24, explanationURL=EXPLANATION))

    portico = ask_again(launch, portico)
    moved = portico.wait_event("renewal_window", serial=serial)
    assert moved["by"] == "window" and moved["explanation"] == EXPLANATION, moved
    started = portico.wait_event("order_started")
    assert (started["reason"], started["window"]) == ("renewal", "missed"), started
    renewed = wait_published(portico, "a.test", 1)[0]
    assert renewed != serial
    order = Account(portico.storage, pebble.ca_path).read(portico.find_events("acme_order_created")[0]["order"])
    assert order["replaces"].split(".")[1] == ari_serial(serial)
    assert not portico.find_events("acme_amended") and not portico.find_events("order_failed")
    portico.wait_event("renewal_window", serial=renewed)  # ACME-95: of the new one at once, and the old one is not asked for
    assert pebble.num_orders() == 2


def test_a_window_that_ends_before_it_begins_is_none(launch, nginx, newer_pebbles):
    """ACME-94: what was known before goes on."""
    pebble = newer_pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    portico = first_certificate(launch, nginx, pebble)
    serial, planned = published(portico, "a.test")[0], portico.status_of("a.test")["certificate"]["renewal_at"]
    pebble.set_renewal_info(serial, window(-24, -48))
    portico = ask_again(launch, portico)
    unknown = portico.wait_event("renewal_window_unknown", name="a.test")
    assert unknown["failures"] == 1 and "ends before it begins" in unknown["detail"], unknown
    assert portico.status_of("a.test")["certificate"]["renewal_at"] == planned
    assert not portico.find_events("renewal_window") and not portico.find_events("order_started")
