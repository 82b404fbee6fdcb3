# SPDX-License-Identifier: Apache-2.0
"""A capture of real deeds, replayed by an ordinary user: the records are those that the daemon gave live."""

import datetime
import hashlib
import json
import os
import pathlib
import re
import signal
import subprocess

import pytest

import trivet_harness as harness
from dns_test import Dnsmasq
from redis_test import Redis

RULE = """
- rule: {name}
  desc: a deed of the test's
  condition: evt.type in (open, openat) and fd.name = {mark} and proc.env[MARK] = here
  output: "%proc.name|%proc.pname|%proc.aname[2]|%proc.cmdline|%proc.env[MARK]|%proc.exe_sha256|%user.name|{note}"
  priority: WARNING
"""
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all",
          "--bounding-set=-all", "--no-new-privs"]


class Recorder:
    """`trivet capture record`, under way."""

    def __init__(self, daemon, file, *options):
        self.process = subprocess.Popen(daemon.command("capture", "record", str(file), *options),
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        first = self.process.stderr.readline()
        assert "recording to" in first, first

    def end(self):
        """Interrupts it as Ctrl-C does; what it said."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self):
        said = self.process.communicate(timeout=30 * harness.SCALE)[1]
        assert self.process.returncode == 0, said
        return said


@pytest.fixture
def deeds(folder):
    """A file whose opening is an alert, a rule that says so, and servers."""
    class Deeds:
        mark = folder / "mark"
        rules = folder / "rules.yaml"
        redis = Redis(folder)
        dnsmasq = Dnsmasq(folder)

    Deeds.mark.write_text("secret")
    Deeds.rules.write_text(RULE.format(name="a deed", mark=Deeds.mark, note="live"))
    yield Deeds
    Deeds.redis.close()
    Deeds.dnsmasq.close()


def replay(program, file, *options, check=True):
    """Rows that a replay as nobody prints, by table; and what it said."""
    done = subprocess.run([*NOBODY, str(program), "capture", "replay", str(file), "-o", "json", *options],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                          timeout=120 * harness.SCALE)
    if check:
        assert done.returncode == 0, done.stderr
    rows = {}
    for line in filter(None, done.stdout.split("\n")):
        row = json.loads(line)
        rows.setdefault(row.pop("table"), []).append(row)
    return rows, done


def about(port):
    return lambda row: port in (row["local_port"], row["peer_port"])


TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{9})Z")


def assert_same(replayed, live):
    """The same rows. The wall clock is set and slewed while trivet runs: times may differ by 10 ms."""
    def taken_apart(row):
        times, rest = [], {}
        for key, value in row.items():
            if key == "output_fields":
                value = dict(value)
                times.append(value.pop("evt.time"))
            if isinstance(value, str) and (match := TIME.fullmatch(value)):
                moment = datetime.datetime.fromisoformat(match.group(1) + "+00:00")
                times.append(int(moment.timestamp()) * 10**9 + int(match.group(2)))
                value = "a time"
            rest[key] = value
        return json.dumps(rest, sort_keys=True), times

    replayed, live = sorted(map(taken_apart, replayed)), sorted(map(taken_apart, live))
    assert [rest for rest, _ in replayed] == [rest for rest, _ in live]
    for (_, mine), (_, theirs) in zip(replayed, live):
        assert all(abs(a - b) < 10**7 for a, b in zip(mine, theirs, strict=True))


def open_mark(deeds):
    """By a shell of a shell, which lives long enough for its environment and executable to be read."""
    subprocess.run(["sh", "-c", f"sh -c 'exec 3<{deeds.mark}; sleep 2; :'; :"], check=True,
                   env={**os.environ, "MARK": "here"})


@pytest.mark.parametrize("plugins", [("security", "tracing", "network"), ("tracing",)])
def test_a_replay_by_nobody_gives_the_records_that_were_given_live(start, installed, folder, nginx, deeds, plugins):
    daemon = start(changes={"security.rules_files": [deeds.rules], "network.flow_interval_s": 1})
    file = folder / "capture"
    recorder = Recorder(daemon, file, *(["--plugins", ",".join(plugins)] if len(plugins) == 1 else []))
    assert file.stat().st_mode & 0o777 == 0o600, "a capture is for its owner alone"
    open_mark(deeds)
    url = f"http://127.0.0.1:{nginx.port}"
    subprocess.run(["curl", "-s", *[f"{url}/hello?n={n}" for n in range(20)], f"{url}/missing"], check=True,
                   stdout=subprocess.DEVNULL)
    for n in range(5):
        deeds.dnsmasq.dig("+short", f"n{n}.test")
        deeds.redis.cli("SET", f"key{n}", "value")
    expected = {"http_requests": (nginx.port, 42), "dns_requests": (deeds.dnsmasq.port, 10),
                "redis_requests": (deeds.redis.port, 10)}

    def live(table, port):
        return [row for row in daemon.rows(table) if about(port)(row)]

    for table, (port, count) in expected.items():
        harness.wait_until(lambda: len(live(table, port)) >= count, 20, f"{count} of {table} were seen live")
    harness.wait_until(lambda: daemon.rows("alerts"), 20, "the alert was seen live")
    harness.wait_until(lambda: any(row["state"] == "closed" for row in live("flows", nginx.port)), 20,
                       "a flow was seen live")
    said = recorder.end()
    assert "events are in" in said and "not in it" not in said and "never left" not in said, said

    os.chown(file, 65534, 65534)
    rows, done = replay(installed[0], file)
    assert "lacks" not in done.stderr and "no end" not in done.stderr, done.stderr
    if plugins == ("tracing",):
        assert "alerts" not in rows and "flows" not in rows
    else:
        (alert,) = rows["alerts"]
        assert_same([alert], daemon.rows("alerts"))
        name, _, _, _, env, digest, user, note = alert["output"].split("|")
        assert (name, env, user, note) == ("sh", "here", "root", "live")
        assert digest == hashlib.sha256(pathlib.Path("/bin/sh").read_bytes()).hexdigest()
        # A flow is told again and again while it is open: those that were told meanwhile.
        flows = [row for row in rows["flows"] if about(nginx.port)(row)]
        assert flows
        assert_same(flows, live("flows", nginx.port))
    for table, (port, count) in expected.items():
        told = [row for row in rows[table] if about(port)(row)]
        assert len(told) == count, table
        assert_same(told, live(table, port))


def test_other_rules_judge_what_was_recorded(start, installed, folder, deeds):
    daemon = start(plugins=["security"], changes={"security.rules_files": [deeds.rules]})
    file = folder / "capture"
    recorder = Recorder(daemon, file)
    open_mark(deeds)
    harness.wait_until(lambda: daemon.rows("alerts"), 10, "the alert is live")
    recorder.end()
    os.chown(file, 65534, 65534)
    other = folder / "other.yaml"
    other.write_text(RULE.format(name="another name", mark=deeds.mark, note="replayed"))
    rows, _ = replay(installed[0], file, "alerts", "--rules", str(other))
    (alert,), (live,) = rows["alerts"], daemon.rows("alerts")
    assert alert["rule"] == "another name" and alert["output"].endswith("|replayed")
    assert alert["output"].rpartition("|")[0] == live["output"].rpartition("|")[0]


def test_a_capture_ends_by_itself_in_time_and_in_size_and_one_is_recorded_at_a_time(start, folder, deeds):
    daemon = start(plugins=["tracing"])
    timed = Recorder(daemon, folder / "timed", "--for", "1s")
    second = daemon.call("capture", "record", str(folder / "second"), check=False)
    assert second.returncode == 1 and "another capture" in second.stderr
    assert not (folder / "second").exists()
    assert "events are in" in timed.wait()
    taken = daemon.call("capture", "record", str(folder / "timed"), check=False)
    assert taken.returncode == 1 and "File exists" in taken.stderr

    small = Recorder(daemon, folder / "small", "--size", "1M")

    def ended():
        subprocess.run(["redis-benchmark", "-p", str(deeds.redis.port), "-n", "2000", "-c", "4", "-d", "1000",
                        "-t", "set", "-q"], check=True, stdout=subprocess.DEVNULL)
        return small.process.poll() is not None

    harness.wait_until(ended, 30, "the capture is full")
    assert "--size" in small.wait()
    assert (folder / "small").stat().st_size <= 1 << 20


def test_what_is_cut_or_damaged_is_replayed_so_far_and_said(start, installed, folder, deeds):
    daemon = start(plugins=["tracing"])
    file = folder / "capture"
    recorder = Recorder(daemon, file)
    deeds.redis.cli("SET", "key", "value")
    harness.wait_until(lambda: daemon.rows("redis_requests"), 10, "the command is live")
    recorder.end()
    whole = file.read_bytes()
    for name, content, status, words in (
            ("cut", whole[:-60], 0, "has no end"),
            ("damaged", whole[:-200] + bytes([whole[-200] ^ 1]) + whole[-199:], 1, "is damaged at byte"),
            ("foreign", b"#!/bin/sh\n" * 10, 1, "no capture"),
            ("empty", b"", 1, "no capture")):
        broken = folder / name
        broken.write_bytes(content)
        broken.chmod(0o644)
        _, done = replay(installed[0], broken, check=False)
        assert done.returncode == status and words in done.stderr, (name, done.stderr)
