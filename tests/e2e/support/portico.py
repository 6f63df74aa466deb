"""The process under test: started with a clean environment, known by its log, ended in order."""

import json
import os
import pathlib
import resource
import signal
import socket
import ssl
import subprocess

from .client import connect, connect_tls
from .process import Process

SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=16:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=99",
}


def environment(variables):
    """What a process gets: nothing of the caller's but the sanitizers' settings. Values None are left out."""
    env = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": "/nonexistent", **SANITIZERS}
    env.update({f"PORTICO_{name}": str(value) for name, value in variables.items() if value is not None})
    return env


def run_command(binary, *args, timeout=20, **variables):
    """A command that ends: (exit code, stdout, stderr)."""
    done = subprocess.run(
        [str(binary), *args], env=environment(variables), capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


class Portico(Process):
    def __init__(self, binary, variables, nofile=None, name="portico", stdout=None, wrapper=(), arguments=()):
        self.variables = dict(variables)
        self.judged = False

        def limit():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))

        argv = [*wrapper, str(binary), *arguments]
        super().__init__(
            name,
            argv,
            env=environment(variables),
            preexec=limit if nofile else None,
            stdout=stdout,
            pass_fds=getattr(wrapper, "fds", ()),
        )

    # --- where it is ---

    def wait_started(self, timeout=20):
        self.wait_event("started", timeout)
        return self

    def address(self, listener):
        return _address(self.wait_event("listening", listener=listener)["address"])

    @property
    def https(self):
        return self.address("https")

    @property
    def http(self):
        return self.address("http")

    @property
    def admin(self):
        return self.address("admin")

    @property
    def storage(self):
        return pathlib.Path(self.variables["STORAGE"])

    # --- talking to it ---

    def tls(self, name, **kwargs):
        return connect_tls(self.https, name, **kwargs)

    def plain(self, **kwargs):
        return connect(self.http, **kwargs)

    def get(self, name, path="/", **kwargs):
        """One request on a connection of its own."""
        with self.tls(name, **kwargs) as client:
            return client.get(name, path)

    def ask_admin(self, path, method="GET"):
        with connect(self.admin) as client:
            client.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client.read_response(method)

    def status(self):
        return json.loads(self.ask_admin("/status").body)

    def status_of(self, name):
        return next(entry for entry in self.status()["names"] if entry["name"] == name)

    def metrics(self):
        """Series by name with labels, as written."""
        lines = self.ask_admin("/metrics").body.decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[:1] not in ("#", "")}

    def shown(self, name):
        """DER of the certificate that a new handshake shows; None where it is refused."""
        try:
            with self.tls(name) as client:
                return client.certificate()
        except (ssl.SSLError, OSError):
            return None

    def access(self, **fields):
        return self.find_events("access", **fields)

    # --- its resources ---

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self):
        """Names by number."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task").iterdir()
        return {int(task.name): (task / "comm").read_text().strip() for task in tasks}

    def worker_threads(self):
        """Each names itself, a moment after it was started."""

        def named():
            found = sorted(number for number, name in self.threads().items() if name.startswith("worker"))
            return len(found) == int(self.variables["WORKERS"]) and found

        return self.wait_until(named, "the workers' threads")

    def num_files(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def num_sockets(self):
        count = 0
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                count += os.readlink(f"/proc/{self.pid}/fd/{fd}").startswith("socket:")
            except OSError:
                pass
        return count

    # --- the end ---

    def terminate(self, timeout=20):
        """TERM, and the exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def judge(self, codes=(0,)):
        """Ends it if it runs; it must have ended in order, and no sanitizer may have spoken."""
        if self.judged:
            return
        self.judged = True
        code = self.terminate()
        report = self.sanitizer_report()
        assert report is None, f"sanitizer report\n{report}"
        assert code in codes, f"{self.name} ended with {code}\n{self.tail()}"

    def killed(self):
        """kill -9. What it did until then is still judged by the sanitizers' words."""
        self.kill()
        self.judged = True
        report = self.sanitizer_report()
        assert report is None, f"sanitizer report\n{report}"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False
