"""T8: client certificates. Who is let in, who is refused and how, and what the backend is told of it by nobody but us."""

import base64
import datetime
import hashlib
import ssl
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.certs import Authority, cert_pem, key_pem
from support.client import Cut, connect_tls, tls_context

FIELDS = ["X-SSL-Client-Verify", "X-SSL-Client-S-DN", "X-SSL-Client-Fingerprint", "Client-Cert"]


# --- certificates ---


class Certificate:
    """A client's, as files and as DER."""

    def __init__(self, directory, issuer, common_name, stem, purpose=ExtendedKeyUsageOID.CLIENT_AUTH, hours=(-1, 24)):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc."),
                x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            ]
        )
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        cert = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.cert.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(hours=hours[0]))
            .not_valid_after(now + datetime.timedelta(hours=hours[1]))
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(issuer.key if issuer else key, hashes.SHA256())
        )
        self.der = cert.public_bytes(serialization.Encoding.DER)
        self.path, self.key_path = directory / f"{stem}.pem", directory / f"{stem}.key"
        self.path.write_text(cert_pem(cert))
        self.key_path.write_text(key_pem(key))

    def context(self, **kwargs):
        context = tls_context(**kwargs)
        context.load_cert_chain(self.path, self.key_path)
        return context


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def clients(directory):
    """The CA that Portico trusts."""
    return Authority(directory / "ca", name="Clients' CA")


@pytest.fixture(scope="module")
def device(directory, clients):
    return Certificate(directory, clients, "device 7", "device")


@pytest.fixture(scope="module")
def backend(module_backends):
    return module_backends()


@pytest.fixture(scope="module")
def requiring(module_launch, backend, clients):
    return module_launch(backend, TLS_CLIENT_AUTH="require", TLS_CLIENT_CA_FILE=clients.path)


@pytest.fixture(scope="module")
def optional(module_launch, backend, clients):
    return module_launch(backend, TLS_CLIENT_AUTH="optional", TLS_CLIENT_CA_FILE=clients.path)


@pytest.fixture(scope="module")
def off(module_launch, backend):
    return module_launch(backend)


def ask(portico, backend, context, fields=()):
    """The request as the backend saw it."""
    before = len(backend.seen)
    with connect_tls(portico.https, "a.test", context=context) as client:
        assert client.get("a.test", fields=fields).status == 200
    return backend.wait_requests(before + 1)


def refusal(portico, context):
    """The alert by which a client is refused; it may come in the handshake or at the first read."""
    with pytest.raises((ssl.SSLError, Cut)) as caught:
        with connect_tls(portico.https, "a.test", context=context) as client:
            client.get("a.test")
    return str(caught.value).upper().replace(" ", "_")


def told(seen):
    return {name: seen.all(name) for name in FIELDS}


NOBODY = {"X-SSL-Client-Verify": ["NONE"], "X-SSL-Client-S-DN": [], "X-SSL-Client-Fingerprint": [], "Client-Cert": []}


def known(certificate, subject):
    return {
        "X-SSL-Client-Verify": ["SUCCESS"],
        "X-SSL-Client-S-DN": [subject],
        "X-SSL-Client-Fingerprint": [hashlib.sha256(certificate.der).hexdigest()],
        "Client-Cert": [f":{base64.b64encode(certificate.der).decode()}:"],
    }


DEVICE = r"CN=device 7,O=Example\, Inc."


# --- who comes in ---


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("mode", ["requiring", "optional"])
def test_t8_the_backend_is_told_who_it_is(request, backend, device, mode, version):
    portico = request.getfixturevalue(mode)
    seen = ask(portico, backend, device.context(minimum=version, maximum=version))
    assert told(seen) == known(device, DEVICE)


def test_t8_curl_with_a_certificate(requiring, backend, authority, device, need):
    need("curl")
    before = len(backend.seen)
    host, port = requiring.https
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--resolve", f"a.test:{port}:{host}", "--cacert", authority.path]
        + ["--cert", device.path, "--key", device.key_path, f"https://a.test:{port}/"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert backend.wait_requests(before + 1).all("X-SSL-Client-S-DN") == [DEVICE]


def test_the_access_log_names_the_subject(requiring, backend, device):
    ask(requiring, backend, device.context())
    assert requiring.wait_event("access", client_subject=DEVICE)


def test_t8_without_one_where_it_is_optional(optional, backend):
    assert told(ask(optional, backend, tls_context())) == NOBODY


def test_t8_clients_are_told_whose_certificates_are_taken(requiring, need):
    need("openssl")
    host, port = requiring.https
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", "a.test"],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert b"Acceptable client certificate CA names\nCN = Clients' CA\n" in done.stdout
    algorithms = next(line for line in done.stdout.splitlines() if line.startswith(b"Requested Signature Algorithms"))
    assert b"SHA1" not in algorithms


def test_t8_each_request_has_the_identity_of_its_own_connection(optional, backend, device, directory, clients):
    """Their requests share connections to the backend."""
    other = Certificate(directory, clients, "device 8", "other")
    with connect_tls(optional.https, "a.test", context=device.context()) as first:
        with connect_tls(optional.https, "a.test", context=other.context()) as second:
            with connect_tls(optional.https, "a.test", context=tls_context()) as third:
                for _ in range(3):
                    before = len(backend.seen)
                    for client in (first, second, third):
                        assert client.get("a.test").status == 200
                    backend.wait_requests(before + 3)
                    subjects = [seen.all("X-SSL-Client-S-DN") for seen in backend.seen[before:]]
                    assert subjects == [[DEVICE], [DEVICE.replace("7", "8")], []]


# --- who does not ---


def test_t8_without_one_where_it_is_required(requiring, backend):
    before = len(backend.seen)
    assert "CERTIFICATE_REQUIRED" in refusal(requiring, tls_context())
    assert "HANDSHAKE_FAILURE" in refusal(requiring, tls_context(maximum=ssl.TLSVersion.TLSv1_2))
    assert len(backend.seen) == before


@pytest.mark.parametrize("mode", ["requiring", "optional"])
@pytest.mark.parametrize(
    "what, alert",
    [
        ("foreign", "UNKNOWN_CA"),
        ("self-signed", "UNKNOWN_CA"),
        ("expired", "CERTIFICATE_EXPIRED"),
        ("not yet valid", "CERTIFICATE_EXPIRED"),
        ("server's", "UNSUPPORTED_CERTIFICATE"),
    ],
)
def test_t8_a_bad_one(request, backend, directory, clients, mode, what, alert):
    portico = request.getfixturevalue(mode)
    foreign = Authority(directory / "foreign", name="Foreign CA")
    kinds = {
        "foreign": {"issuer": foreign},
        "self-signed": {"issuer": None},
        "expired": {"hours": (-2, -1)},
        "not yet valid": {"hours": (1, 2)},
        "server's": {"purpose": ExtendedKeyUsageOID.SERVER_AUTH},
    }
    kind = {"issuer": clients, **kinds[what]}
    bad = Certificate(directory, common_name="bad", stem="bad", **kind)
    before = len(backend.seen)
    assert alert in refusal(portico, bad.context())
    assert len(backend.seen) == before


def test_t8_the_log_says_why(requiring, directory, clients):
    bad = Certificate(directory, clients, "late", "late", hours=(-2, -1))
    refusal(requiring, bad.context())
    assert requiring.wait_event("handshake_failed", reason="certificate has expired")


# --- who cannot be impersonated ---


@pytest.mark.parametrize("name", [*FIELDS, "x-ssl-client-cn", "Client-Cert-Chain", "X_SSL_Client_Verify", "CLIENT_CERT"])
def test_t8_these_names_are_ours_to_send(requiring, optional, off, backend, device, name):
    forged = [(name, "forged"), (name.upper(), "forged")]
    for portico, context in ((requiring, device.context()), (optional, tls_context()), (off, tls_context())):
        seen = ask(portico, backend, context, forged)
        assert "forged" not in seen.all(name)
        assert len(seen.all(name)) <= 1


def test_t8_a_trusted_proxy_may_tell_where_we_do_not_ask_and_not_where_we_do(launch, backend, clients):
    proxied = {"TRUSTED_PROXIES": "127.0.0.0/8"}
    believing = launch(backend, **proxied)
    assert ask(believing, backend, tls_context(), [("X-SSL-Client-S-DN", "CN=its own")]).all("X-SSL-Client-S-DN")
    asking = launch(backend, TLS_CLIENT_AUTH="optional", TLS_CLIENT_CA_FILE=clients.path, **proxied)
    assert told(ask(asking, backend, tls_context(), [("X-SSL-Client-S-DN", "CN=its own")])) == NOBODY


def test_t8_connection_cannot_take_our_word_away(optional, backend, device):
    seen = ask(optional, backend, device.context(), [("Connection", ", ".join(FIELDS))])
    assert told(seen) == known(device, DEVICE)


def test_t8_nor_can_trailers_forge_it(optional, backend):
    before = len(backend.seen)
    with connect_tls(optional.https, "a.test", context=tls_context()) as client:
        client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n")
        client.send("X-SSL-Client-Verify: SUCCESS\r\nX-Fine: 1\r\n\r\n")
        assert client.read_response().status == 200
    seen = backend.wait_requests(before + 1)
    assert seen.trailers == b"X-Fine: 1\r\n"
    assert told(seen) == NOBODY


@pytest.mark.parametrize(
    "common_name, subject",
    [
        ("x\r\nX-SSL-Client-Verify: SUCCESS", r"CN=x\0D\0AX-SSL-Client-Verify: SUCCESS"),
        ("device 7\0.evil", r"CN=device 7\00.evil"),
        ("device 7,O=Admins", r"CN=device 7\,O=Admins"),
    ],
)
def test_t8_no_subject_is_more_than_a_value(optional, backend, directory, clients, common_name, subject):
    odd = Certificate(directory, clients, common_name, "odd")
    assert told(ask(optional, backend, odd.context())) == known(odd, rf"{subject},O=Example\, Inc.")


# --- configuration ---


def test_a_ca_that_cannot_be_parsed_is_said_at_the_start(launch, backends, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    portico = launch(backends(), wait=False, codes=(78,), TLS_CLIENT_AUTH="require", TLS_CLIENT_CA_FILE=bad)
    assert "PORTICO_TLS_CLIENT_CA" in portico.wait_event("configuration_failed")["msg"]
