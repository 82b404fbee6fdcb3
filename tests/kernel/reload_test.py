# SPDX-License-Identifier: Apache-2.0
"""Plugins switched in TOML and by `trivet reload`, after privileges were dropped."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading

import pytest

import trivet_harness as harness

PLUGINS = ("security", "tracing", "network")


def states(trivet):
    status = json.loads(trivet.call("status", "-o", "json").stdout)
    return {p["name"]: p["state"] for p in status["plugins"]}


def expected_states(*off):
    return {name: "off" if name in off else "running" for name in PLUGINS}


def raises_an_alert(trivet):
    alerts = trivet.follow("alerts")
    reader = subprocess.Popen(["cat", "/etc/shadow"], stdout=subprocess.DEVNULL)
    reader.wait()
    alerts.wait(lambda a: a["pid"] == reader.pid, what="the alert")


def records_a_request(trivet, nginx):
    number = os.urandom(4).hex()
    subprocess.run(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/ok/{number}"], check=True)
    trivet.follow("requests").wait(lambda r: r.get("path") == f"/ok/{number}", what="the request")


def records_a_flow(trivet, nginx):
    done = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/ok/flow"])
    assert done.wait() == 0
    trivet.follow("flows").wait(lambda f: f["pid"] == done.pid and f["peer_port"] == nginx.port,
                                seconds=10, what="the flow")


def works(trivet, nginx, name):
    if name == "security":
        raises_an_alert(trivet)
    elif name == "tracing":
        records_a_request(trivet, nginx)
    else:
        records_a_flow(trivet, nginx)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_goes_off_and_on_and_the_others_do_not_notice(start, nginx, name):
    trivet = start()
    main = trivet.main_pid()
    others = [p for p in PLUGINS if p != name]
    trivet.configure({f"{name}.enabled": False})
    trivet.call("reload")
    assert states(trivet) == expected_states(name)
    for other in others:
        works(trivet, nginx, other)
    trivet.configure({f"{name}.enabled": True})
    trivet.call("reload")
    assert states(trivet) == expected_states()
    for plugin in PLUGINS:
        works(trivet, nginx, plugin)
    assert trivet.main_pid() == main


DEED_RULE = """
- rule: Deed
  desc: An open of a file of the test
  condition: evt.type in (open, openat) and fd.name startswith {folder}/deed-
  output: deed %fd.name
  priority: NOTICE
"""


class Deeds:
    """Requests to a server, each with its number in the path, and opens of files with a number, one after
    the other until it is closed."""

    def __init__(self, nginx, folder):
        self.nginx, self.folder = nginx, folder
        self.requests = self.opens = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.do)
        self.thread.start()

    def do(self):
        server = http.client.HTTPConnection("127.0.0.1", self.nginx.port)
        while not self.ending.wait(0.002):
            server.request("GET", f"/ok/{self.requests}")
            server.getresponse().read()
            self.requests += 1
            with contextlib.suppress(FileNotFoundError):
                (self.folder / f"deed-{self.opens}").open()
            self.opens += 1
        server.close()

    def close(self):
        self.ending.set()
        self.thread.join()


@pytest.mark.parametrize("name", PLUGINS)
def test_a_hundred_toggles_of_a_plugin_cost_the_others_no_event(start, nginx, folder, name):
    rules = folder / "deeds.yaml"
    rules.write_text(DEED_RULE.format(folder=folder))
    trivet = start(changes={"security.rules_files": [rules], "security.alert_window_s": 0})
    deeds = Deeds(nginx, folder)
    try:
        for toggle in range(100):
            trivet.configure({f"{name}.enabled": toggle % 2 == 1})
            trivet.call("reload")
    finally:
        deeds.close()
    assert states(trivet) == expected_states()
    if name != "tracing":
        seen = trivet.requests("http_requests", nginx.port, "path LIKE '/ok/%'", deeds.requests)
        for role in ("client", "server"):
            assert [row["path"] for row in seen[role]] == [f"/ok/{i}" for i in range(deeds.requests)]
    if name != "security":
        ask = "SELECT count(*) AS n FROM alerts WHERE rule = 'Deed'"
        harness.wait_until(lambda: trivet.query(ask)[0]["n"] >= deeds.opens, 10, "all alerts")
        told = trivet.query("SELECT output FROM alerts WHERE rule = 'Deed' ORDER BY time_ns")
        assert [row["output"].split()[-1] for row in told] == [
            f"{folder}/deed-{i}" for i in range(deeds.opens)]
    if name != "network":
        flows = trivet.query(f"SELECT sent_packets FROM flows WHERE local_port = {nginx.port}")
        assert flows, "no flow of the connection"


def test_all_three_off_and_on_ten_times(start, nginx):
    trivet = start()
    for _ in range(10):
        for enabled in (False, True):
            trivet.configure({f"{name}.enabled": enabled for name in PLUGINS})
            trivet.call("reload")
    assert states(trivet) == expected_states()
    for plugin in PLUGINS:
        works(trivet, nginx, plugin)


def test_a_reload_that_is_wrong_changes_nothing_and_names_the_place(start, nginx):
    trivet = start()
    good = trivet.config.read_text()
    trivet.config.write_text(good.replace("[security]\n", "[security]\nenabeld = true\n", 1))
    refused = trivet.call("reload", check=False)
    assert refused.returncode == 1
    line = next(i for i, text in enumerate(trivet.config.read_text().splitlines(), 1)
                if text.startswith("enabeld"))
    assert f"trivet.toml:{line}:1" in refused.stderr and "enabled" in refused.stderr
    assert states(trivet) == expected_states()
    works(trivet, nginx, "security")


@pytest.fixture
def untrusted(installed, monkeypatch):
    """Makes a plugin's file one that trivet must not trust, of the copy of trivet that the test runs."""
    program, plugins = installed
    monkeypatch.setenv("TRIVET_BIN", str(program))
    return lambda name: (plugins / f"{name}.so").chmod(0o777)


def test_a_plugin_that_is_refused_is_named_and_a_reload_that_enables_it_changes_nothing(start, nginx, untrusted):
    untrusted("tracing")
    trivet = start(plugins=("security", "network"))
    rows = {row["name"]: row for row in json.loads(trivet.call("plugin", "ls", "-o", "json").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "security": "running", "network": "running", "tracing": "refused"}
    assert "chmod" in rows["tracing"]["reason"]
    trivet.configure({"tracing.enabled": True})
    refused = trivet.call("reload", check=False)
    assert refused.returncode == 1 and "enabled = false in [tracing]" in refused.stderr
    works(trivet, nginx, "network")


def test_a_plugin_that_is_refused_at_the_start_keeps_the_others_from_nothing(start, nginx, untrusted):
    untrusted("tracing")
    trivet = start()
    assert states(trivet) == {"security": "running", "network": "running", "tracing": "refused"}
    assert "a plugin is refused" in trivet.log() and "chmod" in trivet.log()
    works(trivet, nginx, "network")
    trivet.configure({"network.flow_interval_s": 7})
    trivet.call("reload")  # which is as good as the start was
    works(trivet, nginx, "security")
    trivet.configure({"tracing.required": True})
    refused = trivet.call("reload", check=False)
    assert refused.returncode == 1 and "enabled = false in [tracing]" in refused.stderr
    trivet.stop()
    with pytest.raises(AssertionError, match="plugin tracing is refused"):
        trivet.start()


def test_a_required_plugin_that_does_not_start_is_the_end(start, nginx, untrusted):
    trivet = start(plugins=("network",))
    untrusted("security")
    trivet.configure({"security.enabled": True})
    trivet.call("reload")
    assert states(trivet) == {"network": "running", "tracing": "off", "security": "failed"}
    works(trivet, nginx, "network")
    trivet.configure({"security.required": True})
    ended = trivet.call("reload", check=False)
    assert ended.returncode == 1 and "security" in ended.stderr and "chmod" in ended.stderr
    assert trivet.process.wait(20 * harness.SCALE) == 1
    trivet.kill()


def test_sighup_reloads_too(start):
    trivet = start()
    trivet.configure({"tracing.enabled": False})
    os.kill(trivet.process.pid, signal.SIGHUP)
    harness.wait_until(lambda: states(trivet) == expected_states("tracing"), 10, "tracing is off")
