"""deploy/README.md: every block of commands is run as written, or checked in the way that the mark above it names."""

import os
import re
import shlex

import pytest

from support.containers import DEPLOY, ROOT, helper_image, portico_image, run
from support.kubernetes import missing, render, understood, yaml
from support.ports import free_port
from test_kubernetes_helm import refused, template

pytestmark = pytest.mark.container

TEXT = (DEPLOY / "README.md").read_text()
BLOCKS = re.findall(r"^(?:<!-- check: (.*?) -->\n)?```(\w*)\n(.*?)^```$", TEXT, re.M | re.S)
WAYS = {"run", "render", "helm", "elsewhere", "portico"}


def blocks(way):
    found = [(mark.split()[1:], body) for mark, _, body in BLOCKS if mark and mark.split()[0] == way]
    assert found, f"no block is marked {way}"
    return [pytest.param(*f, id=f[1].split("\n")[0][:40].strip()) for f in found]


def test_every_block_is_checked():
    assert len(BLOCKS) == TEXT.count("\n```") / 2
    assert {mark.split()[0] if mark else None for mark, _, _ in BLOCKS} == WAYS


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert links and [link for link in links if not (DEPLOY / link).exists()] == []
    anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.*)$", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors


def test_the_compose_snippet_of_the_front_page_is_sound():
    snippet = re.search(r"```yaml\n(services:.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    services = yaml().safe_load(run("docker-compose", "-f", "-", "config", stdin=snippet).stdout)["services"]
    assert set(services["portico"]["depends_on"]) == {"app"} and services["portico"]["cap_drop"] == ["ALL"]


def test_the_pod_of_the_front_page_is_sound(tmp_path):
    pod = yaml().safe_load(re.search(r"```yaml\n(apiVersion:.*?)```", (ROOT / "README.md").read_text(), re.S).group(1))
    assert missing(pod, understood(pod, tmp_path)) == []
    (sidecar,) = pod["spec"]["initContainers"]
    assert sidecar["restartPolicy"] == "Always" and sidecar["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {m["name"] for m in sidecar["volumeMounts"]} == {v["name"] for v in pod["spec"]["volumes"]}


@pytest.fixture
def shims(tmp_path):
    """`docker` and `portico` as the recipes call them, on a machine that may have no registry and older tools."""
    directory = tmp_path / "bin"
    directory.mkdir()
    base = helper_image("base")
    (directory / "docker").write_text(
        "#!/bin/sh\nPATH=${PATH#*:}\ncase $1 in\n"
        f'build) shift; exec docker build --network host --build-arg BASE={base} "$@" ;;\n'
        f'compose) shift; exec docker-compose -p portico-recipe-{os.getpid()} "$@" ;;\n'
        'esac\nexec docker "$@"\n'
    )
    for shim in directory.iterdir():
        shim.chmod(0o755)
    return directory


def shell(script, directory, cwd, **env):
    return run("bash", "-euc", script, cwd=cwd, PATH=f"{directory}:{os.environ['PATH']}", **env)


@pytest.mark.parametrize("_, body", blocks("run"))
def test_it_runs(shims, tmp_path, _, body):
    portico_image()
    for name in ("deploy", ".dockerignore", "Dockerfile", "CMakeLists.txt", "LICENSE", "acme", "cmake", "proxy"):
        (tmp_path / name).symlink_to(ROOT / name)  # what the commands write does not fall into the sources
    body = body.replace("docker build -t portico .", f"docker build -t portico {shlex.quote(str(ROOT))}")
    ports = {"HTTP_PORT": str(free_port()), "HTTPS_PORT": str(free_port()), "NGINX_IMAGE": helper_image("nginx")}
    shell(body, shims, tmp_path, BASE=helper_image("base"), **ports)


@pytest.mark.parametrize("_, body", blocks("render"))
def test_it_renders(_, body):
    for line in body.splitlines():
        command = shlex.split(line, comments=True)
        assert command[:3] == ["kubectl", "apply", "-k"]
        assert ("Deployment", "app") in render(ROOT / command[3])


@pytest.mark.parametrize("_, body", blocks("helm"))
def test_the_values_are_sound(_, body, tmp_path):
    for line in body.splitlines():
        command = shlex.split(line)
        assert command[:2] == ["helm", "install"] and (ROOT / command[3] / "Chart.yaml").exists()
        over = {}
        for assignment in (command[i + 1] for i, word in enumerate(command) if word == "--set"):
            path, value = assignment.split("=", 1)
            *groups, leaf = path.split(".")
            place = over
            for group in groups:
                place = place.setdefault(group, {})
            place[leaf] = value[1:-1].split(",") if value[:1] == "{" else {"true": True}.get(value, int(value) if value.isdigit() else value)
        assert refused(over) == []
        assert "kind: Deployment" in template("portico.yaml", over, tmp_path)


@pytest.mark.parametrize("place, body", blocks("elsewhere"))
def test_it_is_run_elsewhere(place, body):
    file, words = place[0], " ".join(place[1:])
    assert words in body and words in (ROOT / file).read_text()
    assert all((ROOT / p).exists() for p in re.findall(r"deploy/[\w-]+", body))


@pytest.mark.parametrize("_, body", blocks("portico"))
def test_it_is_a_sound_configuration(_, body, binary, tmp_path):
    (tmp_path / "portico").symlink_to(binary)
    assert "app.example.com" in shell(body, tmp_path, tmp_path).stdout
