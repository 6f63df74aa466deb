"""Commands that have the running process ask its CA for something: over the control socket, told as they stand."""

import pytest

from support.portico import run_command
from support.swaps import QUICK, wait_published

NAMES = "a.test,b.test"


class Running:
    """A Portico with its certificates, and commands to it."""

    def __init__(self, launch, nginx, pebble, **more):
        self.pebble = pebble
        self.portico = launch(nginx, **{"DOMAINS": NAMES, **pebble.variables(), **more})
        self.binary = launch.binary
        for name in self.portico.variables["DOMAINS"].split(","):
            wait_published(self.portico, name, 1)

    def command(self, *args, timeout=60):
        """(exit code, stdout, stderr)"""
        return run_command(self.binary, *args, timeout=timeout, STORAGE=self.portico.storage)

    def serial(self, name):
        return self.portico.status_of(name)["certificate"]["serial"]


@pytest.fixture
def running(launch, nginx, pebbles):
    return Running(launch, nginx, pebbles(env=QUICK).start())


# --- renew ---


def test_renew_orders_now_and_wait_follows_until_it_is_served(running):
    before, other = running.serial("a.test"), running.serial("b.test")
    code, out, err = running.command("renew", "a.test", "--wait")
    assert (code, err) == (0, "")
    after = running.serial("a.test")
    assert after != before and running.serial("b.test") == other
    assert out.splitlines()[-1].startswith(f"a.test: certificate {after} of ")
    assert running.portico.get("a.test", "/hello", ca=running.pebble.root_path()).status == 200
    assert running.pebble.num_orders() == 3
    assert running.portico.wait_event("order_started", reason="asked for")["name"] == "a.test"


def test_renew_alone_answers_when_it_is_ordered(running):
    code, out, _ = running.command("renew", "A.Test.")
    assert code == 0 and "a.test: is ordered at " in out
    wait_published(running.portico, "a.test", 2)


def test_renew_tells_why_nothing_came_of_it(running):
    running.pebble.stop()
    code, out, _ = running.command("renew", "a.test", "--wait", timeout=300)
    assert code == 1 and "a.test: no new certificate: " in out
    assert running.portico.shown("a.test"), "what was served goes on being served"


def test_renew_refuses_what_it_cannot_do(running):
    code, out, err = running.command("renew", "c.test")
    assert (code, out) == (1, "") and err == "portico renew: c.test is none of the names of PORTICO_DOMAINS\n"
    assert running.command("renew", "-bad-")[0] == 2
    for args in ([], ["a.test", "b.test"], ["a.test", "--now"]):
        assert running.command("renew", *args)[0] == 2


def test_renew_needs_a_process(launch, tmp_path):
    code, _, err = run_command(launch.binary, "renew", "a.test", STORAGE=tmp_path)
    assert code == 1 and "control socket" in err


def test_commands_are_for_the_control_socket_or_the_token(running):
    assert running.portico.ask_admin("/renew?name=a.test", "POST").status == 403
    assert running.portico.ask_admin("/command?id=1").status == 403
    assert running.pebble.num_orders() == 2


# --- revoke ---


def revoke(running, reason, code=0):
    """The serial that was served before, and what was said."""
    before = running.serial("a.test")
    done, out, err = running.command("revoke", "a.test", "--reason", reason)
    assert (done, err) == (code, ""), out
    assert f"a.test: certificate {before} is revoked\n" in out
    assert running.pebble.revocation(before)["Status"] == "Revoked"
    return before, out


@pytest.mark.parametrize("reason", ["unspecified", "superseded"])
def test_a_certificate_is_replaced_first_and_then_revoked(running, reason):
    before, out = revoke(running, reason)
    after = running.serial("a.test")
    assert after != before and running.pebble.revocation(after)["Status"] == "Valid"
    served = running.portico.wait_event("certificate_published", name="a.test", serial=after)
    revoked = running.portico.wait_event("certificate_revoked", serial=before, reason=reason)
    assert served["ts"] <= revoked["ts"]
    assert running.portico.get("a.test", "/hello", ca=running.pebble.root_path()).status == 200


def test_a_disclosed_key_is_revoked_at_once_and_replaced_by_another(running):
    before, _ = revoke(running, "keyCompromise")
    after = running.serial("a.test")
    assert after != before
    assert any("banned-key" in str(path) for path in running.portico.storage.rglob("*"))
    assert not list(running.portico.storage.glob("revocation/*")), "it is over"


def test_what_ceases_is_revoked_and_renewed_only_when_somebody_asks(running, launch, nginx):
    before, _ = revoke(running, "cessationOfOperation")
    assert running.serial("a.test") == before
    assert running.portico.terminate() == 0
    again = launch(nginx, **running.portico.variables)
    assert again.status_of("a.test")["held"]
    running.portico = again
    assert running.command("renew", "a.test", "--wait")[0] == 0
    assert running.serial("a.test") != before and not running.portico.status_of("a.test").get("held")


def test_a_revocation_that_was_asked_for_outlives_the_process(running, launch, nginx):
    before = running.serial("a.test")
    running.pebble.stop()
    code, out, _ = running.command("revoke", "a.test", "--reason", "5", timeout=300)
    assert code == 1 and "is not revoked: " in out and "the CA is asked again at " in out
    running.portico.killed()
    assert list(running.portico.storage.glob("revocation/*"))
    again = launch(nginx, **running.portico.variables)
    resumed = again.wait_event("revocation_resumed")
    assert (resumed["serial"], resumed["reason"]) == (before, "cessationOfOperation")


def test_revoke_takes_the_reasons_that_cas_take(running):
    code, out, err = running.command("revoke", "a.test", "--reason", "caCompromise")
    assert (code, out) == (2, "") and "cessationOfOperation" in err
    assert running.command("revoke")[0] == 2
    assert running.command("revoke", "c.test")[2] == "portico revoke: c.test is none of the names of PORTICO_DOMAINS\n"


# --- account ---


def shown(running):
    code, out, err = running.command("account", "show")
    assert (code, err) == (0, "")
    return dict(line.split(None, 1) for line in out.splitlines())


def test_the_account_is_shown_updated_rolled_over_and_deactivated(launch, nginx, pebbles):
    running = Running(launch, nginx, pebbles(env=QUICK).start(), ACME_EMAIL="ops@a.test")
    first = shown(running)
    assert first["directory"] == running.pebble.url and first["state"] == "registered" and first["key"] == "p256"
    assert first["contact"] == "ops@a.test"
    code, out, _ = running.command("account", "update")
    assert code == 0 and "its contact is ops@a.test" in out
    code, out, _ = running.command("account", "rollover")
    second = shown(running)
    assert code == 0 and second["thumbprint"] in out
    assert second["account"] == first["account"] and second["thumbprint"] != first["thumbprint"]
    assert running.command("renew", "a.test", "--wait")[0] == 0, "the new key is the account's"
    code, out, _ = running.command("account", "deactivate")
    assert code == 0 and "deactivated for ever" in out
    assert running.command("renew", "a.test", "--wait")[0] == 0
    assert shown(running)["account"] != first["account"], "the next order made another"


def test_a_given_account_key_is_not_rolled_over(launch, nginx, pebbles, authority, tmp_path):
    key = tmp_path / "account.pem"
    key.write_bytes(authority.issue_files("account.test", stem="account")[1].read_bytes())
    running = Running(launch, nginx, pebbles(env=QUICK).start(), ACME_ACCOUNT_KEY_FILE=key)
    code, _, err = running.command("account", "rollover")
    assert code == 1 and "PORTICO_ACME_ACCOUNT_KEY" in err
    assert "PORTICO_ACME_ACCOUNT_KEY" in shown(running)["key"]


def test_account_says_what_it_takes(running):
    for args in ([], ["frob"], ["show", "--fallback"], ["update", "--now"]):
        code, out, err = running.command("account", *args)
        assert (code, out) == (2, "") and "rollover" in err
    assert "PORTICO_ACME_FALLBACK is not set" in running.command("account", "update", "--fallback")[2]


# --- dry-run ---


def test_a_dry_run_orders_every_name_elsewhere_and_changes_nothing(running, pebbles):
    staging = pebbles(env=QUICK, http_port=running.pebble.http_port).start()
    before = {name: running.serial(name) for name in NAMES.split(",")}
    code, out, err = running.command("dry-run", "--directory", staging.url)
    assert (code, err) == (0, ""), out
    assert "a.test  ok\n" in out and "b.test  ok\n" in out and f"2 ordered well at {staging.url}, 0 not" in out
    assert staging.num_issued() == 2 and running.pebble.num_orders() == 2
    assert {name: running.serial(name) for name in NAMES.split(",")} == before
    assert not list(running.portico.storage.glob("order/*"))


def test_a_dry_run_tells_what_would_fail(running, pebbles):
    staging = pebbles(env=QUICK, http_port=1).start()  # looks where nobody answers
    code, out, _ = running.command("dry-run", "--directory", staging.url, timeout=300)
    assert code == 1 and "a.test  failed: " in out and "0 ordered well" in out
    assert running.portico.status_of("a.test")["failures"] == 0


def test_a_dry_run_needs_a_directory_where_none_is_known(running):
    code, out, err = running.command("dry-run")
    assert (code, out) == (1, "") and "dry-run --directory URL" in err
    assert "PORTICO_ACME_DIRECTORY itself" in running.command("dry-run", "--directory", running.pebble.url)[2]
    assert running.command("dry-run", "--now")[0] == 2
