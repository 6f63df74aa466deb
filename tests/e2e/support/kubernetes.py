"""The manifests under deploy/: rendered by kubectl, read as data, and run by podman, which knows a good part of what a
kubelet does. What podman lacks, the ending of a pod above all, is played here as Kubernetes describes it."""

import contextlib
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import threading
import time

import pytest

from .containers import DEPLOY, helper_image, portico_image, run

KUBERNETES = DEPLOY / "kubernetes"
SIDECAR = "portico"


def yaml():
    return pytest.importorskip("yaml", reason="python3-yaml is not installed; deploy/install-deps --container installs it")


@functools.cache
def _own_kubectl():
    """The machine's, where it is new enough for native sidecars."""
    if not shutil.which("kubectl"):
        return False
    said = run("kubectl", "version", "--client", check=False).stdout
    version = re.search(r"Client Version: v1\.(\d+)", said)
    return bool(version) and int(version.group(1)) >= 29


def kubectl(*arguments, directory, check=True, stdin=None):
    """With a directory that it may read. No cluster is asked, ever."""
    if _own_kubectl():
        return run("kubectl", *arguments, check=check, stdin=stdin, KUBECONFIG="/dev/null")
    box = ["docker", "run", "-i", "--rm", "--network", "none", "-v", f"{directory}:{directory}:ro", helper_image("kubectl")]
    return run(*box, "kubectl", *arguments, check=check, stdin=stdin)


def render(directory, root=KUBERNETES):
    """The objects of a kustomization, by kind and name."""
    text = kubectl("kustomize", directory, directory=root).stdout
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml().safe_load_all(text)}


class Pod:
    """A pod template, with what Kubernetes says of it."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.spec = deployment["spec"]["template"]["spec"]

    @property
    def containers(self):
        return {c["name"]: c for c in self.spec.get("initContainers", []) + self.spec["containers"]}

    @property
    def sidecar(self):
        return self.containers[SIDECAR]

    def environment(self):
        return {e["name"]: e["value"] for e in self.sidecar.get("env", [])}

    def volume(self, name):
        return next(v for v in self.spec["volumes"] if v["name"] == name)

    def mounted(self, path):
        """The volume behind a directory of the sidecar."""
        return self.volume(next(m["name"] for m in self.sidecar["volumeMounts"] if m["mountPath"] == path))


# --- judges ---


def understood(given, directory):
    """An object with a pod template, as kubectl read it into its own types: fields that these do not have are gone."""
    done = kubectl("set", "env", "--local", "-f", "-", "ADDED=1", "-o", "json", directory=directory, stdin=json.dumps(given))
    return json.loads(done.stdout)


def missing(given, kept, path=""):
    """What a reader that drops unknown fields has dropped."""
    if isinstance(given, dict):
        return [m for k, v in given.items() for m in (missing(v, kept[k], f"{path}.{k}") if k in (kept or {}) else [f"{path}.{k}"])]
    if isinstance(given, list):
        return [m for i, v in enumerate(given) for m in missing(v, kept[i], f"{path}[{i}]")]
    return []


def judge_restricted(pod):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/, level restricted, and a little more."""
    spec = pod.spec
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] != 0
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert {s["name"] for s in spec["securityContext"].get("sysctls", [])} <= {"net.ipv4.ip_unprivileged_port_start"}
    kinds = {k for v in spec["volumes"] for k in v if k != "name"}
    assert kinds <= {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}
    for container in pod.containers.values():
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        assert not {"privileged", "procMount", "runAsUser"} & set(own)
        assert not any("hostPort" in p for p in container.get("ports", []))
    assert spec["enableServiceLinks"] is False and spec["automountServiceAccountToken"] is False


def check(pod, settings, directory, authority):
    """`portico check` of a pod's environment, its ConfigMap and a Secret with some certificate."""
    config, secret = directory / "config", directory / "secret"
    for path in (config, secret):
        path.mkdir()
    for name, value in settings.items():
        (config / name).write_text(value)
    for name, source in zip(("tls.crt", "tls.key"), authority.issue_files("shop.test", stem="manifests")):
        (secret / name).write_text(pathlib.Path(source).read_text())
        (secret / name).chmod(0o644)
    volumes = ["-v", f"{config}:/etc/portico:ro", "-v", f"{secret}:/etc/portico-tls:ro"]
    environment = [a for k, v in pod.environment().items() for a in ("-e", f"{k}={v}")]
    done = run("docker", "run", "--rm", *volumes, *environment, portico_image(), "check", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- podman ---


class Pods:
    """podman with configuration and storage of its own."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        files, processes = (min(resource.getrlimit(which)[1], most) for which, most in
                            ((resource.RLIMIT_NOFILE, 20000), (resource.RLIMIT_NPROC, 30000)))  # fmt: skip
        # podman's own default asks for more than a container without CAP_SYS_RESOURCE may give
        self.ulimits = f'"nofile={files}:{files}", "nproc={processes}:{processes}"'
        storage = self.directory / "storage.conf"
        storage.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{directory}/run"\ngraphroot = "{directory}/data"\n')
        self.env = {"CONTAINERS_CONF": str(self.directory / "containers.conf"), "CONTAINERS_STORAGE_CONF": str(storage)}
        self.configure()

    def configure(self, sysctls=()):
        """sysctls: a pod's own, which podman 4.3 does not read from the manifest."""
        settings = ", ".join(f'"{s["name"]}={s["value"]}"' for s in sysctls)
        (self.directory / "containers.conf").write_text(
            f"[containers]\ndefault_ulimits = [{self.ulimits}]\ndefault_sysctls = [{settings}]\n"
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        )

    def __call__(self, *arguments, check=True, stdin=None):
        return run("podman", *arguments, check=check, stdin=stdin, **self.env)

    def load(self, image):
        """From the other engine. The archive, and not the other's own, because it has no history to disagree about."""
        archive = subprocess.run([DEPLOY / "image-archive", image], capture_output=True, check=True)
        subprocess.run(["podman", "load", "-q"], input=archive.stdout, capture_output=True, check=True, env={**os.environ, **self.env})

    def close(self):
        for what in (("pod", "rm", "-f", "-a", "-t", "0"), ("volume", "rm", "-f", "-a"), ("rmi", "-f", "-a")):
            self(*what, check=False)
        with contextlib.suppress(OSError):
            shutil.rmtree(self.directory / "data")


class Projected:
    """A ConfigMap or a Secret as a kubelet puts it into a volume: keys are links through ..data, which a rename swaps."""

    def __init__(self, directory, data, group, mode):
        self.directory, self.group, self.mode = pathlib.Path(directory), group, mode
        self.directory.mkdir()
        self.directory.chmod(0o755)
        self.version = 0
        self.change(data)

    def change(self, data):
        self.version += 1
        version = self.directory / f"..{self.version}"
        version.mkdir()
        version.chmod(0o755)
        for name, text in data.items():
            file = version / name
            file.write_text(text)
            file.chmod(self.mode)
            os.chown(file, 0, self.group)
        link = self.directory / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.directory / "..data")
        for name in data:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        for key in self.directory.iterdir():
            if not key.name.startswith("..") and key.name not in data:
                key.unlink()


def playable(deployment, ports, volumes):
    """The pod as podman 4.3 takes it. What podman does not know, the test does, or it has no meaning on one machine."""
    template = json.loads(json.dumps(deployment["spec"]["template"]))
    spec = template["spec"]
    assert "initContainers" not in spec, "podman waits for the end of init containers, sidecar or not"
    spec["restartPolicy"] = "Never"  # it shall not start again what ends before the pod does; a kubelet does not either
    for container in spec["containers"]:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):  # these need systemd, and curl in the image
            container.pop(probe, None)
        container["image"] = "localhost/" + (container["image"] if ":" in container["image"] else container["image"] + ":latest")
        for port in container.get("ports", []):
            port["hostPort"] = ports[port["name"]]
    for volume in spec["volumes"]:
        if volume["name"] in volumes:  # podman's own are plain files, which never change
            volume.pop("configMap", volume.pop("secret", None))
            volume["hostPath"] = {"path": str(volumes[volume["name"]].directory), "type": "Directory"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": deployment["metadata"]["name"]}, "spec": spec}


class RunningPod:
    """A pod that podman runs, and its ending in the order of a kubelet."""

    def __init__(self, pods, objects, ports, directory):
        self.pods, self.ports = pods, ports
        self.pod = Pod(next(o for (kind, _), o in objects.items() if kind == "Deployment"))
        self.name = self.pod.deployment["metadata"]["name"]
        self.ended = {}  # container: seconds after the end was asked for
        pods.configure(self.pod.spec["securityContext"].get("sysctls", ()))
        self.volumes = {v["name"]: self._project(v, objects, directory) for v in self.pod.spec["volumes"] if {"configMap", "secret"} & set(v)}
        manifest = yaml().safe_dump(playable(self.pod.deployment, ports, self.volumes))
        done = pods("play", "kube", "-", stdin=manifest, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{manifest}"

    def _project(self, volume, objects, directory):
        given = volume.get("configMap") or volume["secret"]
        data = objects["ConfigMap", given["name"]]["data"] if "configMap" in volume else objects["Secret", given["secretName"]]["stringData"]
        return Projected(directory / volume["name"], data, self.pod.spec["securityContext"]["fsGroup"], given.get("defaultMode", 0o644))

    def container(self, name):
        return f"{self.name}-{name}"

    def logs(self, name=SIDECAR):
        done = self.pods("logs", self.container(name), check=False)
        return done.stdout + done.stderr

    def exit_code(self, name=SIDECAR):
        return int(self.pods("inspect", self.container(name), "--format", "{{.State.ExitCode}}").stdout)

    def running(self, name):
        return self.pods("inspect", self.container(name), "--format", "{{.State.Running}}").stdout.strip() == "true"

    def end(self, sidecar_is_native):
        """As the kubelet ends a pod: every preStop hook at once; TERM to each container after its own hook, but to a native
        sidecar after all others have ended; KILL when the grace period, hooks included, is over."""
        grace = self.pod.spec["terminationGracePeriodSeconds"]
        started = time.monotonic()
        apps_gone = threading.Barrier(len(self.pod.containers))

        def end_one(name, container):
            hook = container.get("lifecycle", {}).get("preStop")
            if hook:  # one that fails is an event in the log, no more
                self.pods("exec", self.container(name), *hook["exec"]["command"], check=False)
            if name == SIDECAR and sidecar_is_native:
                apps_gone.wait()
            left = max(1, round(grace - (time.monotonic() - started)))
            self.pods("stop", "-t", left, self.container(name), check=False)
            self.ended[name] = time.monotonic() - started
            if name != SIDECAR and sidecar_is_native:
                apps_gone.wait()

        threads = [threading.Thread(target=end_one, args=item) for item in self.pod.containers.items()]
        for thread in threads:
            thread.start()
        return threads
