"""The first certificate, from a CA that rejects nonces and dawdles, and what is said where there can be none."""

import ssl

import pytest
from cryptography import x509

from support.certs import Authority, names_of
from support.client import connect_tls
from support.swaps import QUICK, wait_published


def test_it_comes_and_verifies_though_nonces_are_rejected_and_the_ca_is_slow(launch, nginx, pebbles):
    """Pebble's random delays on, 60 % of good nonces rejected instead of its 5 %, so that no run goes without."""
    pebble = pebbles(env={"PEBBLE_WFE_NONCEREJECT": "60", "PEBBLE_VA_SLEEPTIME": "3"}).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    assert portico.find_events("placeholder_served", name="a.test")
    assert portico.get("a.test", "/hello").status == 200  # served before the CA has said a word
    wait_published(portico, "a.test", 1)
    with connect_tls(portico.https, "a.test", ca=pebble.root_path()) as client:
        leaf = x509.load_der_x509_certificate(client.certificate())
        assert client.get("a.test", "/hello").body == b"hello from nginx\n"
    assert names_of(leaf) == ["a.test"]
    assert portico.find_events("acme_bad_nonce"), "no nonce was rejected: the test shows nothing"
    assert not portico.find_events("order_failed")
    assert (pebble.num_accounts(), pebble.num_orders(), pebble.num_issued()) == (1, 1, 1)
    status = portico.status_of("a.test")
    assert status["certificate"]["source"] == "issued" and status["failures"] == 0 and "problem" not in status


def test_it_is_kept_where_nobody_else_can_read_it(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables())
    wait_published(portico, "a.test", 1)
    assert portico.terminate() == 0
    for path in [portico.storage, *portico.storage.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    record = (portico.storage / "certificate" / "a.test").read_text()
    assert record.count("BEGIN PRIVATE KEY") == 1 and record.count("BEGIN CERTIFICATE") == 2
    assert not any((portico.storage / "order").glob("*")), "the order's journal outlived its certificate"
    for line in portico.lines:
        assert "PRIVATE KEY" not in line


def test_without_the_terms_nothing_is_ordered_and_their_url_is_said(launch, nginx, pebbles):
    pebble = pebbles(env=QUICK).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables(ACME_ACCEPT_TERMS="false"))
    failed = portico.wait_event("order_failed", name="a.test")
    assert "PORTICO_ACME_ACCEPT_TERMS=true" in failed["msg"] and "data:text/plain,Do" in failed["msg"], failed
    assert (pebble.num_accounts(), pebble.num_orders()) == (0, 0)
    assert "PORTICO_ACME_ACCEPT_TERMS" in portico.status_of("a.test")["problem"]["sentence"]
    assert portico.get("a.test", "/hello").status == 200


def test_a_ca_that_cannot_be_verified_is_sent_nothing_and_named(launch, nginx, pebbles, tmp_path):
    """ACME-1. The root given is another's."""
    other = Authority(tmp_path / "other", "Another CA")
    pebble = pebbles(env=QUICK).start()
    portico = launch(nginx, DOMAINS="a.test", **pebble.variables(ACME_CA_FILE=other.path))
    trouble = portico.wait_until(
        lambda: portico.find_events("acme_retry", name="a.test") or portico.find_events("order_failed", name="a.test"),
        "word of the refusal",
    )[0]
    assert "localhost: its certificate was refused" in trouble["msg"], trouble
    assert "PORTICO_ACME_CA" in trouble["msg"], trouble
    assert (pebble.num_accounts(), pebble.num_orders()) == (0, 0)
    with pytest.raises(ssl.SSLCertVerificationError):
        portico.get("a.test", ca=pebble.root_path())  # the placeholder is no certificate of the CA's
