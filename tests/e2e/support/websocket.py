"""Just enough of RFC 6455 for a client and an echoing backend."""

import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def frame(payload, opcode=1, mask=False):
    size = len(payload)
    bit = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def read_frame(read_exactly):
    """(opcode, payload), unmasked."""
    first, second = read_exactly(2)
    size = second & 0x7F
    if size == 126:
        (size,) = struct.unpack("!H", read_exactly(2))
    elif size == 127:
        (size,) = struct.unpack("!Q", read_exactly(8))
    key = read_exactly(4) if second & 0x80 else b"\0\0\0\0"
    payload = read_exactly(size)
    return first & 0x0F, bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def echo(connection, request):
    """Backend: upgrades and says back each text, until told to close."""
    assert request.get("Upgrade", "").lower() == "websocket", request.fields
    connection.send(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        f"Sec-WebSocket-Accept: {accept_of(request.get('Sec-WebSocket-Key'))}\r\n\r\n",
    )
    while True:
        opcode, payload = read_frame(connection.read_exactly)
        connection.send(frame(payload, opcode))
        if opcode == 8:
            connection.close()
            return


class WebSocket:
    """Client's side, over a connected support.client.Client."""

    def __init__(self, client, host, path="/ws", early=b""):
        self.client = client
        key = base64.b64encode(os.urandom(16)).decode()
        client.send(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n",
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n",
            early,
        )
        self.response = client.read_response()
        assert self.response.status == 101, self.response
        assert self.response.get("Upgrade", "").lower() == "websocket"
        assert "upgrade" in self.response.get("Connection", "").lower()
        assert self.response.get("Sec-WebSocket-Accept") == accept_of(key)

    def send(self, text, opcode=1):
        self.client.send(frame(text if isinstance(text, bytes) else text.encode(), opcode, mask=True))

    def receive(self):
        return read_frame(lambda n: self.client._exactly(n, "a WebSocket frame"))

    def ask(self, text):
        """Sends and expects the echo."""
        self.send(text)
        opcode, payload = self.receive()
        assert (opcode, payload.decode()) == (1, text)
