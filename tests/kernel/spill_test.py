# SPDX-License-Identifier: Apache-2.0
"""Records in files: what a real daemon wrote is there after its end, whatever the end was."""

import contextlib
import ipaddress
import json
import os
import pathlib
import stat
import struct
import subprocess
import time
import uuid

import pytest

import trivet_harness as harness

USER = 65534  # nobody: main's user where there is no user trivet


@pytest.fixture
def kept(start, folder):
    """kept(changes) -> a daemon that keeps records in the same folder each time."""
    def begin(**changes):
        return start(plugins=("tracing",), changes={
            "daemon.user": "nobody", "records.spill": folder / "lib/records",
            **{key.replace("__", "."): value for key, value in changes.items()}})
    return begin


@pytest.fixture
def records(folder):
    return folder / "lib/records"


def request(nginx, *paths):
    subprocess.run(["curl", "-s", *[f"{nginx.url}{path}" for path in paths]],
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
                   timeout=60 * harness.SCALE)


def query(trivet, sql):
    return [json.loads(line) for line in trivet.call("query", sql, "-o", "json").stdout.splitlines()]


def of(nginx):
    """Of this test alone: others on this host, and the look at the metrics, are requests too."""
    return f"FROM http_requests WHERE {nginx.port} IN (local_port, peer_port)"


def paths(trivet, nginx):
    """The paths that the server was asked for, oldest first."""
    sql = f"SELECT path {of(nginx)} AND role = 'server' ORDER BY time"
    return [row["path"] for row in query(trivet, sql)]


def all_but_time(trivet, nginx):
    """Every column of every record; `time` depends on the wall clock, which may be adjusted."""
    rows = query(trivet, f"SELECT * {of(nginx)} ORDER BY time")
    assert all(row.pop("time") for row in rows)
    return rows


def wait_for(trivet, nginx, wanted):
    def there():
        found = paths(trivet, nginx)
        return found if set(wanted) <= set(found) else None
    return harness.wait_until(there, 15, f"the requests {wanted[:3]}...")


def files(records, ending=".segment"):
    return sorted(path for path in records.iterdir() if path.name.endswith(ending))


def rows_in(paths):
    return sum(int(path.stem.rpartition("-")[2]) for path in paths)


def total_size(records):
    total = 0
    for path in files(records):
        with contextlib.suppress(FileNotFoundError):  # gave way meanwhile
            total += path.stat().st_size
    return total


def kill(trivet):
    """Ends both processes without a word; main dies with the broker."""
    main = trivet.main_pid()
    trivet.process.kill()
    trivet.process.wait(20 * harness.SCALE)
    harness.wait_until(lambda: not os.path.exists(f"/proc/{main}"), 20, "main is gone")
    trivet.errors.close()


def test_records_outlive_a_restart(kept, nginx, records):
    first = kept()
    request(nginx, "/ok/one", "/missing/two")
    assert wait_for(first, nginx, ["/ok/one", "/missing/two"]) == ["/ok/one", "/missing/two"]
    before = all_but_time(first, nginx)
    assert first.stop() == 0

    second = kept()
    assert all_but_time(second, nginx) == before
    request(nginx, "/ok/three")
    assert wait_for(second, nginx, ["/ok/three"]) == ["/ok/one", "/missing/two", "/ok/three"]
    assert second.stop() == 0
    third = kept()
    assert paths(third, nginx) == ["/ok/one", "/missing/two", "/ok/three"]
    # What lives in memory alone starts anew.
    assert not [row for row in third.rows("http_requests") if row["path"].startswith("/ok/")]


def test_a_stop_keeps_all_rows_while_long_queries_run(kept, nginx):
    first = kept()
    request(nginx, *[f"/ok/{i}" for i in range(20)])
    wait_for(first, nginx, [f"/ok/{i}" for i in range(20)])
    before = all_but_time(first, nginx)
    text = "printf('%.*c', 2000000, 'a')"
    clients = [subprocess.Popen(
        first.command("query", f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) {select}"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for select in (f"SELECT count(instr({text}, printf('%.*c', 1000000 + i % 2, 'a') || 'b')) FROM n",
                       f"SELECT count({text} LIKE '%' || printf('%.*c', 200 + i % 2, 'a') || 'b%') FROM n",
                       "SELECT i FROM n WHERE i % 4 < 4 ORDER BY random()")]
    try:
        threads = ["ps", "-L", "-o", "comm=", "-p", str(first.main_pid())]
        harness.wait_until(lambda: subprocess.check_output(threads, text=True).split().count("query") == 3,
                           10, "each query has a thread")
        time.sleep(1)
        assert all(client.poll() is None for client in clients)
        begin = time.monotonic()
        assert first.stop() == 0
        assert time.monotonic() - begin < 10 * harness.SCALE
    finally:
        for client in clients:
            harness.end_process(client)
    assert all_but_time(kept(), nginx) == before


class Reader:
    """A stored segment as docs/records.md describes it, read by another hand."""

    def __init__(self, path):
        self.bytes, self.at = path.read_bytes(), 0
        magic, self.format, self.header, checksum = self.take("8sIIQ")
        assert magic == b"trivseg\n" and checksum == xxh3(self.bytes[24:self.header])
        boot, _ = self.take("16sq")
        self.boot = uuid.UUID(bytes=boot)
        self.table = self.text()
        self.schema, self.rows, self.first, self.last, count = self.take("IIQQI")
        self.columns = {}
        for _ in range(count):
            name = self.text()
            self.columns[name] = self.take("BBBBQqqIIQIQ")
        assert self.at == self.header

    def take(self, form):
        values = struct.unpack_from("<" + form, self.bytes, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self):
        size, = self.take("I")
        self.at += size
        return self.bytes[self.at - size:self.at].decode()

    def values(self, name):
        kind, flags, width, packing, base, _, _, entries, heap, offset, size, checksum = self.columns[name]
        run = self.bytes[self.header + offset:self.header + offset + size]
        assert checksum == xxh3(run)
        if packing == 1:
            run = subprocess.run(["zstd", "-dc"], input=run, capture_output=True, check=True).stdout
        ends, run = struct.unpack_from(f"<{entries}I", run), run[4 * entries:]
        codes = [base + int.from_bytes(run[row * width:(row + 1) * width], "little")
                 for row in range(self.rows)]
        run = run[self.rows * width:]
        if kind in (0, 1, 2, 4, 5):
            return [None if flags & 1 and run[row] else code for row, code in enumerate(codes)]
        assert len(run) == heap
        return [None if code == 0 else run[ends[code - 1]:ends[code]] for code in codes]


def xxh3(data):
    done = subprocess.run(["xxhsum", "-H3", "-"], input=data, capture_output=True, check=True)
    return int(done.stdout.split()[-1], 16)  # "XXH3 (stdin) = 78af5f94892f3950"


def test_a_file_is_what_the_documents_say(kept, nginx, records):
    first = kept()
    request(nginx, *[f"/{kind}/{i}" for i in range(40) for kind in ("ok", "missing")])
    wait_for(first, nginx, ["/missing/39"])
    told = query(first, "SELECT pid, method, path, status, latency, local_address, container_id, "
                        "request_headers FROM http_requests")
    assert first.stop() == 0
    path, = (each for each in files(records) if each.name.startswith("http_requests-"))
    file = Reader(path)
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (file.format, file.table, str(file.boot)) == (1, "http_requests", boot)
    assert path.name == f"http_requests-{file.first:019}-{file.last:019}-{file.rows}.segment"
    numbers = file.values("#")
    assert (numbers[0], numbers[-1]) == (file.first, file.last) and numbers == sorted(set(numbers))
    # More may have come since the question.
    assert file.rows >= len(told) >= 160
    for name in ("pid", "status", "latency"):
        assert file.values(name)[:len(told)] == [row[name] for row in told]
    for name in ("method", "path", "container_id"):
        assert [text.decode() for text in file.values(name)][:len(told)] == [row[name] for row in told]
    addresses = [str(ipaddress.ip_address(entry)) for entry in file.values("local_address")]
    assert addresses[:len(told)] == [row["local_address"] for row in told]
    for entry, row in zip(file.values("request_headers"), told):
        fields = {}
        while entry:
            kind, size = struct.unpack_from("<BQ", entry)
            name, entry = entry[9:9 + size].decode(), entry[9 + size:]
            assert kind == 5
            size, = struct.unpack_from("<Q", entry)
            fields[name], entry = entry[8:8 + size].decode(), entry[8 + size:]
        assert fields == json.loads(row["request_headers"])


def test_the_folder_and_its_files_are_mains_alone(kept, nginx, records):
    trivet = kept(records__max_rows=64)
    request(nginx, *[f"/ok/{i}" for i in range(8)])
    harness.wait_until(lambda: files(records), 15, "a file")
    for path in [records, *files(records)]:
        status = path.stat()
        assert status.st_uid == status.st_gid == USER
        assert stat.S_IMODE(status.st_mode) == (0o700 if path == records else 0o600)
    assert records.parent.stat().st_uid == 0
    status = harness.process_status(trivet.main_pid())
    assert int(status["CapEff"], 16) == 0 and status["NoNewPrivs"] == "1"


def test_a_killed_daemon_loses_at_most_the_rows_of_open_segments(kept, nginx, records):
    first = kept(records__max_rows=64)  # two rows a segment, and each request makes two
    request(nginx, *[f"/ok/{i}" for i in range(100)])
    wait_for(first, nginx, [f"/ok/{i}" for i in range(100)])
    # Each segment's rows but the last one's are in a file by then.
    harness.wait_until(lambda: rows_in(files(records)) >= 198, 15, "the files")
    kill(first)
    assert not files(records, ".new")
    second = kept(records__max_rows=64)
    old = paths(second, nginx)
    assert len(old) >= 99 and old == [f"/ok/{i}" for i in range(len(old))]


def test_a_daemon_killed_while_it_writes_leaves_whole_segments_only(kept, nginx, records):
    for round in range(3):
        trivet = kept(records__max_rows=64)
        before = len(files(records))
        load = subprocess.Popen(["curl", "-s", f"{nginx.url}/ok/{round}-[1-5000]"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            harness.wait_until(lambda n=before: len(files(records)) > n + 100, 30, "files")
            kill(trivet)
        finally:
            harness.end_process(load)
    last = kept()
    assert not files(records, ".new")
    for round in range(3):
        sql = f"SELECT path {of(nginx)} AND path LIKE '/ok/{round}-%' AND role = 'server' ORDER BY time"
        numbers = [int(row["path"].partition("-")[2]) for row in query(last, sql)]
        assert len(numbers) > 10 and numbers == list(range(1, len(numbers) + 1))
    assert last.metrics().sum("trivet_spill_refused_segments_total") == 0


def test_limits_hold_on_disk(kept, nginx, records):
    # The least that can be set: one MiB. Bodies make it quickly; they do not repeat.
    (nginx.prefix / "files/noise").write_bytes(os.urandom(60_000))
    trivet = kept(records__max_rows=64, records__spill_max_bytes=1 << 20)
    for _ in range(5):
        request(nginx, *["/files/noise"] * 10)
        assert total_size(records) <= 1 << 20
    evicted = "trivet_spill_evicted_segments_total"
    harness.wait_until(lambda: trivet.metrics().sum(evicted) > 0, 15, "files that give way")
    samples = trivet.metrics()
    assert samples.sum("trivet_spill_bytes", table="http_requests") <= 1 << 20
    assert samples.sum("trivet_spill_lost_records_total") == 0


def test_damaged_and_foreign_files_are_left_out_and_told(kept, nginx, records):
    first = kept(records__max_rows=64)
    request(nginx, *[f"/ok/{i}" for i in range(20)])
    wait_for(first, nginx, ["/ok/19"])
    assert first.stop() == 0
    whole = files(records)
    whole[0].write_bytes(b"\xff" * 5000)
    with whole[1].open("r+b") as file:
        file.truncate(200)
    (records / "notes").write_text("mine")
    second = kept()
    samples = harness.wait_until(
        lambda: (s := second.metrics()).sum("trivet_spill_refused_segments_total") == 2 and s, 15,
        "the refusals")
    assert samples.sum("trivet_spill_foreign_files") == 1
    assert second.log().count("is left out") == 2
    # Two files of two rows, the oldest ones.
    left = paths(second, nginx)
    assert 18 <= len(left) <= 20 and left == [f"/ok/{i}" for i in range(20 - len(left), 20)]
    assert (records / "notes").read_text() == "mine"


@contextlib.contextmanager
def small_disk(path, size):
    path.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700,uid={USER},gid={USER}", "tmpfs",
                    str(path)], check=True)
    try:
        yield
    finally:
        # Lazily: whatever the test found wrong, the daemon may hold it yet.
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_full_disk_costs_files_only(kept, nginx, records, folder):
    (nginx.prefix / "files/noise").write_bytes(os.urandom(60_000))
    with small_disk(records, "512k"):
        trivet = kept(records__max_rows=64)
        request(nginx, *["/files/noise"] * 40)
        lost = harness.wait_until(
            lambda: trivet.metrics().sum("trivet_spill_lost_records_total", reason="write_failed"), 15,
            "lost records")
        assert lost > 0 and "No space left on device" in trivet.log()
        # Once, and once more only after a smaller file has found room again.
        log = trivet.log()
        assert log.count("cannot be kept") <= log.count("of records.spill again") + 1
        request(nginx, "/ok/after")
        assert "/ok/after" in wait_for(trivet, nginx, ["/ok/after"])
        assert trivet.stop() == 0


def test_a_folder_that_is_not_mains_is_refused_at_start(folder, records):
    records.mkdir(parents=True)  # root's
    trivet = harness.Trivet(folder, plugins=(), changes={"daemon.user": "nobody",
                                                         "records.spill": records})
    done = subprocess.run([harness.trivet_program(), "run", "-c", str(trivet.config)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=30 * harness.SCALE)
    assert done.returncode == 1
    assert "records.spill" in done.stderr and f"chown -R {USER}" in done.stderr


def test_a_second_daemon_with_the_same_folder_is_refused(kept, folder, records):
    kept()
    (folder / "second").mkdir()
    second = harness.Trivet(folder / "second", plugins=(), changes={
        "daemon.user": "nobody", "records.spill": records})
    done = subprocess.run([harness.trivet_program(), "run", "-c", str(second.config)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=30 * harness.SCALE)
    assert done.returncode == 1 and "in use by another trivet" in done.stderr
