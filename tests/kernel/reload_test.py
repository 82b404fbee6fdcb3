# SPDX-License-Identifier: Apache-2.0
"""Plugins switched in TOML and by `trivet reload`, after privileges were dropped."""

import json
import os
import signal
import subprocess

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
