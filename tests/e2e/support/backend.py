"""A backend that does as it is told: a function gets each request and may say any bytes, or die at any of them."""

import fcntl
import socket
import struct
import termios
import threading
import time


class Request:
    def __init__(self, head):
        self.head = head
        line, *rest = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = line.split(" ")
        self.fields = [tuple(part.strip() for part in field.split(":", 1)) for field in rest if field]
        self.body = b""
        self.trailers = b""
        self.connection = None

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]


class Connection:
    """One accepted connection, in a thread of its own."""

    def __init__(self, sock, number):
        self.sock = sock
        self.number = number
        self.kept = b""
        self.closed = False

    # --- reading ---

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError("the proxy closed")
        self.kept += data

    def read_until(self, mark):
        while mark not in self.kept:
            self._more()
        part, self.kept = self.kept.split(mark, 1)
        return part

    def read_exactly(self, count):
        while len(self.kept) < count:
            self._more()
        part, self.kept = self.kept[:count], self.kept[count:]
        return part

    def read_some(self):
        if not self.kept:
            self._more()
        part, self.kept = self.kept, b""
        return part

    def read_head(self):
        request = Request(self.read_until(b"\r\n\r\n"))
        request.connection = self
        return request

    def read_chunks(self, request):
        body = b""
        while True:
            size = int(self.read_until(b"\r\n").split(b";")[0], 16)
            if size == 0:
                break
            body += self.read_exactly(size)
            assert self.read_exactly(2) == b"\r\n"
        while not self.kept.startswith(b"\r\n"):
            request.trailers += self.read_until(b"\r\n") + b"\r\n"
            if len(self.kept) < 2:
                self.kept += self.read_exactly(2)
        self.read_exactly(2)
        return body

    def read_body(self, request):
        if (request.get("Transfer-Encoding") or "").lower() == "chunked":
            request.body = self.read_chunks(request)
        else:
            request.body = self.read_exactly(int(request.get("Content-Length", 0)))
        return request.body

    # --- saying ---

    def send(self, *parts):
        self.sock.sendall(b"".join(p if isinstance(p, bytes) else p.encode("latin-1") for p in parts))

    def reply(self, status=200, body=b"", fields=(), reason="OK"):
        body = body if isinstance(body, bytes) else body.encode()
        lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in fields)]
        self.send("\r\n".join(lines), "\r\n\r\n", body)

    def close(self):
        self.closed = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def wait_sent(self, timeout=5):
        """Until the kernel has handed over all that was sent: a reset would take back the rest."""
        deadline = time.monotonic() + timeout
        while struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]:
            assert time.monotonic() < deadline, "the proxy does not read"
            time.sleep(0.005)

    def reset(self):
        """A RST instead of a FIN."""
        self.closed = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def wait_closed(self, timeout=10):
        """Until the proxy has closed its side."""
        self.sock.settimeout(timeout)
        try:
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass


def echo(connection, request):
    """Says back what was asked."""
    connection.read_body(request)
    connection.reply(200, f"{request.method} {request.target}\n".encode() + request.body)


class Backend:
    """Listens on 127.0.0.1 (or a unix socket); `answer(connection, request)` is called with each request head; its body
    is the answer's to read. `seen` has every request whose head came whole."""

    def __init__(self, answer=echo, path=None, port=0, raw=None):
        self.answer = answer
        self.raw = raw  # called with the connection instead, before anything is read
        self.seen = []
        self.connections = []
        self.errors = []
        self._news = threading.Condition()
        self.path = path
        self._port = port
        self._listener = None
        self.start()

    def start(self):
        if self.path:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(self.path))
            self.url = f"unix:{self.path}"
        else:
            self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self._port))
            self._port = self._listener.getsockname()[1]
            self.url = f"http://127.0.0.1:{self._port}"
        self._listener.listen(512)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    @property
    def port(self):
        return self._port

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._news:
                connection = Connection(sock, len(self.connections))
                self.connections.append(connection)
                self._news.notify_all()
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        try:
            if self.raw:
                self.raw(connection)
                return
            while not connection.closed:
                request = connection.read_head()
                with self._news:
                    self.seen.append(request)
                    self._news.notify_all()
                self.answer(connection, request)
        except (EOFError, OSError):
            pass
        except Exception as error:  # shown by the test that looks
            self.errors.append(error)
        finally:
            if not connection.closed:
                connection.close()

    def wait_requests(self, count, timeout=10):
        """Until so many requests have been seen; the last of them."""
        deadline = time.monotonic() + timeout
        with self._news:
            while len(self.seen) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"the backend saw {len(self.seen)} requests, not {count}"
                self._news.wait(left)
            return self.seen[count - 1]

    def wait_connections(self, count, timeout=10):
        deadline = time.monotonic() + timeout
        with self._news:
            while len(self.connections) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"the backend saw {len(self.connections)} connections, not {count}"
                self._news.wait(left)
            return self.connections[count - 1]

    def stop_listening(self):
        """From now on connections are refused."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        except OSError:
            pass
        self._listener.close()
        if self.path:
            self.path.unlink(missing_ok=True)

    def close(self):
        self.stop_listening()
        for connection in list(self.connections):
            if not connection.closed:
                connection.close()
