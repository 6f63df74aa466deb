"""A DNS server for Pebble's validation: every name is 127.0.0.1 (and ::1 where asked for), nothing else exists."""

import socket
import struct
import threading

A, AAAA = 1, 28


def _end_of_question(message):
    at = 12
    while message[at]:
        at += message[at] + 1
    return at + 5


class Dns:
    """Answers on UDP and TCP until `stop`. `ipv6` adds AAAA ::1; `ipv4` takes the A away."""

    def __init__(self, ipv4=True, ipv6=False):
        self.addresses = {}
        if ipv4:
            self.addresses[A] = socket.inet_pton(socket.AF_INET, "127.0.0.1")
        if ipv6:
            self.addresses[AAAA] = socket.inet_pton(socket.AF_INET6, "::1")
        self._listener, self._socket = self._bind()
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        threading.Thread(target=self._accept, daemon=True).start()

    @staticmethod
    def _bind():
        """One port of both kinds; that of TCP may be taken by somebody else."""
        while True:
            listener = socket.create_server(("127.0.0.1", 0))
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                datagrams.bind(listener.getsockname())
                return listener, datagrams
            except OSError:
                listener.close()
                datagrams.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve_stream, args=(connection,), daemon=True).start()

    def _serve_stream(self, connection):
        with connection, connection.makefile("rb") as messages:
            while len(head := messages.read(2)) == 2:
                answer = self._answer(messages.read(struct.unpack(">H", head)[0]))
                connection.sendall(struct.pack(">H", len(answer)) + answer)

    def _serve(self):
        while True:
            message, peer = self._socket.recvfrom(4096)
            if not message:
                return
            self._socket.sendto(self._answer(message), peer)

    def _answer(self, message):
        end = _end_of_question(message)
        (kind,) = struct.unpack(">H", message[end - 4 : end - 2])
        address = self.addresses.get(kind)
        header = message[:2] + struct.pack(">HHHHH", 0x8180, 1, 1 if address else 0, 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 1, len(address)) + address if address else b""
        return header + message[12:end] + record

    def stop(self):
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
