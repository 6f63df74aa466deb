"""Container engines as users have them: the image from the Dockerfile, docker-compose, and what the tests ask of both.

Everything here skips where no engine answers; .ci/run starts one."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from .client import connect_tls

ROOT = pathlib.Path(__file__).resolve().parents[3]
DEPLOY = ROOT / "deploy"


def run(*argv, timeout=600, check=True, cwd=None, stdin=None, **env):
    done = subprocess.run(
        [str(a) for a in argv], capture_output=True, text=True, timeout=timeout, check=False, cwd=cwd, input=stdin,
        env={**os.environ, **env},
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{argv}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done


def require_docker():
    if not shutil.which("docker") or run("docker", "info", check=False).returncode != 0:
        pytest.skip("no Docker engine answers; .ci/run starts one")


@functools.cache
def helper_image(kind):
    """Of .ci/image: base, nginx, pebble, kubectl."""
    require_docker()
    return run(ROOT / ".ci" / "image", kind).stdout.split()[-1]


def build(tag, *arguments):
    run("docker", "build", "--network", "host", "--build-arg", f"BASE={helper_image('base')}", *arguments, "-t", tag, ROOT, timeout=900)
    return tag


@functools.cache
def portico_image():
    require_docker()
    return build("portico")


def wait_until(what, true, timeout=60):
    """An engine has nothing to wait on: asked again and again."""
    deadline = time.monotonic() + timeout
    while True:
        value = true()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.1)


def answers(port, name, body, ca=None):
    """Whether a request is answered, with this in its body."""

    def ask():
        try:
            with connect_tls(("127.0.0.1", port), name, ca=ca) as client:
                return body in client.get(name, "/").body
        except (OSError, AssertionError):
            return False

    return ask


class Download:
    """A request that takes some seconds, in flight while something else happens. curl's word for its end."""

    def __init__(self, port, name, path, directory):
        self.file = pathlib.Path(directory) / "download"
        self.process = subprocess.Popen(
            ["curl", "-sSk", "--fail", "--http1.1", "--resolve", f"{name}:{port}:127.0.0.1", "-o", self.file, f"https://{name}:{port}{path}"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_until("the first bytes", lambda: self.file.exists() and self.file.stat().st_size > 0 or self.process.poll() is not None)
        assert self.running(), self.process.stderr.read()

    def running(self):
        return self.process.poll() is None

    def size(self):
        """When it has ended, as it must have, in order."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, errors
        return self.file.stat().st_size


SLOW_SIZE = 200_000


def slow_nginx(directory, conf):
    """A copy of a recipe's nginx.conf with one more path, /slow, that takes about four seconds; and its directory."""
    directory = pathlib.Path(directory)
    directory.mkdir(exist_ok=True)
    directory.chmod(0o755)
    (directory / "slow").write_bytes(b"x" * SLOW_SIZE)
    location = "location /slow { root /srv; limit_rate 50k; }\n        location / {"
    text, changes = re.subn(r"location / \{", location, pathlib.Path(conf).read_text())
    assert changes == 1, f"{conf} has no location /"
    (directory / "nginx.conf").write_text(text)
    return directory
