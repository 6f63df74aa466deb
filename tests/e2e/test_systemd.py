"""Under systemd: it is told what happens (sd_notify), its sockets are used, and its unit files are in order."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from support.client import Client, connect, connect_tls, tls_context
from support.manager import Manager, Passing
from support.trace import frozen_thread

UNITS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "systemd"


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@portico-test-{os.getpid()}")
    yield made
    made.close()


# --- what it is told ---


def test_ready_when_connections_are_answered(launch, backends, manager):
    portico = launch(backends(), wait=False, wrapper=manager.wrapper())
    message = manager.wait("READY")
    assert message["READY"] == "1" and "2 workers" in message["STATUS"]
    assert portico.get("a.test").status == 200


def test_stopping_with_the_time_that_it_takes(launch, backends, manager):
    portico = launch(backends(), wrapper=manager.wrapper(), DRAIN_TIMEOUT="90s")
    manager.wait("READY")
    portico.signal(signal.SIGTERM)
    message = manager.wait("STOPPING")
    assert int(message["EXTEND_TIMEOUT_USEC"]) > 90_000_000  # or TimeoutStopSec would cut the drain
    assert portico.wait_exit() == 0


def test_stopping_at_once(launch, backends, manager):
    portico = launch(backends(), wrapper=manager.wrapper())
    manager.wait("READY")
    portico.signal(signal.SIGQUIT)
    manager.wait("STOPPING")


def test_reloading_and_ready_again(launch, backends, manager):
    portico = launch(backends(), wrapper=manager.wrapper())
    manager.wait("READY")
    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    portico.signal(signal.SIGHUP)
    message = manager.wait("RELOADING")
    assert before <= int(message["MONOTONIC_USEC"]) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)
    assert manager.wait("READY")["READY"] == "1"


def test_not_ready_without_its_address(launch, backends, manager):
    first = launch(backends())
    host, port = first.https
    second = launch(wait=False, codes=(1,), wrapper=manager.wrapper(), HTTPS_LISTEN=f"{host}:{port}")
    assert second.wait_exit() == 1
    assert manager.heard_nothing("READY", 0.2)


def test_the_watchdog_hears_of_it_at_half_its_time(launch, backends, manager):
    launch(backends(), wrapper=manager.wrapper(watchdog_s=0.5))
    manager.wait("READY")
    began = time.monotonic()
    for _ in range(8):
        manager.wait("WATCHDOG", timeout=5)
    assert 1.2 < time.monotonic() - began < 8


def test_the_watchdog_hears_nothing_while_a_worker_hangs(launch, backends, manager):
    """Ten seconds without a turn are what /livez calls dead, too."""
    portico = launch(backends(), wrapper=manager.wrapper(watchdog_s=1), WORKERS=2)
    manager.wait("READY")
    manager.wait("WATCHDOG")
    with frozen_thread(portico.pid, portico.worker_threads()[0]):
        portico.wait_until(lambda: portico.ask_admin("/livez").status == 503, "a dead worker noticed")
        while not manager.heard_nothing("WATCHDOG", 1.6):
            pass
    manager.wait("WATCHDOG")


def test_a_manager_that_cannot_be_told_is_said(launch, backends):
    portico = launch(backends(), wrapper=["env", "NOTIFY_SOCKET=relative"])
    assert "NOTIFY_SOCKET" in portico.wait_event("notify_failed")["error"]


# --- sockets that are passed ---


def listening(family=socket.AF_INET, address=("127.0.0.1", 0), reuse_port=False):
    made = socket.socket(family)
    if reuse_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(address)
    made.listen(64)
    return made


def get(sock, secure=True):
    name = sock.getsockname()
    with (connect_tls(name, "a.test") if secure else connect(name)) as client:
        return client.get("a.test").status


def test_named_sockets_are_used(launch, backends):
    with listening() as https, listening() as http:
        portico = launch(
            backends(),
            wrapper=Passing(("web-plain", http), ("web", https)),
            HTTPS_LISTEN="systemd:web",
            HTTP_LISTEN="systemd:web-plain",
        )
        assert portico.https == https.getsockname()
        assert get(https) == 200
        assert get(http, secure=False) == 308


def test_one_socket_is_accepted_from_by_every_worker(launch, backends):
    """Each worker is frozen in turn: the others go on serving the one queue."""
    with listening() as https:
        portico = launch(backends(), wrapper=Passing(("web", https)), HTTPS_LISTEN="systemd:web", WORKERS=3)
        workers = portico.worker_threads()
        for alone in workers:
            others = [worker for worker in workers if worker != alone]
            with frozen_thread(portico.pid, others[0]), frozen_thread(portico.pid, others[1]):
                assert get(https) == 200


def test_several_sockets_of_one_name_with_fewer_workers(launch, backends):
    """None of the queues starves."""
    with listening() as one, listening() as two, listening() as three:
        launch(
            backends(),
            wrapper=Passing(("web", one), ("web", two), ("web", three)),
            HTTPS_LISTEN="systemd:web",
            WORKERS=1,
        )
        for sock in (one, two, three):
            assert get(sock) == 200


def test_a_unix_socket_is_passed(launch, backends, tmp_path):
    path = str(tmp_path / "web.sock")
    with listening(socket.AF_UNIX, path) as sock:
        launch(backends(), wrapper=Passing(("web", sock)), HTTP_LISTEN="systemd:web", HTTP_MODE="serve")
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_what_waits_during_a_restart_is_answered_by_the_next_process(launch, backends):
    with listening() as https:
        variables = {"wrapper": Passing(("web", https)), "HTTPS_LISTEN": "systemd:web"}
        first = launch(backends(), **variables)
        assert first.terminate() == 0
        with socket.create_connection(https.getsockname()):  # in the queue of the kernel
            with socket.create_connection(https.getsockname()) as waiting:
                launch(backends(), **variables)
                with Client(tls_context().wrap_socket(waiting, server_hostname="a.test")) as client:
                    assert client.get("a.test").status == 200


@pytest.mark.parametrize(
    "named,told",
    [
        ((), "passed were: none"),
        ((("http", "tcp"), ("web-1", "tcp")), "passed were: http, web-1"),
        ((("web", "udp"),), "no stream"),
        ((("web", "deaf"),), "does not listen"),
    ],
)
def test_a_name_without_a_usable_socket_is_a_mistake(launch, named, told):
    made = []
    for name, kind in named:
        sock = listening() if kind == "tcp" else socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        made.append((name, sock))
    portico = launch(
        wait=False, codes=(1,), wrapper=Passing(*made) if made else (), HTTPS_LISTEN="systemd:web"
    )
    assert portico.wait_exit() == 1
    failed = portico.find_events("listen_failed")[0]
    assert failed["listener"] == "https" and told in failed["msg"] + failed["error"]
    for _, sock in made:
        sock.close()


def test_a_socket_that_nobody_names_is_said_and_closed(launch, backends):
    with listening() as https, listening() as forgotten:
        address = forgotten.getsockname()
        portico = launch(
            backends(), wrapper=Passing(("web", https), ("other", forgotten)), HTTPS_LISTEN="systemd:web"
        )
        assert portico.wait_event("passed_sockets_unused")["sockets"] == 1
        forgotten.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


def test_a_reload_cannot_take_a_passed_socket(launch, backends, tmp_path):
    """They come at the start alone."""
    listen = tmp_path / "PORTICO_HTTPS_LISTEN"
    listen.write_text("127.0.0.1:0")
    portico = launch(backends(), HTTPS_LISTEN=None, ENV_DIR=tmp_path)
    listen.write_text("systemd:web")
    portico.signal(signal.SIGHUP)
    assert "restart Portico" in portico.wait_event("reload_refused", variable="PORTICO_HTTPS_LISTEN")["reason"]
    assert portico.get("a.test").status == 200


def test_as_systemd_itself_passes_them(launch, backends, need):
    """systemd-socket-activate starts it at the first connection."""
    need("systemd-socket-activate")
    with listening() as probe:
        port = probe.getsockname()[1]
    portico = launch(
        backends(),
        wait=False,
        wrapper=["systemd-socket-activate", f"--listen=127.0.0.1:{port}", "--fdname=web"]
        + [f"--setenv={name}" for name in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS")]
        + [f"--setenv=PORTICO_{name}" for name in launch.variables(HTTPS_LISTEN=1, UPSTREAM=1)],
        HTTPS_LISTEN="systemd:web",
    )
    portico.wait_line("Listening on")
    with connect_tls(("127.0.0.1", port), "a.test") as client:
        assert client.get("a.test").status == 200


# --- the unit files ---


def unit_lines(name):
    return [line for line in (UNITS / name).read_text().splitlines() if line and not line.startswith("#")]


@pytest.fixture
def units(tmp_path, binary, need):
    """The units with the binary's path in the place of the installed one."""
    need("systemd-analyze")
    for path in UNITS.glob("portico*.*[et]"):
        shutil.copy(path, tmp_path / path.name)
    service = tmp_path / "portico.service"
    service.write_text(service.read_text().replace("/usr/local/bin/portico", str(binary)))
    return tmp_path


@pytest.mark.parametrize("name", ["portico.service", "portico-http.socket", "portico-https.socket"])
def test_systemd_finds_nothing_wrong(units, name):
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(units / name)], capture_output=True, text=True, check=False
    )
    words = [line for line in (done.stdout + done.stderr).splitlines() if "portico" in line]
    assert (done.returncode, words) == (0, []), done.stdout + done.stderr


def test_its_exposure_is_small(units):
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=16", str(units / "portico.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_exit_codes_are_what_they_mean():
    lines = unit_lines("portico.service")
    assert "SuccessExitStatus=3" in lines  # the drain's cap is no crash
    assert "RestartPreventExitStatus=2 78" in lines  # no restart mends a configuration


def test_the_sockets_have_the_names_that_the_service_asks_for():
    asked = unit_lines("portico.service.d/sockets.conf")
    for place in ("https", "http"):
        assert f"FileDescriptorName={place}" in unit_lines(f"portico-{place}.socket")
        assert f"Environment=PORTICO_{place.upper()}_LISTEN=systemd:{place}" in asked
