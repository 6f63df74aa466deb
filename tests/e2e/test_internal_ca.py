"""The built-in local CA: names that no public CA signs are served at once by a root that stays."""

import pathlib
import re

from cryptography import x509

from support.certs import names_of, parse_chain

NAMES = "app.internal,b.test,*.w.localhost,127.0.0.1"


def find_root(portico):
    return next((p for p in portico.storage.rglob("*internal-ca*") if p.is_file()), None)


def root_of(portico, directory):
    """The certificate of the storage's local root, as a file for clients. Until it is there, placeholders serve."""
    record = portico.wait_until(lambda: find_root(portico), "the root")
    pem = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", record.read_text(), re.S)[0]
    path = pathlib.Path(directory) / "root.pem"
    path.write_text(pem)
    portico.wait_event("certificate_published", source="internal", count=len(NAMES.split(",")))
    return path


def test_local_names_are_served_and_verified_without_any_ca(launch, backends, tmp_path):
    portico = launch(backends(), DOMAINS=NAMES, ACME_ACCEPT_TERMS="false")
    root = root_of(portico, tmp_path)
    for name in ("app.internal", "b.test", "x.w.localhost"):
        assert portico.get(name, "/here", ca=root).status == 200
    assert not portico.find_events("order_started"), "a public CA was asked for a local name"


def test_the_leaf_is_short_lived_and_the_root_is_not(launch, backends, tmp_path):
    portico = launch(backends(), DOMAINS=NAMES)
    root = parse_chain(root_of(portico, tmp_path).read_text())[0]
    leaf = x509.load_der_x509_certificate(portico.shown("app.internal"))
    assert names_of(leaf) == ["app.internal"]
    assert (leaf.not_valid_after - leaf.not_valid_before).days <= 8
    assert 9 * 365 < (root.not_valid_after - root.not_valid_before).days < 11 * 366
    assert leaf.issuer == root.subject


def test_the_root_stays_over_a_restart(launch, backends, tmp_path):
    first = launch(backends(), DOMAINS=NAMES)
    root = root_of(first, tmp_path)
    assert first.terminate() == 0
    second = launch(backends(), DOMAINS=NAMES)
    assert second.get("app.internal", "/", ca=root).status == 200


def test_a_root_that_cannot_be_read_is_never_replaced(launch, backends, tmp_path):
    """Clients trust the old one: a new one would be trusted by nobody, and the old one's key would be lost."""
    first = launch(backends(), DOMAINS=NAMES)
    root_of(first, tmp_path)
    assert first.terminate() == 0
    path = find_root(first)
    path.write_text("broken")
    second = launch(backends(), DOMAINS=NAMES)
    second.wait_event("local_root_unreadable")
    assert path.read_text() == "broken"
    assert second.get("app.internal", "/").status == 200, "a placeholder serves meanwhile"
