# SPDX-License-Identifier: Apache-2.0
"""gRPC in clear text: what gRPC's own library said of each call is what the table says."""

import collections
import contextlib
import json
import pathlib
import subprocess
import sys

import pytest

import trivet_harness as harness

TALK = [sys.executable, str(pathlib.Path(__file__).with_name("grpc_talk.py"))]
STREAMS = {"Repeat": "server_streaming", "Collect": "client_streaming", "Chat": "bidi_streaming"}


@pytest.fixture
def port():
    number = harness.free_port()
    server = subprocess.Popen([*TALK, "serve", str(number)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield number
    harness.end_process(server)


def test_calls_of_every_kind_as_the_library_says(start, port):
    tracing = start(plugins=["tracing"])
    done = subprocess.run([*TALK, "ask", str(port)], check=True, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120 * harness.SCALE)
    said = json.loads(done.stdout)
    assert collections.Counter(call["method"] for call in said)["Failing"] == 16
    rows = tracing.requests("grpc_requests", port, "service = 'trivet.test.Echo'", len(said))
    https = tracing.requests("http_requests", port, "path LIKE '/trivet.test.Echo/%'", len(said))
    for role in ("client", "server"):
        # One connection: calls were made one after the other.
        own = sorted(rows[role], key=lambda row: row["stream"])
        assert [row["method"] for row in own] == [call["method"] for call in said]
        for row, call in zip(own, said, strict=True):
            what = (call, row)
            assert row["request_messages"] == len(call["sent"]), what
            if call["method"] == "Slow":
                # Both ends keep the time: either the client gives up, or the server says so first.
                assert (row["error"], row["error_code"], row["status"]) in (
                    ("reset", "CANCEL", ""), ("", "", "DEADLINE_EXCEEDED")), what
                continue
            assert row["error"] == "", what
            assert row["status_code"] == call["code"], what
            assert row["http_status"] == 200, what
            assert row["message"] == call["details"], what
            assert row["response_messages"] == len(call["received"]), what
            assert row["kind"] == STREAMS.get(call["method"], "unary"), what
            assert row["response_message_bytes"] <= sum(call["received"]), what
            if row["compressed_messages"] == 0:
                assert row["request_message_bytes"] == sum(call["sent"]), what
                assert row["response_message_bytes"] == sum(call["received"]), what
        assert [row["request_compression"] for row in own if row["compressed_messages"] > 0] == ["gzip"]
        assert {row["path"] for row in https[role]} == {
            f"/trivet.test.Echo/{call['method']}" for call in said}
        assert {row["stream"] for row in https[role]} == {row["stream"] for row in own}
    metrics = tracing.metrics()
    count = metrics.sum("rpc_server_duration_seconds_count", rpc_service="trivet.test.Echo",
                        rpc_method="Unary", rpc_grpc_status_code="0", rpc_system="grpc")
    assert count == 51
    # What no server has is the client's invention.
    assert metrics.sum("rpc_server_duration_seconds_count", rpc_method="_OTHER",
                       rpc_grpc_status_code="12") == 1


def test_a_channel_that_was_there_before_is_joined(start, port):
    client = subprocess.Popen([*TALK, "ask", str(port), "3", "40"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout.readline() == "ready\n"
        tracing = start(plugins=["tracing"])
        client.stdin.write("go\n")
        client.stdin.flush()
        said = json.loads(client.stdout.readline())
        assert len(said) == 40
        rows = tracing.requests("http_requests", port, "version = '2'", 36)
    finally:
        with contextlib.suppress(OSError):
            client.stdin.close()
        harness.end_process(client)
    for role in ("client", "server"):
        for row in rows[role]:
            # The path was said before, so it may be left out; another one's is never told.
            assert row["path"] in ("", "/trivet.test.Echo/Unary")
            assert row["path"] or row["unknown_fields"] > 0
            assert row["method"] in ("", "POST")
            assert row["error"] in ("", "gap"), row
            assert row["response_body_bytes"] == row["request_body_bytes"] or row["error"]
