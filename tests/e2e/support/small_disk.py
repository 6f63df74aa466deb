"""A file system of its own that can be filled to the last byte, and emptied again."""

import errno
import os
import subprocess

MEGABYTES = 1


class SmallDisk:
    """In memory, mounted at `path`. Unmount it when nobody has it open any more."""

    def __init__(self, path):
        self.path = path
        self._ballast = path / "lost+found"  # the one foreign name that a storage may have
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=700", "tmpfs", path], check=True)

    def fill(self):
        """Not a page is left, which files may share."""
        with open(self._ballast, "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error

    def free(self):
        os.unlink(self._ballast)

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=True)
