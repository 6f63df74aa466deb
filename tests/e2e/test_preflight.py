"""Before the CA looks at a name, Portico does: what is fine is ordered at once, what looks broken is held and said.

The CA is Pebble under the name of a public one, in a network of its own: with a private CA it only warns."""

import json
import subprocess
from datetime import datetime, timezone

import pytest

from support import netns
from support.netns import IPV4, IPV6, NAME, OTHER_IPV6, Ca, say
from support.portico import environment

PUBLIC = "acme-v02.api.letsencrypt.org"


@pytest.fixture
def net(tmp_path):
    made = netns.make(tmp_path)
    if not made:
        pytest.skip("this machine has no network namespaces, no IPv6, no pebble-challtestsrv, or we are not root")
    yield made
    made.close()


@pytest.fixture
def ca(net, authority, tmp_path, need):
    need("pebble")
    made = Ca(net, authority, tmp_path, host=PUBLIC)
    yield made
    made.process.stop()


def test_what_looks_fine_is_ordered_at_once(net, ca, launch):
    """Before there is an account, at every address and by every worker."""
    net.resolve(NAME, ipv4=[IPV4], ipv6=[IPV6])
    portico = launch(wrapper=net.wrapper, **ca.variables())
    portico.wait_event("certificate_published", source="issued", timeout=60)
    assert not portico.find_events("preflight_failed")
    asked = [event for event in portico.find_events("challenge_answered") if event["client"] in (IPV4, IPV6)]
    assert {event["client"] for event in asked} == {IPV4, IPV6}  # by itself, before the CA did


def test_a_wrong_aaaa_holds_the_first_order_and_is_said(net, ca, launch):
    """ACME-73: the CA would have tried IPv6 first."""
    net.resolve(NAME, ipv4=[IPV4], ipv6=[OTHER_IPV6])
    net.serve(OTHER_IPV6, lambda handler: say(handler, 404, "<h1>Not here</h1>"))
    portico = launch(wrapper=net.wrapper, **ca.variables(HTTP_LISTEN=f"{IPV4}:80"))
    said = portico.wait_event("preflight_failed")
    assert said["name"] == NAME and f'{OTHER_IPV6} port 80 answers 404 "<h1>Not here</h1>"' in said["msg"]
    assert "correct the AAAA record" in said["msg"]
    argv = [*net.wrapper, str(portico.argv[-1]), "status", "--json"]
    done = subprocess.run(argv, env=environment(portico.variables), capture_output=True, text=True, timeout=30, check=False)
    (entry,) = json.loads(done.stdout)["names"]
    assert entry["problem"]["hint"] == said["msg"] and entry["failures"] == 0
    held = datetime.fromisoformat(entry["next_attempt"]) - datetime.now(timezone.utc)
    assert 8 * 60 < held.total_seconds() <= 10 * 60
    assert not portico.find_events("order_started")


def test_a_failed_validation_is_explained(net, authority, tmp_path, launch, need):
    """With a CA of one's own it only warns: the order is made, fails, and then it is said what was wrong."""
    need("pebble")
    ca = Ca(net, authority, tmp_path)
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, lambda handler: say(handler, 200, "somebody else"))
    portico = launch(wrapper=net.wrapper, **ca.variables(HTTP_LISTEN=f"{netns.OTHER_IPV4}:80", ACME_CHALLENGE="http-01"))
    portico.wait_event("order_failed")
    assert f'{IPV4} port 80 answers 200 "somebody else"' in portico.wait_event("preflight_failed")["msg"]
    ca.process.stop()
