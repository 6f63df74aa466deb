"""systemd itself, in namespaces of its own with a network of its own, to run the unit files as they are written.

Needs root and a cgroup2 hierarchy; `boot` returns None where this machine does not let one have them. Nothing of the machine
is written: /etc, /usr/local/bin, /var/lib, /run and the unit directory are file systems in memory there, /proc/sys is
read-only."""

import os
import pathlib
import shutil
import subprocess
import time

UNITS = pathlib.Path(__file__).resolve().parents[3] / "deploy" / "systemd"

_BOOT = r"""
set -e
work=$1 binary=$2 units=$3
mount --make-rprivate /
in_memory() { mkdir -p "$1"; mount -t tmpfs tmpfs "$1"; }
in_memory "$work/etc"; cp -a /etc/. "$work/etc/" 2> /dev/null || true
in_memory "$work/system"
for unit in sysinit basic sockets shutdown umount final multi-user network-online network paths timers slices local-fs swap exit emergency; do
  cp "/lib/systemd/system/$unit.target" "$work/system/" 2> /dev/null || true
done
sed -i '/^Requires=/d; /^Wants=/d' "$work"/system/{sysinit,basic}.target
mount --bind "$work/system" /lib/systemd/system
mount --bind "$work/etc" /etc
rm -rf /etc/systemd/system && mkdir -p /etc/systemd/system/portico{,@}.service.d /etc/portico
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
in_memory "$work/bin"; cp "$binary" "$work/bin/portico"; mount --bind "$work/bin" /usr/local/bin
cp -L "$units"/portico.service "$units"/portico@.service "$units"/portico-*.socket /etc/systemd/system/
cp "$units"/portico@.service.d/take-over.conf /etc/systemd/system/portico@.service.d/
cp "$work/portico.env" /etc/portico/
for dir in /etc/systemd/system/portico{,@}.service.d; do
  printf '[Service]\nStandardOutput=append:%s/log\nStandardError=append:%s/log\n' "$work" "$work" > "$dir/log.conf"
done
printf '[Unit]\nDescription=what tests boot into\nDefaultDependencies=no\n' > /etc/systemd/system/test.target
mount -t tmpfs tmpfs /var/lib
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
ip link set lo up
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=test.target --log-target=console --show-status=false
"""


def _cgroup2():
    for line in pathlib.Path("/proc/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" and "rw" in options.split(","):
            return pathlib.Path(where)
    return None


class Machine:
    def __init__(self, directory, binary, settings):
        self.directory = directory
        self.log = directory / "log"
        self.log.touch()
        env = {"ASAN_OPTIONS": "detect_leaks=0", **{f"PORTICO_{name}": value for name, value in settings.items()}}
        (directory / "portico.env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        self.cgroup = _cgroup2() / f"portico-test-{os.getpid()}"
        self.cgroup.mkdir()
        self.child = subprocess.Popen(
            ["unshare", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child"]
            + ["bash", "-c", _BOOT, "boot", str(directory), str(binary), str(UNITS)],
            stdin=subprocess.DEVNULL,
            stdout=open(directory / "boot.log", "wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text("0"),
        )

    def _init(self):
        children = pathlib.Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text().split()
        return children[0] if children else None

    def run(self, *argv, check=True):
        """Of a command in there: its output, without the newline."""
        done = subprocess.run(
            ["nsenter", f"--target={self._init()}", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", *argv],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.words()}"
        return done.stdout.rstrip("\n")

    def words(self):
        return f"\n--- boot.log\n{(self.directory / 'boot.log').read_text()[-3000:]}\n--- log\n{self.log.read_text()[-4000:]}"

    def systemctl(self, *argv, check=True):
        return self.run("systemctl", *argv, check=check)

    def show(self, unit, name):
        return self.systemctl("show", unit, f"--property={name}", "--value")

    def wait(self, condition, what, timeout=30):
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"no {what} in {timeout} s{self.words()}"
            time.sleep(0.05)

    def is_up(self):
        return self._init() and self.systemctl("is-active", "test.target", check=False) == "active"

    def close(self):
        self.child.kill()
        self.child.wait()
        deadline = time.monotonic() + 10
        for folder in sorted(self.cgroup.rglob("*/"), key=lambda path: -len(path.parts)) + [self.cgroup]:
            while True:
                try:
                    folder.rmdir()
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.05)


def boot(directory, binary, **settings):
    tools = ("unshare", "nsenter", "systemctl", "ip")
    if os.geteuid() != 0 or not _cgroup2() or not all(shutil.which(tool) for tool in tools):
        return None
    if not pathlib.Path("/lib/systemd/systemd").exists():
        return None
    machine = Machine(directory, binary, settings)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and machine.child.poll() is None:
        if machine.is_up():
            return machine
        time.sleep(0.05)
    machine.close()
    return None
