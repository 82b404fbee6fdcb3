# SPDX-License-Identifier: Apache-2.0
"""Records on their way out, taken by the real receivers: files under logrotate, rsyslog, HTTP over TLS,
programs; and what happens when those are slow, gone, or exchanged."""

import contextlib
import http.server
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import trivet_harness as harness

USER = pwd.getpwnam("nobody").pw_uid
DELIVERED = "trivet_output_records_total"
DROPPED = "trivet_output_dropped_records_total"


@pytest.fixture
def serve(start):
    """serve(outputs TOML, **options) -> a serving Trivet whose main is nobody."""

    def begin(outputs, changes=None, **options):
        return start(outputs=outputs, changes={"daemon.user": "nobody", **(changes or {})}, **options)

    return begin


@pytest.fixture
def own(folder):
    """A folder of main's user, reached through root's."""
    path = folder / "own"
    path.mkdir()
    os.chown(path, USER, -1)
    return path


def request(nginx, first, last):
    """One request for each number; tracing makes two records of each."""
    subprocess.run(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/ok/n-[{first}-{last}]"], check=True,
                   stdin=subprocess.DEVNULL)


def output_status(trivet):
    """What `trivet status` says of its only output."""
    (told,) = json.loads(trivet.call("status", "-o", "json").stdout)["outputs"]
    return told


def read_shadow(times=1):
    for _ in range(times):
        subprocess.run(["cat", "/etc/shadow"], stdout=subprocess.DEVNULL, check=True)


def lines(*paths):
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found += [json.loads(line) for line in path.read_text().splitlines()]
    return found


def numbers(records, role="server"):
    """The requests' numbers that arrived, in their order."""
    found = [re.fullmatch(r"/ok/n-(\d+)", r["path"]) for r in records if r.get("role") == role]
    return [int(match.group(1)) for match in found if match]


def whole(records, last, role="server"):
    return sorted(numbers(records, role)) == list(range(1, last + 1))


def test_a_file_has_the_records_that_its_condition_names(serve, nginx, own):
    path = own / "missing.json"
    trivet = serve(f"""
[[outputs]]
name = "missing"
type = "file"
path = "{path}"
tables = ["http_requests"]
where = "status = 404 AND role = 'server' -- of ours"
""")
    for place in ("ok/a", "missing/b", "ok/c", "missing/d"):
        subprocess.run(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/{place}"], check=True)
    harness.wait_until(lambda: len(lines(path)) == 2, 10, "two lines")
    got = lines(path)
    told = [row for row in trivet.rows("http_requests") if row["status"] == 404 and row["role"] == "server"]
    assert [{**row, "time": None} for row in told] == [
        {**{k: v for k, v in row.items() if k != "table"}, "time": None} for row in got]
    assert all(row["table"] == "http_requests" for row in got)
    assert (path.stat().st_uid, oct(path.stat().st_mode & 0o777)) == (USER, "0o640")
    samples = harness.wait_until(
        lambda: (s := trivet.metrics()).sum(DELIVERED, output="missing") == 2 and s, 5, "the metrics")
    assert samples.sum("trivet_output_filtered_records_total", output="missing") >= 6
    assert samples.sum(DROPPED) == 0


def test_a_file_rotates_by_size_and_loses_nothing(serve, nginx, own):
    path = own / "requests.json"
    serve(f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
max_bytes = 65536
keep = 50
""")
    request(nginx, 1, 400)
    rotated = lambda: [path, *own.glob("requests.json.*")]
    harness.wait_until(lambda: whole(lines(*rotated()), 400), 15, "all records")
    assert len(rotated()) > 5 and all(p.stat().st_size <= 65536 for p in rotated())
    oldest = max(own.glob("requests.json.*"), key=lambda p: int(p.suffix[1:]))
    assert numbers(lines(oldest))[0] == 1


def test_the_oldest_files_go(serve, nginx, own):
    path = own / "requests.json"
    serve(f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
max_bytes = 65536
keep = 1
""")
    request(nginx, 1, 300)
    harness.wait_until(lambda: 300 in numbers(lines(path)), 15, "the last record")
    assert sorted(p.name for p in own.iterdir()) == ["requests.json", "requests.json.1"]


def test_logrotate_renames_and_nothing_is_lost(serve, nginx, own, folder):
    path = own / "requests.json"
    serve(f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
max_bytes = 0
""")
    rules = folder / "logrotate.conf"
    rules.write_text(f"{path} {{\n  rotate 20\n  nocreate\n  missingok\n}}\n")
    load = subprocess.Popen(["curl", "-sS", "--rate", "150/s", "-o", "/dev/null", f"{nginx.url}/ok/n-[1-600]"],
                            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(4):
            time.sleep(0.7)
            subprocess.run(["logrotate", "-f", "-s", str(folder / "state"), str(rules)], check=True)
        assert load.wait(60) == 0
    finally:
        harness.end_process(load)
    harness.wait_until(lambda: whole(lines(*own.iterdir()), 600), 15, "all records")
    assert len(list(own.iterdir())) >= 4


def test_a_full_disk_holds_records_up_until_there_is_room(serve, nginx, folder):
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=128k,mode=700,uid={USER}", "tmpfs", str(disk)],
                   check=True)
    try:
        path = disk / "requests.json"
        trivet = serve(f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
max_bytes = 0
""")
        request(nginx, 1, 200)
        harness.wait_until(lambda: "No space left" in trivet.log(), 15, "the error")
        assert output_status(trivet)["state"] == "failing"
        first = lines(path)  # whole lines only, or this fails
        subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
        harness.wait_until(lambda: whole(lines(path), 200), 15, "all records")
        assert len(first) < 400 and "works again" in trivet.log()
        told = output_status(trivet)
        assert (told["output"], told["type"], told["state"]) == ("requests", "file", "working")
        assert told["delivered"] == 400 and told["dropped"] == 0 and told["failures"] > 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@contextlib.contextmanager
def rsyslog(folder):
    """Debian's rsyslogd with a socket of its own; yields the socket and the file that it writes."""
    place, out = folder / "log.sock", folder / "messages"
    conf = folder / "rsyslog.conf"
    conf.write_text(f"""
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{place}" CreatePath="off" RateLimit.Interval="0" ParseHostname="off")
template(name="all" type="string" string="%pri% %programname% %msg%\\n")
action(type="omfile" file="{out}" template="all")
$MaxMessageSize 64k
""")
    process = subprocess.Popen(["rsyslogd", "-n", "-f", str(conf), "-i", str(folder / "pid")],
                               stdin=subprocess.DEVNULL)
    try:
        harness.wait_until(place.exists, 10, "rsyslog listens")
        place.chmod(0o666)
        yield place, out
    finally:
        harness.end_process(process)


def test_rsyslog_gets_alerts_with_their_severity_and_those_of_its_absence_later(serve, folder):
    place = folder / "syslog"
    place.mkdir()
    trivet = serve(f"""
[[outputs]]
name = "syslog"
type = "syslog"
socket = "{place / 'log.sock'}"
facility = "local3"
format = "falco"
where = "rule = 'Read sensitive file untrusted' OR priority IN ('Warning', 'Notice')"
""", plugins=("security",))

    def told(out):
        return [line.split(" ", 2) for line in out.read_text().splitlines()] if out.exists() else []

    def alerts():
        wanted = [a for a in trivet.rows("alerts") if a["priority"] in ("Warning", "Notice")]
        return [a["rule"] for a in wanted if a["process"] == "cat"]

    with rsyslog(place) as (_, out):
        read_shadow()
        harness.wait_until(lambda: told(out), 10, "a message")
        pri, program, text = told(out)[0]
        falco = json.loads(text)
        severity = {"Warning": 4, "Notice": 5}[falco["priority"]]
        assert (int(pri), program) == (19 * 8 + severity, "trivet")
        assert {"hostname", "output", "output_fields", "priority", "rule", "source", "tags", "time"} == set(falco)
    read_shadow()
    harness.wait_until(lambda: "output syslog" in trivet.log(), 10, "the receiver is missed")
    with rsyslog(place) as (_, out):
        harness.wait_until(lambda: len(told(out)) >= len(alerts()) >= 2, 10, "what came meanwhile")
    assert "works again" in trivet.log()
    assert trivet.metrics().sum(DROPPED) == 0


@contextlib.contextmanager
def journald(folder):
    """A journald of its own, whose /run is `folder`; it leaves the kernel's log and audit alone."""
    for name in ("systemd/journal", "systemd/journald.conf.d", "log/journal"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "systemd/journald.conf.d/test.conf").write_text(
        "[Journal]\nStorage=volatile\nRuntimeMaxUse=16M\nReadKMsg=no\nAudit=no\n")
    journal = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         f"mount --bind {folder} /run && exec /lib/systemd/systemd-journald"], stdin=subprocess.DEVNULL)
    try:
        receives = folder / "systemd/journal/socket"
        harness.wait_until(receives.exists, 10, "journald receives")
        yield receives
    finally:
        journal.terminate()
        journal.wait()


def test_the_journal_gets_fields(serve, folder):
    if not os.path.exists("/etc/machine-id") or not pathlib.Path("/etc/machine-id").read_text().strip():
        pytest.skip("journald needs a machine id: systemd-machine-id-setup")
    run = folder / "run"
    with journald(run) as receives:
        serve(f"""
[[outputs]]
name = "journal"
type = "journal"
socket = "{receives}"
tables = ["alerts"]
where = "process = 'cat'"
""", plugins=("security",))
        read_shadow()

        def entries():
            return subprocess.run(
                ["journalctl", "-D", str(run / "log/journal"), "-o", "json", "--no-pager",
                 "SYSLOG_IDENTIFIER=trivet"], capture_output=True, text=True, check=True).stdout.splitlines()

        harness.wait_until(entries, 10, "the journal has the alert")
    (entry,) = map(json.loads, entries())
    message = json.loads(entry["MESSAGE"])
    severity = {"Critical": "2", "Error": "3", "Warning": "4", "Notice": "5", "Informational": "6", "Debug": "7"}
    told = {name: value for name, value in entry.items() if name.startswith("TRIVET_") or name == "PRIORITY"}
    assert told == {"PRIORITY": severity[message["priority"]], "TRIVET_OUTPUT": "journal",
                    "TRIVET_TABLE": "alerts"}
    assert entry["_TRANSPORT"] == "journal" and int(entry["_UID"]) == USER
    assert message["table"] == "alerts" and message["process"] == "cat"


class Receiver:
    """An HTTPS server that keeps what is posted to it; `certificate` is what its clients must know."""

    def __init__(self, folder, port):
        self.certificate, key = folder / "ca.pem", folder / "key.pem"
        if not key.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", str(key), "-out", str(self.certificate), "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        self.bodies, self.headers, self.answers, self.connections = [], [], [], []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                receiver.connections.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status < 300:
                    receiver.bodies.append(body)
                    receiver.headers.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def records(self):
        return [json.loads(line) for body in list(self.bodies) for line in body.splitlines()]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def receiver(folder):
    """receiver() -> a Receiver, always on the same port."""
    port, running = harness.free_port(), []

    def begin():
        running.append(Receiver(folder, port))
        return running[-1]

    begin.port = port
    yield begin
    for one in running:
        with contextlib.suppress(OSError):
            one.close()


def http_output(folder, port, more=""):
    return f"""
[[outputs]]
name = "post"
type = "http"
url = "https://localhost:{port}/in"
ca_file = "{folder / 'ca.pem'}"
spool = "{folder / 'spool'}"
tables = ["http_requests"]
{more}
"""


def test_https_gets_everything_though_it_was_down_and_trivet_restarted(start, nginx, folder, receiver):
    first = receiver()
    (folder / "token").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "token").chmod(0o600)
    outputs = http_output(folder, receiver.port, f'token_file = "{folder / "token"}"')
    options = {"outputs": outputs, "changes": {"daemon.user": "nobody"}, "plugins": ("tracing",)}
    trivet = start(**options)
    request(nginx, 1, 100)
    harness.wait_until(lambda: whole(first.records(), 100), 15, "the first records")
    assert first.headers[0]["Content-Type"] == "application/x-ndjson"
    assert first.headers[0]["Authorization"] == "Bearer 0123456789abcdef0123456789abcdef"
    first.close()

    request(nginx, 101, 200)
    harness.wait_until(lambda: trivet.metrics().sum("trivet_output_spool_bytes") > 50000, 10, "a full spool")
    assert trivet.stop() == 0
    assert list((folder / "spool").glob("*.batch"))
    trivet = start(**options)
    request(nginx, 201, 300)
    harness.wait_until(lambda: "output post" in trivet.log(), 10, "the receiver is missed")

    second = receiver()
    second.answers = [503, 401]  # not yet quite itself
    harness.wait_until(lambda: whole(first.records() + second.records(), 300), 30, "all records, each once")
    assert whole(first.records() + second.records(), 300, role="client")
    harness.wait_until(lambda: not list((folder / "spool").glob("*.batch")), 5, "the spool is empty")
    harness.wait_until(lambda: trivet.metrics().sum("trivet_output_spool_bytes") == 0, 5, "its size")
    assert trivet.metrics().sum(DROPPED) == 0
    # Nothing about trivet's own requests.
    assert not [r for r in second.records() if r["pid"] == trivet.main_pid()]


def test_a_main_process_that_is_killed_leaves_the_spool_to_the_next(start, nginx, folder, receiver):
    receiver().close()  # for its certificate
    options = {"outputs": http_output(folder, receiver.port), "changes": {"daemon.user": "nobody"},
               "plugins": ("tracing",)}
    trivet = start(**options)
    request(nginx, 1, 100)
    spooled = lambda: [json.loads(line) for path in (folder / "spool").glob("*.batch")
                       for line in path.read_text().splitlines()]
    harness.wait_until(lambda: whole(spooled(), 100), 10, "the spool")
    os.kill(trivet.main_pid(), signal.SIGKILL)
    again = receiver()
    harness.wait_until(lambda: whole(again.records(), 100), 30, "all records")
    harness.wait_until(trivet.serves, 30, "the next one serves")


def test_a_spool_stays_within_its_limit_and_counts(start, nginx, folder, receiver):
    receiver().close()
    (nginx.prefix / "files/noise").write_text(os.urandom(45_000).hex()[:60_000])
    trivet = start(outputs=http_output(folder, receiver.port, """spool_max_bytes = 4194304
where = "path LIKE '/files/%'\""""),
                   changes={"daemon.user": "nobody"}, plugins=("tracing",))
    for _ in range(8):
        subprocess.run(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/files/noise?[1-10]"], check=True)
    harness.wait_until(lambda: trivet.metrics().sum(DROPPED, reason="spool_full") > 0, 15, "drops")
    time.sleep(1)
    assert sum(p.stat().st_size for p in (folder / "spool").iterdir()) <= 4194304
    published = harness.wait_until(lambda: trivet.metrics().sum("trivet_output_spool_bytes"), 5, "bytes")
    assert published <= 4194304
    again = receiver()

    def counted():
        samples = trivet.metrics()
        return samples.sum(DELIVERED) + samples.sum(DROPPED, reason="spool_full") == 160 and samples

    assert harness.wait_until(counted, 60, "all are counted").sum(DELIVERED) == len(again.records())


def test_a_server_of_another_authority_is_refused(start, nginx, folder, receiver):
    receiver()
    other = folder / "other"
    other.mkdir()
    Receiver(other, harness.free_port()).close()
    outputs = http_output(folder, receiver.port).replace(str(folder / "ca.pem"), str(other / "ca.pem"))
    trivet = start(outputs=outputs, changes={"daemon.user": "nobody"}, plugins=("tracing",))
    request(nginx, 1, 3)
    harness.wait_until(lambda: "certificate" in trivet.log(), 15, "the refusal")
    assert trivet.metrics().sum(DELIVERED) == 0


def test_a_program_reads_records_and_is_started_again(serve, nginx, own):
    path = own / "copy"
    trivet = serve(f"""
[[outputs]]
name = "copy"
type = "program"
command = ["/usr/bin/tee", "-a", "{path}"]
tables = ["requests"]
""")
    request(nginx, 1, 50)
    harness.wait_until(lambda: whole(lines(path), 50), 10, "the first records")
    runner = next(pid for pid in trivet.children()
                  if harness.process_status(pid)["Name"] == "trivet-runner")
    program = int(pathlib.Path(f"/proc/{runner}/task/{runner}/children").read_text())
    status = harness.process_status(program)
    assert status["Uid"].split() == [str(USER)] * 4 and int(status["CapPrm"], 16) == 0
    assert status["NoNewPrivs"] == "1" and int(status["SigBlk"], 16) == 0
    descriptors = {os.readlink(entry) for entry in pathlib.Path(f"/proc/{program}/fd").iterdir()}
    assert len([d for d in descriptors if not d.startswith(("pipe:", str(trivet.folder), str(path)))]) == 0
    os.kill(program, signal.SIGKILL)
    harness.wait_until(lambda: not pathlib.Path(f"/proc/{program}").exists(), 5, "it is reaped")
    harness.wait_until(lambda: "output copy" in trivet.log(), 5, "its end is noticed")
    request(nginx, 51, 100)
    harness.wait_until(lambda: whole(lines(path), 100), 10, "the rest")


def test_what_a_program_was_given_last_is_taken_in_before_the_end(serve, nginx, own):
    path = own / "copy"
    trivet = serve(f"""
[[outputs]]
name = "slow"
type = "program"
command = ["/bin/dash", "-c", "sleep 1; exec cat >> {path}"]
tables = ["requests"]
""")
    request(nginx, 1, 200)
    harness.wait_until(lambda: len(trivet.rows("requests")) >= 400, 10, "the records")
    assert trivet.stop() == 0
    assert whole(lines(path), 200)


def test_a_program_that_others_may_change_is_not_run(serve, folder, own):
    program = own / "program"
    program.write_text("#!/bin/sh\ntouch /run/trivet-test-never\n")
    program.chmod(0o755)
    os.chown(program, USER, -1)
    trivet = serve(f"""
[[outputs]]
name = "theirs"
type = "program"
command = ["{program}"]
""")
    harness.wait_until(lambda: "chown root" in trivet.log(), 10, "the refusal")
    assert not pathlib.Path("/run/trivet-test-never").exists()


def test_the_rate_limit_lets_the_burst_through_and_counts_the_rest(serve, nginx, own):
    path = own / "some.json"
    trivet = serve(f"""
[[outputs]]
name = "some"
type = "file"
path = "{path}"
tables = ["http_requests"]
where = "role = 'server' AND path LIKE '/ok/%'"
rate = 1
burst = 10
""")
    began = time.monotonic()
    request(nginx, 1, 200)
    harness.wait_until(
        lambda: trivet.metrics().sum(DELIVERED) + trivet.metrics().sum(DROPPED, reason="rate") == 200, 10,
        "all are counted")
    passed = len(numbers(lines(path)))
    assert 10 <= passed <= 10 + time.monotonic() - began + 1
    assert numbers(lines(path))[:10] == list(range(1, 11))


def test_standard_output_has_json_lines(serve, nginx):
    trivet = serve("""
[[outputs]]
name = "out"
type = "stdout"
tables = ["requests"]
""")
    request(nginx, 1, 5)

    def printed():
        text = (trivet.folder / "stderr").read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith('{"table"')]

    harness.wait_until(lambda: whole(printed(), 5), 10, "the records")


def test_a_reload_keeps_what_is_queued_for_a_receiver_that_is_exchanged(serve, nginx, own):
    path = own / "copy"
    stuck = """
[[outputs]]
name = "moves"
type = "program"
command = ["/usr/bin/sleep", "1000"]
tables = ["http_requests"]
where = "path LIKE '/ok/%'"
"""
    trivet = serve(stuck)
    request(nginx, 1, 300)
    harness.wait_until(lambda: len(trivet.rows("requests")) >= 600, 10, "the records")
    # More than the pipe holds: the rest waits. That in the pipe is the program's, taken or not.
    delivered = lambda: trivet.metrics().sum(DELIVERED)
    before = harness.wait_until(delivered, 5, "some are in the pipe")
    time.sleep(1.5)
    before = delivered()
    assert 0 < before < 600
    trivet.outputs = f"""
[[outputs]]
name = "moves"
type = "file"
path = "{path}"
tables = ["http_requests"]
where = "path LIKE '/ok/%'"
"""
    trivet.configure({})
    trivet.call("reload")
    harness.wait_until(lambda: 300 in numbers(lines(path)), 10, "the last record")
    harness.wait_until(lambda: delivered() == 600, 5, "the count")
    assert len(lines(path)) == 600 - before
    request(nginx, 301, 310)
    harness.wait_until(lambda: 310 in numbers(lines(path)), 10, "new records")
    assert trivet.metrics().sum(DROPPED) == 0


def test_a_reload_with_a_wrong_output_changes_nothing_and_says_where(serve, nginx, own):
    path = own / "requests.json"
    good = f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
"""
    trivet = serve(good)
    (own.parent / "root").mkdir()
    another = good.replace('"requests"\ntype', '"more"\ntype').replace("requests.json", "more.json")
    for wrong, place, words in [
            (good + 'where = "statu = 404"\n', "where =", "no such column: statu"),
            (good.replace('"requests"]', '"reqests"]'), "tables =", 'did you mean "requests"?'),
            (good.replace("path =", "paht ="), "[[outputs]]", "absolute path"),
            (good.replace('"file"', '"fiel"'), "type =", "stdout, file"),
            (good.replace(str(path), f"{own.parent}/root/x.json"), "[[outputs]]", "root")]:
        trivet.outputs = another + wrong
        trivet.configure({})
        refused = trivet.call("reload", check=False)
        assert refused.returncode == 1, wrong
        assert words in refused.stderr, refused.stderr
        (line,) = re.findall(r"trivet\.toml:(\d+):\d+: ", refused.stderr)
        # In the second of the two outputs.
        written = trivet.config.read_text().splitlines()
        assert written[int(line) - 1].startswith(place) and int(line) > written.index("[[outputs]]") + 1, refused.stderr
        assert not (own / "more.json").exists(), "a refused reload has left a file"
    request(nginx, 1, 3)
    harness.wait_until(lambda: whole(lines(path), 3), 10, "records as before")


def test_an_output_that_is_removed_hands_over_what_waits(serve, nginx, own):
    path = own / "requests.json"
    trivet = serve(f"""
[[outputs]]
name = "requests"
type = "file"
path = "{path}"
tables = ["requests"]
""")
    request(nginx, 1, 100)
    harness.wait_until(lambda: len(trivet.rows("requests")) >= 200, 10, "the records")
    trivet.outputs = ""
    trivet.configure({})
    trivet.call("reload")
    assert whole(lines(path), 100)
    request(nginx, 101, 105)
    time.sleep(1)
    assert whole(lines(path), 100)


def test_every_example_of_the_documentation_is_valid(folder):
    text = (harness.ROOT / "docs/outputs.md").read_text()
    examples = re.findall(r"```toml\n(.*?)```", text, re.S)
    assert len(examples) >= 6
    (folder / "token").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "token").chmod(0o600)
    Receiver(folder, harness.free_port()).close()  # leaves ca.pem
    trivet = harness.Trivet(folder, plugins=(), outputs="\n".join(examples))
    done = subprocess.run([harness.trivet_program(), "check", "-c", str(trivet.config)], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "valid\n"), done.stderr
