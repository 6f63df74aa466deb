"""The pod of deploy/kubernetes, run by podman as the manifests say: it serves, and it ends in Kubernetes' order of events
without losing a request. podman knows no native sidecars; their order is played by the test."""

import json
import os
import shutil

import pytest

from support.client import connect, connect_tls
from support.containers import SLOW_SIZE, Download, answers, helper_image, portico_image, run, slow_nginx, wait_until
from support.kubernetes import KUBERNETES, Pods, RunningPod, render
from support.ports import free_port

pytestmark = pytest.mark.container


@pytest.fixture(scope="module")
def pods(tmp_path_factory):
    if not shutil.which("podman"):
        pytest.skip("podman is not installed; deploy/install-deps --container installs it")
    nginx = helper_image("nginx")
    portico_image()
    made = Pods(tmp_path_factory.mktemp("podman"))
    done = made("info", check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine runs no podman: {done.stderr.strip()}")
    run("docker", "tag", nginx, "nginx:pod")
    for image in ("portico", "nginx:pod"):
        made.load(image)
    run("docker", "rmi", "nginx:pod")
    yield made
    made.close()


@pytest.fixture
def start(pods, tmp_path):
    """A pod from an overlay on one of the kustomizations, with an app that takes its time at /slow."""
    made = []

    def make(base, *extra, components=("classic-sidecar",), literals=()):
        tree = tmp_path / "kubernetes"
        shutil.copytree(KUBERNETES, tree)
        overlay = tree / "overlays" / "test"
        slow_nginx(overlay, KUBERNETES / "base" / "nginx.conf")
        conf = overlay / "nginx.conf"
        conf.write_text(conf.read_text().replace("root /srv", "root /etc/app"))
        lines = [
            f"resources: [../../{base}]",
            f"components: [{', '.join('../../components/' + c for c in components)}]",
            "images: [{name: nginx, newTag: pod}]",
            "generatorOptions: {disableNameSuffixHash: true}",
            "configMapGenerator:",
            "  - {name: app, behavior: merge, files: [nginx.conf, slow]}",
            *([f"  - {{name: portico, behavior: merge, literals: {json.dumps(literals)}}}"] if literals else []),
        ]
        (overlay / "kustomization.yaml").write_text("\n".join(lines) + "\n")
        objects = {**render(overlay, root=tree), **{(o["kind"], o["metadata"]["name"]): o for o in extra}}
        ports = {name: free_port() for name in ("http", "https", "admin")}
        volumes = tmp_path / "volumes"
        volumes.mkdir()
        for directory in (*tmp_path.parents[:-1], tmp_path, volumes):  # for the pod's user
            if directory.stat().st_uid == os.getuid() and not directory.stat().st_mode & 0o001:
                directory.chmod(directory.stat().st_mode | 0o011)
        made.append(RunningPod(pods, objects, ports, volumes))
        wait_until("the pod's start", lambda: admin(made[-1], "/startupz") == 200)
        return made[-1]

    yield make
    pods("pod", "rm", "-f", "-a", "-t", "0", check=False)
    pods("volume", "rm", "-f", "-a", check=False)


def admin(pod, path):
    """What a probe would see: from outside of the pod."""
    try:
        with connect(("127.0.0.1", pod.ports["admin"])) as client:
            return client.get("portico", path).status
    except (OSError, AssertionError):
        return None


def test_the_pod_serves_and_loses_nothing_as_a_classic_sidecar(start, tmp_path):
    pod = start("base")
    https = pod.ports["https"]
    wait_until("an answer", answers(https, "app.localhost", b"Hello from NGINX"))
    wait_until("readiness, which waits for the app", lambda: admin(pod, "/readyz") == 200)
    assert admin(pod, "/livez") == 200
    redirect = run("curl", "-sS", "-o", "/dev/null", "-w", "%{redirect_url}", "--resolve", f"app.localhost:{pod.ports['http']}:127.0.0.1", f"http://app.localhost:{pod.ports['http']}/x")  # fmt: skip
    assert redirect.stdout == "https://app.localhost/x"

    download = Download(https, "app.localhost", "/slow", tmp_path)
    ending = pod.end(sidecar_is_native=False)
    wait_until("the end of readiness", lambda: admin(pod, "/readyz") == 503)
    with connect_tls(("127.0.0.1", https), "app.localhost") as client:  # from a load balancer that has not heard of it yet
        reply = client.get("app.localhost", "/late")
    assert (reply.status, reply.get("connection")) == (200, "close")
    assert admin(pod, "/livez") == 200  # no reason to kill it
    assert download.size() == SLOW_SIZE
    for thread in ending:
        thread.join()
    assert pod.exit_code() == 0, pod.logs()
    assert 10 <= pod.ended["portico"] < pod.ended["app"] < 25


def test_the_pod_loses_nothing_as_a_native_sidecar(start, tmp_path):
    """TERM comes to the sidecar when the app has ended; the drain has begun with the preStop hook."""
    pod = start("base")
    https = pod.ports["https"]
    wait_until("an answer", answers(https, "app.localhost", b"Hello from NGINX"))
    download = Download(https, "app.localhost", "/slow", tmp_path)
    ending = pod.end(sidecar_is_native=True)
    wait_until("the end of readiness", lambda: admin(pod, "/readyz") == 503)
    assert answers(https, "app.localhost", b"Hello from NGINX")()
    assert download.size() == SLOW_SIZE
    for thread in ending:
        thread.join()
    assert pod.exit_code() == 0, pod.logs()
    assert pod.ended["portico"] - pod.ended["app"] < 5  # nobody waits for a drain that nobody needs


def secret(authority, stem):
    chain, key = (open(path).read() for path in authority.issue_files("shop.test", stem=stem))
    return {"tls.crt": chain, "tls.key": key}


def test_a_secret_holds_the_certificate_and_changes_it(start, authority):
    given = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "app-tls"}, "stringData": secret(authority, "first")}
    pod = start("overlays/secret", given)
    https = pod.ports["https"]
    wait_until("an answer", answers(https, "shop.test", b"Hello from NGINX", ca=authority.path))

    def shown():
        with connect_tls(("127.0.0.1", https), "shop.test") as client:
            return client.certificate()

    with connect_tls(("127.0.0.1", https), "shop.test", ca=authority.path) as client:
        first = client.certificate()
        pod.volumes["tls"].change(secret(authority, "second"))
        wait_until("the new certificate", lambda: shown() != first, timeout=90)
        assert client.get("shop.test", "/").status == 200  # on the connection of before
    assert answers(https, "shop.test", b"Hello from NGINX", ca=authority.path)()


def test_a_changed_configmap_applies_to_the_running_pod(start):
    pod = start("base")
    https = pod.ports["https"]
    wait_until("an answer", answers(https, "app.localhost", b"Hello from NGINX"))
    with connect_tls(("127.0.0.1", https), "app.localhost") as client:
        assert client.get("app.localhost", "/").status == 200
        settings = {"PORTICO_DOMAINS": "app.localhost,more.localhost", "PORTICO_ACME_DIRECTORY": "internal"}
        pod.volumes["config"].change(settings)
        wait_until("an answer for the new name", answers(https, "more.localhost", b"Hello from NGINX"), timeout=90)
        assert client.get("app.localhost", "/").status == 200  # on the connection of before


def test_low_ports_need_no_right(start):
    pod = start("base", components=("low-ports", "classic-sidecar"))
    assert pod.pod.environment()["PORTICO_HTTPS_LISTEN"] == ":443" and pod.pod.spec["securityContext"]["runAsUser"] != 0
    wait_until("an answer", answers(pod.ports["https"], "app.localhost", b"Hello from NGINX"))
