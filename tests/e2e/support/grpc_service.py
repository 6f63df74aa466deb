"""A gRPC service of bytes, without generated code: a server that speaks h2c, and a client that comes over TLS."""

import threading
from concurrent import futures

import grpc

UNARY, SERVER_STREAM, CLIENT_STREAM, BIDI = "/t.T/Unary", "/t.T/ServerStream", "/t.T/ClientStream", "/t.T/Bidi"
BIG = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Service(grpc.GenericRpcHandler):
    """What the methods do, and what tests ask about it."""

    def __init__(self):
        self.forget()

    def forget(self):
        """What earlier calls have left."""
        self.metadata = {}
        self.remaining = {}
        self.cancelled = threading.Semaphore(0)
        self.started = threading.Semaphore(0)

    def service(self, details):
        self.metadata[details.method] = list(details.invocation_metadata)
        make = {
            UNARY: lambda: grpc.unary_unary_rpc_method_handler(self.unary),
            SERVER_STREAM: lambda: grpc.unary_stream_rpc_method_handler(self.server_stream),
            CLIENT_STREAM: lambda: grpc.stream_unary_rpc_method_handler(self.client_stream),
            BIDI: lambda: grpc.stream_stream_rpc_method_handler(self.bidi),
        }.get(details.method)
        return make() if make else None

    def unary(self, request, context):
        self.remaining[UNARY] = context.time_remaining()
        if request == b"fail":
            context.set_trailing_metadata([("x-why", "told to"), ("x-why-bin", b"\0\xff")])
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as you wish \u20ac")
        if request == b"wait":
            self.wait_cancelled(context)
        context.send_initial_metadata([("x-initial", "1")])
        context.set_trailing_metadata([("x-trailing", "2"), ("x-data-bin", b"\0\1\xfe")])
        return request

    def wait_cancelled(self, context):
        gone = threading.Event()
        context.add_callback(gone.set)
        self.started.release()
        if gone.wait(20):
            self.cancelled.release()

    def server_stream(self, request, context):
        if request == b"wait":
            yield b"first"
            self.wait_cancelled(context)
            return
        for i in range(int(request)):
            if i == 7 and request == b"8":
                context.abort(grpc.StatusCode.ABORTED, "in the middle")
            yield b"message %d" % i

    def client_stream(self, requests, context):
        return b"%d" % sum(len(request) for request in requests)

    def bidi(self, requests, context):
        for request in requests:
            yield b"echo " + request


class Server:
    """Listens on 127.0.0.1 in plaintext."""

    def __init__(self, port=0):
        self.service = Service()
        self.server = grpc.server(futures.ThreadPoolExecutor(32), handlers=[self.service], options=BIG)
        self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.server.start()
        self.url = f"h2c://127.0.0.1:{self.port}"

    def close(self):
        self.server.stop(0).wait(10)


class Client:
    """A channel over TLS that trusts the given CA."""

    def __init__(self, address, ca, name="a.test"):
        host, port = address
        credentials = grpc.ssl_channel_credentials(ca.read_bytes())
        options = [*BIG, ("grpc.ssl_target_name_override", name), ("grpc.default_authority", name)]
        self.channel = grpc.secure_channel(f"{host}:{port}", credentials, options=options)
        self.unary = self.channel.unary_unary(UNARY)
        self.server_stream = self.channel.unary_stream(SERVER_STREAM)
        self.client_stream = self.channel.stream_unary(CLIENT_STREAM)
        self.bidi = self.channel.stream_stream(BIDI)

    def close(self):
        self.channel.close()
