"""The service manager's side of systemd's protocols: it hears what a service says, and passes sockets to it."""

import socket
import sys

# Becomes the service with the sockets at descriptors 3 and up, as systemd does: LISTEN_PID is its own process.
_PASS = """
import os, sys
fds, names = [int(f) for f in sys.argv[1].split(",")], sys.argv[2]
high = [os.dup(fd) if fd < 3 + len(fds) else fd for fd in fds]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(fds), 256)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Passing(list):
    """The wrapper of a launch that passes (name, socket) pairs."""

    def __init__(self, *named):
        self.fds = [sock.fileno() for _, sock in named]
        fds = ",".join(str(fd) for fd in self.fds)
        super().__init__([sys.executable, "-c", _PASS, fds, ":".join(name for name, _ in named)])


class Manager:
    """A NOTIFY_SOCKET, in the file system or the abstract namespace. Messages are dictionaries, in order."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path.replace("@", "\0", 1))
        self.messages = []

    def wrapper(self, watchdog_s=None):
        env = [f"NOTIFY_SOCKET={self.path}"]
        if watchdog_s is not None:
            env.append(f"WATCHDOG_USEC={int(watchdog_s * 1e6)}")
        return ["env", *env]

    def receive(self, timeout=20):
        self.socket.settimeout(timeout)
        text = self.socket.recv(4096).decode()
        self.messages.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self.messages[-1]

    def wait(self, word, timeout=20):
        """The next message with that word; those before it are kept in `messages`."""
        while True:
            message = self.receive(timeout)
            if word in message:
                return message

    def heard_nothing(self, word, seconds):
        """Whether none with that word comes in the time."""
        try:
            self.wait(word, seconds)
        except TimeoutError:
            return True
        return False

    def close(self):
        self.socket.close()
