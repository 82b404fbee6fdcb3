# SPDX-License-Identifier: Apache-2.0
"""What a bystander's getppid() pays for trivet, by plugins that are on, interleaved.

    sudo tests/bench/bystander.py build/release/bin/trivet

Each figure is the least of many short loops: what the machine does besides only adds.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = 5
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
SETS = {
    "nothing": None,
    "no plugin": ({}, []),
    "tracing": ({}, ["tracing"]),
    "network": ({}, ["network"]),
    "security": ({}, ["security"]),
    "security without 32-bit calls": ({"security.compat_syscalls": "off"}, ["security"]),
    "all three": ({}, ["security", "tracing", "network"]),
}


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    seen = {name: [] for name in SETS}
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        folder = pathlib.Path(folder)
        calls = folder / "calls"
        subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", calls], input=CALLS, text=True, check=True)
        for number in range(ROUNDS):
            for name, what in SETS.items():
                daemon = None
                if what:
                    place = folder / f"{number}-{name.replace(' ', '-')}"
                    place.mkdir()
                    daemon = harness.Trivet(place, plugins=what[1], changes=what[0])
                    daemon.start()
                seen[name].append(float(subprocess.run([calls], capture_output=True, check=True).stdout))
                if daemon:
                    daemon.close()
    bare = statistics.median(seen["nothing"])
    for name, values in seen.items():
        ns = statistics.median(values)
        print(f"{name:32} {ns:6.0f} ns  +{ns - bare:4.0f}")


main()
