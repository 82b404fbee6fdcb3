# SPDX-License-Identifier: Apache-2.0
"""A fresh Debian 12 as the root of a mount namespace: what packages meet on somebody's machine.

The system is made once by debootstrap, in a cache folder, and stays as it is: each FreshDebian lies over
it with a tmpfs of its own, which goes with its last process. Processes and kernel are the host's.
"""

import os
import pathlib
import re
import shutil
import subprocess

# Everything is mounted in the namespace only, and goes with it.
ENTER = """
set -e
umask 022
mkdir -p /run/fresh
mount -t tmpfs -o mode=755 fresh /run/fresh
cd /run/fresh
mkdir upper work root
mount -t overlay -o lowerdir="$1",upperdir=upper,workdir=work overlay root
cat /etc/resolv.conf >root/etc/resolv.conf
cat /etc/hosts >root/etc/hosts
cd root
mkdir -p old
mount --rbind /proc proc
mount --rbind /sys sys
mount -t tracefs tracefs sys/kernel/tracing
mount --rbind /dev dev
mount -t tmpfs -o mode=755 run run
pivot_root . old
umount -l /old
rmdir /old
echo ready
exec sleep infinity
"""
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
               "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
               **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}}


def mirror():
    """Where this machine gets its own Debian 12 from, or None."""
    done = subprocess.run(["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)"],
                          capture_output=True, text=True, check=False)
    found = re.search(r"^bookworm (\S+)$", done.stdout, re.M)
    return found and found.group(1)


def system(cache):
    """The folder of the fresh system, made if it is missing. None where it cannot be: no mirror."""
    tree = pathlib.Path(cache) / "bookworm"
    if tree.is_dir():
        return tree
    if not mirror():
        return None
    begun = tree.with_suffix(".begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", begun, mirror()],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          umask=0o022)
    assert done.returncode == 0, f"debootstrap: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    begun.rename(tree)
    return tree


class FreshDebian:
    def __init__(self, tree):
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", tree],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "ready\n", "the fresh system cannot be entered"
        self.root = pathlib.Path(f"/proc/{self.holder.pid}/root")  # as the host sees it

    def path(self, inside):
        return self.root / inside.lstrip("/")

    def command(self, *command):
        """What runs `command` in there."""
        return ["nsenter", f"--target={self.holder.pid}", "--mount", "--root", "--wd=/", *command]

    def run(self, *command, check=True):
        done = subprocess.run(self.command(*command), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=ENVIRONMENT, check=False, timeout=600)
        if check:
            assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
