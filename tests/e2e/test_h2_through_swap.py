"""An HTTP/2 connection, and a stream of it, knows nothing of the certificates that are replaced while it lives."""

import threading

from support.h2 import open_h2
from support.swaps import LIFETIME_S, QUICK, RENEW_AT, wait_published


def test_a_stream_lives_through_two_swaps(launch, backends, pebbles):
    pebble = pebbles(env=QUICK, validity_s=LIFETIME_S).start()
    step = threading.Semaphore(0)

    def answer(connection, request):
        if request.target == "/":
            connection.reply(200, "ok")
            return
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(3):
            assert step.acquire(timeout=60)
            connection.send(b"5\r\npart%d\r\n" % i)
        connection.send("0\r\n\r\n")

    portico = launch(backends(answer), DOMAINS="h2.test", ACME_RENEW_AT=RENEW_AT, **pebble.variables())
    wait_published(portico, "h2.test", 1)
    with open_h2(portico, "h2.test") as client:
        stream = client.ask(path="/long", authority="h2.test")
        first = client.client.certificate()
        for swap in (2, 3):
            step.release()
            client.wait(lambda swap=swap: stream.num_bytes == 5 * (swap - 1), "a part")
            wait_published(portico, "h2.test", swap)
            assert client.get("/", authority="h2.test").status == 200
            with open_h2(portico, "h2.test") as other:
                assert other.client.certificate() != first
        step.release()
        assert client.done(stream).body == b"part0part1part2"
        assert not client.goaways
