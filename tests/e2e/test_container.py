"""The image as users get it: built by the Dockerfile, run without rights on a read-only file system. It resolves a name,
verifies a CA's server, gets a certificate and serves with it; and the compose file runs as written."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

from support.client import connect_tls
from support.ports import free_port

pytestmark = pytest.mark.container

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*argv, timeout=600, check=True, **env):
    done = subprocess.run(
        [str(a) for a in argv], capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **env}
    )
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def base(need):
    need("docker")
    if run("docker", "info", check=False).returncode != 0:
        pytest.skip("no Docker engine answers; .ci/run starts one")
    return run(ROOT / ".ci" / "image", "base").stdout.split()[-1]


@pytest.fixture(scope="module")
def image(base):
    run("docker", "build", "--network", "host", "--build-arg", f"BASE={base}", "-t", "portico", ROOT, timeout=900)
    return "portico"


class Container:
    def __init__(self, image, *arguments):
        options = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host"]
        self.id = run("docker", "run", "-d", *options, *arguments, image).stdout.strip()

    def logs(self):
        done = run("docker", "logs", self.id)
        return done.stdout + done.stderr

    def wait_log(self, text, timeout=90):
        deadline = time.monotonic() + timeout
        while text not in self.logs():
            assert time.monotonic() < deadline, f"no {text} in\n{self.logs()[-4000:]}"
            time.sleep(0.2)  # an engine's log has nothing to wait on

    def remove(self):
        run("docker", "rm", "-f", "-v", self.id)


@pytest.fixture
def containers():
    made = []

    def start(*arguments):
        made.append(Container(*arguments))
        return made[-1]

    yield start
    for container in made:
        container.remove()


def test_it_is_small_and_holds_no_shell(image):
    size = int(run("docker", "image", "inspect", "-f", "{{.Size}}", image).stdout)
    print(f"image: {size / 1e6:.2f} MB")
    assert size < 10_000_000
    assert run("docker", "run", "--rm", "--entrypoint", "/bin/sh", image, check=False).returncode != 0
    assert "BoringSSL" in run("docker", "run", "--rm", image, "version").stdout
    assert run("docker", "image", "inspect", "-f", "{{.Config.User}}", image).stdout.strip() not in ("", "root", "0")


def test_it_gets_a_certificate_and_serves(image, containers, nginx, pebbles):
    pebble = pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    port, admin = free_port(), free_port()
    settings = {
        "DOMAINS": "a.test",
        "UPSTREAM": nginx.url,
        "HTTPS_LISTEN": f"127.0.0.1:{port}",
        "ADMIN_LISTEN": f"127.0.0.1:{admin}",
        **pebble.variables(ACME_CA=pathlib.Path(pebble.ca_path).read_text(), ACME_CA_FILE=None),
    }
    arguments = [a for k, v in settings.items() if v is not None for a in ("-e", f"PORTICO_{k}={v}")]
    container = containers(image, *arguments)
    container.wait_log('"source":"issued"')
    with connect_tls(("127.0.0.1", port), "a.test", ca=pebble.root_path()) as client:
        assert client.get("a.test", "/hello").body == b"hello from nginx\n"
    assert run("docker", "exec", container.id, "/usr/bin/portico", "healthcheck").returncode == 0
    run("docker", "stop", "-t", "20", container.id)
    assert run("docker", "inspect", "-f", "{{.State.ExitCode}}", container.id).stdout.strip() == "0"


def test_the_compose_file_runs_as_written(image, base):
    compose = shutil.which("docker-compose")
    if not compose:
        pytest.skip("docker-compose is not installed; deploy/install-deps --container installs it")
    backend = run(ROOT / ".ci" / "image", "nginx").stdout.split()[-1]
    ports = {"HTTP_PORT": str(free_port()), "HTTPS_PORT": str(free_port())}
    env = {"BASE": base, "NGINX_IMAGE": backend, **ports}
    command = [compose, "-p", f"portico-test-{os.getpid()}", "-f", ROOT / "deploy" / "compose" / "compose.yaml"]
    try:
        run(*command, "up", "-d", **env)
        url = f"https://localhost:{ports['HTTPS_PORT']}/"
        fetch = ["curl", "-sSk", "--fail", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", url]
        assert run(*fetch).stdout != ""
        redirect = run("curl", "-sS", "-o", "/dev/null", "-w", "%{redirect_url}", f"http://localhost:{ports['HTTP_PORT']}/x")
        assert redirect.stdout == f"https://localhost:{ports['HTTPS_PORT']}/x"
    finally:
        run(*command, "down", "-v", check=False, **env)
