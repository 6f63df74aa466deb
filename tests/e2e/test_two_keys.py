"""ACME_KEY_TYPE=p256,rsa2048: a certificate of each kind, and a client gets the one that it can use."""

import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from support.client import connect_tls, tls_context
from support.swaps import QUICK, wait_published


@pytest.fixture(scope="module")
def pair(module_launch, module_backends, authority, tmp_path_factory, need):
    """Its CA is there until both certificates are."""
    from support.pebble import Pebble
    from support.ports import free_port

    need("pebble", "openssl")
    pebble = Pebble(tmp_path_factory.mktemp("pebble"), authority, http_port=free_port(), env=QUICK).start()
    try:
        portico = module_launch(
            module_backends(), DOMAINS="a.test", ACME_KEY_TYPE="p256,rsa2048", **pebble.variables()
        )
        wait_published(portico, "a.test", 2)
        yield portico, pebble.root_path()
    finally:
        pebble.close()


def shown(portico, root, **kwargs):
    """The kind of key that is shown, by a certificate that verifies."""
    context = tls_context(ca=root, **{k: v for k, v in kwargs.items() if k != "ciphers"})
    if "ciphers" in kwargs:
        context.set_ciphers(kwargs["ciphers"])
    with connect_tls(portico.https, "a.test", context=context) as client:
        assert client.get("a.test").status == 200
        return type(x509.load_der_x509_certificate(client.certificate()).public_key())


def by_openssl(portico, *arguments):
    """What a client signs and groups with decides, which Python cannot choose."""
    command = ["openssl", "s_client", "-connect", "%s:%d" % portico.https, "-servername", "a.test", *arguments]
    done = subprocess.run(command, input=b"", capture_output=True, timeout=20, check=False)
    assert b"BEGIN CERTIFICATE" in done.stdout, done.stderr.decode()
    return type(x509.load_pem_x509_certificate(done.stdout[done.stdout.index(b"-----BEGIN") :]).public_key())


EC, RSA = ec.EllipticCurvePublicKey, rsa.RSAPublicKey


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_can_do_both_gets_ecdsa(pair, version):
    assert issubclass(shown(*pair, minimum=version, maximum=version), EC)


@pytest.mark.parametrize("ciphers, kind", [("ECDHE-RSA-AES128-GCM-SHA256", RSA), ("ECDHE-ECDSA-AES128-GCM-SHA256", EC)])
def test_suites_decide_in_tls_1_2(pair, ciphers, kind):
    assert issubclass(shown(*pair, ciphers=ciphers, maximum=ssl.TLSVersion.TLSv1_2), kind)


@pytest.mark.parametrize(
    "arguments, kind",
    [
        (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], RSA),
        (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp384r1_sha384"], RSA),
        (["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256"], EC),
        (["-tls1_2", "-sigalgs", "RSA+SHA256"], RSA),
        (["-tls1_2", "-sigalgs", "RSA+SHA256:ECDSA+SHA256"], EC),
        (["-tls1_2", "-groups", "X25519:P-384"], RSA),
        (["-tls1_2", "-groups", "X25519:P-256"], EC),
    ],
)
def test_signatures_and_curves_decide(pair, arguments, kind):
    portico, _ = pair
    assert issubclass(by_openssl(portico, *arguments), kind)
