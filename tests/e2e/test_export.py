"""PORTICO_EXPORT_DIR: other programs find each name's chain and key as PEM files, a matching pair at any time."""

import os
import ssl
import stat
import threading

from cryptography.hazmat.primitives import serialization

from support.certs import parse_chain
from support.ports import eventually
from support.swaps import LIFETIME_S, QUICK, RENEW_AT, published, wait_published


def public(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def pair_of(directory):
    """(serial, True where chain and key belong together) of what the link leads to now."""
    real = directory.resolve(strict=True)
    leaf = parse_chain((real / "fullchain.pem").read_text())[0]
    key = serialization.load_pem_private_key((real / "privkey.pem").read_bytes(), None)
    return leaf.serial_number, public(leaf.public_key()) == public(key.public_key())


def test_every_renewal_is_exported_and_a_reader_always_has_a_pair(launch, nginx, pebbles, tmp_path):
    exported = tmp_path / "exported"
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    portico = launch(nginx, DOMAINS="a.test", ACME_RENEW_AT=RENEW_AT, EXPORT_DIR=exported, **pebble.variables())
    wait_published(portico, "a.test", 1)
    portico.wait_event("certificate_exported", directory="a.test", serial=published(portico, "a.test")[0])
    seen, over = [], threading.Event()

    def read():
        while not over.is_set():
            seen.append(pair_of(exported / "a.test"))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for serial in wait_published(portico, "a.test", 3):
            portico.wait_event("certificate_exported", directory="a.test", serial=serial)
    finally:
        over.set()
        reader.join()
    assert len({serial for serial, _ in seen}) >= 2, "the reader saw a swap"
    assert all(fits for _, fits in seen)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(exported / "a.test" / "fullchain.pem", exported / "a.test" / "privkey.pem")


def test_modes_are_kept_and_nothing_is_written_twice(launch, backends, authority, tmp_path):
    exported, certs = tmp_path / "exported", tmp_path / "certs"
    certs.mkdir()

    def issue():
        for path, name in zip(authority.issue_files("a.test", "*.w.test", stem="exported"), ("a.crt", "a.key")):
            os.replace(path, certs / name)

    issue()
    variables = {"DOMAINS": "a.test,*.w.test", "TLS_CERT_DIR": certs, "EXPORT_DIR": exported, "ACME_DIRECTORY": "internal"}
    first = launch(backends(), **variables)
    for name in ("a.test", "_wildcard.w.test"):
        first.wait_event("certificate_exported", directory=name)
        assert pair_of(exported / name)[1]
    key = exported / "a.test" / "privkey.pem"
    assert stat.S_IMODE(exported.stat().st_mode) == 0o750
    assert stat.S_IMODE(key.stat().st_mode) == 0o640
    key.chmod(0o600)
    before, link = pair_of(exported / "a.test")[0], os.readlink(exported / "a.test")
    issue()
    eventually(lambda: pair_of(exported / "a.test")[0] != before, "the new certificate")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert os.readlink(exported / "a.test") != link
    first.wait_event("certificate_exported", directory="_wildcard.w.test", count=2)
    link = os.readlink(exported / "a.test")
    assert first.terminate() == 0
    second = launch(backends(), **{**variables, "DOMAINS": "a.test,*.w.test,c.test"})
    second.wait_event("certificate_exported", directory="c.test")  # behind the others, which are there already
    assert not second.find_events("certificate_exported", directory="a.test")
    assert os.readlink(exported / "a.test") == link


def test_what_cannot_be_written_is_said_and_nothing_else_suffers(launch, backends, tmp_path):
    exported = tmp_path / "exported"
    exported.mkdir()
    (exported / "b.internal").write_text("in the way")
    portico = launch(backends(), DOMAINS="a.internal,b.internal", EXPORT_DIR=exported)
    assert portico.wait_event("export_failed")["directory"] == "b.internal"
    portico.wait_event("certificate_exported", directory="a.internal")
    assert portico.get("b.internal", "/").status == 200
    assert not any("PRIVATE KEY" in line for line in portico.lines)
