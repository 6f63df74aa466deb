"""Everything that happens in years, in ten minutes: renewals, reloads, upgrades and drains under load, together. No request
fails, and neither memory nor descriptors grow. `tests/run soak` runs it; SOAK_S sets its length."""

import os
import re
import signal
import subprocess
import time

import pytest

from support.volume import Folder
from support.swaps import QUICK, Background, published
from test_renewal_under_load import watch_handshakes

SOAK_S = int(os.environ.get("SOAK_S", "600"))
LIFE_S = 120  # of a process: then the next one takes over
LIFETIME_S = 40  # of a certificate
RELOAD_S = 3


def start_wrk(portico, *fields):
    host, port = portico.https
    options = [option for field in fields for option in ("-H", field)]
    argv = ["wrk", "-t1", "-c8", f"-d{SOAK_S * 2}s", "-H", "Host: a.test", *options, f"https://{host}:{port}/hello"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def judge_wrk(load):
    load.send_signal(signal.SIGINT)
    output = load.communicate(timeout=60)[0]
    assert "Socket errors" not in output and "Non-2xx" not in output, output
    return int(re.search(r"(\d+) requests in", output)[1])


def run_h2load(portico):
    host, port = portico.https
    argv = ["h2load", "-c4", "-m4", "-t1", "-n400", f"--connect-to={host}:{port}", "https://a.test/hello"]

    def run(over):
        while not over.is_set():
            output = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout
            assert "400 succeeded, 0 failed, 0 errored, 0 timeout" in output, output

    return run


class Life:
    """What one process costs in its first and in its last minute. The least counts: pools breathe."""

    def __init__(self, portico):
        self.portico, self.seen = portico, []
        self.began = time.monotonic()

    def look(self):
        self.seen.append((self.portico.rss_bytes(), self.portico.num_files()))

    def judge(self):
        part = len(self.seen) // 3
        for what, most, figures in zip(("memory", "descriptors"), (4 << 20, 20), zip(*self.seen)):
            early, late = min(figures[part : 2 * part]), min(figures[2 * part :])
            assert late - early < most, f"{what} grew from {early} to {late}: {figures}"


@pytest.mark.soak
@pytest.mark.release
def test_renewals_reloads_upgrades_and_load_together(launch, nginx, pebbles, tmp_path, need):
    need("wrk", "h2load")
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    folder = Folder(tmp_path / "env", DOMAINS="a.test", UPSTREAM=nginx.url)
    other = nginx.url.replace("127.0.0.1", "localhost")
    variables = {
        "DOMAINS": None,
        "ENV_DIR": folder.path,
        "LOG_LEVEL": "info",
        "ACCESS_LOG": "off",
        "TLS_UNKNOWN_SNI": "default",
        "DRAIN_TIMEOUT": "20s",
        **pebble.variables(ACME_RENEW_AT="40%"),
    }
    portico = launch(**variables)
    portico.wait_until(lambda: published(portico, "a.test"), "the first certificate", 60)
    root, seen = pebble.root_path(), []
    loads = [start_wrk(portico), start_wrk(portico, "Connection: close")]
    handshakes = Background(watch_handshakes(portico, root, seen))
    began, life, num_reloads, num_upgrades = time.monotonic(), Life(portico), 0, 0
    h2load = Background(run_h2load(portico))
    while time.monotonic() - began < SOAK_S:
        mark = portico.mark()
        num_reloads += 1
        folder.write("UPSTREAM", other if num_reloads % 2 else nginx.url)
        portico.wait_event("reloaded", since=mark, timeout=30)
        life.look()
        time.sleep(RELOAD_S)  # between two reloads
        if time.monotonic() - life.began > LIFE_S:
            life.judge()
            h2load.end()  # h2load does not connect again behind a GOAWAY
            following = launch(arguments=["run", "--take-over"], **portico.variables)
            portico.wait_event("relieved", timeout=30)
            assert portico.wait_exit(40) == 0
            portico, life, num_upgrades = following, Life(following), num_upgrades + 1
            h2load = Background(run_h2load(portico))
    h2load.end()
    handshakes.end()
    num_requests = sum(judge_wrk(load) for load in loads)
    num_certificates = len(set(seen))
    print(f"{SOAK_S} s: {num_requests} requests, {num_certificates} certificates, {num_reloads} reloads, {num_upgrades} upgrades")
    assert num_certificates >= SOAK_S // LIFETIME_S
