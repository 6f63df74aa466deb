"""The admin endpoint by who asks: token, Host, Origin, the control socket; drain by request; readiness that waits."""

import fcntl
import json
import os
import pty
import re
import socket
import stat
import struct
import subprocess
import termios

import pytest

from support.client import connect
from support.ports import free_port
from support.portico import environment, run_command

TOKEN = "e2e-0123456789abcdef"


def ask(portico, path, method="GET", host="localhost", token=None, origin=None, place=None):
    fields = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    fields += [f"Authorization: Bearer {token}"] if token else []
    fields += [f"Origin: {origin}"] if origin else []
    with connect(place or portico.admin) as client:
        client.send("\r\n".join(fields) + "\r\n\r\n")
        return client.read_response(method)


def mine():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            address = s.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


# --- who may have what ---


def test_beyond_loopback_all_but_health_and_metrics_need_the_token(launch, backends):
    portico = launch(backends(), ADMIN_LISTEN="0.0.0.0:0", ADMIN_TOKEN=TOKEN)
    place = (mine(), portico.admin[1])
    for path in ("/livez", "/readyz", "/startupz", "/metrics", "/"):
        assert ask(portico, path, place=place).status == 200, path
    for path in ("/status", "/status/traffic", "/status/lines"):
        refused = ask(portico, path, place=place)
        assert refused.status == 401 and refused.get("WWW-Authenticate").startswith("Bearer"), path
        assert b"a.test" not in refused.body
        assert ask(portico, path, token=TOKEN + "x", place=place).status == 401
        assert ask(portico, path, token=TOKEN, place=place).status == 200


def test_a_foreign_host_gets_no_status_and_no_drain(launch, backends):
    """DNS rebinding: a name of somebody else's that points here."""
    portico = launch(backends(), ADMIN_TOKEN=TOKEN)
    assert ask(portico, "/status", host="evil.example").status == 403
    assert ask(portico, "/drain", "POST", host="evil.example:9180", token=TOKEN).status == 403
    assert ask(portico, "/status", host="127.0.0.1:1").status == 200
    assert ask(portico, "/readyz").status == 200


def test_a_web_page_commands_nothing(launch, backends):
    portico = launch(backends(), ADMIN_TOKEN=TOKEN)
    assert ask(portico, "/drain", "POST", token=TOKEN, origin="http://127.0.0.1").status == 403
    assert ask(portico, "/readyz").status == 200


def test_drain_wants_post_and_the_token(launch, backends):
    portico = launch(backends(), ADMIN_TOKEN=TOKEN)
    assert ask(portico, "/drain", "POST").status == 401
    refused = ask(portico, "/drain", token=TOKEN)
    assert (refused.status, refused.get("Allow")) == (405, "POST")
    assert not portico.find_events("draining")
    assert ask(portico, "/drain", "POST", token=TOKEN).status == 200
    portico.wait_event("draining")
    assert portico.wait_exit() == 0


def test_without_a_token_only_the_control_socket_drains(launch, backends):
    portico = launch(backends())
    assert ask(portico, "/drain", "POST", token="x").status == 403
    assert not portico.find_events("draining")


def test_drain_is_idempotent(launch, backends):
    portico = launch(backends(), ADMIN_TOKEN=TOKEN, DRAIN_MIN="1s")
    for _ in range(3):
        assert ask(portico, "/drain", "POST", token=TOKEN).body == b"draining\n"
    assert ask(portico, "/readyz").status == 503
    assert portico.wait_exit() == 0
    assert len(portico.find_events("draining")) == 1


def test_the_token_is_never_logged_or_shown(launch, backends, binary):
    portico = launch(backends(), ADMIN_TOKEN=TOKEN)
    ask(portico, "/status", token=TOKEN)
    portico.terminate()
    assert not [line for line in portico.lines if TOKEN in line]
    assert TOKEN not in "".join(map(str, run_command(binary, "check", ADMIN_TOKEN=TOKEN)))


# --- long answers, which are written in several turns of the loop ---


@pytest.fixture(scope="module")
def many(module_launch, module_backends):
    return module_launch(module_backends(), DOMAINS=",".join(f"n{i}.internal" for i in range(1001)))


def test_a_long_answer_is_whole(many, binary):
    status = many.status()
    assert [entry["name"] for entry in status["names"]] == [f"n{i}.internal" for i in range(1001)]
    metrics = many.metrics()
    assert sum(series.startswith("portico_certificate_source{") for series in metrics) == 1001
    assert metrics["portico_names"] == 1001
    code, out, _ = run_command(binary, "status", STORAGE=many.storage)
    assert code == 0 and out.endswith("\n1001 names\n")


def test_a_client_that_has_ended_its_side_gets_it_all_the_same(many):
    with connect(many.admin) as client:
        client.send("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        assert len(json.loads(client.read_response().body)["names"]) == 1001


def test_clients_that_leave_in_the_midst_of_it_harm_nothing(many):
    for _ in range(20):
        with connect(many.admin) as client:
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # RST
    assert ask(many, "/livez").status == 200


# --- the control socket ---


def test_the_control_socket_is_this_users_alone(launch, backends):
    portico = launch(backends())
    path = portico.storage / ".control.sock"
    mode = path.stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600
    portico.terminate()
    assert not path.exists()


def test_portico_drain(launch, backends, binary):
    portico = launch(backends(), ADMIN_LISTEN="off")
    assert run_command(binary, "drain", STORAGE=portico.storage) == (0, "", "")
    portico.wait_event("draining")
    assert portico.wait_exit() == 0
    code, _, err = run_command(binary, "drain", STORAGE=portico.storage)
    assert code == 1 and "no process" in err


def test_healthcheck_without_an_admin_listener(launch, backends, binary):
    portico = launch(backends(), ADMIN_LISTEN="off")
    assert run_command(binary, "healthcheck", ADMIN_LISTEN="off", STORAGE=portico.storage)[0] == 0
    assert run_command(binary, "healthcheck", "--ready", ADMIN_LISTEN="off", STORAGE=portico.storage)[0] == 0


def test_drain_does_not_guess_between_two_processes(launch, backends, binary):
    first = launch(backends())
    second = launch(backends(), **{name: value for name, value in first.variables.items() if name != "UPSTREAM"})
    assert second.wait_event("control_socket")["path"] != first.wait_event("control_socket")["path"]
    code, _, err = run_command(binary, "drain", STORAGE=first.storage)
    assert code == 1 and "more than one" in err
    first.terminate()
    assert run_command(binary, "drain", STORAGE=first.storage)[0] == 0
    assert second.wait_exit() == 0


def test_a_process_that_was_killed_is_not_in_the_way(launch, backends, binary):
    first = launch(backends())
    first.killed()
    second = launch(backends(), **{name: value for name, value in first.variables.items() if name != "UPSTREAM"})
    assert second.wait_event("control_socket")["path"].endswith("/.control.sock")
    assert run_command(binary, "status", STORAGE=second.storage)[0] == 0


# --- portico status ---


def test_status_as_a_table(launch, backends, binary):
    portico = launch(backends(), DOMAINS="a.internal,localhost")
    code, out, err = run_command(binary, "status", STORAGE=portico.storage)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].endswith(", serving, writer")
    assert lines[2].split() == ["NAME", "ISSUER", "ENDS", "NEXT", "ATTEMPT"]
    assert [line.split()[0] for line in lines[3:5]] == ["a.internal", "localhost"]
    assert "Portico local CA" in lines[3] and " d)" in lines[3]
    assert lines[-1] == "2 names"
    assert "\x1b" not in out


@pytest.mark.parametrize("more, colored", [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_status_on_a_terminal(launch, backends, binary, more, colored):
    """Colours unless NO_COLOR or a dumb terminal says no; no line is wider than the terminal."""
    portico = launch(backends(), DOMAINS="a-name-of-some-length.of-a-customer.internal")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    env = {**environment({"STORAGE": portico.storage}), "TERM": "xterm", **more}
    child = subprocess.Popen([str(binary), "status"], env=env, stdout=theirs, stdin=subprocess.DEVNULL)
    assert child.wait(20) == 0
    os.close(theirs)
    text = os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\x1b[32m" in text) == colored
    plain = re.sub(r"\x1b\[\d+m", "", text).replace("\r", "")
    assert "a-name-of" in plain and max(map(len, plain.splitlines())) <= 72


def test_status_as_json_is_the_endpoints(launch, backends, binary):
    portico = launch(backends())
    code, out, _ = run_command(binary, "status", "--json", STORAGE=portico.storage)
    assert code == 0
    assert json.loads(out)["names"] == portico.status()["names"]


def test_the_code_of_status_tells_of_a_name_without_certificate(launch, backends, binary, pebbles):
    pebble = pebbles(env={"PEBBLE_VA_NOSLEEP": "1"}).start()
    portico = launch(backends(), **{**pebble.variables(), "DOMAINS": "a.test", "HTTP_LISTEN": "127.0.0.1:0"})  # elsewhere
    portico.wait_event("order_failed")
    code, out, _ = run_command(binary, "status", STORAGE=portico.storage)
    assert code == 1
    assert "(placeholder)" in out and "validation problem, 1 in a row: " in out
    assert "1 without a valid certificate" in out
    assert run_command(binary, "status", "--json", STORAGE=portico.storage)[0] == 1


def test_status_falls_back_to_the_admin_listener(launch, backends, binary, tmp_path):
    admin = f"127.0.0.1:{free_port()}"
    launch(backends(), ADMIN_LISTEN=admin)
    assert run_command(binary, "status", STORAGE=tmp_path / "elsewhere", ADMIN_LISTEN=admin)[0] == 0


# --- READY_REQUIRES ---


def test_ready_waits_for_the_backend(launch, backends):
    backend = backends()
    port = free_port()
    portico = launch(f"http://127.0.0.1:{port}", READY_REQUIRES="upstream")
    refused = portico.ask_admin("/readyz")
    assert refused.status == 503 and b"no backend" in refused.body
    assert portico.ask_admin("/livez").status == 200
    ready = launch(backend, READY_REQUIRES="listener,upstream", HTTP_LISTEN="127.0.0.1:0")
    ready.wait_until(lambda: ready.ask_admin("/readyz").status == 200, "ready")
    backend.close()
    ready.wait_until(lambda: ready.ask_admin("/readyz").status == 503, "not ready any more")
    assert not ready.access()


def test_ready_with_certificates_of_ones_own(launch, backends):
    portico = launch(backends(), READY_REQUIRES="cert")
    assert portico.ask_admin("/readyz").status == 200


def test_ready_sees_a_name_that_the_certificate_does_not_cover(launch, backends):
    portico = launch(
        backends(), DOMAINS="a.test,*.example.com", READY_REQUIRES="cert", **launch.own_certificate("a.test")
    )
    refused = portico.ask_admin("/readyz")
    assert refused.status == 503 and b"certificate" in refused.body


def test_a_reload_changes_the_token_and_what_ready_waits_for(launch, backends, tmp_path):
    token, ready = tmp_path / "token", tmp_path / "ready"
    token.write_text(TOKEN)
    ready.write_text("listener")
    portico = launch("http://127.0.0.1:1", ADMIN_TOKEN_FILE=token, READY_REQUIRES_FILE=ready)
    assert ask(portico, "/readyz").status == 200
    ready.write_text("listener,upstream")
    portico.wait_until(lambda: ask(portico, "/readyz").status == 503, "not ready")
    token.write_text(TOKEN + "-next")
    portico.wait_event("reloaded", count=2)
    assert ask(portico, "/drain", "POST", token=TOKEN).status == 401
    assert ask(portico, "/drain", "POST", token=TOKEN + "-next").status == 200
    portico.wait_event("draining")
