"""dns-01 by ACME_DNS_HOOK: a program or a URL makes the TXT records and removes them, whatever becomes of the order."""

import secrets
import signal

import pytest
from cryptography import x509

from support.certs import names_of
from support.challtestsrv import ChallTestSrv, ProgramHook, UrlHook
from support.portico import run_command
from support.volume import Folder


@pytest.fixture
def dns(need):
    need("pebble-challtestsrv")
    server = ChallTestSrv()
    yield server
    server.stop()


@pytest.fixture
def program(tmp_path, dns):
    return ProgramHook(tmp_path / "hook", dns)


@pytest.fixture
def url(dns):
    hook = UrlHook(dns)
    yield hook
    hook.close()


@pytest.fixture
def ordered(launch, backends, pebbles, dns):
    """Starts Portico with a CA that validates by DNS alone."""

    def start(hook, **variables):
        pebble = pebbles(dns=dns, env={"PEBBLE_VA_NOSLEEP": "1"}).start()
        given = {"DOMAINS": "a.test,*.a.test", "ACME_CHALLENGE": "dns-01", "ACME_DNS_HOOK": hook, **variables}
        return launch(backends(), **pebble.variables(**given))

    return start


def served(portico, *names):
    for name in names:
        portico.wait_event("certificate_published", name=name, source="issued", timeout=60)


def assert_pairs(calls):
    """Every record that was made is removed, later."""
    made = [call[1:] for call in calls if call[0] == "present"]
    assert made
    for record in made:
        assert ["cleanup", *record] in calls[calls.index(["present", *record]) :], calls


def test_a_program_gets_a_name_and_its_wildcard_signed(ordered, program):
    portico = ordered(program.path, STORAGE_KEY=secrets.token_hex(32))
    served(portico, "a.test", "*.a.test")
    assert names_of(x509.load_der_x509_certificate(portico.shown("x.a.test"))) == ["*.a.test"]
    assert names_of(x509.load_der_x509_certificate(portico.shown("a.test"))) == ["a.test"]
    portico.wait_event("dns_hook_called", action="cleanup", count=2)
    calls = program.calls()
    assert_pairs(calls)
    assert {call[1] for call in calls} == {"_acme-challenge.a.test."}
    assert len({call[2] for call in calls}) == 2, "two names, two values"
    given = set(program.environment()) - {"LC_CTYPE"}  # which Python sets itself
    assert given == {"PATH", "HOME", "PORTICO_DNS_ACTION", "PORTICO_DNS_FQDN", "PORTICO_DNS_VALUE"}


def test_a_url_is_called_with_its_password_which_nobody_sees(ordered, url, binary):
    portico = ordered(url.url)
    served(portico, "a.test", "*.a.test")
    portico.wait_event("dns_hook_called", action="cleanup", count=2)
    assert_pairs(url.calls())
    shown = run_command(binary, "check", **portico.variables)[1]
    assert "http://***@127.0.0.1" in shown
    for text in ["\n".join(portico.lines), shown, portico.ask_admin("/status").body.decode()]:
        assert "s3cr" not in text


def test_a_failure_is_told_in_the_words_of_the_hook(ordered, program):
    program.say("fails", "the zone is not ours")
    portico = ordered(program.path, DOMAINS="a.test")
    assert "exit code 1: the zone is not ours" in portico.wait_event("dns_hook_failed", action="present")["msg"]
    told = portico.wait_event("order_failed", name="a.test")["msg"]
    assert told.startswith("PORTICO_ACME_DNS_HOOK did not make the TXT record _acme-challenge.a.test.: ")
    assert told.endswith("ended with exit code 1: the zone is not ours")
    portico.wait_event("dns_hook_called", action="cleanup")
    assert_pairs(program.calls())


def test_a_drain_removes_what_was_made(ordered, program):
    program.say("holds")
    portico = ordered(program.path, DOMAINS="a.test")
    portico.wait_until(program.calls, "a call")
    assert portico.terminate() == 0
    assert_pairs(program.calls())


def test_a_drain_removes_what_the_ca_still_looks_at(ordered, program, dns):
    portico = ordered(program.path, DOMAINS="a.test")
    portico.wait_event("dns_hook_called", action="present")
    portico.signal(signal.SIGTERM)
    assert portico.wait_exit() == 0
    assert_pairs(program.calls())


def test_a_reload_cannot_choose_another_program(ordered, program, tmp_path):
    place = Folder(tmp_path / "env", ACME_CHALLENGE="dns-01", ACME_DNS_HOOK=program.path, DOMAINS="a.test")
    portico = ordered(None, ENV_DIR=place.path, DOMAINS=None, ACME_CHALLENGE=None)
    served(portico, "a.test")
    place.write("ACME_DNS_HOOK", "/usr/bin/other")
    portico.signal(signal.SIGHUP)
    refused = portico.wait_event("reload_refused")
    assert refused["variable"] == "PORTICO_ACME_DNS_HOOK" and "restart Portico" in refused["reason"]


def test_a_reload_goes_over_to_a_url(ordered, program, url, tmp_path):
    place = Folder(tmp_path / "env", ACME_CHALLENGE="dns-01", ACME_DNS_HOOK=program.path, DOMAINS="a.test")
    portico = ordered(None, ENV_DIR=place.path, DOMAINS=None, ACME_CHALLENGE=None)
    served(portico, "a.test")
    place.write("ACME_DNS_HOOK", url.url)
    place.write("DOMAINS", "a.test,b.test")
    portico.signal(signal.SIGHUP)
    served(portico, "b.test")
    portico.wait_event("dns_hook_called", action="cleanup", fqdn="_acme-challenge.b.test.")
    assert_pairs(url.calls())
    assert all(call[1] == "_acme-challenge.a.test." for call in program.calls())
