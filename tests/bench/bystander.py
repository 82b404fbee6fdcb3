# SPDX-License-Identifier: Apache-2.0
"""What a bystander's getppid() pays for trivet, by plugins that are on, beside programs that do nothing on
the same hooks, interleaved.

    sudo tests/bench/bystander.py build/release/bin/trivet [ROUNDS]

Each figure is the least of many short loops: what the machine does besides only adds.
"""

import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

CALLS = r"""
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int main(void) {
  double least = 1e9;
  for (int loop = 0; loop < 400; loop++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < 10000; i++) syscall(SYS_getppid);
    clock_gettime(CLOCK_MONOTONIC, &b);
    double ns = ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / 10000;
    if (ns < least) least = ns;
  }
  printf("%.1f\n", least);
}
"""
# (changes of the configuration, plugins)
SETS = {
    "no plugin": ({}, []),
    "tracing": ({}, ["tracing"]),
    "network": ({}, ["network"]),
    "security": ({}, ["security"]),
    "security without 32-bit calls": ({"security.compat_syscalls": "off"}, ["security"]),
    "all three": ({}, ["security", "tracing", "network"]),
}


def hooks_of(daemon):
    """The tracepoints that a daemon's programs are at, as empty_hooks wants them."""
    listed = json.loads(subprocess.run(["bpftool", "-j", "perf", "show"], capture_output=True, check=True).stdout)
    return [f"{entry['fd_type']}:{entry['tracepoint']}" for entry in listed if entry["pid"] == daemon.process.pid]


def build(folder, name, source):
    subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", folder / name], input=source, text=True, check=True)
    return folder / name


@contextlib.contextmanager
def running(place, what):
    place.mkdir()
    daemon = harness.Trivet(place, plugins=what[1], changes=what[0])
    daemon.start()
    yield daemon
    daemon.close()


@contextlib.contextmanager
def empty(program, hooks):
    # Where the host has no tracefs, the program mounts it for itself.
    attached = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"', "sh",
         program, *hooks], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert attached.stdout.readline() == b"attached\n"
    yield
    attached.communicate()


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        folder = pathlib.Path(folder)
        calls = build(folder, "calls", CALLS)
        hooks = build(folder, "hooks", pathlib.Path(__file__).with_name("empty_hooks.c").read_text())
        cost = lambda: float(subprocess.run([calls], capture_output=True, check=True).stdout)
        bare, seen, floor = [], {name: [] for name in SETS}, {name: [] for name in SETS}
        for number in range(rounds):
            bare.append(cost())
            for name, what in SETS.items():
                with running(folder / f"{number}-{name.replace(' ', '-')}", what) as daemon:
                    seen[name].append(cost())
                    at = hooks_of(daemon)
                with empty(hooks, at):
                    floor[name].append(cost())
    bare = statistics.median(bare)
    print(f"{'trivet does not run':32} {bare:6.0f} ns")
    for name in SETS:
        ns, least = statistics.median(seen[name]), statistics.median(floor[name])
        ratio = statistics.median(a / b for a, b in zip(seen[name], floor[name]))
        print(f"{name:32} {ns:6.0f} ns  +{ns - bare:4.0f}   empty programs {least:6.0f} ns  ratio {ratio:.2f}")


main()
