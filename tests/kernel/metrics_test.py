# SPDX-License-Identifier: Apache-2.0
"""The metrics as Prometheus sees them."""

import subprocess

import trivet_harness as harness


def test_promtool_has_nothing_to_say(start, nginx, folder):
    trivet = start()
    subprocess.run(["sh", "-c", "cat /etc/shadow; true"], stdout=subprocess.DEVNULL)
    subprocess.run(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/ok/1"], check=True)
    harness.wait_until(lambda: trivet.metrics().sum("http_server_request_duration_seconds_count") >= 1,
                       10, "the request is counted")
    checked = subprocess.run(["promtool", "check", "metrics"], input=trivet.metrics().text,
                             capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_build_each_plugin_and_each_hook_are_told(start):
    samples = start().metrics()
    version = subprocess.run([harness.trivet_program(), "version"], capture_output=True, text=True,
                             check=True).stdout
    told = [labels for name, labels, value in samples.samples
            if name == "trivet_build_info" and value == 1]
    assert len(told) == 1 and told[0]["version"] in version
    for plugin in ("security", "tracing", "network"):
        assert samples.sum("trivet_plugin_up", plugin=plugin) == 1, plugin
        assert samples.sum("trivet_hook_info", plugin=plugin) >= 1, plugin


def test_every_family_has_help_and_a_type(start):
    text = start().metrics().text
    helped = {line.split()[2] for line in text.splitlines() if line.startswith("# HELP ")}
    typed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    assert helped == typed and len(helped) > 5


def test_no_event_was_lost_on_a_quiet_machine(start):
    samples = start().metrics()
    lost = {labels.get("reason", "?"): value for name, labels, value in samples.samples
            if name == "trivet_events_lost_total" and value}
    assert lost == {}
