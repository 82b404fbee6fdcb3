# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of a real daemon, asked by curl and by Python's own client."""

import csv
import http.client
import io
import json
import os
import secrets
import socket
import subprocess
import time

import pytest

import trivet_harness as harness


def curl(trivet, target, *options, check=True):
    """What curl prints, over the Unix socket."""
    done = subprocess.run(
        ["curl", "-sS", "--unix-socket", trivet.folder / "api.sock", *options, f"http://trivet{target}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * harness.SCALE)
    if check:
        assert done.returncode == 0, done.stderr
    return done.stdout


def rows(trivet, sql):
    text = curl(trivet, "/v1/query", "--get", "--data-urlencode", f"sql={sql}")
    return [json.loads(line) for line in text.splitlines()]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("trivet", timeout=20 * harness.SCALE)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@pytest.fixture
def token_file(folder):
    path = folder / "api.token"
    path.write_text(secrets.token_hex(32) + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def with_port(start, token_file):
    port = harness.free_port()
    daemon = start(changes={"api.listen": f"127.0.0.1:{port}", "api.token_file": token_file})
    daemon.api_port = port
    return daemon


def over_tcp(trivet, path, token=None):
    connection = http.client.HTTPConnection("127.0.0.1", trivet.api_port, timeout=20 * harness.SCALE)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_requests_that_were_seen_can_be_asked_for_in_each_format(start, nginx):
    trivet = start()
    subprocess.run(["curl", "-s", "-o", "/dev/null", f"{nginx.url}/missing/asked"],
                   stdin=subprocess.DEVNULL, check=True, timeout=30)
    sql = "SELECT DISTINCT method, path, status FROM http_requests WHERE path = '/missing/asked'"
    expected = {"method": "GET", "path": "/missing/asked", "status": 404}
    assert harness.wait_until(lambda: rows(trivet, sql), 15, "the request") == [expected]

    post = ["-H", "Content-Type: text/plain", "--data", sql]
    assert json.loads(curl(trivet, "/v1/query?format=json", *post)) == [expected]
    table = curl(trivet, "/v1/query", "-H", "Accept: text/csv", *post)
    assert list(csv.DictReader(io.StringIO(table))) == [{**expected, "status": "404"}]
    # The control socket answers the same.
    assert json.loads(trivet.call("query", sql, "-o", "json").stdout) == expected


def test_a_stream_tells_alerts_and_flows_as_they_come(start, nginx):
    trivet = start()
    client = subprocess.Popen(
        ["curl", "-sSN", "--unix-socket", trivet.folder / "api.sock", "http://trivet/v1/stream/alerts"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        harness.wait_until(lambda: trivet.metrics().sum(
            "trivet_api_requests_total", path="/v1/stream/", status="200"), 10, "the stream's head")
        cat = subprocess.Popen(["cat", "/etc/shadow"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL)
        cat.wait()
        while True:
            alert = json.loads(client.stdout.readline())
            if alert["pid"] == cat.pid:
                break
        assert alert["exe"] == "/usr/bin/cat" and alert["hostname"] == socket.gethostname()
    finally:
        harness.end_process(client)
        client.stdout.close()
    subprocess.run(["curl", "-s", "-o", "/dev/null", f"{nginx.url}/ok/flow"],
                   stdin=subprocess.DEVNULL, check=True, timeout=30)
    backlog = curl(trivet, "/v1/stream/flows?backlog=4096", "--max-time", "1", check=False)
    assert any(json.loads(line)["peer_port"] == nginx.port for line in backlog.splitlines())


def test_documents_agree_with_the_command_line(start):
    trivet = start()
    assert curl(trivet, "/v1/version").split('"')[3] in subprocess.run(
        [harness.trivet_program(), "version"], capture_output=True, text=True, check=True).stdout
    status = json.loads(curl(trivet, "/v1/status"))
    assert {plugin["name"]: plugin["state"] for plugin in status["plugins"]} == {
        "network": "running", "security": "running", "tracing": "running"}
    tables = json.loads(curl(trivet, "/v1/tables"))["tables"]
    listed = {(table["name"], column["name"]) for table in tables for column in table["columns"]}
    asked = {(row["table_name"], row["name"]) for row in rows(trivet, "SELECT * FROM columns")}
    assert listed == asked and ("http_requests", "path") in listed
    for entry in json.loads(curl(trivet, "/"))["endpoints"]:
        path = entry["path"].replace("{table}", "nonsense")
        answer = curl(trivet, path, "-o", "/dev/null", "-w", "%{http_code}")
        assert answer in ("200", "400", "404") and (answer == "200") == ("{" not in entry["path"] and
                                                                        "query" not in entry["path"])


def test_who_leaves_ends_the_query(start):
    trivet = start()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    for _ in range(8):  # more than run at a time
        curl(trivet, "/v1/query", "--get", "--data-urlencode", f"sql={endless}", "--max-time", "0.3",
             check=False)
    harness.wait_until(lambda: rows(trivet, "SELECT 1 AS one") == [{"one": 1}], 5, "a query is taken")
    assert harness.wait_until(
        lambda: trivet.metrics().sum("trivet_api_cancelled_queries_total") == 8, 5, "eight are counted")


def test_a_query_may_take_less_time_than_the_configuration_allows_and_not_more(start):
    trivet = start(changes={"query.max_time_s": 1})
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    for timeout, took in (("0.2", 0.2), ("50", 1)):
        begin = time.monotonic()
        answer = curl(trivet, "/v1/query", "--get", "--data-urlencode", f"sql={endless}",
                      "-d", f"timeout={timeout}", "-w", " %{http_code}")
        assert took <= time.monotonic() - begin < took + 2 * harness.SCALE
        assert answer.endswith(" 503") and "took longer" in answer


def test_only_the_group_may_use_the_socket(start, folder):
    trivet = start()
    status = (folder / "0/api.sock").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o660)
    (folder / "0/api.sock").chmod(0o666)  # the kernel's word on the peer counts, not only the mode
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-sS",
         "--unix-socket", folder / "0/api.sock", "http://trivet/v1/version"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    assert "may not use the API" in done.stdout
    assert trivet.metrics().sum("trivet_api_refused_total", reason="permission") == 1


def test_over_tcp_the_token_is_needed_and_a_reload_changes_it(with_port, token_file):
    old = token_file.read_text().strip()
    assert over_tcp(with_port, "/v1/version", old)[0] == 200
    assert over_tcp(with_port, "/v1/version")[0] == 401
    assert over_tcp(with_port, "/v1/version", old[:-1] + "_")[0] == 401
    new = secrets.token_hex(32)
    token_file.write_text(new)
    with_port.call("reload")
    assert over_tcp(with_port, "/v1/version", new)[0] == 200
    assert over_tcp(with_port, "/v1/version", old)[0] == 401
    # What a request brought as its token is not in the records of it.
    text = curl(with_port, "/v1/query", "--get", "--data-urlencode",
                "sql=SELECT * FROM http_requests WHERE path = '/v1/version'")
    assert new not in text and old not in text


def test_one_connection_serves_one_question_after_the_other(start):
    trivet = start()
    connection = UnixConnection(trivet.folder / "api.sock")
    for number in range(50):
        connection.request("POST", "/v1/query", f"SELECT {number} AS n", {"Content-Type": "text/plain"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"n":%d}\n' % number)
    connection.close()
    harness.wait_until(lambda: trivet.metrics().sum("trivet_api_connections", listener="unix") == 0,
                       5, "the connection is forgotten")
    assert trivet.metrics().sum("trivet_api_requests_total", path="/v1/query", status="200") == 50


# (the token file's text, its mode, its owner, what the error must say)
TOKENS = [
    ("short", 0o600, 0, ["token", "openssl"]),
    ("", 0o600, 0, ["token", "openssl"]),
    ("a token with blanks in it is none", 0o600, 0, ["token", "openssl"]),
    (secrets.token_hex(32), 0o644, 0, ["everybody", "chmod"]),
    (secrets.token_hex(32), 0o620, 0, ["writ", "chmod"]),
    (secrets.token_hex(32), 0o600, 12345, ["belongs", "chown"]),
]


@pytest.mark.parametrize("text, mode, owner, says", TOKENS)
def test_a_token_file_that_is_not_in_order_is_refused_at_its_place(folder, token_file, text, mode,
                                                                  owner, says):
    token_file.write_text(text)
    token_file.chmod(mode)
    os.chown(token_file, owner, 0)
    refused(folder, {"api.listen": "127.0.0.1:0", "api.token_file": token_file}, ["token_file", *says])


@pytest.mark.parametrize("changes, says", [
    ({"api.listen": "127.0.0.1:9436"}, ["api.listen", "api.token_file"]),
    ({"api.listen": "localhost"}, ["api.listen", "127.0.0.1:9435"]),
    ({"api.listen": "127.0.0.1:9436", "api.token_file": "/nonexistent/token"},
     ["api.token_file", "/nonexistent/token"]),
    ({"api.socket": 5}, ["api.socket"]),
    ({"api.sockt": "x"}, ["sockt", "socket"]),
])
def test_settings_that_are_wrong_are_refused_at_their_place(folder, changes, says):
    refused(folder, changes, says)


def refused(folder, changes, says):
    config = folder / "wrong.toml"
    config.write_text(harness.changed_configuration(harness.shipped_configuration(), {
        "control.socket": folder / "t.sock", **changes}))
    done = subprocess.run([harness.trivet_program(), "run", "-c", config], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60 * harness.SCALE)
    assert done.returncode == 1, done.stderr
    for word in ["wrong.toml:", *says]:
        assert word in done.stderr, done.stderr
    assert not (folder / "api.sock").exists()


def test_a_port_in_use_is_named(start, folder, token_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = folder / "wrong.toml"
        config.write_text(harness.changed_configuration(harness.shipped_configuration(), {
            "control.socket": folder / "t.sock", "api.listen": f"127.0.0.1:{port}",
            "metrics.listen": f"127.0.0.1:{harness.free_port()}", "api.token_file": token_file}))
        done = subprocess.run([harness.trivet_program(), "run", "-c", config],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60 * harness.SCALE)
    assert done.returncode == 1 and f"127.0.0.1:{port}" in done.stderr and "api.listen" in done.stderr


def test_no_socket_is_made_where_none_is_wanted(start):
    trivet = start(changes={"api.socket": ""})
    assert not (trivet.folder / "api.sock").exists()
