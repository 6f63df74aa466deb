"""A link with delay and limited speed: what comes in goes out the given time later, in order, no faster than told."""

import asyncio
import threading
import time

CHUNK = 16384


class Relay:
    """Listens on 127.0.0.1, passes every connection on to `target`. delay_s is one way; bytes_per_s each way."""

    def __init__(self, target, delay_s, bytes_per_s):
        self.target = target
        self.delay_s = delay_s
        self.bytes_per_s = bytes_per_s
        self.address = None
        self._server = None
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=[ready], daemon=True)
        self._thread.start()
        assert ready.wait(10)

    def _run(self, ready):
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK))
        self.address = self._server.sockets[0].getsockname()
        ready.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection(*self.target, limit=CHUNK)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer), return_exceptions=True)

    async def _pass(self, reader, writer):
        # as long as the link is: what is on the way, and not more, is taken from the sender
        queue = asyncio.Queue(max(4, int(self.bytes_per_s * self.delay_s / CHUNK) * 2))
        sender = asyncio.ensure_future(self._send(queue, writer))
        try:
            free_at = 0.0
            while data := await reader.read(CHUNK):
                now = time.monotonic()
                free_at = max(free_at, now) + len(data) / self.bytes_per_s
                await asyncio.sleep(free_at - now)
                await queue.put((free_at + self.delay_s, data))
        finally:
            await queue.put((time.monotonic() + self.delay_s, b""))
            await sender

    async def _send(self, queue, writer):
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def _end(self):
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._loop.stop()

    def close(self):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        self._thread.join(5)
        self._loop.close()
