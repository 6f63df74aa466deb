"""X4: whoever reads the log may stall; no request ever waits for a log line, and dropped lines are counted."""

import fcntl
import os
import subprocess
import time

from support.client import connect, connect_tls
from support.ports import eventually, free_port
from support.portico import environment


def test_traffic_goes_on_while_nobody_reads_the_log(launch, backends):
    """stdout is a pipe that is full from the start on."""
    backend = backends()
    https, admin = free_port(), free_port()
    variables = launch.variables(backend, HTTPS_LISTEN=f"127.0.0.1:{https}", ADMIN_LISTEN=f"127.0.0.1:{admin}", LOG_LEVEL="info")
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    child = subprocess.Popen([str(launch.binary)], env=environment(variables), stdout=writing, stderr=subprocess.PIPE)
    try:
        eventually(lambda: reachable(https), "listener")
        began = time.monotonic()
        with connect_tls(("127.0.0.1", https), "a.test") as client:
            for i in range(6000):
                client.send(f"GET /{i % 10}/{'p' * 150} HTTP/1.1\r\nHost: a.test\r\n\r\n")
                assert client.read_response().status == 200
        assert time.monotonic() - began < 60
        with connect(("127.0.0.1", admin)) as client:
            metrics = client.get("localhost", "/metrics").body.decode()
        dropped = next(line for line in metrics.splitlines() if line.startswith("portico_log_lines_dropped_total"))
        assert int(dropped.split()[1]) > 0
        child.terminate()
        assert child.wait(20) == 0, "it could not end while its log stalls"
        assert b"Sanitizer" not in child.stderr.read()
    finally:
        child.kill()
        child.wait()
        child.stderr.close()
        os.close(reading)
        os.close(writing)


def reachable(port):
    try:
        connect(("127.0.0.1", port)).close()
        return True
    except OSError:
        return False


def test_a_log_that_is_closed_ends_nothing(launch, backends):
    https = free_port()
    variables = launch.variables(backends(), HTTPS_LISTEN=f"127.0.0.1:{https}")
    child = subprocess.Popen([str(launch.binary)], env=environment(variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        child.stdout.close()
        eventually(lambda: reachable(https), "listener")
        with connect_tls(("127.0.0.1", https), "a.test") as client:
            for _ in range(100):
                assert client.get("a.test").status == 200
        child.terminate()
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
        child.stderr.close()
