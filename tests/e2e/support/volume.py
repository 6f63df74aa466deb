"""A directory of files as Kubernetes lays out a ConfigMap or Secret volume, and as a person keeps one."""

import os
import shutil


class Volume:
    """`put` replaces the whole contents at once: a new directory, and the link `..data` renamed over the old one."""

    def __init__(self, path, files):
        self.path = path
        self.num = 0
        path.mkdir()
        self.put(files)

    def put(self, files):
        self.num += 1
        fresh = self.path / f"..2026_{self.num}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        (self.path / "..data_tmp").symlink_to(fresh.name)
        before = os.readlink(self.path / "..data") if (self.path / "..data").is_symlink() else None
        os.replace(self.path / "..data_tmp", self.path / "..data")
        for name in files:
            if not (self.path / name).is_symlink():
                (self.path / name).symlink_to(f"..data/{name}")
        for link in self.path.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if before:
            shutil.rmtree(self.path / before)


class Folder:
    """Plain files; each is written in place, or renamed over what was there."""

    def __init__(self, path, **files):
        self.path = path
        path.mkdir()
        for name, text in files.items():
            self.write(name, text)

    def write(self, name, text):
        (self.path / f"PORTICO_{name}").write_text(str(text))

    def rename_over(self, name, text):
        fresh = self.path / f".PORTICO_{name}.swp"
        fresh.write_text(str(text))
        os.replace(fresh, self.path / f"PORTICO_{name}")

    def remove(self, name):
        (self.path / f"PORTICO_{name}").unlink()
