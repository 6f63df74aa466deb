"""The chart of deploy/helm. Helm is in no Debian: its templates are rendered by kubectl's printer, which is the same template
engine, and the values judged by the chart's schema as Helm judges them. Helm itself has not run here."""

import copy
import json

import pytest

from support.containers import DEPLOY
from support.kubernetes import Pod, check, judge_restricted, kubectl, missing, understood, yaml

pytestmark = pytest.mark.container

CHART = DEPLOY / "helm" / "portico"
CASES = {
    "public": {"names": ["a.example.com", "b.example.com -> http://b:80"], "acme": {"acceptTerms": True, "email": "a@example.com"}, "storage": {"size": "100Mi", "className": "fast"}},
    "staging": {"names": ["a.example.com"], "acme": {"directory": "letsencrypt-staging", "acceptTerms": True}},
    "secret": {"certificateSecret": "app-tls", "replicas": 3, "settings": {"PORTICO_HSTS": "1y; includeSubDomains"}, "service": {"type": "ClusterIP"}},
}  # fmt: skip


def merged(base, over):
    result = copy.deepcopy(base)
    for key, value in over.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


def values(over):
    return merged(yaml().safe_load((CHART / "values.yaml").read_text()), over)


def refused(over):
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed; deploy/install-deps --container installs it")
    schema = json.loads((CHART / "values.schema.json").read_text())
    return [e.message for e in jsonschema.Draft7Validator(schema).iter_errors(values(over))]


def template(name, over, directory):
    given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "Release": {"Name": "gate"}, "Values": values(over)}
    (directory / "template").write_text((CHART / "templates" / name).read_text())
    printer = f"go-template-file={directory}/template"
    return kubectl("label", "--local", "--dry-run=client", "-f", "-", "x=y", "-o", printer, directory=directory, stdin=json.dumps(given)).stdout


@pytest.fixture(params=CASES)
def case(request):
    return request.param, CASES[request.param]


@pytest.fixture
def objects(case, tmp_path):
    directory = tmp_path / "chart"
    directory.mkdir()
    return {o["kind"]: o for o in yaml().safe_load_all(template("portico.yaml", case[1], directory))}


def test_the_schema_takes_sound_values_only(case):
    assert refused(case[1]) == []
    assert refused({})  # nobody said which names
    assert refused({"names": ["a.example.com"]})  # a public CA without storage
    assert refused({**CASES["public"], "replicas": 2})  # two writers
    assert refused(merged(CASES["staging"], {"settings": {"HSTS": "1y"}}))  # no name of Portico's
    assert refused({**CASES["staging"], "name": ["a.example.com"]})  # a slip of the pen


def test_the_pod_is_as_restricted_as_the_sidecar_s(objects, tmp_path):
    deployment = objects["Deployment"]
    judge_restricted(Pod(deployment))
    assert missing(deployment, understood(deployment, tmp_path)) == []


def test_storage_and_replicas_follow_from_the_certificate_s_source(case, objects):
    pod, spec = Pod(objects["Deployment"]), objects["Deployment"]["spec"]
    storage = next(k for k in pod.mounted("/var/lib/portico") if k != "name")
    shape = (spec["replicas"], spec["strategy"]["type"], storage, "PersistentVolumeClaim" in objects)
    assert shape == {
        "public": (1, "Recreate", "persistentVolumeClaim", True),
        "staging": (1, "Recreate", "emptyDir", False),
        "secret": (3, "RollingUpdate", "emptyDir", False),
    }[case[0]]
    if case[0] == "secret":
        assert pod.mounted("/etc/portico-tls")["secret"]["secretName"] == "app-tls"


def test_the_service_leads_to_the_pod(objects):
    ports = {p["name"]: p["containerPort"] for p in Pod(objects["Deployment"]).sidecar["ports"]}
    assert {p["port"]: ports[p["targetPort"]] for p in objects["Service"]["spec"]["ports"]} == {80: 8080, 443: 8443}
    assert objects["Service"]["spec"]["selector"].items() <= objects["Deployment"]["spec"]["template"]["metadata"]["labels"].items()


def test_the_program_accepts_the_settings(case, objects, tmp_path, authority):
    said = check(Pod(objects["Deployment"]), objects["ConfigMap"]["data"], tmp_path, authority)
    assert {"public": "a@example.com", "staging": "letsencrypt-staging", "secret": "includeSubDomains"}[case[0]] in said


def test_the_notes_render(case, tmp_path):
    assert "kubectl get service gate" in template("NOTES.txt", case[1], tmp_path)
