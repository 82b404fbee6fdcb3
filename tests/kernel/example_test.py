# SPDX-License-Identifier: Apache-2.0
"""A plugin from elsewhere: the example, built from nothing but what is installed, and run by the
installed trivet beside the plugins that come with it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

import trivet_harness as harness

ENABLED = "\n[signals]\nenabled = true\n"


def run(*command, **environment):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, **environment}, check=False, timeout=600)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}\n{done.stderr}"


@pytest.fixture
def with_example(folder, monkeypatch):
    """trivet as it is installed, below a folder of the test's own, with the example built against it."""
    root = folder / "root"
    run("cmake", "--install", pathlib.Path(harness.trivet_program()).parents[1], DESTDIR=str(root))
    source = folder / "signals"  # as the package trivet-dev carries it
    shutil.copytree(root / "usr/share/doc/trivet-dev/examples/signals", source)
    run("cmake", "-S", source, "-B", folder / "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_PREFIX_PATH={root}/usr", "-DCMAKE_INSTALL_PREFIX=/usr", "-DCMAKE_CXX_FLAGS=-Wall -Werror")
    run("cmake", "--build", folder / "build")
    run("cmake", "--install", folder / "build", DESTDIR=str(root))
    monkeypatch.setenv("TRIVET_BIN", str(root / "usr/bin/trivet"))
    return root


def test_the_example_builds_against_an_installed_trivet_and_tells_signals(with_example, start):
    daemon = start(plugins=("network",))
    plugins = json.loads(daemon.call("plugin", "ls", "-o", "json").stdout)
    states = {plugin["name"]: plugin["state"] for plugin in plugins}
    assert states == {"network": "running", "security": "off", "tracing": "off", "signals": "off"}

    text = daemon.config.read_text()
    daemon.config.write_text(text + ENABLED)
    daemon.call("reload")
    rows = daemon.follow("signals")  # the table is there before its first row
    victim = subprocess.Popen(["sleep", "600"])
    comm = pathlib.Path(f"/proc/{victim.pid}/comm")
    harness.wait_until(lambda: comm.read_text() == "sleep\n", 5, "sleep has its name")
    harness.end_process(victim, signal.SIGTERM)
    row = rows.wait(lambda r: r["target_pid"] == victim.pid, what="the SIGTERM that ended sleep")
    assert (row["signal"], row["target"], row["pid"]) == ("TERM", "sleep", os.getpid())
    assert row["exe"] == os.path.realpath("/proc/self/exe"), "the core's facts are the plugin's too"
    assert daemon.metrics().sum("trivet_signals_total", signal="TERM") >= 1
    assert not rows.matching(lambda r: r["signal"] == "CHLD")

    daemon.config.write_text(text + ENABLED + "sigchld = true\n")
    daemon.call("reload")
    ended = subprocess.Popen(["true"])
    ended.wait()
    rows.wait(lambda r: r["signal"] == "CHLD" and r["pid"] == ended.pid and r["target_pid"] == os.getpid(),
              what="the SIGCHLD of a child")

    daemon.config.write_text(text + ENABLED + "sigchild = true\n")
    refused = daemon.call("reload", check=False)
    assert refused.returncode == 1 and 'did you mean "sigchld"' in refused.stderr, refused.stderr
    daemon.config.write_text(text)
    daemon.call("reload")
    assert daemon.metrics().sum("trivet_signals_total") == 0, "a plugin's metrics go with it"
