"""`portico ca`: the root that clients are to trust, on standard output alone, with a process and without one."""

import re

from support.portico import run_command

NAME = "app.internal"


def key_of(record):
    return re.search(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----\n", record, re.S)[0]


def test_the_root_that_it_prints_verifies_what_is_served(launch, backends, binary, tmp_path):
    portico = launch(backends(), DOMAINS=NAME)
    portico.wait_event("certificate_published", name=NAME, source="internal")
    code, out, err = run_command(binary, "ca", STORAGE=portico.storage)
    assert code == 0, err
    root = tmp_path / "root.pem"
    root.write_text(out)
    assert portico.get(NAME, "/", ca=root).status == 200
    fingerprint = portico.find_events("local_root_made")[0]["sha256"]
    assert fingerprint in err.replace(":", "").lower()
    assert portico.terminate() == 0
    assert run_command(binary, "ca", STORAGE=portico.storage)[:2] == (0, out), "without a process too"


def test_where_there_is_none_it_says_so(binary, tmp_path):
    code, out, err = run_command(binary, "ca", STORAGE=tmp_path)
    assert (code, out) == (1, "")
    assert "no local root yet" in err and str(tmp_path) in err
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_root_that_is_shared_signs_elsewhere(launch, backends, binary, tmp_path):
    """What one process made is given to another, whose storage gets no root."""
    first = launch(backends(), DOMAINS=NAME)
    first.wait_event("certificate_published", name=NAME, source="internal")
    code, pem, err = run_command(binary, "ca", STORAGE=first.storage)
    assert code == 0, err
    key = tmp_path / "key.pem"
    key.write_text(key_of((first.storage / "internal-ca").read_text()))
    root = tmp_path / "root.pem"
    root.write_text(pem)
    shared = {"INTERNAL_CA_FILE": root, "INTERNAL_CA_KEY_FILE": key}
    second = launch(backends(), DOMAINS=NAME, STORAGE=tmp_path / "elsewhere", **shared)
    second.wait_event("certificate_published", name=NAME, source="internal")
    assert second.get(NAME, "/", ca=root).status == 200
    assert not (tmp_path / "elsewhere" / "internal-ca").exists()
    code, out, err = run_command(binary, "ca", STORAGE=tmp_path / "elsewhere", **shared)
    assert (code, out) == (0, pem) and "PORTICO_INTERNAL_CA" in err


def test_a_leaf_is_no_root(launch, authority):
    chain, key = authority.issue_files("leaf.test")
    portico = launch(wait=False, codes=(78,), DOMAINS=NAME, INTERNAL_CA_FILE=chain, INTERNAL_CA_KEY_FILE=key)
    assert portico.wait_exit() == 78
    said = "\n".join(portico.lines)
    assert "PORTICO_INTERNAL_CA" in said and "not a CA" in said
