"""An HTTP/1.1 client that sends exactly the bytes it is given and reads answers strictly."""

import socket
import ssl
import time


class Cut(AssertionError):
    """The answer ended before its framing said so."""


class Response:
    def __init__(self, head):
        self.head = head
        line, *rest = head.decode("latin-1").split("\r\n")
        self.version, status, self.reason = (line + " ").split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(part.strip() for part in field.split(":", 1)) for field in rest if field]
        self.body = b""
        self.trailers = []
        self.interim = []

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def __repr__(self):
        return f"<{self.status} {len(self.body)} bytes {self.fields}>"


class Client:
    """One connection, over TLS or not. Close it, or use it in a `with`."""

    def __init__(self, sock, timeout=15):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.kept = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def send(self, *parts):
        self.sock.sendall(b"".join(p if isinstance(p, bytes) else p.encode("latin-1") for p in parts))

    # --- reading ---

    def _more(self, what):
        try:
            data = self.sock.recv(65536)
        except ssl.SSLEOFError:
            raise Cut(f"connection cut in {what}") from None
        except (ConnectionError, ssl.SSLError) as error:
            raise Cut(f"connection lost in {what}: {error}") from None
        if not data:
            raise Cut(f"connection ended in {what}")
        self.kept += data

    def _until(self, mark, what):
        while mark not in self.kept:
            self._more(what)
        part, self.kept = self.kept.split(mark, 1)
        return part

    def _exactly(self, count, what):
        if len(self.kept) < count:
            parts, have = [self.kept], len(self.kept)
            while have < count:
                self.kept = b""
                self._more(what)
                parts.append(self.kept)
                have += len(self.kept)
            self.kept = b"".join(parts)
        part, self.kept = self.kept[:count], self.kept[count:]
        return part

    def read_head(self):
        return Response(self._until(b"\r\n\r\n", "a head"))

    def _chunks(self, response):
        parts = []
        while True:
            size = int(self._until(b"\r\n", "a chunk's size"), 16)
            if size == 0:
                break
            parts.append(self._exactly(size, "a chunk"))
            assert self._exactly(2, "a chunk's end") == b"\r\n"
        while True:
            line = self._until(b"\r\n", "trailers")
            if not line:
                return b"".join(parts)
            response.trailers.append(tuple(p.strip() for p in line.decode("latin-1").split(":", 1)))

    def read_body(self, response, method="GET"):
        if method == "HEAD" or response.status in (204, 304):
            response.body = b""
        elif response.get("Transfer-Encoding"):
            assert response.get("Transfer-Encoding").lower() == "chunked", response.fields
            assert not response.all("Content-Length"), "both framings in one answer"
            response.body = self._chunks(response)
        elif response.get("Content-Length") is not None:
            assert len(response.all("Content-Length")) == 1, response.fields
            response.body = self._exactly(int(response.get("Content-Length")), "a body")
        else:
            response.body = self.read_to_end()
        return response

    def read_response(self, method="GET"):
        """The next answer, whole; interim ones before it are in .interim. Cut if it is cut."""
        interim = []
        while True:
            response = self.read_head()
            if response.status == 101 or response.status >= 200:
                break
            interim.append(response)
        response.interim = interim
        return response if response.status == 101 else self.read_body(response, method)

    def read_some(self, size=65536):
        """What comes next, b"" at a clean end."""
        if self.kept:
            data, self.kept = self.kept, b""
            return data
        try:
            return self.sock.recv(size)
        except ssl.SSLEOFError:
            raise Cut("no close_notify") from None

    def read_to_end(self):
        parts = [self.kept]
        self.kept = b""
        while True:
            try:
                data = self.sock.recv(65536)
            except ssl.SSLEOFError:
                raise Cut("no close_notify") from None
            except ConnectionError as error:
                raise Cut(f"reset: {error}") from None
            if not data:
                return b"".join(parts)
            parts.append(data)

    def ended(self):
        """Whether the connection is over, with nothing more to read: waits for it. False if something comes."""
        try:
            return self.read_some() == b""
        except (Cut, ConnectionError, ssl.SSLError):
            return True

    def is_open(self, seconds=0.2):
        """Nothing to read and no end within the given time."""
        before = self.sock.gettimeout()
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(1)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        finally:
            self.sock.settimeout(before)
        self.kept += data
        return bool(data)

    def get(self, host, path="/", method="GET", fields=()):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{k}: {v}" for k, v in fields)]
        self.send("\r\n".join(lines), "\r\n\r\n")
        return self.read_response(method)

    # --- TLS ---

    def certificate(self):
        """DER of the leaf that was shown."""
        return self.sock.getpeercert(binary_form=True)


def tls_context(ca=None, alpn=None, maximum=None, minimum=None):
    """Verifies against the given file, or not at all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ca is not None
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(str(ca))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if maximum:
        context.maximum_version = maximum
    if minimum:
        context.minimum_version = minimum
    if hasattr(ssl, "OP_IGNORE_UNEXPECTED_EOF"):
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def connect(address, timeout=15, source=None):
    """Plain TCP. address: (host, port). source: our own address, of 127.0.0.0/8 any."""
    own = (source, 0) if source else None
    return Client(socket.create_connection(address, timeout=timeout, source_address=own), timeout)


def connect_tls(address, name, ca=None, context=None, timeout=15, session=None, source=None):
    """name None: no SNI."""
    raw = socket.create_connection(address, timeout=timeout, source_address=(source, 0) if source else None)
    try:
        context = context or tls_context(ca)
        # without this flag an end without close_notify would look like a clean one
        wrapped = context.wrap_socket(raw, server_hostname=name, suppress_ragged_eofs=False, session=session)
    except BaseException:
        raw.close()
        raise
    return Client(wrapped, timeout)


def send_slowly(client, data, seconds_per_byte):
    """Byte by byte, until told otherwise by an error of the connection."""
    for i in range(len(data)):
        client.send(data[i : i + 1])
        time.sleep(seconds_per_byte)
