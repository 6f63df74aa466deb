"""Certificates for the tests: a CA, leaves for any names, as PEM files and as objects."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _san(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def key_pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def cert_pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM).decode()


def parse(pem):
    return x509.load_pem_x509_certificate(pem if isinstance(pem, bytes) else pem.encode())


def parse_chain(pem):
    mark = "-----BEGIN CERTIFICATE-----"
    return [parse(mark + part) for part in pem.split(mark)[1:]]


def names_of(cert):
    san = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in san]


class Authority:
    """A root that signs leaves. Lives in a directory: ca.pem is its certificate."""

    def __init__(self, directory, name="Test CA"):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.cert = self._build(name, _name(name), self.key.public_key(), ca=True)
        self.path = directory / "ca.pem"
        self.path.write_text(cert_pem(self.cert))

    def _build(self, subject, issuer, public_key, names=(), ca=False, days=(-1, 30), client=False):
        now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        if ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(n) for n in names]), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
            builder = builder.add_extension(authority, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, *names, **kwargs):
        """(certificate, key) of a P-256 leaf."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._build(names[0], self.cert.subject, key.public_key(), names=names, **kwargs), key

    def issue_files(self, *names, stem=None, **kwargs):
        """(path of chain, path of key)."""
        cert, key = self.issue(*names, **kwargs)
        stem = stem or names[0].replace("*", "any").replace(":", "-")
        chain_path, key_path = self.directory / f"{stem}.pem", self.directory / f"{stem}.key"
        chain_path.write_text(cert_pem(cert))
        key_path.write_text(key_pem(key))
        key_path.chmod(0o600)
        return chain_path, key_path
