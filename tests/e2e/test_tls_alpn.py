"""TLS-ALPN-01: the CA is answered in the handshake, on port 443 alone, and nobody else notices."""

import hashlib
import socket
import ssl

import pytest
from cryptography import x509

from support.certs import Authority, names_of
from support.client import Cut, connect_tls, tls_context
from support.ports import free_port
from support.raw import RawTls, echo_raw
from support.swaps import QUICK, wait_published

ACME = "acme-tls/1"
IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


def start(launch, pebble, backend, **variables):
    """It is not reached on port 80 at all."""
    variables = {
        "HTTPS_LISTEN": f"127.0.0.1:{pebble.tls_port}",
        "HTTP_LISTEN": "off",
        "ACME_CHALLENGE": "tls-alpn-01",
        **variables,
    }
    return launch(backend, **pebble.variables(**variables))


def validate(portico, name, **kwargs):
    """What a CA does."""
    return connect_tls(portico.https, name, context=tls_context(alpn=[ACME], **kwargs))


def is_refused(portico, name):
    try:
        validate(portico, name).close()
    except ssl.SSLError as error:
        assert "NO_APPLICATION_PROTOCOL" in str(error).upper().replace(" ", "_"), error
        return True
    return False


@pytest.mark.smoke
def test_a_certificate_comes_without_port_80(launch, backends, pebbles):
    """ACME-77 to ACME-81, by Pebble's word."""
    pebble, backend = pebbles(env=QUICK, tls_port=free_port()).start(), backends()
    portico = start(launch, pebble, backend, DOMAINS="a.test,b.test")
    for name in ("a.test", "b.test"):
        wait_published(portico, name, 1)
        assert portico.find_events("challenge_answered", name=name, challenge="tls-alpn-01")
        with connect_tls(portico.https, name, ca=pebble.root_path()) as client:
            assert client.get(name).status == 200
    assert not portico.find_events("handshake_failed") and not portico.find_events("order_failed")
    assert all(is_refused(portico, name) for name in ("a.test", "b.test"))  # ACME-52, ACME-81
    assert len(backend.seen) == 2
    assert portico.metrics()["portico_challenges_answered_total"] >= 2


def test_client_certificates_and_tls_1_3_alone_do_not_stand_in_the_way(launch, backends, pebbles, tmp_path):
    """ACME-82."""
    clients = Authority(tmp_path / "clients", "Clients' CA")
    pebble = pebbles(env=QUICK, tls_port=free_port()).start()
    portico = start(
        launch,
        pebble,
        backends(),
        DOMAINS="a.test",
        TLS_CLIENT_AUTH="require",
        TLS_CLIENT_CA_FILE=clients.path,
        TLS_POLICY="modern",
    )
    wait_published(portico, "a.test", 1)


def test_names_of_raw_bytes(launch, backends, pebbles):
    """ACME-81: the backend of tcp:// learns of no validation."""
    pebble, raw = pebbles(env=QUICK, tls_port=free_port()).start(), backends(raw=echo_raw)
    portico = start(launch, pebble, f"tcp://127.0.0.1:{raw.port}", DOMAINS="raw.test")
    wait_published(portico, "raw.test", 1)
    assert is_refused(portico, "raw.test")
    assert raw.connections == []
    with RawTls(portico.https, "raw.test", alpn=["postgresql"]) as client:
        client.send(b"hello")
        assert client.receive_exactly(5) == b"hello"


def test_addresses(launch, backends, pebbles):
    """ACME-84, ACME-87, ACME-89."""
    pebble = pebbles(env=QUICK, tls_port=free_port()).start()
    portico = start(launch, pebble, backends(), DOMAINS="127.0.0.1")
    wait_published(portico, "127.0.0.1", 1)
    assert portico.find_events("challenge_answered", name="1.0.0.127.in-addr.arpa")
    with connect_tls(portico.https, None) as client:
        leaf = x509.load_der_x509_certificate(client.certificate())
        assert names_of(leaf) == ["127.0.0.1"] and "Pebble" in leaf.issuer.rfc4514_string()
        assert client.get("127.0.0.1").status == 200


# --- while the CA has not decided ---


@pytest.fixture
def pending(launch, backends, pebbles):
    """A Portico whose CA has been told to look, and looks at somebody who never answers; and its backend."""
    with socket.create_server(("127.0.0.1", 0)) as stalls:
        pebble, backend = pebbles(env=QUICK, tls_port=stalls.getsockname()[1]).start(), backends()
        portico = start(launch, pebble, backend, DOMAINS="a.test,b.test -> http://127.0.0.1:1", HTTPS_LISTEN="127.0.0.1:0")
        portico.wait_until(lambda: not is_refused(portico, "a.test"), "the answer")
        yield portico, backend


def test_the_certificate_is_what_rfc_8737_asks_for(pending):
    portico, _ = pending
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with validate(portico, "A.Test", minimum=version, maximum=version) as client:
            assert client.sock.selected_alpn_protocol() == ACME
            cert = x509.load_der_x509_certificate(client.certificate())
    assert names_of(cert) == ["a.test"]
    assert cert.subject == cert.issuer and cert.subject.public_bytes() == cert.issuer.public_bytes()
    extension = cert.extensions.get_extension_for_oid(IDENTIFIER)
    assert extension.critical
    value = extension.value.value
    assert value[:2] == b"\x04\x20" and len(value) == 2 + hashlib.sha256().digest_size
    assert len(list(cert.extensions)) == len({e.oid for e in cert.extensions})


def test_no_application_data_goes_either_way(pending):
    """ACME-79, ACME-81: whatever is sent behind the handshake is nobody's request."""
    portico, backend = pending
    with validate(portico, "a.test") as client:
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.ended()
    with validate(portico, "a.test") as client:
        assert client.read_to_end() == b""  # a close_notify, Cut without
        assert client.sock.session is None or not client.sock.session.has_ticket
    assert backend.seen == [] and not portico.access()


def test_others_are_served_meanwhile(pending):
    portico, backend = pending
    for alpn in (["h2", "http/1.1"], ["http/1.1"], None):
        with connect_tls(portico.https, "a.test", context=tls_context(alpn=alpn)) as client:
            assert client.sock.selected_alpn_protocol() in ("h2", "http/1.1", None)
            assert "Portico placeholder" in str(x509.load_der_x509_certificate(client.certificate()).subject)
    assert portico.get("a.test").status == 200
    assert len(backend.seen) == 1
    with pytest.raises((ssl.SSLError, Cut)):
        validate(portico, "unknown.test")


def test_when_the_ca_has_given_up_there_is_no_answer_any_more(pending):
    """ACME-52."""
    portico, _ = pending
    portico.wait_event("order_failed", name="a.test", timeout=90)
    portico.wait_until(lambda: is_refused(portico, "a.test"), "the end of the answer")
