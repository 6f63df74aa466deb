"""The PROXY protocol as bytes: headers of both versions are made and read here, by other code than Portico's."""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, port, target="127.0.0.1", target_port=443):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {target} {port} {target_port}\r\n".encode()


def v2(source, port, target="127.0.0.1", target_port=443, tlvs=b""):
    six = ":" in source
    family = socket.AF_INET6 if six else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target) + struct.pack(">HH", port, target_port)
    return SIGNATURE + bytes([0x21, 0x21 if six else 0x11]) + struct.pack(">H", len(ends + tlvs)) + ends + tlvs


def local(block=b""):
    return SIGNATURE + b"\x20\x00" + struct.pack(">H", len(block)) + block


def tlvs_of(data):
    """type -> value; nested ones of the TLS type under (0x20, subtype)."""
    found = {}
    while data:
        kind, length = struct.unpack(">BH", data[:3])
        value, data = data[3 : 3 + length], data[3 + length :]
        assert len(value) == length, "a TLV that does not fit"
        found[kind] = value
        if kind == 0x20:
            found.update({(0x20, sub): text for sub, text in tlvs_of(value[5:]).items()})
    return found


def read(connection):
    """The header at the start of a backend's connection: (version, (source, port), (target, port), TLVs)."""
    start = connection.read_exactly(6)
    if start == b"PROXY ":
        words = connection.read_until(b"\r\n").decode().split(" ")
        if words[0] == "UNKNOWN":
            return 1, None, None, {}
        return 1, (words[1], int(words[3])), (words[2], int(words[4])), {}
    head = start + connection.read_exactly(10)
    assert head[:12] == SIGNATURE and head[12] in (0x20, 0x21), head
    block = connection.read_exactly(struct.unpack(">H", head[14:])[0])
    if head[12] == 0x20:
        return 2, "local", None, {}
    if head[13] == 0:
        return 2, None, None, tlvs_of(block)
    family, size = (socket.AF_INET, 4) if head[13] == 0x11 else (socket.AF_INET6, 16)
    ips = [socket.inet_ntop(family, block[i * size : (i + 1) * size]) for i in range(2)]
    ports = struct.unpack(">HH", block[2 * size : 2 * size + 4])
    return 2, (ips[0], ports[0]), (ips[1], ports[1]), tlvs_of(block[2 * size + 4 :])
