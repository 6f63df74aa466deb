"""Certificates of one's own: served as they are, never ordered, and judged at the start."""

from cryptography import x509

from support.certs import names_of, parse_chain


def test_without_domains_the_names_are_the_certificates(launch, backends, authority):
    chain, key = authority.issue_files("own.example", "www.own.example", "*.wild.example")
    portico = launch(backends(), TLS_CERT_FILE=chain, TLS_KEY_FILE=key)
    for name in ("own.example", "www.own.example", "x.wild.example"):
        assert portico.get(name, "/", ca=authority.path).status == 200
    assert portico.shown("other.example") is None
    shown = x509.load_der_x509_certificate(portico.shown("own.example"))
    assert names_of(shown) == ["own.example", "www.own.example", "*.wild.example"]
    assert parse_chain(chain.read_text())[0].serial_number == shown.serial_number
    assert not portico.find_events("order_started")


def test_an_expired_one_is_served_and_said(launch, backends, authority):
    """Another would be a surprise, none would be worse."""
    chain, key = authority.issue_files("old.example", days=(-30, -1))
    portico = launch(backends(), TLS_CERT_FILE=chain, TLS_KEY_FILE=key)
    assert "old.example" in portico.wait_event("own_certificate_ends")["name"]
    assert portico.shown("old.example") is not None


def test_a_key_of_another_certificate_is_a_mistake_of_configuration(launch, authority):
    chain, _ = authority.issue_files("one.example")
    _, key = authority.issue_files("two.example")
    portico = launch(wait=False, codes=(78,), TLS_CERT_FILE=chain, TLS_KEY_FILE=key)
    assert portico.wait_exit() == 78
    said = "\n".join(portico.lines)
    assert "PORTICO_TLS_KEY" in said, said


def test_pem_in_the_variables_themselves(launch, backends, authority):
    chain, key = authority.issue_files("inline.example")
    portico = launch(backends(), DOMAINS="inline.example", TLS_CERT=chain.read_text(), TLS_KEY=key.read_text())
    assert portico.get("inline.example", "/", ca=authority.path).status == 200
    assert not any("PRIVATE KEY" in line for line in portico.lines)
