"""A9: HTTP-01 is answered for managed names and well-formed tokens alone; other names' challenges are the backend's."""

import base64
import hashlib
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.certs import key_pem

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
PATH = "/.well-known/acme-challenge/"


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def thumbprint(key):
    """RFC 7638, written here from the RFC."""
    numbers = key.public_key().public_numbers()
    jwk = {"crv": "P-256", "kty": "EC", "x": b64url(numbers.x.to_bytes(32, "big")), "y": b64url(numbers.y.to_bytes(32, "big"))}
    return b64url(hashlib.sha256(json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode()).digest())


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends()


@pytest.fixture(scope="module")
def account_key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def portico(module_launch, backend, account_key):
    """managed.test is ordered at a CA that is not there; own.test has a certificate of one's own."""
    portico = module_launch(
        backend,
        DOMAINS="managed.test,own.test",
        ACME_DIRECTORY="https://127.0.0.1:1/dir",
        ACME_ACCEPT_TERMS="true",
        ACME_ACCOUNT_KEY=key_pem(account_key),
        **module_launch.own_certificate("own.test"),
    )
    portico.wait_until(lambda: ask(portico, "managed.test", TOKEN).status == 200, "thumbprint of the account")
    return portico


def ask(portico, host, token, method="GET"):
    with portico.plain() as client:
        return client.get(host, PATH + token, method)


def test_any_token_of_a_managed_name_is_answered_with_the_accounts_thumbprint(portico, backend, account_key):
    response = ask(portico, "managed.test", TOKEN)
    assert response.body.decode() == f"{TOKEN}.{thumbprint(account_key)}"
    assert response.status == 200 and len(response.body) < 128
    assert backend.seen == [] or all(PATH not in r.target for r in backend.seen if "managed" in r.get("Host"))


def test_over_https_and_with_a_port_too(portico, account_key):
    assert ask(portico, "managed.test:80", TOKEN).status == 200
    assert ask(portico, "MANAGED.test.", TOKEN).status == 200
    assert portico.get("managed.test", PATH + TOKEN).body.decode() == f"{TOKEN}.{thumbprint(account_key)}"


def test_head_has_no_body(portico):
    response = ask(portico, "managed.test", TOKEN, "HEAD")
    assert (response.status, response.body) == (200, b"")


@pytest.mark.parametrize(
    "token",
    ["", "a" * 15, "a" * 85, TOKEN + "=", TOKEN + "/", "../" + TOKEN, TOKEN[:20] + "%2e" + TOKEN[20:], TOKEN + ".x", "a+b" * 8],
)
def test_odd_tokens_are_nobodys(portico, backend, token):
    before = len(backend.seen)
    assert ask(portico, "managed.test", token).status == 404
    assert len(backend.seen) == before


def test_a_query_behind_the_token_changes_nothing_dangerous(portico):
    response = ask(portico, "managed.test", TOKEN + "?x=<script>")
    assert b"<script>" not in response.body


def test_the_challenge_of_a_name_with_a_certificate_of_ones_own_goes_to_the_backend(launch, backends, authority):
    """The backend may run an ACME client of its own."""
    backend = backends()
    portico = launch(backend, HTTP_MODE="redirect")
    response = ask(portico, "a.test", TOKEN)
    assert response.body == f"GET {PATH}{TOKEN}\n".encode()
    assert backend.seen[0].all("X-Forwarded-Proto") == ["http"]


@pytest.mark.parametrize("host", ["foreign.test", "127.0.0.1", "sub.managed.test"])
def test_foreign_hosts_get_no_answer(portico, backend, host):
    before = len(backend.seen)
    response = ask(portico, host, TOKEN)
    assert response.status in (404, 421)
    assert TOKEN.encode() not in response.body
    assert len(backend.seen) == before


def test_other_well_known_paths_are_redirected_like_the_rest(portico):
    with portico.plain() as client:
        assert client.get("managed.test", "/.well-known/security.txt").status == 308


def test_many_probes_a_second_are_answered_and_harm_nothing(portico):
    began = time.monotonic()
    with portico.plain() as client:
        for _ in range(20):
            client.send(f"GET {PATH}{TOKEN} HTTP/1.1\r\nHost: managed.test\r\n\r\n" * 50)
            for _ in range(50):
                assert client.read_response().status == 200
    assert time.monotonic() - began < 15
    assert portico.get("own.test").status == 200
