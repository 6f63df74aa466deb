"""A headless Chromium, spoken to over its debugging pipe (messages end in NUL): what it loads, says and shows."""

import base64
import json
import os
import queue
import shutil
import subprocess
import threading
import time

FLAGS = [
    "--headless",
    "--no-sandbox",  # of a container that is one already
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


class Browser:
    """One page. Owns the child: `close` must be called."""

    def __init__(self, directory):
        to_read, to_write = os.pipe()
        from_read, from_write = os.pipe()
        program = shutil.which("chromium") or shutil.which("chromium-browser")

        def wire():  # the child reads from 3 and writes to 4
            source, sink = os.dup(to_read), os.dup(from_write)
            os.dup2(source, 3)
            os.dup2(sink, 4)

        self.child = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={directory}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=wire,
            pass_fds=(3, 4),
            env={**os.environ, "HOME": str(directory), "LANG": "C.UTF-8"},
        )
        os.close(to_read)
        os.close(from_write)
        self._out = os.fdopen(to_write, "wb", buffering=0)
        self._in = os.fdopen(from_read, "rb", buffering=0)
        self._answers = queue.Queue()
        self._next = 0
        self.events = []
        threading.Thread(target=self._read, daemon=True).start()
        self._session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _read(self):
        kept = b""
        while chunk := self._in.read(65536):
            *whole, kept = (kept + chunk).split(b"\0")
            for text in whole:
                message = json.loads(text)
                if "id" in message:
                    self._answers.put(message)
                else:
                    self.events.append(message)

    def call(self, method, **params):
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._answers.get(timeout=60)
            if answer["id"] == self._next:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    # --- the page ---

    def open(self, url):
        self.call("Page.navigate", url=url)

    def eval(self, expression):
        """The value of an expression, or of what it promises."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression, timeout=30):
        deadline = time.monotonic() + timeout
        while not (value := self.eval(expression)):
            assert time.monotonic() < deadline, f"{expression} is not true in {timeout} s; {self.eval('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def look(self, width, height, scheme="light"):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def screenshot(self, path):
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    # --- what it said ---

    def of(self, method):
        return [event["params"] for event in list(self.events) if event["method"] == method]

    def complaints(self):
        """What stands in the console, and exceptions."""
        said = [entry["entry"]["text"] for entry in self.of("Log.entryAdded")]
        said += [str(call["args"]) for call in self.of("Runtime.consoleAPICalled")]
        said += [str(thrown["exceptionDetails"]) for thrown in self.of("Runtime.exceptionThrown")]
        return said

    def requested(self):
        return [request["request"]["url"] for request in self.of("Network.requestWillBeSent")]

    def close(self):
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
