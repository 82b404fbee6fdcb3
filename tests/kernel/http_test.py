# SPDX-License-Identifier: Apache-2.0
"""What HTTP carries, between real programs: bodies that are compressed, streams of events, WebSockets,
tunnels, and what is not kept of them."""

import asyncio
import collections
import contextlib
import gzip
import hashlib
import http.client
import http.server
import json
import socket
import subprocess
import threading
import zlib

import aiohttp
import aiohttp.web
import brotli
import pytest
import websockets
import zstandard

import trivet_harness as harness

TEXT = "".join(f"line {i * 7919 % 10007} of the text\n" for i in range(1500))
CODINGS = {
    "gzip": lambda text: gzip.compress(text),
    "deflate": lambda text: zlib.compress(text),
    "br": lambda text: brotli.compress(text),
    "zstd": lambda text: zstandard.ZstdCompressor().compress(text),
}


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"])


class Server:
    """An application of aiohttp on a thread of its own."""

    def __init__(self, *routes):
        self.port, self.loop = harness.free_port(), asyncio.new_event_loop()
        self.ready = threading.Event()
        self.routes = routes
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        assert self.ready.wait(10)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.serve())

    async def serve(self):
        application = aiohttp.web.Application(client_max_size=1 << 26)
        application.add_routes(self.routes)
        runner = aiohttp.web.AppRunner(application)
        await runner.setup()
        await aiohttp.web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.over = asyncio.Event()
        self.ready.set()
        await self.over.wait()
        await runner.cleanup()

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(10)


@contextlib.contextmanager
def serving(*routes):
    server = Server(*routes)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_compressed_body_is_told_as_the_application_meant_it(tracing, coding):
    encoded = CODINGS[coding](TEXT.encode())

    async def answer(_):
        return aiohttp.web.Response(body=encoded, headers={"Content-Encoding": coding,
                                                           "Content-Type": "text/plain"})

    with serving(aiohttp.web.get("/text", answer)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("GET", "/text")
        assert connection.getresponse().read() == encoded
        connection.close()
        rows = tracing.requests("http_requests", server.port, "path = '/text'", 1)
    for role in ("client", "server"):
        row = rows[role][0]
        assert row["response_body"] == TEXT
        assert (row["response_body_decoded"], row["response_body_truncated"]) == (coding, False)
        assert row["response_body_bytes"] == len(encoded)


def test_a_decompression_bomb_is_cut_at_the_limit(tracing):
    bombs = {name: encode(b"\0" * 100_000_000) for name, encode in CODINGS.items()}

    async def answer(request):
        coding = request.match_info["coding"]
        return aiohttp.web.Response(body=bombs[coding], headers={"Content-Encoding": coding})

    def resident():
        return int(harness.process_status(tracing.main_pid())["VmRSS"].split()[0])

    before = resident()
    with serving(aiohttp.web.get("/{coding}", answer)) as server:
        for _ in range(5):
            for coding, bomb in bombs.items():
                connection = http.client.HTTPConnection("127.0.0.1", server.port)
                connection.request("GET", f"/{coding}")
                assert len(connection.getresponse().read()) == len(bomb)
                connection.close()
        rows = tracing.requests("http_requests", server.port, "status = 200", 20)
    for row in rows["server"]:
        assert row["response_body_truncated"]
        # What was recorded of a longer body may be less than its coding needs to begin with.
        assert row["response_body_decoded"] == row["path"][1:]
        assert len(row["response_body"]) <= 65536
    assert resident() - before < 64 << 10, "KiB grew"


def test_nginx_and_curl_compressed(tracing, folder):
    prefix = folder / "compressing"
    (prefix / "files").mkdir(parents=True)
    (prefix / "files/page.html").write_text(TEXT)
    port = harness.free_port()
    (prefix / "nginx.conf").write_text(f"""
load_module /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so;
daemon off; user root; worker_processes 1; pid {prefix}/pid; error_log {prefix}/error.log;
events {{ }}
http {{
  types {{ text/html html; }}
  log_format told '$request_uri $status $sent_http_content_encoding $body_bytes_sent';
  access_log {prefix}/access.log told;
  gzip on; gzip_min_length 1; brotli on; brotli_min_length 1;
  client_body_temp_path {prefix}/a; proxy_temp_path {prefix}/b; fastcgi_temp_path {prefix}/c;
  uwsgi_temp_path {prefix}/d; scgi_temp_path {prefix}/e;
  server {{ listen 127.0.0.1:{port}; root {prefix}/files; }}
}}
""")
    process = subprocess.Popen(["nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e",
                                "stderr"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/page.html"
    harness.wait_until(lambda: subprocess.run(["curl", "-s", "-o", "/dev/null", f"{url}?wait"],
                                              check=False).returncode == 0, 10, "nginx listens")
    got = subprocess.run(["curl", "-sS", "--http1.1", "--compressed", url], check=True,
                         capture_output=True, text=True)
    assert got.stdout == TEXT
    for coding in ("gzip", "br"):
        subprocess.run(["curl", "-sS", "-o", "/dev/null", "-H", f"Accept-Encoding: {coding}",
                        f"{url}?{coding}"], check=True)
    rows = tracing.requests("http_requests", port, "query <> 'wait'", 3)
    harness.end_process(process)
    # nginx counts body bytes with the framing of chunks: only what it says of the coding is compared.
    logged = {line.split()[0].partition("?")[2]: line.split()[2]
              for line in (prefix / "access.log").read_text().splitlines()}
    assert {logged["gzip"], logged["br"]} == {"gzip", "br"}
    for role in ("client", "server"):
        for row in rows[role]:
            if row["query"] != "wait":
                assert row["response_body"] == TEXT
                assert row["response_body_decoded"] == logged[row["query"]]


def test_events_of_a_stream_appear_before_it_ends(tracing):
    hold = threading.Event()

    async def events(request):
        response = aiohttp.web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for i in range(5):
            await response.write(f"id: {i}\nevent: tick\ndata: {{\"n\": {i}}}\n\n".encode())
        await asyncio.get_running_loop().run_in_executor(None, hold.wait, 60)
        await response.write(b"data: last\n\n")
        return response

    with serving(aiohttp.web.get("/events", events)) as server:
        client = subprocess.Popen(["curl", "-sSN", f"http://127.0.0.1:{server.port}/events"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        early = tracing.requests("http_messages", server.port, "type = 'tick'", 5)
        assert not [r for r in tracing.rows("http_requests") if r["path"] == "/events"]
        hold.set()
        said = client.communicate(timeout=30)[0]
        rows = tracing.requests("http_requests", server.port, "path = '/events'", 1)
        late = tracing.requests("http_messages", server.port, "type = 'message'", 1)
    for role in ("client", "server"):
        assert [(r["id"], r["payload"]) for r in early[role]] == [
            (str(i), f'{{"n": {i}}}') for i in range(5)]
        assert {(r["protocol"], r["sender"], r["path"]) for r in early[role]} == {
            ("sse", "server", "/events")}
        assert late[role][-1]["payload"] == "last"
        row = rows[role][0]
        assert row["response_events"] == said.count("data:") == 6
        assert (row["error"], row["response_body"]) == ("", said)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_messages_of_a_websocket_are_told_as_both_ends_meant_them(tracing, compression):
    port, sent, received = harness.free_port(), [], []
    texts = [f"message {i} " + "x" * (i * 37 % 2000) for i in range(200)] + ["ä" * 3000]

    async def echo(connection):
        async for message in connection:
            await connection.send(message if isinstance(message, bytes) else message.upper())

    async def talk():
        async with websockets.serve(echo, "127.0.0.1", port, compression=compression, ping_interval=None):
            async with websockets.connect(f"ws://127.0.0.1:{port}/chat?token=s3cret",
                                          compression=compression, ping_interval=None) as client:
                for text in texts:
                    await client.send(text)
                    sent.append(text)
                    received.append(await client.recv())
                await client.send(b"\x00\x01\xff")
                assert await client.recv() == b"\x00\x01\xff"
                await client.send(["frag", "men", "ted"])
                assert await client.recv() == "FRAGMENTED"
                await (await client.ping(b"are you there"))

    asyncio.run(talk())
    told = tracing.requests("http_messages", port, "type = 'close'", 2)
    rows = tracing.requests("http_requests", port, "status = 101", 1)
    for role in ("client", "server"):
        assert [(r["path"], r["query"], r["error"]) for r in rows[role]] == [
            ("/chat", "token=<redacted>", "")]
        by = collections.defaultdict(list)
        for row in told[role]:
            by[row["sender"], row["type"]].append(row)
        for sender, expected in (("client", sent), ("server", received)):
            own = by[sender, "text"][:-1]
            assert [r["payload"] for r in own] == [t.encode()[:4096].decode() for t in expected]
            assert [r["payload_truncated"] for r in own] == [len(t.encode()) > 4096 for t in expected]
            assert {r["compressed"] for r in own} == {compression is not None}
            assert len(by[sender, "binary"]) == 1
        # The library ends a message of three fragments with an empty one.
        assert (by["client", "text"][-1]["payload"], by["client", "text"][-1]["frames"]) == (
            "fragmented", 4)
        assert by["server", "text"][-1]["payload"] == "FRAGMENTED"
        assert by["client", "ping"][0]["payload"] == by["server", "pong"][0]["payload"] == "are you there"
        assert by["client", "close"][0]["close_code"] == 1000


def test_what_a_tunnel_carries_is_told_too(tracing, nginx):
    port = harness.free_port()

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self):
            with socket.create_connection(("127.0.0.1", nginx.port)) as upstream:
                self.send_response(200)
                self.end_headers()
                request = self.connection.recv(65536)
                upstream.sendall(request)
                upstream.settimeout(5)
                self.wfile.write(upstream.recv(65536))
                self.close_connection = True

        def log_message(self, *_):
            pass

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    got = subprocess.run(["curl", "-sS", "--proxytunnel", "-x", f"http://127.0.0.1:{port}",
                          f"{nginx.url}/ok/within"], check=True, capture_output=True, text=True)
    assert got.stdout == "here\n"
    rows = tracing.requests("http_requests", port, "path = '/ok/within'", 1)
    proxy.shutdown()
    proxy.server_close()
    for role in ("client", "server"):
        assert [(r["method"], r["path"], r["status"]) for r in rows[role]] == [
            ("CONNECT", f"127.0.0.1:{nginx.port}", 200), ("GET", "/ok/within", 200)]


def test_haproxy_before_apache_keeps_every_method_and_answer(tracing, folder):
    """Each request passes two connections; Apache's own log says what it was asked."""
    prefix = folder / "apache"
    (prefix / "files").mkdir(parents=True)
    (prefix / "files/page").write_text("page\n")
    back, front = harness.free_port(), harness.free_port()
    modules = "/usr/lib/apache2/modules"
    (prefix / "httpd.conf").write_text(f"""
ServerRoot {prefix}
PidFile {prefix}/pid
Listen 127.0.0.1:{back}
ServerName web.test
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
ErrorLog {prefix}/error.log
LogFormat "%m %U%q %>s %B" told
CustomLog {prefix}/access.log told
DocumentRoot {prefix}/files
""")
    (prefix / "haproxy.cfg").write_text(f"""
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
listen front
  bind 127.0.0.1:{front}
  server apache 127.0.0.1:{back}
""")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    apache = subprocess.Popen(["apache2", "-X", "-f", str(prefix / "httpd.conf")], **quiet)
    haproxy = subprocess.Popen(["haproxy", "-db", "-f", str(prefix / "haproxy.cfg")], **quiet)
    try:
        def answers():
            connection = http.client.HTTPConnection("127.0.0.1", front, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("GET", "/wait")
                return connection.getresponse().status == 404
            return False

        harness.wait_until(answers, 15, "Apache answers through haproxy")
        connection = http.client.HTTPConnection("127.0.0.1", front)
        asked = []
        for i in range(50):
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "REPORT"):
                path = f"/page?{method}-{i}" if i % 2 else f"/missing-{i}"
                connection.request(method, path, body=b"b" * i if method in ("POST", "PUT") else None)
                response = connection.getresponse()
                asked.append((method, path, response.status, len(response.read())))
        connection.close()
        rows = {port: tracing.requests("http_requests", port, "path <> '/wait'", len(asked))
                for port in (front, back)}
    finally:
        harness.end_process(haproxy)
        harness.end_process(apache)
    logged = collections.Counter()
    for line in (prefix / "access.log").read_text().splitlines():
        method, path, status, size = line.split()
        if path != "/wait":
            logged[method, path, int(status), int(size)] += 1
    assert sum(logged.values()) == len(asked)
    for port, by_role in rows.items():
        for role, process in (("client", None if port == front else "haproxy"),
                              ("server", "haproxy" if port == front else "apache2")):
            own = [r for r in by_role[role] if r["path"] != "/wait"]
            told = collections.Counter(
                (r["method"], r["path"] + ("?" + r["query"] if r["query"] else ""), r["status"],
                 r["response_body_bytes"]) for r in own)
            assert told == logged, (port, role)
            assert {r["error"] for r in own} == {""}
            if process:
                assert {r["process"] for r in own} == {process}


def test_a_body_of_ten_mebibytes_each_way_is_whole_by_its_hash(start):
    tracing = start(plugins=["tracing"], changes={"tracing.http.body_limit": 16 << 20})
    piece = "".join(chr(97 + i * i % 26) for i in range(65536)).encode()

    async def answer(request):
        body = await request.read()
        response = aiohttp.web.StreamResponse(headers={"Content-Type": "text/plain"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(body), 65536):
            await response.write(body[at:at + 65536][::-1])
        await response.write_eof()
        return response

    with serving(aiohttp.web.post("/both", answer)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        connection.request("POST", "/both", body=(piece for _ in range(160)), encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"})
        got = connection.getresponse().read()
        connection.close()
        rows = tracing.requests("http_requests", server.port, "path = '/both'", 1)
    asked = hashlib.sha256(piece * 160).hexdigest()
    assert len(got) == 10 << 20
    for role in ("client", "server"):
        row = rows[role][0]
        assert (row["error"], row["request_body_truncated"], row["response_body_truncated"]) == (
            "", False, False)
        assert hashlib.sha256(row["request_body"].encode()).hexdigest() == asked
        assert hashlib.sha256(row["response_body"].encode()).hexdigest() == hashlib.sha256(got).hexdigest()


def test_the_usual_secrets_leave_no_trace(tracing):
    """Not in rows, not in metrics, not in the log: in every form in which curl sends them."""
    secret = "s3cr3t-value-17"

    async def answer(request):
        await request.read()
        response = aiohttp.web.json_response({"id": 1, "access_token": secret})
        response.set_cookie("session", secret)
        response.headers["X-Auth-Token"] = secret
        return response

    with serving(aiohttp.web.route("*", "/login", answer)) as server:
        url = f"http://127.0.0.1:{server.port}/login"
        for arguments in (["-u", f"joe:{secret}"], ["-H", f"Authorization: Bearer {secret}"],
                          ["-b", f"session={secret}; theme={secret}"], ["-H", f"X-Api-Key: {secret}"],
                          ["-d", f"user=joe&password={secret}"], ["-e", f"{url}?token={secret}"],
                          ["--json", json.dumps({"user": "joe", "password": secret})],
                          ["-G", "-d", f"access_token={secret}"],
                          ["-G", "-d", f"user[password]={secret}"]):
            subprocess.run(["curl", "-sS", "-o", "/dev/null", *arguments, url], check=True)
        rows = tracing.requests("http_requests", server.port, "path = '/login'", 9)
    assert len(rows["client"]) == len(rows["server"]) == 9
    for row in rows["client"] + rows["server"]:
        assert secret not in json.dumps(row), row
        assert "session=<redacted>" in json.dumps(row["response_headers"])
    assert secret not in tracing.metrics().text
    assert secret not in tracing.log()


def test_requests_count_by_route(tracing, nginx):
    for i in range(20):
        subprocess.run(["curl", "-sS", f"{nginx.url}/ok/{i}", f"{nginx.url}/missing/{i}"],
                       check=True, capture_output=True)
    tracing.requests("http_requests", nginx.port, "path LIKE '/ok/%'", 20)
    metrics = tracing.metrics()
    name = "http_server_request_duration_seconds_count"
    assert metrics.sum(name, http_route="/ok/{id}", http_response_status_code="200") == 20
    assert metrics.sum(name, http_route="_OTHER", http_response_status_code="404") == 20
    assert tracing.query(f"SELECT route, count(*) AS n FROM http_requests WHERE local_port = {nginx.port} "
                         "GROUP BY route ORDER BY route") == [
        {"route": "/missing/{id}", "n": 20}, {"route": "/ok/{id}", "n": 20}]


NODE_SERVER = """
const http = require('http'), zlib = require('zlib');
const text = 'node '.repeat(2000);
http.createServer((request, response) => {
  const coding = request.url.slice(1);
  const stream = {gzip: zlib.createGzip, deflate: zlib.createDeflate, br: zlib.createBrotliCompress}[coding]();
  response.writeHead(200, {'Content-Encoding': coding, 'Trailer': 'X-Length'});
  stream.on('data', piece => response.write(piece));
  stream.on('end', () => { response.addTrailers({'X-Length': String(text.length)}); response.end(); });
  for (let at = 0; at < text.length; at += 1000) { stream.write(text.slice(at, at + 1000)); stream.flush(); }
  stream.end();
}).listen(Number(process.argv[1]), '127.0.0.1');
"""


def test_node_streams_what_it_compresses_and_sends_trailers(tracing):
    port = harness.free_port()
    node = subprocess.Popen(["node", "-e", NODE_SERVER, str(port)], stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for coding in ("gzip", "deflate", "br"):
            harness.wait_until(lambda: subprocess.run(
                ["curl", "-s", "-o", "/dev/null", "--compressed", f"http://127.0.0.1:{port}/{coding}"],
                check=False).returncode == 0, 10, "node answers")
        rows = tracing.requests("http_requests", port, "status = 200", 3)
    finally:
        harness.end_process(node)
    for role in ("client", "server"):
        assert {r["response_body_decoded"] for r in rows[role]} == {"gzip", "deflate", "br"}
        for row in rows[role]:
            assert row["response_body"] == "node " * 2000
            assert row["response_trailers"] == {"x-length": "10000"}
