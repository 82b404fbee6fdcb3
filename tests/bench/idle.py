# SPDX-License-Identifier: Apache-2.0
"""How long trivet takes to be ready, and what memory it holds when nothing happens.

    sudo tests/bench/idle.py build/release/bin/trivet
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = 5
SETTLED = 5  # seconds


def resident(pid):
    """KiB of the process that are its own, all that it has mapped, and its part of what it shares."""
    status = harness.process_status(pid)
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    part = next(line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(status["RssAnon"].split()[0]), int(status["VmRSS"].split()[0]), int(part)


def map_bytes(before):
    """What the kernel charges for maps that were not there before."""
    maps = json.loads(subprocess.run(["bpftool", "map", "show", "-j"], capture_output=True,
                                     check=True).stdout)
    return {m["id"]: m["bytes_memlock"] for m in maps if m["id"] not in before}


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    ready, held = [], []
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        for number in range(ROUNDS):
            place = pathlib.Path(folder) / str(number)
            place.mkdir()
            before = map_bytes({})
            daemon = harness.Trivet(place)
            start = time.monotonic()
            daemon.start()
            ready.append(time.monotonic() - start)
            time.sleep(SETTLED)
            main_pid = daemon.main_pid()
            broker = [pid for pid in daemon.children() if pid != main_pid] or [daemon.process.pid]
            held.append((*resident(main_pid), *resident(broker[0]),
                         sum(map_bytes(before).values()) / 1024))
            daemon.close()
    print(f"ready after {statistics.median(ready):.2f} s (asked every 20 ms)")
    for what, values in zip(("main: own memory", "main: RSS", "main: PSS", "broker: own memory",
                             "broker: RSS", "broker: PSS", "maps in the kernel"), zip(*held)):
        print(f"{what:20} {statistics.median(values) / 1024:6.1f} MiB")


if __name__ == "__main__":
    main()
