"""TLS whose sides end one at a time, which Python's own sockets cannot do, and small servers of raw bytes."""

import select
import socket
import ssl
import struct

from .client import Cut, tls_context


class RawTls:
    """One TLS connection that carries raw bytes. Close it, or use it in a `with`."""

    def __init__(self, address, name, alpn=None, timeout=15, together=b""):
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls_context(alpn=alpn).wrap_bio(self._in, self._out, server_hostname=name)
        self._together = together  # sent in one piece with the ClientHello
        try:
            self._run(self.tls.do_handshake)
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _flush(self):
        if self._out.pending:
            self.sock.sendall(self._together + self._out.read())
            self._together = b""

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionError as error:
            raise Cut(f"reset: {error}") from None
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _run(self, call):
        while True:
            try:
                result = call()
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                self._more()
            except ssl.SSLEOFError:
                raise Cut("no close_notify") from None

    def send(self, data):
        self.tls.write(data)
        self._flush()

    def send_cut(self, data):
        """The first half of the record that holds the data."""
        self.tls.write(data)
        record = self._out.read()
        self.sock.sendall(record[: len(record) // 2])

    def receive(self, size=65536):
        """What comes next; b"" at the peer's close_notify; Cut where it ended without."""
        try:
            return self._run(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def receive_exactly(self, count):
        parts, have = [], 0
        while have < count:
            part = self.receive()
            assert part, f"ended after {have} of {count} bytes"
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def receive_to_end(self):
        parts = []
        while part := self.receive():
            parts.append(part)
        return b"".join(parts)

    def exchange(self, data, count):
        """Sends all of the data while reading `count` bytes, whichever way is free."""
        got, pending = bytearray(), memoryview(data)
        out = b""
        self.sock.setblocking(False)
        while len(got) < count or pending or out:
            if pending and not out:
                self.tls.write(pending[:16384])
                pending = pending[16384:]
                out = self._out.read()
            readable, writable, _ = select.select([self.sock], [self.sock] if out else [], [], 20)
            assert readable or writable, f"nothing moved for 20 s, {len(got)} bytes had come"
            if writable:
                out = out[self.sock.send(out) :]
            if readable:
                self._more()
                try:
                    while part := self.tls.read(65536):
                        got += part
                except ssl.SSLWantReadError:
                    pass
        self.sock.setblocking(True)
        return bytes(got)

    def end(self):
        """close_notify and FIN; reading goes on."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def end_without_notice(self):
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def echo_raw(connection):
    """Echoes until the client's end, then ends too."""
    while data := connection.sock.recv(65536):
        connection.sock.sendall(data)
    connection.sock.shutdown(socket.SHUT_WR)
