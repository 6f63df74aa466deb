"""T2: what is offered is what HARDENING.md says, by a scanner's judgement (testssl.sh) and by probes: TLS 1.2 and 1.3, ECDHE
and AEAD alone."""

import json
import ssl
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from support.certs import cert_pem, key_pem
from support.client import connect_tls, tls_context

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old versions are asked for on purpose

SUITES = {
    "tls1_2": {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"},
    "tls1_3": {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"},
}
NOT_OURS = {"security_headers", "engine_problem"}  # the backend's, and the scanner's


@pytest.fixture(scope="module")
def findings(need, module_launch, module_backends, tmp_path_factory):
    """Of testssl.sh's parts those that are quick: protocols, suites of each, forward secrecy, headers."""
    need("testssl", "openssl")
    report = tmp_path_factory.mktemp("testssl") / "report.json"
    port = module_launch(module_backends(), HSTS="1y").https[1]
    how = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]
    done = subprocess.run(
        ["testssl", *how, "--jsonfile", report, "-p", "-E", "-f", "-h", f"a.test:{port}"],
        capture_output=True,
        timeout=180,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    return {finding["id"]: finding for finding in json.loads(report.read_text())}


def test_t2_the_scanner_finds_nothing_wrong(findings):
    fine = ("OK", "INFO", "DEBUG")
    assert [f for f in findings.values() if f["severity"] not in fine and f["id"] not in NOT_OURS] == []


def test_t2_protocols(findings):
    offered = {
        name: not findings[name]["finding"].startswith("not offered")
        for name in ("SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2", "TLS1_3")
    }
    assert [name for name in offered if offered[name]] == ["TLS1_2", "TLS1_3"]


@pytest.mark.parametrize("version", SUITES)
def test_t2_suites(findings, version):
    found = [f["finding"].split() for name, f in findings.items() if name.startswith(f"cipher-{version}_")]
    assert {next(word for word in words if "-" in word or "_" in word) for words in found} == SUITES[version]
    assert len([name for name in findings if name.startswith("cipher-")]) == sum(map(len, SUITES.values()))


def test_t2_hsts(findings):
    assert findings["HSTS_time"]["severity"] == "OK"


# --- what a scanner of one certificate does not see ---


@pytest.fixture(scope="module")
def with_rsa(module_launch, module_backends, authority, tmp_path_factory):
    directory = tmp_path_factory.mktemp("rsa")
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    cert = authority._build("a.test", authority.cert.subject, key.public_key(), names=["a.test"])
    (directory / "rsa.pem").write_text(cert_pem(cert))
    (directory / "rsa.key").write_text(key_pem(key))
    return module_launch(
        module_backends(), TLS_CERT_FILE=directory / "rsa.pem", TLS_KEY_FILE=directory / "rsa.key", DOMAINS="a.test"
    )


def alert_for(portico, context):
    with pytest.raises(ssl.SSLError) as caught:
        connect_tls(portico.https, "a.test", context=context).close()
    return caught.value.reason


def context_of(ciphers, maximum=ssl.TLSVersion.TLSv1_2):
    context = tls_context(maximum=maximum)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers(f"{ciphers}:@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    "ciphers",
    ["AES128-SHA", "AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "aNULL"],
)
def test_t2_suites_without_forward_secrecy_or_aead_are_refused_by_alert(with_rsa, ciphers):
    assert "HANDSHAKE_FAILURE" in alert_for(with_rsa, context_of(ciphers))


@pytest.mark.parametrize(
    "ciphers", ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"]
)
def test_t2_an_rsa_key_has_its_three(with_rsa, ciphers):
    with connect_tls(with_rsa.https, "a.test", context=context_of(ciphers)) as client:
        assert client.sock.cipher()[0] == ciphers


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_t2_old_versions_are_refused_by_alert(with_rsa, version):
    assert "PROTOCOL_VERSION" in alert_for(with_rsa, context_of("ALL", maximum=version))


def test_t2_modern_is_tls_1_3_alone(launch, backends):
    portico = launch(backends(), TLS_POLICY="modern")
    assert "PROTOCOL_VERSION" in alert_for(portico, tls_context(maximum=ssl.TLSVersion.TLSv1_2))
    assert portico.get("a.test").status == 200
