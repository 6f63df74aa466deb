"""Fixtures that start real processes, and what every test ends with: a clean exit and no sanitizer's word.

BINARY           the binary under test, usually built with sanitizers (default: build/sanitized/portico, which tests/run builds)
BINARY_RELEASE   the one for tests marked `release` (default: BINARY)
SKIPS_ARE_FAILURES=1 turns a skip into a failure.
"""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from support.backend import Backend, echo
from support.certs import Authority
from support.nginx import Nginx
from support.pebble import Pebble, newer_pebble
from support.portico import Portico, has_ipv6
from support.ports import free_port

# Whoever starts the tests behind a shell's `&` ignores these, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULTS = {
    "HTTPS_LISTEN": "127.0.0.1:0",
    "HTTP_LISTEN": "127.0.0.1:0",
    "ADMIN_LISTEN": "127.0.0.1:0",
    "WORKERS": "2",
    "LOG_LEVEL": "debug",
    "DRAIN_QUIET": "0s",
    "DRAIN_TIMEOUT": "2s",
    "UPSTREAM_WAIT": "1s",
}


# --- skips ---


def _is_strict():
    return os.environ.get("SKIPS_ARE_FAILURES") == "1"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and _is_strict() and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"a skip is a failure here: {reason}"


def need(*programs):
    """Skips the test where a program is missing."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    for program in programs:
        if not shutil.which(program, path=path):
            pytest.skip(f"{program} is not installed; deploy/install-deps --test installs it")


@pytest.fixture(scope="session", name="need")
def need_fixture():
    return need


@pytest.fixture
def ipv6():
    if not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback address")


# --- the binary ---


def _binary(release):
    chosen = os.environ.get("BINARY") or ROOT / "build" / "sanitized" / "portico"
    if release:
        chosen = os.environ.get("BINARY_RELEASE") or chosen
    path = pathlib.Path(chosen).resolve()
    assert path.exists(), f"{path} is not there: build it, or name another in BINARY"
    return path


@pytest.fixture(scope="module")
def binary(request):
    return _binary(request.node.get_closest_marker("release") is not None)


@pytest.fixture(scope="session")
def is_sanitized():
    """Whether figures of memory and time mean little."""

    def check(path):
        symbols = subprocess.run(["grep", "-c", "__asan_init", str(path)], capture_output=True, text=True, check=False)
        return symbols.stdout.strip() not in ("", "0")

    return check


# --- processes ---


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A CA of the tests' own: of Pebble's API, and of certificates of one's own."""
    return Authority(tmp_path_factory.mktemp("authority"))


class Launcher:
    """Starts Portico, any number of times; at the end each must end cleanly.

    Without DOMAINS given: a.test, b.test (of one certificate) and *.w.test, with a certificate of one's own."""

    def __init__(self, binary, directory, authority):
        self.binary = binary
        self.directory = directory
        self.authority = authority
        self.started = []

    def own_certificate(self, *names):
        chain, key = self.authority.issue_files(*names, stem=f"{self.directory.name}-{len(self.started)}")
        return {"TLS_CERT_FILE": chain, "TLS_KEY_FILE": key}

    def variables(self, upstream=None, **variables):
        storage = self.directory / "storage"
        result = {**DEFAULTS, "STORAGE": storage, **variables}
        if upstream is not None:
            result["UPSTREAM"] = upstream if isinstance(upstream, str) else upstream.url
        if "DOMAINS" not in result and "TLS_CERT_FILE" not in result:
            result["DOMAINS"] = "a.test,b.test,*.w.test"
            result.update(self.own_certificate("a.test", "b.test", "*.w.test"))
        return result

    def __call__(self, upstream=None, wait=True, codes=(0,), nofile=None, wrapper=(), arguments=(), **variables):
        """variables: without their prefix; None takes a default away. codes: exits that are in order."""
        name = f"portico{len(self.started) + 1}"
        portico = Portico(
            self.binary,
            self.variables(upstream, **variables),
            nofile=nofile,
            name=name,
            wrapper=wrapper,
            arguments=arguments,
        )
        self.started.append((portico, codes))
        if wait:
            portico.wait_started()
        return portico

    def close(self):
        trouble = []
        for portico, codes in reversed(self.started):
            try:
                portico.judge(codes)
            except AssertionError as error:
                trouble.append(str(error))
                if portico.running():
                    portico.kill()
        assert not trouble, "\n".join(trouble)


@pytest.fixture
def launch(binary, tmp_path, authority):
    launcher = Launcher(binary, tmp_path, authority)
    yield launcher
    launcher.close()


@pytest.fixture(scope="module")
def module_launch(binary, tmp_path_factory, authority):
    """For many small cases against one process."""
    launcher = Launcher(binary, tmp_path_factory.mktemp("module"), authority)
    yield launcher
    launcher.close()


class Backends:
    def __init__(self):
        self.made = []

    def __call__(self, answer=echo, **kwargs):
        backend = Backend(answer, **kwargs)
        self.made.append(backend)
        return backend

    def close(self):
        for backend in self.made:
            backend.close()
        errors = [error for backend in self.made for error in backend.errors]
        if errors:
            raise errors[0]


@pytest.fixture
def backends():
    """Factory of scripted backends."""
    made = Backends()
    yield made
    made.close()


@pytest.fixture(scope="module")
def module_backends():
    made = Backends()
    yield made
    made.close()


@pytest.fixture
def pebbles(tmp_path, authority):
    """Factory of Pebbles that are not started yet; each is given Portico's future HTTP port, which it returns as
    variables for the launch."""
    need("pebble")
    made = []

    def make(**kwargs):
        pebble = Pebble(tmp_path, authority, http_port=kwargs.pop("http_port", None) or free_port(), **kwargs)
        made.append(pebble)
        return pebble

    yield make
    for pebble in made:
        pebble.close()


@pytest.fixture
def newer_pebbles(pebbles):
    """The same of a Pebble that has ARI, profiles and dns-persist-01."""
    program = newer_pebble()
    if not program:
        pytest.skip("no newer Pebble; deploy/install-deps --test fetches it")
    return lambda **kwargs: pebbles(program=program, **kwargs)


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    need("nginx")
    server = Nginx(tmp_path_factory.mktemp("nginx"))
    yield server
    server.close()
