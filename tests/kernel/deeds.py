# SPDX-License-Identifier: Apache-2.0
"""Deeds that rules are shown by: done with real programs, each in a cgroup of its own, by which its
alerts are known; in a container that runc runs where a rule asks for one."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

import trivet_harness as harness

PYTHON = os.path.realpath("/usr/bin/python3")
# Address 203.0.113.7 (RFC 5737) is this host's in the network namespace of one deed.
OUTSIDE = "ip link set lo up; ip addr add 203.0.113.7 dev lo; ip addr add 10.77.0.1 dev lo; " \
          "ip addr add 169.254.169.254 dev lo; ip addr add 169.254.169.253 dev lo; "
LIBC = "import ctypes, os, socket, sys; c = ctypes.CDLL(None); "


def python(code):
    return [PYTHON, "-c", LIBC + code]


def shell(code):
    return ["sh", "-c", code + "; true"]


def named(name, code):
    """Python under another name: what a rule takes for that program."""
    return shell(f"cp {PYTHON} {name}; ./{name} -c '{code}'")


def outside(code):
    return ["unshare", "-n", "sh", "-c", OUTSIDE + code + "; true"]


# A deed's own view of what it must not change, gone with it.
SCRATCHED = ("etc", "usr/bin", "usr/sbin", "usr/lib/systemd/system", "boot", "var/log", "var/spool", "root", "home")
SCRATCH = "for place in " + " ".join(SCRATCHED) + "; do mkdir -p layers/$place/upper layers/$place/work; " \
          "mount -t overlay -o lowerdir=/$place,upperdir=layers/$place/upper,workdir=layers/$place/work none /$place; " \
          "done; "


def scratch(*command):
    """The command where the system's files are its own to change."""
    return ["unshare", "-m", "sh", "-c", SCRATCH + "exec \"$@\"", "sh", *command]


class Inside:
    """A command as the first process of a container."""

    def __init__(self, *command, caps=(), terminal=False, outside=False):
        self.command, self.caps, self.terminal, self.outside = list(command), caps, terminal, outside


ALL = ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_NET_RAW", "CAP_NET_ADMIN", "CAP_CHOWN",
       "CAP_DAC_OVERRIDE"]
PRIVILEGED = "privileged"  # every capability that there is to give


def in_python(code, **options):
    return Inside(PYTHON, "-c", LIBC + code, **options)


def in_shell(code, **options):
    return Inside("sh", "-c", code + "; true", **options)


def udp(address, port):
    return f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((\"{address}\", {port}))"


ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}
PATIENCE = 30 * harness.SCALE
EVERY_CAPABILITY = ["CAP_" + name for name in (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT "
    "SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE "
    "AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ "
    "PERFMON BPF CHECKPOINT_RESTORE").split()]
TASKS = pathlib.Path("/run/containerd/io.containerd.runtime.v2.task/trivet-test")


def given_capabilities():
    """Those that this machine lets its own root have."""
    held = int(harness.process_status("self")["CapBnd"], 16)
    return [name for bit, name in enumerate(EVERY_CAPABILITY) if held >> bit & 1]


def entering(cgroup, command):
    """The command, by a shell that is in the cgroup a while before."""
    return ["sh", "-c", f"echo $$ >{cgroup}/cgroup.procs; sleep 0.3; exec \"$@\"", "sh", *command]


def configuration(ident, inside):
    privileged = inside.caps == PRIVILEGED
    caps = given_capabilities() if privileged else list(inside.caps)
    sets = {name: caps for name in ("bounding", "effective", "permitted", "inheritable")}
    bind = {"type": "bind", "options": ["rbind", "ro"]}
    return {
        "ociVersion": "1.0.2",
        "process": {"terminal": inside.terminal, "user": {"uid": 0, "gid": 0}, "args": inside.command,
                    "env": [f"{key}={value}" for key, value in ENVIRONMENT.items()], "cwd": "/",
                    "capabilities": sets, "noNewPrivileges": True},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                   {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
                   {"destination": "/usr", "source": "/usr", **bind},
                   {"destination": "/etc/alternatives", "source": "/etc/alternatives", **bind}],
        "annotations": {"io.kubernetes.cri.container-name": "app",
                        "io.kubernetes.cri.sandbox-name": "shop-0",
                        "io.kubernetes.cri.sandbox-namespace": "prod",
                        "io.kubernetes.cri-o.PrivilegedRuntime": str(privileged).lower()},
        "linux": {"cgroupsPath": f"/cri-containerd-{ident}.scope",
                  "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]}}


@contextlib.contextmanager
def bundle(ident, inside):
    """What containerd leaves for runc: a root of two layers and its description."""
    place = TASKS / ident
    made = [path for path in [place, *place.parents] if not path.exists()]
    lower, root = place / "lower", place / "rootfs"
    for name in ("proc", "dev", "etc/alternatives", "usr", "tmp", "data"):
        (lower / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (lower / name).symlink_to(f"usr/{name}")
    (lower / "data/secret").write_text("x")
    for path in (root, place / "upper", place / "work"):
        path.mkdir()
    (place / "config.json").write_text(json.dumps(configuration(ident, inside)))
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={lower},upperdir={place}/upper,workdir={place}/work", str(root)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(root)], check=True)
        shutil.rmtree(place)
        for path in made[1:]:
            path.rmdir()


def run_inside(ident, cgroup, inside, folder):
    # runc wants a terminal where the container gets one.
    main, terminal = os.openpty() if inside.terminal else (None, subprocess.DEVNULL)
    with bundle(ident, inside) as place:
        command = entering(cgroup, ["runc", "run", "-b", str(place), ident[:12]])
        if inside.outside:
            command = outside("")[:-1] + [OUTSIDE + "exec \"$@\"", "sh", *command]
        subprocess.run(command, cwd=folder, env=ENVIRONMENT, stdin=terminal, stdout=terminal,
                       stderr=terminal, timeout=PATIENCE, check=False)
    if inside.terminal:
        os.close(main)
        os.close(terminal)


def do(deed, folder):
    """Does it in a cgroup of its own; the cgroup's id, by which its alerts are known."""
    ident = os.urandom(32).hex()
    inside = isinstance(deed, Inside)
    cgroup = harness.cgroup_root() / (f"cri-containerd-{ident}.scope" if inside else f"trivet-test-{ident[:12]}")
    cgroup.mkdir()
    number = cgroup.stat().st_ino
    try:
        if inside:
            run_inside(ident, cgroup, deed, folder)
        else:
            subprocess.run(entering(cgroup, deed), cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
        harness.wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), 10, "the cgroup is empty")
    finally:
        cgroup.rmdir()
    return number
