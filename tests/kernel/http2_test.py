# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 in clear text between real programs: what nginx, nghttpd, Apache, Node and Go answered, and what
h2load counts, is what the tables say."""

import collections
import contextlib
import json
import os
import re
import shutil
import subprocess

import pytest

import trivet_harness as harness

QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 200000,
                                               "records.max_bytes": 512 << 20})


@contextlib.contextmanager
def running(command, port, **options):
    """A server that listens for HTTP/2 by prior knowledge at `port`."""
    process = subprocess.Popen(command, **{**QUIET, **options})
    try:
        harness.wait_until(
            lambda: curl("--http2-prior-knowledge", f"http://127.0.0.1:{port}/wait", check=False), 15,
            f"{command[0]} answers")
        yield process
    finally:
        harness.end_process(process)


def curl(*words, check=True):
    done = subprocess.run(["curl", "-sS", *words], check=check, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60 * harness.SCALE)
    return done.returncode == 0 if not check else done.stdout


@pytest.fixture
def nginx(folder):
    """An nginx that answers with what it was asked for, and logs it: (port, log)."""
    prefix = folder / "nginx"
    (prefix / "files").mkdir(parents=True)
    (prefix / "files/page").write_text("x" * 100_000)
    port = harness.free_port()
    (prefix / "nginx.conf").write_text(f"""
daemon off; user root; worker_processes 2; pid {prefix}/pid; error_log {prefix}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format told '$request_method $request_uri $status $body_bytes_sent $server_protocol';
  access_log {prefix}/access.log told;
  keepalive_requests 1000000; http2_max_concurrent_streams 5000;
  client_body_temp_path {prefix}/a; proxy_temp_path {prefix}/b; fastcgi_temp_path {prefix}/c;
  uwsgi_temp_path {prefix}/d; scgi_temp_path {prefix}/e;
  server {{
    listen 127.0.0.1:{port} http2; root {prefix}/files;
    location /n/ {{ return 200 $request_uri; }}
  }}
}}
""")
    with running(["nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e", "stderr"], port):
        yield port, prefix / "access.log"


def told(row):
    path = row["path"] + ("?" + row["query"] if row["query"] else "")
    return row["method"], path, row["status"], row["response_body_bytes"]


def test_curl_and_nginx_as_nginx_logs_it(tracing, nginx):
    port, log = nginx
    url = f"http://127.0.0.1:{port}"
    for i in range(10):
        # Each of its own connection: curl 7.88 cannot use one again that began by prior knowledge.
        for path in (f"/n/{i}?q={i}", "/page", "/missing"):
            curl("--http2-prior-knowledge", "--compressed", "-H", "X-Secret-Token: abc", "-o",
                 "/dev/null", f"{url}{path}")
    rows = tracing.requests("http_requests", port, "path <> '/wait'", 30)
    logged = collections.Counter()
    for line in log.read_text().splitlines():
        method, path, status, size, protocol = line.split()
        assert protocol == "HTTP/2.0"
        logged[method, path, int(status), int(size)] += 1
    for role, process in (("client", "curl"), ("server", "nginx")):
        assert collections.Counter(map(told, rows[role])) == logged
        for row in rows[role]:
            assert (row["version"], row["error"], row["unknown_fields"]) == ("2", "", 0), row
            assert row["host"] == f"127.0.0.1:{port}"
            assert row["user_agent"].startswith("curl/")
            assert row["process"] == process
            assert row["stream"] % 2 == 1
            assert 0 < row["latency"] < 10**9
            if row["path"].startswith("/n/"):
                assert row["response_body"] == row["path"] + "?" + row["query"]
                assert row["request_headers"]["x-secret-token"] == "<redacted>"
                assert row["response_headers"]["server"].startswith("nginx/")
    metrics = tracing.metrics()
    assert metrics.sum("http_server_request_duration_seconds_count", http_route="/n/{id}") == 10


def test_thousands_of_concurrent_streams_as_h2load_counts_them(tracing, nginx, folder):
    port, log = nginx
    asked = 6000
    # h2load takes the addresses in turns, for each client anew.
    (folder / "list").write_text("".join(f"http://127.0.0.1:{port}/n/{i}\n" for i in range(asked // 2)))
    said = subprocess.run(["h2load", "-n", str(asked), "-c", "2", "-m", "2000", "-i",
                           str(folder / "list")], check=True, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120 * harness.SCALE).stdout
    assert re.search(rf"{asked} succeeded, 0 failed", said), said
    rows = tracing.requests("http_requests", port, "path LIKE '/n/%'", asked)
    logged = collections.Counter(tuple(line.split()[:2]) for line in log.read_text().splitlines()
                                 if " /n/" in line)
    assert sum(logged.values()) == asked
    for role in ("client", "server"):
        own = [row for row in rows[role] if row["path"] != "/wait"]
        assert collections.Counter((row["method"], row["path"]) for row in own) == logged
        assert {row["error"] for row in own} == {""}
        assert all(row["response_body"] == row["path"] for row in own)


def test_nghttpd_pushes_and_sends_trailers(tracing, folder):
    files = folder / "files"
    files.mkdir()
    for name in ("page", "style"):
        (files / name).write_text(f"this is {name}\n")
    port = harness.free_port()
    with running(["nghttpd", "--no-tls", "-d", str(files), "--push=/page=/style", "--trailer=sum: 7",
                  "-a", "127.0.0.1", str(port)], port):
        said = subprocess.run(["nghttp", "-v", f"http://127.0.0.1:{port}/page"], check=True,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        assert "PUSH_PROMISE" in said
        # Padded frames, dependencies, a tiny table.
        subprocess.run(["nghttp", "-b", "100", "--header-table-size=0", "-m", "5",
                        f"http://127.0.0.1:{port}/style"], check=True, **QUIET)
        rows = tracing.requests("http_requests", port, "path <> '/wait'", 7)
    for role in ("client", "server"):
        own = [row for row in rows[role] if row["path"] != "/wait"]
        assert collections.Counter(row["path"] for row in own) == {"/page": 1, "/style": 6}
        for row in own:
            assert row["response_body"] == f"this is {row['path'][1:]}\n"
            assert row["response_trailers"] == {"sum": "7"}
            assert row["error"] == ""
        assert [row["path"] for row in own if row["stream"] % 2 == 0] == ["/style"]


def test_apache_upgrades_from_http1(tracing, folder):
    prefix = folder / "apache"
    (prefix / "files").mkdir(parents=True)
    (prefix / "files/page").write_text("page\n" * 1000)
    port = harness.free_port()
    modules = "/usr/lib/apache2/modules"
    (prefix / "httpd.conf").write_text(f"""
ServerRoot {prefix}
PidFile {prefix}/pid
Listen 127.0.0.1:{port}
ServerName web.test
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule http2_module {modules}/mod_http2.so
Protocols h2c http/1.1
ErrorLog {prefix}/error.log
DocumentRoot {prefix}/files
""")
    url = f"http://127.0.0.1:{port}"
    with running(["apache2", "-X", "-f", str(prefix / "httpd.conf")], port):
        for _ in range(5):
            said = curl("--http2", "-o", "/dev/null", f"{url}/page", "-w", "%{http_version} %{http_code}")
            assert said == "2 200"
            subprocess.run(["nghttp", "-u", f"{url}/page", f"{url}/missing"], check=True, **QUIET)
        rows = tracing.requests("http_requests", port, "path <> '/wait'", 15)
    for role in ("client", "server"):
        pages = [row for row in rows[role] if row["path"] == "/page"]
        assert {(row["version"], row["status"], row["stream"], row["error"]) for row in pages} == {
            ("2", 200, 1, "")}
        assert {row["response_body_bytes"] for row in pages} == {5000}
        assert len(pages) == 10
        missing = [row for row in rows[role] if row["path"] == "/missing"]
        assert {(row["version"], row["status"], row["error"]) for row in missing} == {("2", 404, "")}
        assert all(row["stream"] > 1 for row in missing)


NODE_SERVER = """
const server = require('http2').createServer();
server.on('stream', (stream, headers) => {
  const path = headers[':path'];
  stream.on('error', () => {});
  if (path === '/hang') return;
  if (path === '/refuse') return stream.close(7);
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  stream.on('end', () => {
    // Later ones first, so that answers come in another order than requests.
    setTimeout(() => {
      stream.respond({':status': 299, 'x-path': path}, {waitForTrailers: true});
      stream.on('wantTrailers', () => stream.sendTrailers({'x-size': `${Buffer.concat(parts).length}`}));
      stream.write('you asked for ');
      stream.end(path);
    }, path.startsWith('/n/') ? 200 - Number(path.slice(3)) % 200 : 0);
  });
});
server.listen(Number(process.argv[1]), '127.0.0.1');
"""
NODE_CLIENT = """
const client = require('http2').connect(`http://127.0.0.1:${process.argv[1]}`);
const count = Number(process.argv[2]), first = Number(process.argv[3] || 0);
let left = count;
const seen = [];
for (let i = first; i < first + count; i++) {
  const body = 'b'.repeat(i);
  const stream = client.request({':method': 'POST', ':path': `/n/${i}`, 'x-number': `${i}`});
  let text = '', status;
  stream.on('response', (headers) => { status = headers[':status']; });
  stream.setEncoding('utf8').on('data', (part) => { text += part; });
  stream.on('end', () => {
    seen.push([i, status, text]);
    if (--left > 0) return;
    const hung = client.request({':path': '/hang'});
    const refused = client.request({':path': '/refuse'});
    refused.on('error', () => {
      hung.on('close', () => { console.log(JSON.stringify(seen)); client.close(); });
      hung.on('error', () => {});
      hung.close(8);
    });
  });
  stream.end(body);
}
"""


def test_node_streams_out_of_order_with_resets(tracing):
    port = harness.free_port()
    with running(["node", "-e", NODE_SERVER, str(port)], port):
        done = subprocess.run(["node", "-e", NODE_CLIENT, str(port), "90"], check=True,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=60 * harness.SCALE)
        seen = json.loads(done.stdout)
        rows = tracing.requests("http_requests", port, "path <> '/wait'", 92)
    assert len(seen) == 90
    assert [i for i, _, _ in seen] != sorted(i for i, _, _ in seen)
    for role in ("client", "server"):
        by_path = {row["path"]: row for row in rows[role]}
        for i, status, text in seen:
            row = by_path[f"/n/{i}"]
            assert (row["status"], row["response_body"], row["error"]) == (status, text, "")
            assert row["request_body"] == "b" * i
            assert row["response_headers"]["x-path"] == row["path"]
            assert row["response_trailers"] == {"x-size": str(i)}
            assert row["request_headers"]["x-number"] == str(i)
        assert (by_path["/hang"]["error"], by_path["/hang"]["error_code"]) == ("reset", "CANCEL")
        assert by_path["/refuse"]["error_code"] == "REFUSED_STREAM"


JOINED_CLIENT = """
const client = require('http2').connect(`http://127.0.0.1:${process.argv[1]}`);
const ask = (path) => new Promise((resolve) => {
  const stream = client.request({':path': path, 'x-custom': 'same', 'user-agent': 'joined'});
  stream.on('data', () => {});
  stream.on('end', resolve);
  stream.end();
});
process.stdin.on('data', async (line) => {
  for (const path of line.toString().trim().split(' ')) await ask(path);
  console.log('done');
});
process.stdin.on('end', () => client.close());
"""


def test_a_connection_that_was_there_before_is_joined(start):
    port = harness.free_port()
    with running(["node", "-e", NODE_SERVER, str(port)], port):
        client = subprocess.Popen(["node", "-e", JOINED_CLIENT, str(port)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        try:
            def ask(*paths):
                client.stdin.write(" ".join(paths) + "\n")
                client.stdin.flush()
                assert client.stdout.readline() == "done\n"

            ask("/before/1", "/before/2")
            tracing = start(plugins=["tracing"])
            ask(*(f"/after/{i}" for i in range(20)))
            rows = tracing.requests("http_requests", port, "path LIKE '/after/%'", 20)
        finally:
            client.stdin.close()
            harness.end_process(client)
    for role in ("client", "server"):
        own = [row for row in rows[role] if row["path"].startswith("/after/")]
        assert len(own) == 20
        for row in own:
            assert row["method"] == "GET"
            # The answer to the request that joins it may have begun before.
            assert row["error"] in ("", "gap" if row["path"] == "/after/0" else "")
            assert row["response_body"] == f"you asked for {row['path']}"
            # Said before, and referred to since.
            assert row["user_agent"] == ""
            assert "x-custom" not in row["request_headers"]
            assert row["unknown_fields"] > 0
            assert row["status"] in (None, 299)


GO_PROGRAM = """
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

func main() {
	clear := new(http.Protocols)
	clear.SetUnencryptedHTTP2(true)
	address := "127.0.0.1:" + os.Args[2]
	if os.Args[1] == "serve" {
		server := http.Server{Addr: address, Protocols: clear, Handler: http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				w.Header().Set("X-Path", r.URL.Path)
				w.Header().Set("Trailer", "X-Size")
				fmt.Fprintf(w, "you asked for %s", r.URL.Path)
				w.Header().Set("X-Size", fmt.Sprint(len(body)))
			})}
		panic(server.ListenAndServe())
	}
	client := http.Client{Transport: &http.Transport{Protocols: clear}}
	var all sync.WaitGroup
	for i := 0; i < 200; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			path := fmt.Sprintf("/n/%d", i)
			answer, err := client.Post("http://"+address+path, "text/plain", strings.NewReader(strings.Repeat("b", i)))
			if err != nil {
				panic(err)
			}
			body, _ := io.ReadAll(answer.Body)
			if string(body) != "you asked for "+path {
				panic(string(body))
			}
		}()
	}
	all.Wait()
}
"""


def test_go_both_sides(tracing, folder):
    go = shutil.which("go")
    if not go:
        pytest.skip("no Go on this machine")
    (folder / "main.go").write_text(GO_PROGRAM)
    # The first build compiles Go's net/http, which takes minutes where little else is idle.
    built = subprocess.run([go, "build", "-o", str(folder / "talk"), str(folder / "main.go")],
                           capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
                           env={**os.environ, "GO111MODULE": "off", "GOFLAGS": ""})
    if "SetUnencryptedHTTP2" in built.stderr:
        pytest.skip("this Go has HTTP/2 in clear text in no standard package (1.24 has)")
    assert built.returncode == 0, built.stderr
    port = harness.free_port()
    with running([str(folder / "talk"), "serve", str(port)], port):
        subprocess.run([str(folder / "talk"), "ask", str(port)], check=True, **QUIET)
        rows = tracing.requests("http_requests", port, "path LIKE '/n/%'", 200)
    for role in ("client", "server"):
        own = [row for row in rows[role] if row["path"].startswith("/n/")]
        assert {row["path"] for row in own} == {f"/n/{i}" for i in range(200)}
        for row in own:
            assert row["response_body"] == f"you asked for {row['path']}"
            assert row["request_body_bytes"] == int(row["path"][3:])
            assert row["response_headers"]["x-path"] == row["path"]
            assert row["response_trailers"] == {"x-size": row["path"][3:]}
            assert (row["status"], row["error"], row["process"]) == (200, "", "talk")
