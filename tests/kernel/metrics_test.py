# SPDX-License-Identifier: Apache-2.0
"""The metrics as Prometheus sees them."""

import contextlib
import socket
import subprocess
import time

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


def test_idle_connections_keep_nobody_from_the_metrics(start):
    trivet = start()
    with contextlib.ExitStack() as held:
        for _ in range(100):
            idle = held.enter_context(socket.create_connection(("127.0.0.1", trivet.port)))
            idle.sendall(b"GET /metrics HTTP/1.1\r\n")
        begun = time.monotonic()
        assert trivet.metrics().sum("trivet_build_info") == 1
        # Prometheus gives up after 10 seconds.
        assert time.monotonic() - begun < 10 * harness.SCALE


def test_requests_and_ports_are_counted_under_hubbles_names(start, nginx):
    trivet = start(plugins=("tracing", "network"))
    # A method that nobody else on this host uses.
    subprocess.run(["curl", "-sS", "-o", "/dev/null", "-X", "MKCALENDAR", f"{nginx.url}/ok/n-[1-5]"], check=True)

    def counted(reporter):
        return trivet.metrics().sum("hubble_http_requests_total", reporter=reporter, method="MKCALENDAR",
                                    protocol="HTTP/1.1", status="200")

    harness.wait_until(lambda: (counted("client"), counted("server")) == (5, 5), 10, "five requests at each end")
    samples = trivet.metrics()
    assert samples.sum("hubble_http_request_duration_seconds_count", reporter="server", method="MKCALENDAR") == 5
    assert samples.sum("hubble_port_distribution_total", protocol="TCP", port=nginx.url.rpartition(":")[2]) >= 2


LOSSES = ("trivet_events_dropped_total", "trivet_events_malformed_total", "trivet_sequence_gaps_total",
          "trivet_queue_dropped_events_total", "trivet_queue_dropped_records_total",
          "trivet_plugin_malformed_events_total", "trivet_facts_evicted_total",
          "trivet_metrics_refused_total", "trivet_metrics_overflow_total",
          "trivet_hook_silent_checks_total")


def test_nothing_is_lost_while_ten_thousand_requests_pass(start, nginx, folder):
    trivet = start()
    urls = folder / "urls.txt"
    urls.write_text("".join(f"{nginx.url}/ok/{i % 10}\n" for i in range(10000)))
    subprocess.run(["h2load", "--h1", "-n", "10000", "-c", "4", "-i", str(urls)], check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    harness.wait_until(
        lambda: trivet.metrics().sum("trivet_records_total", table="http_requests") >= 20000, 15,
        "20,000 records")
    samples = trivet.metrics()
    lost = {name: samples.sum(name) for name in LOSSES if samples.sum(name)}
    assert lost == {}


def test_each_event_offered_was_filtered_delivered_or_lost(start):
    """The kernel's own counts against the reader's, by lane."""
    trivet = start()
    subprocess.run(["sh", "-c", "for i in $(seq 100); do /bin/true; done"], check=True)

    def unaccounted():
        samples = trivet.metrics()
        return {lane: samples.sum("trivet_events_offered_total", lane=lane)
                - samples.sum("trivet_events_filtered_total", lane=lane)
                - samples.sum("trivet_events_dropped_total", lane=lane)
                - samples.sum("trivet_events_delivered_total", lane=lane)
                for lane in ("lifecycle", "alert", "candidate", "bulk")}

    harness.wait_until(
        lambda: trivet.metrics().sum("trivet_events_delivered_total", lane="lifecycle") >= 300, 10,
        "100 forks, execs and exits are delivered")
    # The counters are read one after the other on a machine that goes on: what is between kernel and
    # reader at that moment is on its way, not lost.
    harness.wait_until(lambda: all(abs(count) <= 200 for count in unaccounted().values()), 10,
                       "offered = filtered + delivered + dropped")
