# SPDX-License-Identifier: Apache-2.0
"""Keep-alive HTTP/1.1 requests to nginx, without and with tracing beside, interleaved A B A B.

    sudo tests/bench/http_requests.py build/release/bin/trivet [REQUESTS]

Each request carries its number in its path and its kind is answered by a status of its own, so that what
is missing or wrongly paired shows.
"""

import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import trivet_harness as harness  # noqa: E402

ROUNDS = 5
STATUS = {"ok": 200, "missing": 404, "moved": 301, "denied": 403}


def cpu_seconds(pids):
    """User and system time of these processes so far."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def nginx_pids(nginx):
    children = pathlib.Path(f"/proc/{nginx.process.pid}/task/{nginx.process.pid}/children")
    return [nginx.process.pid, *map(int, children.read_text().split())]


def load(nginx, urls, requests):
    """Requests a second, and nginx's CPU seconds per 1,000 of them."""
    before = cpu_seconds(nginx_pids(nginx))
    done = subprocess.run(
        ["h2load", "--h1", "-n", str(requests), "-c", "10", "-t", "1", "-i", str(urls)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert f"{requests} done" in done.stdout, done.stdout
    rate = float(re.search(r"([\d.]+) req/s", done.stdout).group(1))
    return rate, (cpu_seconds(nginx_pids(nginx)) - before) / requests * 1000


def main():
    os.environ["TRIVET_BIN"] = sys.argv[1]
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    rates, server, own, missing, wrong, lost = [], [], [], 0, 0, 0
    with tempfile.TemporaryDirectory(dir="/run", prefix="trivet-bench-") as folder:
        os.chmod(folder, 0o755)
        folder = pathlib.Path(folder)
        nginx = harness.Nginx(folder)
        kinds = list(STATUS)
        urls = folder / "urls.txt"
        urls.write_text("".join(f"{nginx.url}/{kinds[i % 4]}/{i}\n" for i in range(1000)))
        load(nginx, urls, 10_000)
        for number in range(ROUNDS):
            bare, bare_cpu = load(nginx, urls, requests)
            place = folder / str(number)
            place.mkdir()
            daemon = harness.Trivet(place, plugins=["tracing"], changes={"records.max_rows": 200_000})
            daemon.start()
            pids = daemon.children()
            before = cpu_seconds(pids)
            traced, traced_cpu = load(nginx, urls, requests)
            time.sleep(1)
            own.append((cpu_seconds(pids) - before) / requests * 1000)
            metrics = daemon.metrics()
            for role in ("client", "server"):
                missing += requests - metrics.sum(f"http_{role}_request_duration_seconds_count")
            lost += metrics.sum("trivet_events_dropped_total") + metrics.sum("trivet_queue_dropped_events_total")
            pairs = " OR ".join(f"(path LIKE '/{kind}/%' AND status <> {status})"
                                for kind, status in STATUS.items())
            answer = daemon.call("query", f"SELECT count(*) FROM http_requests WHERE {pairs}", "-o", "csv")
            wrong += int(answer.stdout.splitlines()[1])
            daemon.close()
            rates.append((bare, traced))
            server.append((bare_cpu, traced_cpu))
        harness.end_process(nginx.process)
    middle = statistics.median
    print(f"requests/s: {middle(a for a, _ in rates):.0f} without, {middle(b for _, b in rates):.0f} with, "
          f"ratio {middle(b / a for a, b in rates):.2f} "
          f"({', '.join(f'{b / a:.2f}' for a, b in rates)})")
    print(f"nginx's CPU ms per 1,000 requests: {1000 * middle(a for a, _ in server):.1f} without, "
          f"{1000 * middle(b for _, b in server):.1f} with, "
          f"ratio {middle(b / a for a, b in server):.2f}")
    print(f"trivet's CPU ms per 1,000 requests (two records each): {1000 * middle(own):.1f}")
    print(f"of {2 * ROUNDS * requests} records: missing {missing:.0f}, wrong pairs {wrong}, "
          f"events lost {lost:.0f}")


if __name__ == "__main__":
    main()
