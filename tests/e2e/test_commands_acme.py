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
