#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command as root under another Debian kernel: machine.py [options] SERIES COMMAND [ARG...]

The kernel is the newest of that series of Debian's cloud kernels: 6.1, 6.12 and so on, or newest for what
Debian's unstable release has (kernels.py). QEMU emulates the machine
(no KVM needed), and its root file system is this one: shared read-only by virtiofs below a tmpfs
overlay, so nothing that happens in there reaches the disk. The command finds lo up and bpffs, tracefs
and cgroup2 mounted where systemd would mount them. Forking is some 36 times slower there: build on the
host, run few processes, be generous with time-outs.

Exit status: the command's; 77 if this host lacks what a machine needs (ctest counts it as skipped);
124 when the time is up; 125 if the machine died.
"""

import argparse
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import kernels
from kernels import Absent, say

ROOT = pathlib.Path(__file__).resolve().parents[2]
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
SKIP, TIME_UP, DIED = 77, 124, 125
# It takes five where the host is not busy; now and then an emulated kernel hangs.
BOOT_SECONDS = 300
# What the initial file system loads, with what they depend on.
MODULES = ("virtio_pci", "virtiofs", "overlay", "virtio_console", "veth")
# In a Debian kernel that knows BPF LSM, it is off unless it is named.
KERNEL_ARGUMENTS = ("console=ttyS0 rdinit=/init panic=-1 quiet mitigations=off no_timer_check "
                    "tsc=reliable nokaslr random.trust_cpu=on cgroup_no_v1=all "
                    "lsm=lockdown,capability,landlock,yama,bpf")

INIT = """#!/busybox sh
export PATH=/
/busybox mkdir -p /dev /proc /sys /below /above /root
/busybox mount -t devtmpfs dev /dev
exec >/dev/console 2>&1
/busybox mount -t proc proc /proc
/busybox mount -t sysfs sys /sys
for module in /modules/*; do /busybox insmod $module; done
/busybox mount -t virtiofs -o ro root /below || exec /busybox poweroff -f
/busybox mount -t tmpfs above /above
/busybox mkdir /above/upper /above/work
/busybox mount -t overlay -o lowerdir=/below,upperdir=/above/upper,workdir=/above/work over /root ||
  exec /busybox poweroff -f
/busybox umount /proc /sys
/busybox mount --move /dev /root/dev
/busybox mount -t tmpfs run /root/run
/busybox mkdir -p /root/run/machine
/busybox mount -t virtiofs exchange /root/run/machine || exec /busybox poweroff -f
/busybox cp /busybox /root/run/busybox
exec /busybox switch_root /root /run/busybox sh /run/machine/start
"""

# Runs in the shared root. `status` appears in the exchange folder when the command has ended.
START = """
b=/run/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mkdir -p /dev/pts /dev/shm /run/lock
$b mount -t devpts -o mode=620 pts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t tmpfs -o mode=1777 tmp /tmp
$b mount -t tmpfs -o mode=1777 tmp /var/tmp
$b mount -t cgroup2 cgroup /sys/fs/cgroup
$b mount -t bpf bpf /sys/fs/bpf
$b mount -t tracefs trace /sys/kernel/tracing
$b mount -t securityfs security /sys/kernel/security
$b ln -sfn /proc/self/fd /dev/fd
$b ip link set lo up
$b hostname machine
$b mkdir -p {tree}
$b mount -t virtiofs -o ro tree {tree}
cd {tree}
# A session of its own, so that a signal meant for the command's group ends there.
$b setsid $b env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp \\
  {environment} {command} </dev/null >/run/machine/output 2>&1
echo $? >/run/machine/status.new
$b mv /run/machine/status.new /run/machine/status
$b sync
$b poweroff -f
"""


def check_host():
    if platform.machine() != "x86_64":
        raise Absent("machines are made for x86_64 only")
    if os.geteuid() != 0:
        raise Absent("sharing the root file system takes root")
    kernels.check_programs("qemu-system-x86_64", VIRTIOFSD, "busybox")


def cpio(entries):
    """A newc archive of (name, mode, content)."""
    archive = bytearray()
    for inode, (name, mode, content) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        name = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        archive += b"070701" + b"".join(b"%08x" % f for f in fields) + name
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def initial_files(tree):
    busybox = pathlib.Path(shutil.which("busybox")).read_bytes()
    entries = [("modules", 0o040755, b""), ("busybox", 0o100755, busybox),
               ("init", 0o100755, INIT.encode())]
    entries += [(f"modules/{place:02}-{name}.ko", 0o100644, content)
                for place, (name, content) in enumerate(kernels.modules_in_order(tree, MODULES))]
    return cpio(entries)


class Share:
    """A folder lent to the machine by virtiofs; read-only ones by a read-only mount of its own."""

    def __init__(self, tag, folder, scratch, writable=False):
        self.tag, self.socket = tag, scratch / f"{tag}.socket"
        self.log = scratch / f"{tag}.log"
        lent = folder
        prefix = []
        if not writable:
            lent = scratch / f"{tag}.lent"
            lent.mkdir()
            prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                      'mount --bind "$1" "$2" && mount -o remount,bind,ro "$2" && shift 2 && exec "$@"',
                      "sh", str(folder), str(lent)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                prefix + [VIRTIOFSD, f"--socket-path={self.socket}", "-o", f"source={lent}",
                          "-o", f"cache={'none' if writable else 'always'}", "-o", "xattr"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self):
        end = time.monotonic() + 15
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"virtiofsd for {self.tag}: {self.log.read_text().strip()}")
            time.sleep(0.02)

    def qemu(self):
        return ["-chardev", f"socket,id={self.tag},path={self.socket}",
                "-device", f"vhost-user-fs-pci,chardev={self.tag},tag={self.tag},queue-size=512"]


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()


def boot(tree, scratch, arguments, seconds):
    """One machine from power-on to power-off: the command's exit status, TIME_UP or DIED."""
    exchange = scratch / "exchange"
    exchange.mkdir()
    (exchange / "start").write_text(START.format(
        tree=shlex.quote(str(ROOT)), command=shlex.join(arguments.command),
        environment=shlex.join(arguments.set)))
    (scratch / "initrd").write_bytes(initial_files(tree))
    console = scratch / "console"
    shares = []
    processes = []
    try:
        for tag, folder, writable in (("root", "/", False), ("tree", ROOT, False),
                                      ("exchange", exchange, True)):
            shares.append(Share(tag, folder, scratch, writable))
            processes.append(shares[-1].process)
        for share in shares:
            share.wait()
        memory = f"{arguments.memory}M"
        # Emulation with several threads has crashed kernels now and then; one is as fast here.
        machine = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "Haswell-noTSX", "-smp", str(arguments.cpus),
             "-machine", "q35,memory-backend=memory", "-m", memory,
             "-object", f"memory-backend-memfd,id=memory,size={memory},share=on",
             "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-nic", "none",
             "-serial", f"file:{console}", "-kernel", str(kernels.image(tree)),
             "-initrd", str(scratch / "initrd"), "-append", f"{KERNEL_ARGUMENTS} {arguments.append}",
             *(argument for share in shares for argument in share.qemu())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=(scratch / "qemu.log").open("w"))
        processes.append(machine)
        return watch(machine, exchange, seconds)
    finally:
        for process in reversed(processes):
            end(process)
        if arguments.verbose and console.exists():
            say(f"console:\n{console.read_text(errors='replace')}")


def watch(machine, exchange, seconds):
    """Copies the command's output as it grows until the machine is off; its exit status."""
    started, shown, status = time.monotonic(), 0, exchange / "status"
    output = exchange / "output"
    while True:
        off = machine.poll() is not None or status.exists()
        if output.exists():
            with output.open("rb") as file:
                file.seek(shown)
                new = file.read()
            shown += len(new)
            sys.stdout.buffer.write(new)
            sys.stdout.flush()
        if off:
            return int(status.read_text()) if status.exists() else DIED
        if not output.exists() and time.monotonic() - started > BOOT_SECONDS:
            return DIED
        if time.monotonic() - started > seconds:
            return TIME_UP
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="where kernels are kept")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for all of it")
    parser.add_argument("--memory", type=int, default=2048, help="MiB")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="an environment variable of the command")
    parser.add_argument("--append", default="", metavar="ARGUMENTS", help="of the kernel, behind the usual ones")
    parser.add_argument("--verbose", action="store_true", help="show the kernel's console")
    parser.add_argument("series", help="such as 6.1, or newest")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("no command")
    try:
        check_host()
        arguments.cache.mkdir(parents=True, exist_ok=True)
        tree = kernels.tree(arguments.cache, arguments.series)
        say(f"{tree.name}")
        # A machine that died or hung before the command began may be tried again.
        for attempt in range(3):
            with tempfile.TemporaryDirectory(prefix="trivet-machine-") as folder:
                scratch = pathlib.Path(folder)
                status = boot(tree, scratch, arguments, arguments.timeout)
                begun = (scratch / "exchange/output").exists()
                if status == DIED and not begun and attempt < 2:
                    say("the machine died while it booted; once more")
                    continue
                if status in (TIME_UP, DIED):
                    log = scratch / "console"
                    tail = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                    say(f"{'the time is up' if status == TIME_UP else 'the machine died'}; its console:\n"
                        f"{tail}\n{(scratch / 'qemu.log').read_text()[-500:]}")
                return status
    except Absent as absent:
        say(f"skipped: {absent}")
        return SKIP
    return DIED


if __name__ == "__main__":
    sys.exit(main())
