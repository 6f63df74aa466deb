"""dns-persist-01 with a Pebble that has it: the record that `portico dns` prints is put into DNS by hand, once, and suffices.

In a network of its own: Pebble and Portico ask the same DNS server."""

import re
import subprocess

import pytest
from cryptography import x509

from support import netns
from support.certs import names_of
from support.netns import IPV4, NAME, Ca
from support.pebble import newer_pebble
from support.portico import environment

OWNER = f"_validation-persist.{NAME}"
WILDCARD = f"*.{NAME}"


class Site:
    """Portico for a name and its wildcard by dns-persist-01 alone, before anybody has made a record."""

    def __init__(self, net, launch, ca, storage):
        self.net, self.ca, self.binary = net, ca, launch.binary
        net.resolve(NAME, ipv4=[IPV4])
        variables = ca.variables(DOMAINS=f"{NAME},{WILDCARD}", ACME_CHALLENGE="dns-persist-01", STORAGE=storage)
        self.portico = launch(wrapper=net.wrapper, **variables)

    def command(self, *args):
        done = subprocess.run(
            [*self.net.wrapper, str(self.binary), *args],
            env=environment(self.portico.variables),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert "Sanitizer" not in done.stderr, done.stderr
        return done

    def line(self, name):
        """The record of dns-persist-01 that `portico dns NAME` prints beside CAA."""
        done = self.command("dns", name)
        assert (done.returncode, done.stderr) == (0, "")
        caa, txt = done.stdout.splitlines()
        assert caa.startswith(f"{NAME}. IN CAA ") and txt.startswith(f"{OWNER}. IN TXT ")
        return txt

    def make(self, name):
        """Puts it into DNS."""
        self.net.resolve(OWNER, txt="".join(re.findall('"([^"]*)"', self.line(name))))

    def renew(self, name):
        """The exit code, and what was told."""
        done = self.command("renew", name, "--wait")
        return done.returncode, done.stdout

    def renewed(self, name):
        """Names of the certificate that is served in the end."""
        code, told = self.renew(name)
        assert code == 0, told
        host = name.replace("*", "x")
        return self.net.inside(lambda: names_of(x509.load_der_x509_certificate(self.portico.shown(host))))

    def wait_failures(self):
        """Why neither name has a certificate."""
        return {name: self.portico.wait_event("order_failed", name=name)["msg"] for name in (NAME, WILDCARD)}

    def validations(self):
        """That the CA was asked for."""
        return sum("Pulled a task from the Tasks queue" in line for line in self.ca.process.lines)


@pytest.fixture
def site(tmp_path, launch, authority):
    program = newer_pebble()
    net = program and netns.make(tmp_path)
    if not net:
        pytest.skip("no newer Pebble (deploy/install-deps --test fetches it), no network namespaces, or we are not root")
    ca = Ca(net, authority, tmp_path, program=program)
    yield Site(net, launch, ca, tmp_path / "storage")
    ca.process.stop()
    net.close()


# --- nobody has made it ---


def test_without_the_record_nothing_is_asked_of_the_ca(site):
    """ACME-123: and the failure says which record to make, as `portico dns` does, which knows the account by then."""
    missing = "dns-persist-01: there is no TXT record at _validation-persist"
    for name, failure in site.wait_failures().items():
        assert failure == f"{missing}; what DNS has to have: {site.line(name)}"
    account = site.portico.find_events("acme_account_created")[0]["account"]
    assert site.line(NAME).endswith(f"; accounturi={account}\"")
    assert site.line(WILDCARD).endswith(f"; accounturi={account}; policy=wildcard\"")
    assert site.validations() == 0


# --- somebody makes it ---


def test_the_record_of_the_name_is_not_that_of_its_wildcard(site):
    """ACME-122, ACME-123"""
    site.wait_failures()
    site.make(NAME)
    assert site.renewed(NAME) == [NAME]
    code, told = site.renew(WILDCARD)
    assert code == 1 and "the TXT record lacks policy=wildcard" in told and site.line(WILDCARD) in told
    assert site.validations() == 1
    site.make(WILDCARD)  # beside the other
    assert site.renewed(WILDCARD) == [WILDCARD]


def test_the_record_of_the_wildcard_is_enough_for_both(site):
    """ACME-122: and whatever else is there is let alone."""
    site.wait_failures()
    site.net.resolve(OWNER, txt="v=spf1 -all")
    site.make(WILDCARD)
    for name in (WILDCARD, NAME):
        assert site.renewed(name) == [name]
