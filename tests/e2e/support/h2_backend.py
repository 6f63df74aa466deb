"""A backend that speaks HTTP/2 with prior knowledge (python3-h2): `answer(stream)` is called for each request, in a thread
of its own, and says what it likes on its stream."""

import queue
import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings


class Stream:
    """One request; read and answered by the thread of `answer`."""

    def __init__(self, connection, number, fields):
        self.connection = connection
        self.number = number
        self.all_fields = fields
        self.fields = dict(fields)
        self.target = self.fields.get(":path")
        self.method = self.fields.get(":method")
        self.trailers = []
        self.reset_code = None
        self._pieces = queue.Queue()
        self._room = threading.Condition(connection.lock)

    def read(self, timeout=10):
        """The next piece of the body, b"" at its end."""
        return self._pieces.get(timeout=timeout)

    def read_all(self):
        body = b""
        while piece := self.read():
            body += piece
        return body

    # --- saying ---

    def head(self, status=200, fields=(), end=False):
        self.connection.say(lambda h2: h2.send_headers(self.number, [(":status", str(status)), *fields], end_stream=end))

    def data(self, data, end=False):
        """All of it, as the windows allow."""
        while True:
            with self._room:
                size = min(self.connection.h2.local_flow_control_window(self.number), 16384, len(data))
                if size or not data:
                    piece, data = data[:size], data[size:]
                    self.connection.h2.send_data(self.number, piece, end_stream=end and not data)
                    self.connection.send_pending()
                    if not data:
                        return
                elif not self._room.wait(10):
                    raise TimeoutError("no window")

    def end(self, trailers=()):
        if trailers:
            self.connection.say(lambda h2: h2.send_headers(self.number, list(trailers), end_stream=True))
        else:
            self.connection.say(lambda h2: h2.end_stream(self.number))

    def reply(self, status=200, body=b"", fields=(), trailers=()):
        body = body if isinstance(body, bytes) else body.encode()
        self.head(status, [("content-length", str(len(body))), *fields])
        self.data(body, end=not trailers)
        if trailers:
            self.end(trailers)

    def reset(self, code=2):
        self.connection.say(lambda h2: h2.reset_stream(self.number, code))


def echo(stream):
    body = stream.read_all()
    stream.reply(200, f"{stream.method} {stream.target}\n".encode() + body, trailers=stream.trailers)


class Connection:
    def __init__(self, backend, sock, number):
        self.backend = backend
        self.sock = sock
        self.number = number
        self.lock = threading.RLock()
        self.streams = {}
        self.goaway = None
        self.ended = threading.Event()
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)

    def send_pending(self):
        self.sock.sendall(self.h2.data_to_send())

    def say(self, what):
        with self.lock:
            what(self.h2)
            self.send_pending()

    def serve(self):
        with self.lock:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=self.backend.settings)
            self.h2.initiate_connection()
            self.send_pending()
        while data := self.sock.recv(65536):
            with self.lock:
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.send_pending()

    def _take(self, event):
        stream = self.streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.RequestReceived):
            stream = self.streams[event.stream_id] = Stream(self, event.stream_id, event.headers)
            self.backend.came(stream)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.data:
                stream._pieces.put(event.data)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = event.headers
        elif isinstance(event, h2.events.StreamEnded):
            stream._pieces.put(b"")
        elif isinstance(event, h2.events.StreamReset) and stream:
            stream.reset_code = event.error_code
            stream._pieces.put(b"")
            self.backend.news()
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event.error_code
        for stream in self.streams.values():
            stream._room.notify_all()

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


class H2Backend:
    def __init__(self, answer=echo, path=None, port=0, settings=None, host="127.0.0.1"):
        self.answer = answer
        self.settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100, **(settings or {})}
        self.seen, self.connections, self.errors = [], [], []
        self._news = threading.Condition()
        if path:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(path))
            self._listener.listen(64)
            self.url = f"unix+h2c:{path}"
        else:
            self._listener = socket.create_server((host, port), backlog=512)
            self.port = self._listener.getsockname()[1]
            self.url = f"h2c://{host}:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            connection = Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        try:
            connection.serve()
        except (OSError, h2.exceptions.ProtocolError) as error:
            if isinstance(error, h2.exceptions.ProtocolError):
                self.errors.append(error)
        connection.ended.set()
        connection.close()

    def came(self, stream):
        with self._news:
            self.seen.append(stream)
            self._news.notify_all()
        threading.Thread(target=self._answer, args=[stream], daemon=True).start()

    def _answer(self, stream):
        try:
            self.answer(stream)
        except (OSError, queue.Empty, TimeoutError, h2.exceptions.ProtocolError):
            pass  # the stream or the connection ended
        except Exception as error:  # shown at the end of the test
            self.errors.append(error)

    def news(self):
        with self._news:
            self._news.notify_all()

    def wait(self, condition, what, timeout=10):
        with self._news:
            assert self._news.wait_for(condition, timeout), f"not in time: {what}"

    def wait_requests(self, count, timeout=10):
        self.wait(lambda: len(self.seen) >= count, f"{count} requests; {len(self.seen)} came", timeout)
        return self.seen[count - 1]

    def stop_listening(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def close(self):
        self.stop_listening()
        for connection in list(self.connections):
            connection.close()
