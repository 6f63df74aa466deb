"""A WebSocket knows nothing of the certificates that are replaced while it lives."""

from support.swaps import LIFETIME_S, QUICK, RENEW_AT, wait_published
from support.websocket import WebSocket, echo


def test_a_websocket_lives_through_two_swaps(launch, backends, pebbles):
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    backend = backends(echo)
    portico = launch(backend, DOMAINS="ws.test", ACME_RENEW_AT=RENEW_AT, **pebble.variables())
    wait_published(portico, "ws.test", 1)
    root = pebble.root_path()
    with portico.tls("ws.test", ca=root) as client:
        socket = WebSocket(client, "ws.test")
        first = client.certificate()
        for swap in (2, 3):
            socket.ask(f"before certificate {swap}")
            wait_published(portico, "ws.test", swap)
            socket.ask(f"after certificate {swap}")
            with portico.tls("ws.test", ca=root) as other:
                assert other.certificate() != first
        socket.send(b"x" * 100000, opcode=2)  # larger than one record and one buffer
        assert socket.receive() == (2, b"x" * 100000)
    assert len(backend.connections) == 1, "the tunnel was made anew"
