"""A child process whose output is read line by line in a thread, and waited for without blind sleeps."""

import json
import os
import re
import signal
import subprocess
import threading
import time

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer")


class Process:
    """Owns the child: `stop` must be called. Lines that are JSON objects with an "event" become events."""

    def __init__(self, name, argv, env=None, cwd=None, preexec=None, stdout=None, pass_fds=()):
        self.name = name
        self.argv = argv
        self.events = []
        self.lines = []
        self._news = threading.Condition()
        self._ended = False
        self.child = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.STDOUT if stdout is None else subprocess.PIPE,
            preexec_fn=preexec,
            pass_fds=pass_fds,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=[self.child.stdout or self.child.stderr], daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.child.pid

    def _read(self, pipe):
        for raw in pipe:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            event = self._event_of(line)
            with self._news:
                self.lines.append(line)
                if event:
                    self.events.append(event)
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    @staticmethod
    def _event_of(line):
        if not line.startswith("{"):
            return None
        try:
            event = json.loads(line)
        except ValueError:
            return {"event": "unreadable_line", "line": line}
        return event if "event" in event else None

    # --- waiting ---

    def mark(self):
        """Where the events stand now, for `since`."""
        with self._news:
            return len(self.events)

    def find_events(self, name=None, /, since=0, **fields):
        with self._news:
            events = self.events[since:]
        return [e for e in events if name in (None, e["event"]) and all(e.get(k) == v for k, v in fields.items())]

    def wait_until(self, condition, what, timeout=20):
        """Until condition() returns something true; it is asked again whenever a line has come, and every 50 ms."""
        deadline = time.monotonic() + timeout
        while True:
            result = condition()
            if result:
                return result
            with self._news:
                if self._ended and not condition():
                    raise AssertionError(f"{self.name} ended before {what}\n{self.tail()}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.name}: no {what} in {timeout} s\n{self.tail()}")
                self._news.wait(min(left, 0.05))

    def wait_event(self, name, /, timeout=20, since=0, count=1, **fields):
        """The count-th such event at or after the mark `since`."""
        found = self.wait_until(
            lambda: len(self.find_events(name, since, **fields)) >= count, f"event {name} {fields or ''}", timeout
        )
        assert found
        return self.find_events(name, since, **fields)[count - 1]

    def wait_line(self, pattern, timeout=20):
        def match():
            with self._news:
                lines = list(self.lines)
            for line in lines:
                found = re.search(pattern, line)
                if found:
                    return found
            return None

        return self.wait_until(match, f"line like {pattern!r}", timeout)

    def tail(self, num=60):
        return "\n".join(f"  {self.name}| {line}" for line in self.lines[-num:])

    # --- the end ---

    def running(self):
        return self.child.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_exit(self, timeout=20):
        """Its exit code, negative for a signal."""
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end in {timeout} s\n{self.tail()}") from None
        self._reader.join(10)
        return code

    def kill(self):
        if self.running():
            self.signal(signal.SIGKILL)
        return self.wait_exit()

    def stop(self):
        """Ends it in whatever way is quick; for what has no state of interest."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.signal(signal.SIGKILL)
        self.wait_exit()

    def sanitizer_report(self):
        with self._news:
            for i, line in enumerate(self.lines):
                if SANITIZER.search(line):
                    return "\n".join(self.lines[max(0, i - 2) : i + 60])
        return None
