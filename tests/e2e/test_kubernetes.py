"""The manifests of deploy/kubernetes, rendered by kubectl and judged: fields that Kubernetes knows, Pod Security "restricted",
times that fit each other, storage that fits the CA, and settings that the program accepts."""

import itertools
import re
import shutil

import pytest

from support.kubernetes import KUBERNETES, SIDECAR, Pod, check, judge_restricted, missing, render, understood

pytestmark = pytest.mark.container

OVERLAYS = ["base", *sorted(str(p.relative_to(KUBERNETES)) for p in KUBERNETES.glob("overlays/*"))]
COMPONENTS = sorted((p.name for p in KUBERNETES.glob("components/*")), reverse=True)  # low-ports first, as it says
CHOICES = [c for n in range(len(COMPONENTS) + 1) for c in itertools.combinations(COMPONENTS, n)]
PUBLIC_CA = {None, "letsencrypt", "zerossl", "google"}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Every kustomization with every choice of components."""
    tree = tmp_path_factory.mktemp("manifests") / "kubernetes"
    shutil.copytree(KUBERNETES, tree)
    result = {}
    for number, (base, components) in enumerate(itertools.product(OVERLAYS, CHOICES)):
        overlay = tree / "overlays" / f"test-{number}"
        overlay.mkdir()
        listed = ", ".join(f"../../components/{c}" for c in components)
        (overlay / "kustomization.yaml").write_text(f"resources: [../../{base}]\ncomponents: [{listed}]\n")
        result[base, components] = render(overlay, root=tree)
    return result


@pytest.fixture(params=list(itertools.product(OVERLAYS, CHOICES)), ids=lambda p: "+".join((p[0], *p[1])).replace("overlays/", ""))
def objects(request, rendered):
    return rendered[request.param]


@pytest.fixture
def pod(objects):
    return Pod(objects["Deployment", "app"])


def test_kubernetes_knows_every_field(objects, tmp_path):
    kept = understood(objects["Deployment", "app"], tmp_path)
    assert missing(objects["Deployment", "app"], kept) == []
    assert missing({"spec": {"x": 1}}, kept) == [".spec.x"]


def test_pod_security_is_restricted(pod):
    judge_restricted(pod)


def test_the_sidecar_is_of_one_kind(objects, pod, request):
    classic = "classic-sidecar" in request.node.callspec.id
    native = [c for c in pod.spec.get("initContainers", [])]
    assert [c["name"] for c in native] == ([] if classic else [SIDECAR])
    assert all(c["restartPolicy"] == "Always" for c in native)
    assert ("restartPolicy" in pod.sidecar) != classic
    assert set(pod.containers) == {"app", SIDECAR}


def test_times_of_the_end_fit(pod):
    seconds = {k: int(re.fullmatch(r"(\d+)s", v).group(1)) for k, v in pod.environment().items() if "_DRAIN_" in k}
    least, most = seconds["PORTICO_DRAIN_MIN"], seconds["PORTICO_DRAIN_TIMEOUT"]
    grace = pod.spec["terminationGracePeriodSeconds"]
    assert pod.sidecar["lifecycle"]["preStop"]["exec"]["command"] == ["/usr/bin/portico", "drain"]
    command, sleep = pod.containers["app"]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert least < most * 3 / 4 < int(sleep) < grace  # the app takes requests for as long as Portico does
    assert grace - most >= 10 and grace - int(sleep) >= 10  # and everybody has time to end


def test_ports_lead_to_where_it_listens(objects, pod, request):
    environment = pod.environment()
    ports = {p["name"]: p["containerPort"] for p in pod.sidecar["ports"]}
    assert {n: environment[f"PORTICO_{n.upper()}_LISTEN"] for n in ports} == {n: f":{p}" for n, p in ports.items()}
    assert {p["port"]: p["targetPort"] for p in objects["Service", "app"]["spec"]["ports"]} == {80: "http", 443: "https"}
    low = "sysctls" in pod.spec["securityContext"]
    assert low == ("low-ports" in request.node.callspec.id) == (ports["https"] < 1024)
    probes = {n: pod.sidecar[n + "Probe"]["httpGet"] for n in ("startup", "liveness", "readiness")}
    assert {n: p["path"] for n, p in probes.items()} == {"startup": "/startupz", "liveness": "/livez", "readiness": "/readyz"}
    assert {p["port"] for p in probes.values()} == {"admin"}


def test_storage_fits_the_ca(objects, pod):
    deployment = pod.deployment["spec"]
    settings = {**pod.environment(), **objects["ConfigMap", "portico"]["data"]}
    storage = pod.mounted("/var/lib/portico")
    asks_public = "PORTICO_DOMAINS" in settings and settings.get("PORTICO_ACME_DIRECTORY") in PUBLIC_CA
    assert asks_public == ("persistentVolumeClaim" in storage)
    if asks_public:
        assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
        claim = objects["PersistentVolumeClaim", storage["persistentVolumeClaim"]["claimName"]]
        assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    if deployment["replicas"] > 1:
        directory, file = settings["PORTICO_TLS_CERT_FILE"].rsplit("/", 1)
        assert (file, settings["PORTICO_TLS_KEY_FILE"]) == ("tls.crt", directory + "/tls.key")
        assert pod.mounted(directory)["secret"] == {"secretName": "app-tls", "defaultMode": 0o440}


def test_volumes_can_change(pod):
    """A subPath is never brought up to date; and what is mounted is there."""
    volumes = {v["name"] for v in pod.spec["volumes"]}
    for container in pod.containers.values():
        for mount in container["volumeMounts"]:
            assert "subPath" not in mount and mount["name"] in volumes
    assert pod.mounted(pod.environment()["PORTICO_ENV_DIR"])["configMap"] == {"name": "portico"}


@pytest.mark.parametrize("base", OVERLAYS)
def test_the_program_accepts_the_settings(rendered, base, tmp_path, authority):
    objects = rendered[base, ()]
    check(Pod(objects["Deployment", "app"]), objects["ConfigMap", "portico"]["data"], tmp_path, authority)
