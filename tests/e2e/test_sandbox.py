"""PORTICO_SANDBOX: what the process has given up, and that it works all the same (it is on in every other test)."""

import ctypes
import os
import pathlib
import signal

import pytest

from support.portico import run_command


def landlock_abi():
    """Of this kernel; 0 without it."""
    version = ctypes.CDLL(None, use_errno=True).syscall(444, None, ctypes.c_size_t(0), 1)
    return max(version, 0)


@pytest.fixture
def landlock():
    if landlock_abi() < 2:
        pytest.skip("this kernel has no Landlock")


def seccomp_of(pid):
    """The mode of each thread: 2 is a filter."""
    result = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        result[fields["Name"]] = (fields["Seccomp"], fields["NoNewPrivs"])
    return result


def test_every_thread_is_filtered(launch, backends):
    portico = launch(backends())
    assert portico.get("a.test").status == 200
    threads = seccomp_of(portico.pid)
    assert len(threads) > 3 and set(threads.values()) == {("2", "1")}, threads
    assert portico.find_events("sandbox")[0]["seccomp"] == "on"


def test_off_is_off(launch, backends):
    portico = launch(backends(), SANDBOX="off")
    assert set(seccomp_of(portico.pid).values()) == set(seccomp_of(os.getpid()).values())  # a container has its own
    event = portico.find_events("sandbox")[0]
    assert "PORTICO_SANDBOX is off" in event["landlock"] and "PORTICO_SANDBOX is off" in event["seccomp"]


def test_what_holds_is_said_at_the_start(launch, backends):
    said = launch(backends()).find_events("sandbox")[0]["landlock"]
    assert said == f"abi {landlock_abi()}" if landlock_abi() >= 2 else said.startswith("off: ")


def test_check_says_what_the_kernel_offers(binary):
    code, out, _ = run_command(binary, "check", DOMAINS="a.test")
    assert code == 0
    assert (f"Landlock (ABI {landlock_abi()})" if landlock_abi() >= 2 else "Landlock") in out and "seccomp" in out
    _, out, _ = run_command(binary, "check", DOMAINS="a.test", SANDBOX="off")
    assert "Sandbox: off" in out


def test_a_reload_beyond_the_granted_directories_is_refused_and_says_so(landlock, launch, backends, tmp_path):
    """The certificate moves to a directory that nobody named at the start; a restart takes it."""
    env, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
    env.mkdir()
    elsewhere.mkdir()
    own = launch.own_certificate("a.test")
    for name, path in own.items():
        (env / f"PORTICO_{name}").write_text(str(path))
    variables = {"DOMAINS": "a.test", "ENV_DIR": env}
    portico = launch(backends(), **variables)
    for name, path in own.items():
        there = elsewhere / os.path.basename(path)
        there.write_bytes(pathlib.Path(path).read_bytes())
        (env / f"PORTICO_{name}").write_text(str(there))
    portico.signal(signal.SIGHUP)
    refused = portico.wait_event("reload_refused", variable="PORTICO_TLS_CERT_FILE")
    assert "PORTICO_SANDBOX" in refused["reason"]
    assert portico.get("a.test").status == 200
    assert portico.terminate() == 0
    assert launch(backends(), **variables).get("a.test").status == 200


def test_a_storage_that_cannot_be_made_costs_landlock_alone(launch, backends, tmp_path):
    (tmp_path / "file").write_text("")
    portico = launch(backends(), STORAGE=tmp_path / "file" / "storage")
    event = portico.find_events("sandbox")[0]
    assert event["landlock"].startswith("off: ") and event["seccomp"] == "on"
    assert portico.get("a.test").status == 200
