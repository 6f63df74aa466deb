"""Ports and waiting for them, for programs that cannot be asked what they listen on."""

import socket
import threading
import time


def free_port(family=socket.AF_INET):
    """A port that nobody listens on now. Only for programs that do not take port 0."""
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return s.getsockname()[1]


def wait_port(process, port, host="127.0.0.1", timeout=20):
    """Until the port takes connections or the process has ended."""

    def connects():
        try:
            socket.create_connection((host, port), timeout=1).close()
            return True
        except OSError:
            return False

    process.wait_until(connects, f"listener on {host}:{port}", timeout)


def eventually(condition, what, timeout=10):
    """Polls what no log line tells. Returns what the condition returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f"not in {timeout} s: {what}"
        time.sleep(0.02)


def in_parallel(count, work):
    """The results of work(i), each in a thread of its own."""
    results = [None] * count

    def run(i):
        results[i] = work(i)

    threads = [threading.Thread(target=run, args=[i]) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
