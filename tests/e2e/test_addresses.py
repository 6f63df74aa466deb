"""Addresses as names: their certificate is for who asks for no name, because an address is never sent as SNI (ACME-86, ACME-89)."""

import socket
import ssl

import pytest
from cryptography import x509

from support import proxy_line
from support.certs import names_of
from support.client import Client, connect, connect_tls, tls_context

CHALLENGE = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def shown_names(client):
    return names_of(x509.load_der_x509_certificate(client.certificate()))


def start(launch, backend, domains, **variables):
    """Each name has a certificate of its own, by the local CA."""
    portico = launch(backend, DOMAINS=domains, ACME_DIRECTORY="internal", **variables)
    portico.wait_event("certificate_published", source="internal", count=len(domains.split(",")))
    return portico


def behind(portico, header):
    """TLS without a name, behind a header of the PROXY protocol."""
    sock = socket.create_connection(portico.https, timeout=15)
    sock.sendall(header)
    return Client(tls_context().wrap_socket(sock, suppress_ragged_eofs=False))


@pytest.mark.smoke
def test_a_client_that_was_given_an_address_gets_its_certificate_and_is_served(launch, backends):
    portico = start(launch, backends(), "a.test,127.0.0.1")
    with connect_tls(portico.https, None) as client:
        assert shown_names(client) == ["127.0.0.1"]
        assert client.get("127.0.0.1").status == 200
        assert client.get("a.test").status == 421  # another certificate's
        client.send("GET / HTTP/1.0\r\n\r\n")
        assert client.read_response().status == 200
    with portico.tls("a.test") as client:
        assert shown_names(client) == ["a.test"]
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        portico.tls("b.test")


def test_ipv6(launch, backends, ipv6):
    portico = start(launch, backends(), "a.test,127.0.0.1,::1", HTTPS_LISTEN="[::1]:0", HTTP_LISTEN="[::1]:0")
    with connect_tls(portico.https, None) as client:
        assert shown_names(client) == ["::1"]
        assert client.get("[::1]").status == 200
        assert client.get("[0:0::1]").status == 200
        assert client.get("127.0.0.1").status == 421
    with connect(portico.http) as client:
        assert client.get("[::1]").get("Location") == "https://[::1]/"


def test_behind_translation_the_only_address_of_the_family_is_meant(launch, backends):
    portico = start(launch, backends(), "192.0.2.1,2001:db8::1,a.test")
    with connect_tls(portico.https, None) as client:
        assert shown_names(client) == ["192.0.2.1"]
        assert client.get("192.0.2.1").status == 200


def test_where_several_could_be_meant_none_is(launch, backends):
    portico = start(launch, backends(), "192.0.2.1,192.0.2.2")
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        connect_tls(portico.https, None)


def test_the_proxy_protocol_says_which_address_it_was(launch, backends):
    portico = start(
        launch, backends(), "192.0.2.1,192.0.2.2", PROXY_PROTOCOL_IN="on", TRUSTED_PROXIES="127.0.0.1"
    )
    for address in ("192.0.2.1", "192.0.2.2"):
        with behind(portico, proxy_line.v2("203.0.113.7", 40000, address)) as client:
            assert shown_names(client) == [address]
            assert client.get(address).status == 200


def test_http_01_of_an_address(launch, backends, ipv6):
    """ACME-86: the Host is the address itself, IPv6 in brackets. No CA is there; the account's key is."""
    portico = launch(backends(), DOMAINS="203.0.113.7,2001:db8::7", ACME_DIRECTORY="https://127.0.0.1:1/dir")
    with portico.plain() as client:
        portico.wait_until(lambda: client.get("203.0.113.7", CHALLENGE).status == 200, "thumbprint of the account")
        for host in ("203.0.113.7:80", "[2001:db8::7]", "[2001:DB8:0::7]:80"):
            assert client.get(host, CHALLENGE).status == 200
        for host in ("203.0.113.8", "[2001:db8::8]", "[::ffff:203.0.113.7]"):
            assert client.get(host, CHALLENGE).status in (404, 421)
