"""portico doctor: ten set-ups that cannot work, each told by its cause and its cure, and one that does.

In a network of its own: public addresses, port 80 and DNS as the machine's own commands see them."""

import hashlib
import json
import subprocess

import pytest

from support import netns
from support.netns import IPV4, IPV6, NAME, OTHER_IPV4, OTHER_IPV6, Ca, Directory, say
from support.portico import environment


@pytest.fixture
def net(tmp_path):
    made = netns.make(tmp_path)
    if not made:
        pytest.skip("this machine has no network namespaces, no IPv6, no pebble-challtestsrv, or we are not root")
    yield made
    made.close()


class Doctor:
    """Runs it with a name that resolves and a CA that is in order, unless told otherwise."""

    def __init__(self, net, binary, authority, storage):
        self.net, self.binary, self.authority, self.storage = net, binary, authority, storage

    def run(self, *args, wrapper=(), **variables):
        env = environment({"DOMAINS": NAME, "STORAGE": self.storage, **variables})
        argv = [*self.net.wrapper, *wrapper, str(self.binary), "doctor", *args]
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
        assert "Sanitizer" not in done.stderr, done.stderr
        return done

    def look(self, *args, **variables):
        """The exit code and the findings."""
        done = self.run("--json", *args, **variables)
        assert done.stdout.startswith("{"), done.stderr
        report = json.loads(done.stdout)
        assert report["fine"] == (done.returncode == 0)
        return done.returncode, report["findings"]

    def failures(self, *args, **variables):
        code, findings = self.look(*args, **variables)
        failed = [finding for finding in findings if finding["level"] == "fail"]
        assert code == (1 if failed else 0)
        assert all(finding.get("cure") for finding in failed), failed
        return failed


@pytest.fixture
def doctor(net, binary, authority, tmp_path):
    return Doctor(net, binary, authority, tmp_path / "storage")


@pytest.fixture
def directory(net, authority):
    return Directory(net, authority, caaIdentities=["ca.example"])


def only(failed, kind):
    """The one failure, which is of that kind."""
    assert [finding["kind"] for finding in failed] == [kind], failed
    return failed[0]


def answers_challenges(handler):
    """As Portico does, with somebody's account."""
    token = handler.path.rsplit("/", 1)[1]
    say(handler, 200, f"{token}.{'T' * 43}")


# --- the ten ---


def test_wrong_aaaa(net, doctor, directory):
    net.resolve(NAME, ipv4=[IPV4], ipv6=[OTHER_IPV6])
    net.serve(IPV4, answers_challenges)
    net.serve(OTHER_IPV6, lambda handler: say(handler, 404, "<h1>Not here</h1>"))
    failed = only(doctor.failures(**directory.variables()), "other-server")
    assert failed["address"] == OTHER_IPV6 and failed["status"] == 404 and "Not here" in failed["body"]
    assert OTHER_IPV6 in failed["sentence"] and "AAAA record" in failed["cure"]


def test_port_80_closed(net, doctor, directory):
    net.resolve(NAME, ipv4=[IPV4])
    failed = only(doctor.failures(**directory.variables()), "refused")
    assert failed["address"] == IPV4 and "port 80 cannot be reached" in failed["sentence"]
    assert "Portico is not running here" in failed["cure"] and "publish it" in failed["cure"]


def test_a_redirect_loop_in_front(net, doctor, directory):
    def redirect(handler):
        path = handler.path.removeprefix("/a") if handler.path.startswith("/a") else "/a" + handler.path
        say(handler, 301, "", Location=f"http://{NAME}{path}")

    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, redirect)
    failed = only(doctor.failures(**directory.variables()), "redirect-loop")
    assert "redirects in a loop" in failed["sentence"]
    assert "except /.well-known/acme-challenge/ from the redirects" in failed["cure"]


def test_caa_forbids(net, doctor, directory):
    net.resolve(NAME, ipv4=[IPV4])
    net.resolve("example.net", caa=[("issue", "other.example")])
    net.serve(IPV4, answers_challenges)
    failed = only(doctor.failures(**directory.variables()), "caa-forbids")
    assert 'CAA of example.net (0 issue "other.example")' in failed["sentence"]
    assert 'example.net. CAA 0 issue "ca.example"' in failed["cure"]


@pytest.mark.parametrize("skew_s, words", [(7200, "behind the CA's"), (-7200, "ahead of the CA's")])
def test_clock_off(net, doctor, authority, skew_s, words):
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, answers_challenges)
    failed = only(doctor.failures(**Directory(net, authority, skew_s=skew_s).variables()), "clock-off")
    assert words in failed["sentence"] and "NTP" in failed["cure"]


def test_ca_unreachable(net, doctor, directory):
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, answers_challenges)
    failed = only(doctor.failures(ACME_DIRECTORY="https://localhost:1/dir"), "ca-unreachable")
    assert "localhost: connect: Connection refused" in failed["sentence"] and "firewalls" in failed["cure"]
    variables = {**directory.variables(), "ACME_CA_FILE": None}  # and where its certificate is not trusted, that is said
    failed = only(doctor.failures(**variables), "ca-unreachable")
    assert "certificate" in failed["sentence"] and "PORTICO_ACME_CA_FILE" in failed["sentence"]


def test_storage_read_only(net, doctor, directory, tmp_path):
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, answers_challenges)
    (tmp_path / "storage").mkdir()
    mount = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs -o ro tmpfs {tmp_path}/storage && exec "$@"', "sh"]
    failed = only(doctor.failures(wrapper=mount, **directory.variables()), "storage-read-only")
    assert str(tmp_path / "storage") in failed["sentence"] and "Read-only file system" in failed["sentence"]
    assert "mount it for writing" in failed["cure"]


@pytest.fixture
def pebble_with(net, authority, tmp_path, need):
    need("pebble")
    made = []

    def make(**keys):
        made.append(Ca(net, authority, tmp_path, keys))
        return made[-1]

    yield make
    for pebble in made:
        pebble.process.stop()


RIGHT, WRONG = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W", "d3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmctd3Jvbmc"


def test_eab_wrong(net, doctor, launch, pebble_with):
    """ACME-25, ACME-32: what the CA said to the process that runs."""
    pebble = pebble_with(**{"kid-1": RIGHT})
    net.resolve(NAME, ipv4=[IPV4])
    missing = doctor.failures(**pebble.variables())
    assert {finding["kind"] for finding in missing} == {"eab-missing", "refused"}
    assert "PORTICO_ACME_EAB_KID" in next(f for f in missing if f["kind"] == "eab-missing")["cure"]
    binding = {"ACME_EAB_KID": "kid-1", "ACME_EAB_HMAC_KEY": WRONG}
    portico = launch(wrapper=net.wrapper, STORAGE=doctor.storage, **pebble.variables(**binding))
    portico.wait_event("order_failed")
    failed = {finding["kind"]: finding for finding in doctor.failures(**pebble.variables(**binding))}
    assert set(failed) == {"eab-refused", "order-failed"}
    assert "copy PORTICO_ACME_EAB_KID and PORTICO_ACME_EAB_HMAC_KEY anew" in failed["eab-refused"]["cure"]
    assert portico.terminate() == 0  # and what is stored tells the same
    failed = {finding["kind"] for finding in doctor.failures(**pebble.variables(**binding))}
    assert failed == {"eab-refused", "order-failed", "refused"}


def test_terms_not_accepted(net, doctor, authority):
    """ACME-26"""
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(IPV4, answers_challenges)
    directory = Directory(net, authority, termsOfService="https://ca.example/terms.pdf")
    failed = only(doctor.failures(**directory.variables(ACME_ACCEPT_TERMS="false")), "terms-not-accepted")
    assert "https://ca.example/terms.pdf" in failed["sentence"] and "PORTICO_ACME_ACCEPT_TERMS=true" in failed["cure"]


def test_name_not_resolving(net, doctor, directory):
    failed = only(doctor.failures(**directory.variables()), "not-resolving")
    assert NAME in failed["sentence"] and f"add an A record for {NAME}" in failed["cure"]


# --- and beside them ---


def test_everything_in_order_while_it_runs(net, doctor, launch, pebble_with):
    """ACME-68, ACME-76: the process that runs answers for each address, and says what it has."""
    pebble = pebble_with()
    net.resolve(NAME, ipv4=[IPV4], ipv6=[IPV6])
    portico = launch(wrapper=net.wrapper, STORAGE=doctor.storage, **pebble.variables())
    portico.wait_event("certificate_published", source="issued", timeout=60)
    code, findings = doctor.look(NAME, **pebble.variables())
    assert code == 0, findings
    kinds = [finding["kind"] for finding in findings if finding["level"] == "ok"]
    assert kinds.count("answers") == 2 and {"running", "storage", "account-known", "ca", "clock", "certificate"} <= set(kinds)


def test_a_foreign_account_answers(net, doctor, launch, pebble_with):
    """Another ACME client has port 80 at one of the addresses."""
    pebble = pebble_with()
    net.resolve(NAME, ipv4=[IPV4])
    net.serve(OTHER_IPV4, answers_challenges)
    portico = launch(wrapper=net.wrapper, STORAGE=doctor.storage, **pebble.variables(HTTP_LISTEN=f"{IPV4}:80"))
    portico.wait_event("certificate_published", source="issued", timeout=60)
    net.resolve(NAME, ipv4=[IPV4, OTHER_IPV4])
    failed = only(doctor.failures(**pebble.variables(HTTP_LISTEN=f"{IPV4}:80")), "foreign-account")
    assert failed["address"] == OTHER_IPV4 and "another ACME client or replica" in failed["sentence"]


def test_private_addresses_are_not_contacted(net, doctor, directory):
    net.resolve(NAME, ipv4=["127.0.0.1", "10.1.2.3"])
    seen = []
    net.serve("127.0.0.1", lambda handler: (seen.append(handler.path), say(handler, 200, "")))
    code, findings = doctor.look(**directory.variables())
    local = [finding["address"] for finding in findings if finding["kind"] == "address-local"]
    assert sorted(local) == ["10.1.2.3", "127.0.0.1"] and not seen
    assert code == 0  # a CA of one's own may well reach them


def test_a_name_that_is_not_configured(net, doctor, directory):
    net.resolve("other.example.net", ipv4=[IPV4])
    net.serve(IPV4, answers_challenges)
    failed = only(doctor.failures("other.example.net", **directory.variables()), "not-configured")
    assert "other.example.net" in failed["sentence"] and "PORTICO_DOMAINS" in failed["cure"]


def test_as_people_read_it(net, doctor, directory):
    net.resolve(NAME, ipv4=[IPV4])
    done = doctor.run(**directory.variables())
    assert done.returncode == 1 and done.stderr == "" and "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert f"{NAME}" in lines
    at = next(i for i, line in enumerate(lines) if line.startswith("FAIL  port 80"))
    assert lines[at + 1].lstrip().startswith("-> Portico is not running here")
    assert lines[-1].endswith("1 of 8 checks failed"), lines
    assert doctor.run("--nonsense").returncode == 2
    assert doctor.run(DOMAINS="a..b").returncode == 78


# --- portico dns ---


def paste(net, binary, storage, *args, **variables):
    argv = [*net.wrapper, str(binary), "dns", *args]
    env = environment({"DOMAINS": NAME, "STORAGE": storage, **variables})
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def test_the_records_to_paste(net, binary, authority, doctor, launch, pebble_with):
    """ACME-122, RFC 8657: with the account that the CA gave, which doctor then finds allowed and no other."""
    pebble = pebble_with()
    net.resolve(NAME, ipv4=[IPV4], ipv6=[IPV6])
    done = paste(net, binary, doctor.storage, **pebble.variables())
    assert done.returncode == 1 and "there is no account at the CA yet" in done.stderr and done.stdout == ""
    portico = launch(wrapper=net.wrapper, STORAGE=doctor.storage, **pebble.variables())
    portico.wait_event("certificate_published", source="issued", timeout=60)
    account = portico.find_events("acme_account_created")[0]["account"]
    done = paste(net, binary, doctor.storage, **pebble.variables())
    assert done.returncode == 1 and "the CA does not say its name in CAA" in done.stderr  # Pebble 2.4 does not
    directory = Directory(net, authority, caaIdentities=["ca.example"])
    stored = next((doctor.storage / "account").iterdir())
    record = json.loads(stored.read_text())
    record["directory"] = directory.url  # the account of another CA, for a directory that says its name
    name = "account/" + hashlib.sha256(directory.url.encode()).hexdigest()[:32]
    (doctor.storage / name).write_text(json.dumps(record))
    both = {"DOMAINS": f"{NAME},*.{NAME}", "ACME_CHALLENGE": "http-01,dns-persist-01"}
    done = paste(net, binary, doctor.storage, **directory.variables(**both))
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        f'{NAME}. IN CAA 0 issue "ca.example; accounturi={account}; validationmethods=http-01,dns-persist-01"',
        f'_validation-persist.{NAME}. IN TXT "ca.example; accounturi={account}"',
        f'{NAME}. IN CAA 0 issuewild "ca.example; accounturi={account}; validationmethods=dns-persist-01"',
        f'_validation-persist.{NAME}. IN TXT "ca.example; accounturi={account}; policy=wildcard"',
    ]
    only_one = paste(net, binary, doctor.storage, NAME, **directory.variables(**both))
    assert len(only_one.stdout.splitlines()) == 2
    net.resolve(NAME, caa=[("issue", f"ca.example; accounturi={account}; validationmethods=http-01,dns-persist-01")])
    missing = only(doctor.failures(NAME, **directory.variables(**both)), "persist-missing")
    assert "there is no TXT record at _validation-persist" in missing["sentence"]
    net.resolve(f"_validation-persist.{NAME}", txt=f"ca.example; accounturi={account}")
    assert doctor.failures(NAME, **directory.variables(**both)) == []
    net.resolve(NAME, caa=[("issue", f"ca.example; accounturi={account}0")])
    assert only(doctor.failures(NAME, **directory.variables(ACME_CHALLENGE="http-01")), "caa-forbids")
