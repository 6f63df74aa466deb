"""gRPC through h2c://: its four forms, its errors, deadlines and cancellation, as if nothing were between."""

import queue
import threading
import time

import pytest

pytest.importorskip("grpc", reason="python3-grpcio is not installed; deploy/install-deps --test installs it")

import grpc

from support.grpc_service import UNARY, Client, Server
from support.ports import free_port

TIMEOUT = 20


@pytest.fixture(scope="module")
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def portico(module_launch, server):
    return module_launch(server, codes=(0, 3))


@pytest.fixture
def client(portico, server, authority):
    server.service.forget()
    made = Client(portico.https, authority.path)
    yield made
    made.close()


def failure(call):
    """The error that the call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        result = call()
        list(result)
    return caught.value


# --- four forms ---


@pytest.mark.smoke
def test_unary(client):
    assert client.unary(b"hello", timeout=TIMEOUT) == b"hello"


def test_a_unary_message_of_no_bytes(client):
    assert client.unary(b"", timeout=TIMEOUT) == b""


@pytest.mark.parametrize("size", [1 << 16, 1 << 20, 16 << 20])
def test_large_messages(client, size):
    message = bytes(range(256)) * (size // 256)
    assert client.unary(message, timeout=60) == message


def test_server_streaming(client):
    assert list(client.server_stream(b"2000", timeout=TIMEOUT)) == [b"message %d" % i for i in range(2000)]


def test_client_streaming(client):
    parts = [b"x" * (i % 3000) for i in range(1000)]
    assert client.client_stream(iter(parts), timeout=TIMEOUT) == b"%d" % sum(map(len, parts))


def test_bidirectional_streaming_message_by_message(client):
    """Each answer comes before the next question is asked: nothing is gathered on the way."""
    questions = queue.Queue()
    answers = client.bidi(iter(questions.get, None), timeout=TIMEOUT)
    for i in range(50):
        questions.put(b"%d" % i)
        assert next(answers) == b"echo %d" % i
    questions.put(None)
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


def test_many_at_once_on_one_connection(client):
    calls = [client.unary.future(b"%d" % i, timeout=TIMEOUT) for i in range(300)]
    assert [call.result() for call in calls] == [b"%d" % i for i in range(300)]


# --- errors ---


def test_an_error_in_trailers_alone(client):
    error = failure(lambda: [client.unary(b"fail", timeout=TIMEOUT)])
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "as you wish \u20ac"
    trailing = dict(error.trailing_metadata())
    assert trailing["x-why"] == "told to" and trailing["x-why-bin"] == b"\0\xff"


def test_an_error_behind_messages(client):
    got = []
    call = client.server_stream(b"8", timeout=TIMEOUT)
    with pytest.raises(grpc.RpcError) as caught:
        for message in call:
            got.append(message)
    assert len(got) == 7
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.ABORTED, "in the middle")


def test_a_method_that_is_not_there(client):
    call = client.channel.unary_unary("/t.T/Nothing")
    assert failure(lambda: [call(b"", timeout=TIMEOUT)]).code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_backend_that_is_not_there(launch, authority):
    portico = launch(f"h2c://127.0.0.1:{free_port()}", UPSTREAM_WAIT="100ms")
    client = Client(portico.https, authority.path)
    try:
        assert failure(lambda: [client.unary(b"x", timeout=TIMEOUT)]).code() == grpc.StatusCode.UNAVAILABLE
    finally:
        client.close()


def test_a_server_that_stops_in_the_middle(launch, authority):
    server = Server()
    portico = launch(server, UPSTREAM_WAIT="100ms", codes=(0, 3))
    client = Client(portico.https, authority.path)
    try:
        call = client.server_stream(b"wait", timeout=TIMEOUT)
        assert next(call) == b"first"
        server.close()
        error = failure(lambda: call)
        assert error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
    finally:
        client.close()


def test_a_server_that_comes_back(launch, authority):
    """The pool's connection was ended: a new one is made."""
    first = Server()
    portico = launch(first, UPSTREAM_WAIT="10s", codes=(0, 3))
    client = Client(portico.https, authority.path)
    try:
        assert client.unary(b"1", timeout=TIMEOUT) == b"1"
        first.close()
        call = client.unary.future(b"2", timeout=TIMEOUT)
        second = Server(first.port)
        assert call.result() == b"2"
        second.close()
    finally:
        client.close()


# --- deadlines and cancellation ---


def test_the_deadline_reaches_the_server(client, server):
    client.unary(b"x", timeout=15)
    assert 5 < server.service.remaining[UNARY] <= 15


def test_a_deadline_that_passes_ends_the_call_at_the_server_too(client, server):
    began = time.monotonic()
    error = failure(lambda: [client.unary(b"wait", timeout=1)])
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 5
    assert server.service.cancelled.acquire(timeout=10)


@pytest.mark.parametrize("form", ["unary", "server_stream"])
def test_a_cancellation_reaches_the_server(client, server, form):
    call = client.unary.future(b"wait", timeout=TIMEOUT) if form == "unary" else client.server_stream(b"wait", timeout=TIMEOUT)
    assert server.service.started.acquire(timeout=10)
    call.cancel()
    assert server.service.cancelled.acquire(timeout=10), "the server works on for nobody"


def test_a_client_that_vanishes_cancels(portico, server, authority):
    server.service.forget()
    client = Client(portico.https, authority.path)
    call = client.server_stream(b"wait", timeout=TIMEOUT)
    assert next(call) == b"first"
    client.close()
    assert server.service.cancelled.acquire(timeout=10)


# --- metadata ---


def test_metadata_both_ways(client, server):
    sent = [("x-text", "hello"), ("x-many", "1"), ("x-many", "2"), ("x-raw-bin", bytes(range(256)))]
    _, call = client.unary.with_call(b"x", timeout=TIMEOUT, metadata=sent)
    got = server.service.metadata[UNARY]
    assert [(k, v) for k, v in got if k.startswith("x-") and (k, v) in sent] == sent
    assert ("x-initial", "1") in [tuple(pair) for pair in call.initial_metadata()]
    trailing = dict(call.trailing_metadata())
    assert trailing["x-trailing"] == "2" and trailing["x-data-bin"] == b"\0\1\xfe"


def test_the_server_learns_who_the_client_is(client, server):
    client.unary(b"x", timeout=TIMEOUT, metadata=[("x-forwarded-for", "6.6.6.6")])
    got = dict(server.service.metadata[UNARY])
    assert got["x-forwarded-for"] == "127.0.0.1"
    assert got["x-forwarded-proto"] == "https"


# --- time ---


def test_a_stream_outlives_the_response_timeout(launch, authority):
    """UPSTREAM_RESPONSE_TIMEOUT is for the head alone; then STREAM_IDLE_TIMEOUT."""
    server = Server()
    portico = launch(server, UPSTREAM_RESPONSE_TIMEOUT="1s", codes=(0, 3))
    client = Client(portico.https, authority.path)
    try:
        questions = queue.Queue()
        answers = client.bidi(iter(questions.get, None), timeout=TIMEOUT)
        questions.put(b"a")
        assert next(answers) == b"echo a"
        threading.Timer(2.5, questions.put, [b"b"]).start()
        assert next(answers) == b"echo b"
        questions.put(None)
        assert list(answers) == []
    finally:
        client.close()
        server.close()
