"""gRPC to an h2c backend: when messages move, and what shares a connection."""

import concurrent.futures
import queue
import threading

import pytest

from support.ports import free_port

grpc = pytest.importorskip("grpc")


class Service:
    """The methods; `note` gets what a test wants to know."""

    def __init__(self):
        self.note = queue.Queue()
        self.go = threading.Event()

    def unary(self, request, context):
        return request[::-1]

    def server_stream(self, request, context):
        for i in range(3):
            yield b"%d" % i
            self.go.wait(10)
            self.go.clear()

    def late_stream(self, request, context):
        self.go.wait(10)
        yield b"late"

    def client_stream(self, requests, context):
        total = 0
        for request in requests:
            self.note.put(request)
            total += len(request)
        return b"%d" % total

    def handlers(self):
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "LateStream": grpc.unary_stream_rpc_method_handler(self.late_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
        }
        return grpc.method_handlers_generic_handler("test.Service", methods)


def serve(service, port):
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=options)
    server.add_generic_rpc_handlers([service.handlers()])
    assert server.add_insecure_port(f"127.0.0.1:{port}") == port
    server.start()
    return server


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def backend(service):
    port = free_port()
    server = serve(service, port)
    yield f"h2c://127.0.0.1:{port}"
    service.go.set()
    server.stop(0).wait()


@pytest.fixture
def dial(authority):
    made = []

    def channel(portico):
        host, port = portico.https
        credentials = grpc.ssl_channel_credentials(authority.path.read_bytes())
        options = [
            ("grpc.ssl_target_name_override", "a.test"),
            ("grpc.default_authority", "a.test"),
            ("grpc.max_receive_message_length", -1),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        made.append(grpc.secure_channel(f"{host}:{port}", credentials, options))
        return made[-1]

    yield channel
    for channel in made:
        channel.close()


class Requests:
    """A stream of requests that goes on as the test says."""

    def __init__(self):
        self._queue = queue.Queue()

    def send(self, request):
        self._queue.put(request)

    def end(self):
        self._queue.put(None)

    def __iter__(self):
        return iter(self._queue.get, None)


def test_messages_of_the_server_come_at_once(launch, backend, service, dial):
    replies = dial(launch(backend)).unary_stream("/test.Service/ServerStream")(b"", timeout=20)
    for i in range(3):
        assert next(replies) == b"%d" % i
        service.go.set()  # it sends the next one only now
    assert list(replies) == []


def test_messages_of_the_client_go_at_once(launch, backend, service, dial):
    requests = Requests()
    reply = dial(launch(backend)).stream_unary("/test.Service/ClientStream").future(iter(requests), timeout=20)
    for i in range(3):
        requests.send(b"%d" % i)
        assert service.note.get(timeout=10) == b"%d" % i
    requests.end()
    assert reply.result(10) == b"3"


def test_a_call_may_be_silent_for_longer_than_an_answer_may_take(launch, backend, service, dial):
    portico = launch(backend, UPSTREAM_RESPONSE_TIMEOUT="300ms")
    replies = dial(portico).unary_stream("/test.Service/LateStream")(b"", timeout=20)
    assert not service.go.wait(1.0)  # neither head nor message in all this time
    service.go.set()
    assert list(replies) == [b"late"]


def test_many_calls_share_the_connection_to_the_backend(launch, backend, dial):
    portico = launch(backend, WORKERS=1)
    unary = dial(portico).unary_unary("/test.Service/Unary")
    calls = [unary.future(b"%d" % i, timeout=20) for i in range(100)]
    assert [call.result() for call in calls] == [(b"%d" % i)[::-1] for i in range(100)]
    assert portico.metrics()["portico_upstream_connects_total"] == 1
