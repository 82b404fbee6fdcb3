# SPDX-License-Identifier: Apache-2.0
"""The daemon's own life: it starts, it ends however it is told, and leaves nothing."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

import trivet_harness as harness


def test_all_three_plugins_run_with_the_shipped_configuration(start):
    trivet = start()
    status = json.loads(trivet.call("status", "-o", "json").stdout)
    assert {p["name"]: p["state"] for p in status["plugins"]} == {
        "security": "running", "tracing": "running", "network": "running"}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_with_status_0_and_nothing_is_left(start, name):
    trivet = start()
    assert trivet.stop(getattr(signal, name)) == 0
    assert not trivet.socket.exists()


def test_it_starts_again_where_it_has_ended(start):
    trivet = start()
    assert trivet.stop() == 0
    trivet.start()
    assert trivet.call("status").returncode == 0


def test_a_second_daemon_on_the_same_socket_is_refused_and_the_first_serves_on(start):
    trivet = start()
    second = subprocess.run([harness.trivet_program(), "run", "-c", str(trivet.config)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=30 * harness.SCALE)
    assert second.returncode == 1
    assert str(trivet.socket) in second.stderr or str(trivet.port) in second.stderr
    assert trivet.call("status").returncode == 0


def test_main_says_that_the_broker_was_killed_and_ends_and_trivet_starts_again_at_once(start):
    trivet = start()
    main = trivet.main_pid()
    killed = trivet.process
    os.kill(killed.pid, signal.SIGKILL)
    # The kernel takes a second or two to remove what the broker had: main does not wait for that.
    said = "the broker process is gone"
    harness.wait_until(lambda: said in trivet.log(), 1, "main says that the broker is gone")
    first = trivet.log()
    trivet.start()  # in the same folder, over the lock and the socket that were left
    killed.wait()
    harness.wait_until(lambda: not os.path.exists(f"/proc/{main}"), 10, "main ends")
    assert "cannot unload" not in first + trivet.log()
    # The fixture's snapshot says whether a program, link or map of the first outlived it.


def test_a_main_that_is_killed_is_started_again_and_policy_stays_in_force(start, folder):
    policy = folder / "policy.toml"
    policy.write_text('schema = 1\n[[rule]]\nname = "not that host"\ndirection = "egress"\n'
                      'peer = ["127.0.0.9"]\nverdict = "deny"\n')
    trivet = start(changes={"network.policy_file": policy})
    attempts, let_through, end = 0, 0, threading.Event()
    begun = time.monotonic()

    def try_all_the_time(port):
        nonlocal attempts, let_through
        while not end.is_set():
            with socket.socket() as client:
                let_through += client.connect_ex(("127.0.0.9", port)) == 0
            attempts += 1
            time.sleep(0.001)

    def another_main_than(pid):
        children = [child for child in trivet.children() if child != pid]
        return children and trivet.serves()

    with socket.create_server(("127.0.0.9", 0)) as server:
        port = server.getsockname()[1]
        trying = threading.Thread(target=try_all_the_time, args=(port,))
        trying.start()
        try:
            for restarts in range(1, 4):
                main = trivet.main_pid()
                os.kill(main, signal.SIGKILL)
                harness.wait_until(lambda: another_main_than(main), 20, "another main serves")
                harness.wait_until(lambda: trivet.metrics().sum("trivet_main_restarts_total") == restarts,
                                   5, f"{restarts} restarts are counted")
            alerts = trivet.follow("alerts")
            subprocess.run(["sh", "-c", "cat /etc/shadow >/dev/null; true"], check=True)
            alerts.wait(lambda a: a["process"] == "cat")
        finally:
            end.set()
            trying.join()
        assert attempts > 100
        assert let_through == 0

        if time.monotonic() - begun > 50:  # an emulated machine: a fourth time within a minute there is not
            return
        # More often makes no sense: everything ends, the policy too.
        os.kill(trivet.main_pid(), signal.SIGKILL)
        assert trivet.process.wait(20 * harness.SCALE) == 1, trivet.log()
        trivet.kill()
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.9", port)) == 0


def test_a_run_that_fails_leaves_nothing(start, folder):
    trivet = start()
    assert trivet.stop() == 0
    broken = folder / "broken.toml"
    broken.write_text(trivet.config.read_text().replace("schema = 1", "schema = 1\nnonsense = 2"))
    done = subprocess.run([harness.trivet_program(), "run", "-c", str(broken)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=30 * harness.SCALE)
    assert done.returncode == 1
    assert not trivet.socket.exists()


def test_facts_are_right_again_after_lifecycle_events_were_lost(start):
    trivet = start()
    alerts = trivet.follow("alerts")
    lost = lambda: trivet.metrics().sum("trivet_events_dropped_total", lane="lifecycle")
    assert lost() == 0
    main = trivet.main_pid()
    os.kill(main, signal.SIGSTOP)
    try:
        # Each program leaves a page of arguments in a ring that holds 8 MiB, and nobody reads.
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 3000 ]; do /bin/true $0; i=$((i + 1)); done",
                        "x" * 4000], check=True, timeout=120 * harness.SCALE)
        late = subprocess.Popen(["sh", "-c", "while read go; do read line < /etc/shadow; done"],
                                stdin=subprocess.PIPE)
    finally:
        os.kill(main, signal.SIGCONT)
    try:
        harness.wait_until(lambda: trivet.metrics().sum("trivet_facts_resyncs_total") >= 1, 3,
                           "facts are read anew")
        assert lost() > 0

        # Its start was lost, and it is known all the same. Its first deeds may be lost too, while
        # the ring of candidates is being emptied.
        def alerts_of_late():
            late.stdin.write(b"\n")
            late.stdin.flush()
            return alerts.matching(lambda a: a["pid"] == late.pid)

        row = harness.wait_until(alerts_of_late, 5, "the alert of a process that was lost")[0]
        assert row["process"] == "sh"
        assert row["exe"] == os.path.realpath("/bin/sh")
    finally:
        harness.end_process(late)
