# SPDX-License-Identifier: Apache-2.0
"""Forks a second that the machine makes, without and with a daemon beside, interleaved A B A B.

    sudo tests/bench/forks.py build/release/bin/trivet
"""

import os
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = 5
SECONDS = 3


def forks_a_second():
    """By one maker on each CPU that forks, and waits for each child, which exits at once."""
    ends = []
    for _ in range(os.cpu_count()):
        read, write = os.pipe()
        if os.fork() == 0:
            count, end = 0, time.monotonic() + SECONDS
            while time.monotonic() < end:
                child = os.fork()
                if child == 0:
                    os._exit(0)
                os.waitpid(child, 0)
                count += 1
            os.write(write, str(count).encode())
            os._exit(0)
        os.close(write)
        ends.append(read)
    total = sum(int(os.read(end, 64)) for end in ends)
    for end in ends:
        os.close(end)
        os.wait()
    return total / SECONDS


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    without, beside, lost = [], [], 0
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        for number in range(ROUNDS):
            without.append(forks_a_second())
            place = pathlib.Path(folder) / str(number)
            place.mkdir()
            daemon = harness.Trivet(place)
            daemon.start()
            beside.append(forks_a_second())
            lost += daemon.metrics().sum("trivet_events_dropped_total", lane="lifecycle")
            daemon.close()
    ratio = statistics.median(b / a for a, b in zip(without, beside))
    print(f"forks a second: {statistics.median(without):.0f} without, {statistics.median(beside):.0f} "
          f"with trivet, ratio {ratio:.2f}; lifecycle events lost: {lost:.0f}")


main()
