"""A session ticket outlives the certificate that it was issued under, and belongs to one name."""

import pytest

from support.swaps import LIFETIME_S, QUICK, RENEW_AT, Session, wait_published


@pytest.fixture(scope="module", autouse=True)
def programs(need):
    need("openssl")


@pytest.fixture(scope="module")
def own(module_launch, nginx):
    return module_launch(nginx)


def test_a_ticket_from_before_the_swap_resumes_after_it(launch, nginx, pebbles, tmp_path):
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    portico = launch(nginx, DOMAINS="a.test", ACME_RENEW_AT=RENEW_AT, **pebble.variables())
    wait_published(portico, "a.test", 1)
    sessions = [Session(portico, "a.test", tmp_path / version, f"-{version}") for version in ("tls1_2", "tls1_3")]
    for session in sessions:
        session.begin()
    old = portico.shown("a.test")
    wait_published(portico, "a.test", 2)
    assert portico.shown("a.test") != old
    for session in sessions:
        assert session.resumes(), session.path
    assert portico.metrics()['portico_handshakes_total{result="resumed"}'] == 2


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
def test_a_ticket_of_one_name_does_not_resume_another(own, tmp_path, version):
    """They share a certificate here: only the session's context keeps them apart (HARDENING T5)."""
    session = Session(own, "a.test", tmp_path / "session", f"-{version}")
    session.begin()
    other = Session(own, "b.test", session.path, f"-{version}")
    assert not other.resumes()
    assert Session(own, "a.test", session.path, f"-{version}").resumes()


def test_a_ticket_of_another_process_is_a_full_handshake(own, launch, nginx, tmp_path):
    session = Session(own, "a.test", tmp_path / "session", "-tls1_2")
    session.begin()
    assert not Session(launch(nginx), "a.test", session.path, "-tls1_2").resumes()


def test_a_ticket_whose_key_was_rotated_away_is_a_full_handshake(launch, nginx, tmp_path):
    """Keys of 1 s: a ticket lives through one rotation or a few, then not."""
    portico = launch(nginx, TLS_TICKET_ROTATE="1s")
    session = Session(portico, "a.test", tmp_path / "session", "-tls1_2")
    session.begin()
    portico.wait_until(lambda: not session.resumes(), "the end of the ticket")


def test_without_tickets_nothing_resumes(launch, nginx):
    portico = launch(nginx, TLS_TICKET_ROTATE="0")
    with portico.tls("a.test") as client:
        client.get("a.test", "/hello")
        assert client.sock.session is None or not client.sock.session.has_ticket
