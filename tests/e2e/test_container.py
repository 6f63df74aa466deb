"""The image as users get it: built by the Dockerfile, run without rights on a read-only file system. It resolves a name,
verifies a CA's server, gets a certificate and serves with it. It is the same from the same sources, and says what is inside."""

import hashlib
import io
import json
import pathlib
import re
import subprocess
import tarfile
import time

import pytest

from support.client import connect_tls
from support.containers import DEPLOY, ROOT, build, portico_image, run
from support.ports import free_port

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def image():
    return portico_image()


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
    assert size < 12_500_000
    stated = re.findall(r"(?:root certificates: |all of it \| )([0-9.]+)", (ROOT / "README.md").read_text() + (DEPLOY / "README.md").read_text())
    assert len(stated) == 2 and all(abs(float(figure) - size / 1e6) < 0.5 for figure in stated)
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


def test_compiled_again_it_is_the_same(image):
    """Elsewhere and later: a compilation that the engine has not kept, in another container."""
    again = build("portico-test-again", "--build-arg", f"COMPILE_AGAIN={time.time()}")
    archives = []
    for name in (image, again):
        done = subprocess.run([DEPLOY / "image-archive", name], capture_output=True, check=True)
        archives.append((done.stdout, done.stderr))
    run("docker", "rmi", again)
    assert archives[0][1].startswith(b"sha256:")
    assert archives[0][1] == archives[1][1]


def test_the_archive_is_the_image(image):
    """It carries the computed digest, loads under it, and runs as the built one does."""
    archive = subprocess.run([DEPLOY / "image-archive", image], capture_output=True, check=True)
    assert archive.stdout == subprocess.run([DEPLOY / "image-archive", image], capture_output=True, check=True).stdout
    built = json.loads(run("docker", "image", "inspect", image).stdout)[0]
    subprocess.run(["docker", "load", "-q"], input=archive.stdout, capture_output=True, check=True)
    loaded = json.loads(run("docker", "image", "inspect", image).stdout)[0]
    assert loaded["Id"] == archive.stderr.decode().strip()
    assert loaded["RootFS"] == built["RootFS"]
    for key in ("User", "ExposedPorts", "Entrypoint", "Volumes", "Healthcheck", "Labels"):
        assert loaded["Config"][key] == built["Config"][key]


@pytest.fixture(scope="module")
def files(image):
    """The image's file system, as the engine exports it."""
    container = run("docker", "create", image).stdout.strip()
    data = subprocess.run(["docker", "export", container], capture_output=True, check=True).stdout
    run("docker", "rm", container)
    return tarfile.open(fileobj=io.BytesIO(data))


def test_it_holds_no_more_than_the_program_needs(files):
    """One program; nothing set-uid, nothing that others may write."""
    engines = ("dev", "proc", "sys", ".dockerenv", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab")
    ours = [f for f in files.getmembers() if not f.name.startswith(engines)]
    programs = {f.name for f in ours if f.isfile() and f.mode & 0o111}
    assert {p for p in programs if "/ld-linux" not in p} == {"usr/bin/portico"}
    assert [f.name for f in ours if f.mode & 0o6000 or f.mode & 0o002 and not f.issym()] == []


def test_it_says_what_is_inside(image, files):
    """SPDX, for those who look for a vulnerable version: every library that the build asks for, and BoringSSL."""
    bill = json.load(files.extractfile("usr/share/doc/portico/sbom.spdx.json"))
    assert bill["spdxVersion"] == "SPDX-2.3"
    packages = {p["name"]: p for p in bill["packages"]}
    binary = hashlib.sha256(files.extractfile("usr/bin/portico").read()).hexdigest()
    assert packages["portico"]["checksums"] == [{"algorithm": "SHA256", "checksumValue": binary}]
    declared = re.search(r"^build_packages=\(([^)]*)\)", (DEPLOY / "install-deps").read_text(), re.M).group(1).split()
    libraries = {p for p in declared if re.fullmatch(r"z?lib.*-dev", p)} - {"libc6-dev", "libcrypt-dev"}
    shared = {"libidn2-dev", "libpsl-dev"}  # their licence asks for it; they are carried under the names of what they are
    libraries -= shared
    assert len(libraries) >= 8
    carried = {re.sub(r"[0-9].*", "", p) for p in set(packages) - libraries}
    assert carried == {"libc", "libcrypt", "libidn", "libunistring", "libpsl", "ca-certificates", "BoringSSL", "portico"}
    said = run("docker", "run", "--rm", image, "version").stdout
    assert f"BoringSSL {packages['BoringSSL']['versionInfo']}" in said
    assert f"libuv {packages['libuv1-dev']['versionInfo'].split('-')[0]}" in said
    ids = {p["SPDXID"] for p in bill["packages"]}
    related = {r["relatedSpdxElement"] for r in bill["relationships"]}
    assert related == ids  # nothing is listed that is not said how it got in
    notices = files.extractfile("usr/share/doc/portico/NOTICES").read().decode()
    assert all(f"==== {name} ====" in notices for name in libraries)
