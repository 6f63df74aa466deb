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
    """Answers on UDP until `stop`. `ipv6` adds AAAA ::1; `ipv4` takes the A away."""

    def __init__(self, ipv4=True, ipv6=False):
        self.addresses = {}
        if ipv4:
            self.addresses[A] = socket.inet_pton(socket.AF_INET, "127.0.0.1")
        if ipv6:
            self.addresses[AAAA] = socket.inet_pton(socket.AF_INET6, "::1")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

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
