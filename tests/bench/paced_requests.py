# SPDX-License-Identifier: Apache-2.0
"""Servers at half of what they can do, without and with tracing beside, interleaved A B A B: their CPU, the
clients' latencies, trivet's CPU and memory, and whether each request has its record with its own answer.

    sudo tests/bench/paced_requests.py build/release/bin/trivet build/release/tests/paced [PROTOCOL...]
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
import postgresql_test  # noqa: E402
import redis_test  # noqa: E402
import trivet_harness as harness  # noqa: E402
from http_requests import cpu_seconds  # noqa: E402
from idle import resident  # noqa: E402

ROUNDS = 5
SECONDS = 8  # with ROUNDS: less than two minutes for each load
CONNECTIONS = 10
REDIS_KEYS = 10_000  # as paced.cpp has it

# What is wrong in a record: the answer is another request's.
HTTP_WRONG = "response_headers NOT LIKE '%\"' || path || '\"%'"
REDIS_WRONG = "response NOT LIKE json_extract(arguments, '$[0]') || ':%'"
POSTGRESQL_WRONG = "query NOT LIKE '%(1,' || rows || ')'"


def nginx(folder):
    server = harness.Nginx(folder)
    (server.prefix / "files/1k").write_text("x" * 1024)
    return server


def redis(folder):
    server = redis_test.Redis(folder)
    server.cli("--pipe", text="".join(f"SET {key} {key}:{'v' * 100}\r\n" for key in range(REDIS_KEYS)))
    return server


LOADS = {  # name: (protocol of paced, server, depth, table, what its records are, wrong)
    "nginx, 1 KiB": ("http", nginx, 1, "http_requests", "path LIKE '/1k/%'", HTTP_WRONG),
    "redis, GET": ("redis", redis, 1, "redis_requests", "command = 'GET'", REDIS_WRONG),
    "redis, GET, 16 at once": ("redis", redis, 16, "redis_requests", "command = 'GET'", REDIS_WRONG),
    "postgresql, SELECT": ("postgresql", postgresql_test.Postgresql, 1, "postgresql_requests",
                           "operation = 'SELECT'", POSTGRESQL_WRONG),
}


def family(pid):
    """A process and all below it."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


class Load:
    def __init__(self, protocol, server, depth):
        self.protocol, self.server, self.depth = protocol, server, depth

    def run(self, rate, seconds):
        """What paced says, and the server's CPU ms per 1,000 requests."""
        paced = subprocess.Popen([sys.argv[2], self.protocol, str(self.server.port), str(rate), str(seconds),
                                  str(CONNECTIONS), str(self.depth)], stdout=subprocess.PIPE, text=True)
        # PostgreSQL's own process for each connection ends with it: look before.
        time.sleep(0.5)
        pids = family(self.server.process.pid)
        before, start = cpu_seconds(pids), time.monotonic()
        time.sleep(seconds - 1)
        cpu, took = cpu_seconds(pids) - before, time.monotonic() - start
        said = json.loads(paced.communicate()[0])
        assert paced.returncode == 0 and said["wrong"] == 0, said
        return said | {"server_ms": cpu / (said["per_second"] * took) * 1e6}


def map_bytes(pids):
    """What the kernel charges for the maps that these processes hold."""
    charged = {}
    for pid in pids:
        for path in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
            if "map_id" in fields:
                charged[fields["map_id"]] = int(fields["memlock"])
    return sum(charged.values())


def settled(count):
    """What count() says once a second has not changed it: records may still be on their way."""
    before, now = -1, count()
    while now != before:
        time.sleep(1)
        before, now = now, count()
    return now


def measure(name, folder):
    protocol, server, depth, table, ours, wrong = LOADS[name]
    folder.mkdir(mode=0o755)
    load = Load(protocol, server(folder), depth)
    load.run(0, 3)
    most = statistics.median(load.run(0, 4)["per_second"] for _ in range(3))
    bare, traced, own, memory, maps, sent, kept, mixed, lost = [], [], [], [], [], 0, 0, 0, 0
    for number in range(ROUNDS):
        bare.append(load.run(most / 2, SECONDS))
        place = folder / str(number)
        place.mkdir()
        daemon = harness.Trivet(place, plugins=["tracing"],
                                changes={"records.max_rows": 3_000_000, "records.max_bytes": 2 << 30})
        daemon.start()
        pids = daemon.children()
        before = cpu_seconds(pids)
        said = load.run(most / 2, SECONDS)
        time.sleep(1)
        traced.append(said)
        own.append((cpu_seconds(pids) - before) / said["requests"] * 1e6)
        memory.append(resident(daemon.main_pid())[1] / 1024)
        maps.append(map_bytes([daemon.process.pid, *pids]) / 1024 / 1024)
        sent += 2 * said["requests"]
        whole = f"SELECT count(*) AS n FROM {table} WHERE {ours} AND error = ''"
        kept += settled(lambda: daemon.query(f"{whole} AND NOT ({wrong})")[0]["n"])
        mixed += daemon.query(f"{whole} AND {wrong}")[0]["n"]
        lost += daemon.metrics().sum("trivet_events_dropped_total")
        lost += daemon.metrics().sum("trivet_queue_dropped_events_total")
        daemon.close()
    load.server.close()

    def compare(key):
        pairs = [(a[key], b[key]) for a, b in zip(bare, traced)]
        ratio = statistics.median(b / a for a, b in pairs)
        return (f"{statistics.median(a for a, _ in pairs):.1f} without, "
                f"{statistics.median(b for _, b in pairs):.1f} with, ratio {ratio:.2f}")

    print(f"{name}: {most / 2:.0f} requests/s of {most:.0f}")
    print(f"  server's CPU, ms per 1,000: {compare('server_ms')}")
    for percent in ("p50", "p99", "p999"):
        print(f"  {percent}, us: {compare(percent + '_us')}")
    print(f"  trivet: {statistics.median(own):.1f} ms CPU per 1,000 (two records each), main "
          f"{statistics.median(memory):.0f} MiB with all of its records, maps {statistics.median(maps):.0f} MiB")
    print(f"  records: {kept} of {sent} ({100 * kept / sent:.3f} %), wrong pairs {mixed}, events lost {lost:.0f}",
          flush=True)


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        for number, name in enumerate(LOADS):
            if len(sys.argv) < 4 or LOADS[name][0] in sys.argv[3:]:
                measure(name, pathlib.Path(folder) / f"load{number}")


if __name__ == "__main__":
    main()
