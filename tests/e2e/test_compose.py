"""The compose files run as written: one fronting NGINX, one with several services, one with a CA to rehearse with. Ending and
restarting, in the order of events that compose has, costs no request."""

import itertools
import os
import re
import shutil
import threading

import pytest

from support.client import connect_tls
from support.containers import DEPLOY, SLOW_SIZE, Download, answers, helper_image, portico_image, run, slow_nginx, wait_until
from support.ports import free_port

pytestmark = pytest.mark.container

FILES = sorted((DEPLOY / "compose").glob("*.yaml"))
numbers = itertools.count()


def seconds(text):
    """Of a duration, in docker's writing or Portico's."""
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return sum(float(n) * units[u] for n, u in re.findall(r"([0-9.]+)(ms|h|m|s)", text))


class Project:
    """What a compose file makes; its ports are free ones, through the variables that the file offers."""

    def __init__(self, file, *overrides, **env):
        compose = shutil.which("docker-compose")
        if not compose:
            pytest.skip("docker-compose is not installed; deploy/install-deps --container installs it")
        portico_image()
        self.name = f"portico-test-{os.getpid()}-{next(numbers)}"
        self.http, self.https, self.pebble = free_port(), free_port(), free_port()
        self.env = {
            "BASE": helper_image("base"), "NGINX_IMAGE": helper_image("nginx"), "COMPOSE_HTTP_TIMEOUT": "120",
            "HTTP_PORT": str(self.http), "HTTPS_PORT": str(self.https), "PEBBLE_PORT": str(self.pebble), **env,
        }  # fmt: skip
        files = [a for f in (DEPLOY / "compose" / file, *overrides) for a in ("-f", f)]
        self.command = [compose, "-p", self.name, *files]

    def __call__(self, *arguments, check=True):
        return run(*self.command, *arguments, check=check, **self.env).stdout

    def up(self, name, body):
        self("up", "-d")
        wait_until(f"an answer from {name}", answers(self.https, name, body))

    def ended(self, since):
        """Services that ended since then, with their exit codes, in order."""
        now = run("docker", "info", "-f", "{{.SystemTime}}").stdout.strip()
        label = f"label=com.docker.compose.project={self.name}"
        form = '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Actor.Attributes.exitCode}}'
        done = run("docker", "events", "--since", since, "--until", now, "--filter", label, "--filter", "event=die", "--format", form)
        return [tuple(line.split()) for line in done.stdout.splitlines()]

    def certificate(self, name):
        with connect_tls(("127.0.0.1", self.https), name) as client:
            return client.certificate()


@pytest.fixture
def project():
    made = []

    def make(*arguments, **env):
        made.append(Project(*arguments, **env))
        return made[-1]

    yield make
    for project in made:
        project("down", "-v", "-t", "1", check=False)


@pytest.fixture
def slow(tmp_path):
    """compose.yaml with an app that takes its time."""
    directory = slow_nginx(tmp_path / "slow", DEPLOY / "compose" / "nginx.conf")
    override = tmp_path / "override.yaml"
    override.write_text(
        "services:\n  web:\n    volumes:\n"
        f"      - {directory}/nginx.conf:/etc/nginx/nginx.conf:ro\n      - {directory}/slow:/srv/slow:ro\n"
    )
    return override


def test_it_fronts_nginx(project):
    it = project("compose.yaml")
    it.up("localhost", b"Hello from NGINX")
    redirect = run("curl", "-sS", "-o", "/dev/null", "-w", "%{redirect_url}", f"http://localhost:{it.http}/x")
    assert redirect.stdout == f"https://localhost:{it.https}/x"


def test_down_ends_portico_first_and_cuts_nothing(project, slow, tmp_path):
    it = project("compose.yaml", slow)
    it.up("localhost", b"Hello from NGINX")
    since = run("docker", "info", "-f", "{{.SystemTime}}").stdout.strip()
    download = Download(it.https, "localhost", "/slow", tmp_path)
    it("down")
    assert download.size() == SLOW_SIZE
    assert it.ended(since)[0] == ("portico", "0")


def test_a_restart_cuts_nothing(project, slow, tmp_path):
    it = project("compose.yaml", slow)
    it.up("localhost", b"Hello from NGINX")
    download = Download(it.https, "localhost", "/slow", tmp_path)
    it("restart", "portico")
    assert download.size() == SLOW_SIZE
    wait_until("an answer after the restart", answers(it.https, "localhost", b"Hello from NGINX"))


def test_requests_wait_while_the_backend_is_restarted(project):
    it = project("compose.yaml")
    it.up("localhost", b"Hello from NGINX")
    statuses, done = [], threading.Event()

    def ask():
        while not done.is_set():
            with connect_tls(("127.0.0.1", it.https), "localhost") as client:
                statuses.append(client.get("localhost", "/").status)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        it("restart", "-t", "2", "web")
        seen = len(statuses)
        wait_until("answers after the restart", lambda: len(statuses) > seen + 3)
    finally:
        done.set()
        asking.join()
    assert set(statuses) == {200}


def test_it_fronts_several_services(project):
    it = project("services.yaml")
    it.up("shop.localhost", b"NGINX on shop:")
    wait_until("an answer from api", answers(it.https, "api.localhost", b"NGINX on api:"))
    with connect_tls(("127.0.0.1", it.https), "www.shop.localhost") as client:
        reply = client.get("www.shop.localhost", "/x?y")
    assert (reply.status, reply.get("location")) == (308, f"https://shop.localhost:{it.https}/x?y")


def test_it_rehearses_with_pebble(project, tmp_path):
    it = project("pebble.yaml", PEBBLE_IMAGE=helper_image("pebble"))
    it("up", "-d")
    root = tmp_path / "root.pem"
    fetch = ["curl", "-sSk", "--fail", "-o", root, f"https://localhost:{it.pebble}/roots/0"]
    wait_until("Pebble's root", lambda: run(*fetch, check=False).returncode == 0)
    wait_until("a page that Pebble vouches for", answers(it.https, "app.example.test", b"Hello from NGINX", ca=root))
    before = it.certificate("app.example.test")
    it("up", "-d", "--force-recreate", "portico")
    wait_until("an answer of the new container", answers(it.https, "app.example.test", b"Hello from NGINX", ca=root))
    assert it.certificate("app.example.test") == before  # it is in the volume: nothing is ordered again


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_compose_waits_longer_than_the_drain(project, file):
    services = yaml_of(project(file.name)("config"))["services"]
    default = re.search(r"PORTICO_DRAIN_TIMEOUT \(([^)]*)\)", run("docker", "run", "--rm", portico_image(), "help").stdout).group(1)
    environment = services["portico"]["environment"]
    assert seconds(services["portico"]["stop_grace_period"]) > seconds(environment.get("PORTICO_DRAIN_TIMEOUT", default))
    backends = set(re.findall(r"http://(\w+):", environment["PORTICO_DOMAINS"] + environment.get("PORTICO_UPSTREAM", "")))
    assert backends and backends <= set(services["portico"]["depends_on"])


def yaml_of(text):
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed; deploy/install-deps --container installs it")
    return yaml.safe_load(text)
