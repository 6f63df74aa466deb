"""Renewals under load: no request fails, no connection is closed, every new handshake is shown a valid certificate."""

import datetime
import re
import subprocess

import pytest
from cryptography import x509

from support.client import connect_tls
from support.swaps import LIFETIME_S, QUICK, RENEW_AT, Background, Visitor, published, wait_published

SWAPS = 5
LOAD_S = 32


def start_wrk(portico, *fields):
    host, port = portico.https
    options = [option for field in fields for option in ("-H", field)]
    argv = ["wrk", "-t1", "-c16", f"-d{LOAD_S}s", "-H", "Host: a.test", *options, f"https://{host}:{port}/hello"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start_h2load(portico):
    """HTTP/1.1 with pipelined requests on connections that last; it counts every failure of its own kind."""
    host, port = portico.https
    argv = ["h2load", "--h1", "-c8", "-m4", "-t1", f"-D{LOAD_S}", f"--connect-to={host}:{port}", "https://a.test/hello"]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def judge_wrk(output):
    assert "Socket errors" not in output and "Non-2xx" not in output, output
    assert int(re.search(r"(\d+) requests in", output)[1]) > 1000, output


def judge_h2load(output):
    counts = {word: int(num) for num, word in re.findall(r"(\d+) (succeeded|failed|errored|timeout)", output)}
    assert counts["succeeded"] > 1000, output
    assert counts["failed"] == counts["errored"] == counts["timeout"] == 0, output


def watch_handshakes(portico, root, seen):
    """New handshakes all the time, each verified, each with a date in order at that moment."""

    def watch(over):
        while not over.wait(0.05):
            with connect_tls(portico.https, "a.test", ca=root) as client:
                leaf = x509.load_der_x509_certificate(client.certificate())
            assert leaf.not_valid_before <= datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) < leaf.not_valid_after, leaf
            seen.append(leaf.serial_number)

    return watch


@pytest.mark.release
def test_five_renewals_under_load_fail_no_request_and_close_no_connection(launch, nginx, pebbles, need):
    need("wrk", "h2load")
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    portico = launch(
        nginx,
        DOMAINS="a.test",
        LOG_LEVEL="info",
        ACCESS_LOG="off",
        ACME_RENEW_AT=RENEW_AT,
        TLS_UNKNOWN_SNI="default",  # wrk sends no SNI to an address
        **pebble.variables(),
    )
    wait_published(portico, "a.test", 1)
    root, seen = pebble.root_path(), []
    kept = Visitor(portico, "a.test", root, keep=True)
    handshakes = Background(watch_handshakes(portico, root, seen))
    loads = [start_wrk(portico), start_wrk(portico, "Connection: close"), start_h2load(portico)]
    try:
        wait_published(portico, "a.test", 1 + SWAPS, timeout=LOAD_S)
        for load in loads:
            assert load.poll() is None, f"the load ended before the swaps\n{load.communicate()[0]}"
        wrk_kept, wrk_new, h2load = [load.communicate(timeout=LOAD_S + 10)[0] for load in loads]
    finally:
        for load in loads:
            load.kill()
            load.wait()
    kept.end()
    handshakes.end()
    judge_wrk(wrk_kept)
    judge_wrk(wrk_new)
    judge_h2load(h2load)
    assert len(kept.leaves) == 1 and kept.num > 100, "the kept connection was made anew"
    shown, serials = list(dict.fromkeys(seen)), [int(serial, 16) for serial in published(portico, "a.test")]
    assert len(serials) - len(shown) <= 1, "only one may have come after the last look"
    assert shown == serials[: len(shown)], "a certificate was not shown, or an older one came back"
    assert not portico.find_events("order_failed")
