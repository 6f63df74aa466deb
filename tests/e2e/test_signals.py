"""X3: signals in any number and order are defined, idempotent, and end in order."""

import signal
import time

import pytest

from support.ports import eventually


def in_flight(portico, backends_gate):
    client = portico.tls("a.test")
    client.send("GET /wait HTTP/1.1\r\nHost: a.test\r\n\r\n")
    backends_gate.wait_requests(1)
    return client


@pytest.fixture
def waiting(backends):
    return backends(lambda connection, request: connection.wait_closed(20))


def test_quit_ends_at_once(launch, waiting):
    portico = launch(waiting, codes=(0, 3), DRAIN_TIMEOUT="30s")
    client = in_flight(portico, waiting)
    began = time.monotonic()
    portico.signal(signal.SIGQUIT)
    assert portico.wait_exit() in (0, 3)
    assert time.monotonic() - began < 4
    client.close()


def test_a_storm_of_signals_is_one_drain(launch, backends):
    portico = launch(backends(), DRAIN_QUIET="1s")
    for _ in range(50):
        portico.signal(signal.SIGTERM)
        portico.signal(signal.SIGUSR1)
        portico.signal(signal.SIGHUP)
    assert portico.wait_exit() == 0
    assert len(portico.find_events("draining")) == 1


def test_usr1_turns_debug_logging_on_and_off(launch, backends):
    portico = launch(backends(), LOG_LEVEL="info")
    portico.signal(signal.SIGUSR1)
    assert portico.wait_event("debug_logging")["on"] is True
    mark = portico.mark()
    with portico.tls("a.test") as client:
        client.send("BAD\r\n\r\n")
        client.read_response()
    portico.wait_event("request_refused", since=mark)
    portico.signal(signal.SIGUSR1)
    portico.wait_event("debug_logging", count=2)
    mark = portico.mark()
    with portico.tls("a.test") as client:
        client.send("BAD\r\n\r\n")
        client.read_response()
    portico.wait_event("access", since=mark)
    assert portico.find_events("request_refused", since=mark) == []


def test_hup_harms_nothing_not_even_while_draining(launch, backends):
    portico = launch(backends(), DRAIN_QUIET="1s")
    portico.signal(signal.SIGHUP)
    assert portico.get("a.test").status == 200
    portico.signal(signal.SIGTERM)
    portico.wait_event("draining")
    portico.signal(signal.SIGHUP)
    assert portico.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("delay_ms", [0, 5, 20, 60])
def test_signals_while_starting(launch, backends, number, delay_ms):
    """The delay is the test's subject: the signal may come at any point of the start. Before main has blocked it, it ends
    the process as signals do."""
    portico = launch(backends(), wait=False, codes=(0, -number))
    time.sleep(delay_ms / 1000)
    portico.signal(number)
    if number in (signal.SIGHUP, signal.SIGUSR1):
        eventually(lambda: not portico.running() or portico.find_events("started"), "start or end")
    else:
        assert portico.wait_exit() in (0, -number)


def test_a_client_that_resets_does_not_kill_by_sigpipe(launch, backends):
    portico = launch(backends(lambda c, r: c.reply(200, b"x" * (4 << 20))))
    for _ in range(20):
        client = portico.tls("a.test")
        client.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        client.read_head()
        client.close()
    assert portico.get("a.test").status == 200
