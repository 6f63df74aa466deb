"""PORTICO_TLS_CERT_DIR: certificates of one's own in a directory, by connection the one that has the name, hot-swapped."""

import os
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from support.certs import cert_pem, key_pem
from support.ports import eventually
from support.volume import Volume


def put(authority, directory, names, cert="{}.crt", key="{}.key", **kwargs):
    """The serial of a new pair, renamed over what was there: the key first."""
    leaf, private = authority.issue(*names, **kwargs)
    stem = names[0].replace("*.", "any.")
    for pattern, text in ((key, key_pem(private)), (cert, cert_pem(leaf))):
        fresh = directory / ".fresh"
        fresh.write_text(text)
        os.replace(fresh, directory / pattern.format(stem))
    return leaf.serial_number


def shown(portico, name):
    der = portico.shown(name)
    return der and x509.load_der_x509_certificate(der).serial_number


@pytest.fixture
def certs(tmp_path):
    path = tmp_path / "certs"
    path.mkdir()
    return path


def test_each_connection_is_shown_the_certificate_that_has_its_name(launch, backends, authority, certs):
    (certs / "bot").mkdir(), (certs / "pod").mkdir()
    serials = {
        "a.test": put(authority, certs, ["a.test"]),
        "b.test": put(authority, certs, ["b.test"], cert="{}.pem", key="{}-key.pem"),
        "x.w.test": put(authority, certs, ["*.w.test"]),
        "bot.test": put(authority, certs / "bot", ["bot.test"], cert="fullchain.pem", key="privkey.pem"),
        "pod.test": put(authority, certs / "pod", ["pod.test"], cert="tls.crt", key="tls.key"),
    }
    leaf, key = authority.issue("one.test")
    (certs / "both.pem").write_text(key_pem(key) + cert_pem(leaf))
    serials["one.test"] = leaf.serial_number
    (certs / "bot" / "chain.pem").write_text(cert_pem(authority.cert))
    (certs / "pod" / "ca.crt").write_text(cert_pem(authority.cert))
    portico = launch(backends(), DOMAINS=None, TLS_CERT_FILE=None, TLS_CERT_DIR=certs)
    for name, serial in serials.items():
        assert shown(portico, name) == serial, name
        assert portico.get(name, "/", ca=authority.path).status == 200
    assert portico.shown("other.test") is None


def test_what_changes_is_swapped_and_the_rest_stays(launch, backends, authority, certs):
    put(authority, certs, ["a.test"])
    b = put(authority, certs, ["b.test"])
    portico = launch(backends(), DOMAINS="a.test,b.test,c.test", ACME_DIRECTORY="internal", TLS_CERT_DIR=certs)
    with portico.tls("a.test") as kept:
        fresh = put(authority, certs, ["a.test"])
        eventually(lambda: shown(portico, "a.test") == fresh, "the new certificate")
        assert kept.get("a.test").status == 200
    assert shown(portico, "b.test") == b
    (certs / "more").mkdir()
    c = put(authority, certs / "more", ["c.test"])
    eventually(lambda: shown(portico, "c.test") == c, "a certificate in a new directory")
    assert portico.wait_event("certificate_loaded", name="c.test")["source"] == f"{certs}/more/c.test.crt"


def test_a_broken_pair_is_told_by_its_file_and_takes_nothing_down(launch, backends, authority, certs):
    a = put(authority, certs, ["a.test"])
    portico = launch(backends(), DOMAINS=None, TLS_CERT_FILE=None, TLS_CERT_DIR=certs)
    (certs / "b.test.crt").write_text(cert_pem(authority.issue("b.test")[0]))
    (certs / "b.test.key").write_text(key_pem(authority.issue("b.test")[1]))
    refused = portico.wait_event("reload_refused", variable="PORTICO_TLS_CERT_DIR")
    said = " ".join([refused["value"], refused["reason"]])
    assert f"{certs}/b.test." in said, refused
    fresh = put(authority, certs, ["a.test"])
    assert shown(portico, "a.test") == a, "as a whole"
    b = put(authority, certs, ["b.test"])
    eventually(lambda: shown(portico, "b.test") == b, "the pair that was mended")
    assert shown(portico, "a.test") == fresh


def test_a_broken_pair_at_the_start_is_a_mistake_of_configuration(launch, authority, certs):
    put(authority, certs, ["a.test"])
    (certs / "b.test.key").write_text(key_pem(authority.issue("b.test")[1]))
    portico = launch(wait=False, codes=(78,), DOMAINS=None, TLS_CERT_FILE=None, TLS_CERT_DIR=certs)
    assert portico.wait_exit() == 78
    assert f"{certs}/b.test.key" in "\n".join(portico.lines)


def test_a_volume_of_kubernetes_below_it(launch, backends, authority, certs):
    leaf, key = authority.issue("a.test")
    volume = Volume(certs / "secret", {"tls.crt": cert_pem(leaf), "tls.key": key_pem(key)})
    portico = launch(backends(), DOMAINS=None, TLS_CERT_FILE=None, TLS_CERT_DIR=certs)
    assert shown(portico, "a.test") == leaf.serial_number
    leaf, key = authority.issue("a.test")
    volume.put({"tls.crt": cert_pem(leaf), "tls.key": key_pem(key)})
    eventually(lambda: shown(portico, "a.test") == leaf.serial_number, "the new certificate")
    assert not portico.find_events("reload_refused")


def test_two_kinds_of_key_for_one_name(launch, backends, authority, certs):
    """The ECDSA certificate for who can use it, the RSA one for who cannot."""
    ecdsa = put(authority, certs, ["a.test"])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    leaf = authority._build("a.test", authority.cert.subject, key.public_key(), names=["a.test"])
    (certs / "old.crt").write_text(cert_pem(leaf)), (certs / "old.key").write_text(key_pem(key))
    portico = launch(backends(), DOMAINS=None, TLS_CERT_FILE=None, TLS_CERT_DIR=certs)
    assert shown(portico, "a.test") == ecdsa
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    with socket.create_connection(portico.https) as raw, context.wrap_socket(raw, server_hostname="a.test") as tls:
        assert x509.load_der_x509_certificate(tls.getpeercert(True)).serial_number == leaf.serial_number
