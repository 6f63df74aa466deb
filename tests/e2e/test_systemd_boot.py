"""The unit files run by systemd itself, with all their hardening: they start, reload, hold sockets, take turns."""

import sys
import threading

import pytest

from support.booted import UNITS, boot

ASK = """
import http.client, sys
codes = {}
for _ in range(int(sys.argv[1])):
    connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
    connection.request("GET", "/", headers={"Host": "localhost"})
    code = connection.getresponse().status
    codes[code] = codes.get(code, 0) + 1
    connection.close()
print(codes)
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory, binary):
    settings = {"DOMAINS": "localhost", "UPSTREAM": "http://127.0.0.1:8000", "LOG_FORMAT": "json", "DRAIN_QUIET": "200ms"}
    made = boot(tmp_path_factory.mktemp("machine"), binary, **settings)
    if not made:
        pytest.skip("this machine boots no systemd in namespaces: that takes root and a cgroup2 hierarchy")
    yield made
    made.close()


def ask(machine, num):
    return machine.run(sys.executable, "-c", ASK, str(num))


def asking_during(machine, num, action):
    """What `num` requests in a row get, while something happens."""
    result = []
    thread = threading.Thread(target=lambda: result.append(ask(machine, num)))
    thread.start()
    action()
    thread.join(60)
    return result[0]


def test_the_service_as_it_is_written(machine):
    machine.systemctl("start", "portico")
    assert machine.show("portico", "StatusText").startswith("Serves 1 name with ")
    assert ask(machine, 3) == "{308: 3}"
    machine.systemctl("reload", "portico")
    status = machine.run("cat", f"/proc/{machine.show('portico', 'MainPID')}/status")
    assert "CapEff:\t0000000000000400" in status  # CAP_NET_BIND_SERVICE
    assert "NoNewPrivs:\t1" in status
    assert '"event":"reloaded"' in machine.log.read_text() and '"seccomp":"on"' in machine.log.read_text()
    machine.systemctl("stop", "portico")
    assert (machine.show("portico", "Result"), machine.show("portico", "ExecMainStatus")) == ("success", "0")


def test_one_that_is_killed_is_started_again(machine):
    machine.systemctl("start", "portico")
    machine.systemctl("kill", "--signal=KILL", "portico")
    machine.wait(lambda: machine.show("portico", "NRestarts") == "1", "restart")
    machine.wait(lambda: machine.show("portico", "ActiveState") == "active", "service")
    assert ask(machine, 1) == "{308: 1}"
    machine.systemctl("stop", "portico")


def test_bad_configuration_is_not_tried_again(machine):
    machine.run("sh", "-c", "echo PORTICO_WORKERS=nonsense >> /etc/portico/portico.env")
    machine.systemctl("start", "portico", check=False)
    machine.wait(lambda: machine.show("portico", "ActiveState") == "failed", "failure")
    assert (machine.show("portico", "ExecMainStatus"), machine.show("portico", "NRestarts")) == ("78", "0")
    machine.run("sed", "-i", "/nonsense/d", "/etc/portico/portico.env")
    machine.systemctl("reset-failed", "portico")


def test_a_restart_with_sockets_refuses_nobody_and_needs_no_right(machine):
    sockets = ("portico-http.socket", "portico-https.socket")
    conf = "/etc/systemd/system/portico.service.d/sockets.conf"
    machine.run("cp", str(UNITS / "portico.service.d" / "sockets.conf"), conf)
    machine.systemctl("daemon-reload")
    machine.systemctl("start", *sockets)
    machine.systemctl("restart", "portico")
    status = machine.run("cat", f"/proc/{machine.show('portico', 'MainPID')}/status")
    assert "CapEff:\t0000000000000000" in status
    assert asking_during(machine, 200, lambda: machine.systemctl("restart", "portico")) == "{308: 200}"
    machine.systemctl("stop", "portico", *sockets)
    machine.run("rm", conf)
    machine.systemctl("daemon-reload")


def test_two_instances_take_turns(machine):
    machine.systemctl("start", "portico@a")
    assert asking_during(machine, 200, lambda: machine.systemctl("start", "portico@b")) == "{308: 200}"
    machine.wait(lambda: machine.show("portico@a", "ActiveState") == "inactive", "end of the first")
    assert machine.show("portico@a", "Result") == "success"
    machine.systemctl("start", "portico@a")
    machine.wait(lambda: machine.show("portico@b", "ActiveState") == "inactive", "end of the second")
    assert ask(machine, 3) == "{308: 3}"
    machine.systemctl("stop", "portico@a")
