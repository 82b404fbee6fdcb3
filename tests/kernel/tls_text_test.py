# SPDX-License-Identifier: Apache-2.0
"""What travels inside TLS between real programs: their own logs and counts are what the tables say."""

import contextlib
import pathlib
import shutil
import socket
import subprocess
import sys
import textwrap
import time

import pytest

import trivet_harness as harness

LIBRARY = "/usr/lib/x86_64-linux-gnu/libssl.so.3"


@pytest.fixture
def certificate(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
                    "-subj", "/CN=localhost", "-days", "1", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    # PostgreSQL refuses a key that others may read.
    (folder / "key.pem").chmod(0o600)
    return folder / "certificate.pem", folder / "key.pem"


class SecureNginx:
    """Debian's nginx with a location that answers the path, over TLS, and its access log."""

    CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format tested '$request_method $request_uri $status $body_bytes_sent $ssl_protocol $ssl_cipher';
  access_log {prefix}/access.log tested;
  keepalive_requests 1000000;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ return 200 "you asked for $request_uri\\n"; }}
    location /missing/ {{ return 404 "nothing\\n"; }}
    location /files/ {{ alias {prefix}/files/; }}
  }}
}}
"""

    def __init__(self, folder, certificate, launcher=()):
        self.prefix = folder / "nginx"
        (self.prefix / "files").mkdir(parents=True)
        self.port = harness.free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        configuration = self.prefix / "nginx.conf"
        configuration.write_text(self.CONFIGURATION.format(
            prefix=self.prefix, port=self.port, certificate=certificate[0], key=certificate[1]))
        self.process = subprocess.Popen(
            [*launcher, "nginx", "-p", str(self.prefix), "-c", str(configuration), "-e", "stderr"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: listens(self.port), 10, "nginx listens")

    def log(self):
        return (self.prefix / "access.log").read_text().splitlines()

    def close(self):
        harness.end_process(self.process)


def listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


@pytest.fixture
def nginx(folder, certificate):
    server = SecureNginx(folder, certificate)
    yield server
    server.close()


def curl(*arguments):
    return subprocess.run(["curl", "-sk", "-m", "20", "--http1.1", *arguments], check=True,
                          capture_output=True, text=True).stdout


def probed(tracing, atleast=1):
    harness.wait_until(lambda: tracing.metrics().sum("trivet_tracing_tls_libraries") >= atleast, 10,
                       "the library is probed")


def told(rows):
    return [(row["method"], row["path"], row["status"]) for row in rows]


def test_requests_inside_tls_are_those_of_the_log_of_a_server_that_was_there_before(start, nginx):
    tracing = start(plugins=["tracing"])
    probed(tracing)
    paths = [f"/ok/{i}" for i in range(20)] + ["/missing/x"]
    for version in ("1.2", "1.3"):
        curl(f"--tlsv{version}", "--tls-max", version, *[f"{nginx.url}{p}?v={version}" for p in paths])
    count = len(paths) * 2
    rows = tracing.requests("http_requests", nginx.port, "tls", count)
    logged = [line.split() for line in nginx.log()]
    assert len(logged) == count
    for role in ("client", "server"):
        assert len(rows[role]) == count
        assert sorted(told(rows[role])) == sorted((l[0], l[1].partition("?")[0], int(l[2])) for l in logged)
        assert {row["error"] for row in rows[role]} == {""}
        for row in rows[role]:
            version, = (l[4] for l in logged if l[1] == f"{row['path']}?{row['query']}")
            assert f"TLSv{row['tls_version']}" == version
            assert row["tls_cipher"].startswith("TLS_")
            if row["status"] == 200:
                assert row["response_body"] == f"you asked for {row['path']}?{row['query']}\n"
        assert {row["process"] for row in rows[role]} == {"nginx" if role == "server" else "curl"}
    metrics = tracing.metrics()
    assert metrics.sum("trivet_tracing_gaps_total") == 0
    assert metrics.sum("trivet_tracing_parse_errors_total") == 0


def test_bodies_of_any_size_arrive_whole_up_to_the_limit(start, nginx):
    body = "".join(f"{i:07}\n" for i in range(512 << 10))
    (nginx.prefix / "files/large").write_text(body)
    tracing = start(plugins=["tracing"])
    probed(tracing)
    curl("-o", "/dev/null", f"{nginx.url}/files/large", "--next", "-sk", f"{nginx.url}/after")
    rows = tracing.requests("http_requests", nginx.port, "tls", 2)
    for role in ("client", "server"):
        large, after = sorted(rows[role], key=lambda row: row["path"], reverse=True)
        assert (large["response_body_bytes"], large["error"]) == (len(body), "")
        assert body.startswith(large["response_body"]) and len(large["response_body"]) == 64 << 10
        assert (after["path"], after["status"], after["error"]) == ("/after", 200, "")


def test_a_program_that_loads_its_library_late_is_seen(start, nginx, folder):
    tracing = start(plugins=["tracing"])
    probed(tracing)
    library = shutil.copy(LIBRARY, folder / "libssl-late.so")
    before = tracing.metrics().sum("trivet_tracing_tls_libraries")
    # Asks by a library of its own, with nothing but its functions.
    program = textwrap.dedent(f"""
        import ctypes, socket, sys
        sys.stdin.readline()
        l = ctypes.CDLL({str(library)!r})
        for f in ("TLS_client_method", "SSL_CTX_new", "SSL_new"):
            getattr(l, f).restype = ctypes.c_void_p
        p = ctypes.c_void_p
        context = p(l.SSL_CTX_new(p(l.TLS_client_method())))
        def ask(path):
            s = socket.create_connection(("127.0.0.1", {nginx.port}))
            session = p(l.SSL_new(context))
            l.SSL_set_fd(session, s.fileno())
            assert l.SSL_connect(session) == 1
            request = f"GET {{path}} HTTP/1.1\\r\\nHost: late\\r\\nConnection: close\\r\\n\\r\\n".encode()
            assert l.SSL_write(session, request, len(request)) == len(request)
            b = ctypes.create_string_buffer(4096)
            while l.SSL_read(session, b, 4096) > 0: pass
            l.SSL_free(session)
            s.close()
        for line in sys.stdin:
            ask(line.strip())
            print("done", flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        process.stdin.write("go\n/first\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        probed(tracing, before + 1)
        process.stdin.write("/second\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
        harness.wait_until(lambda: tracing.query(
            "SELECT 1 FROM http_requests WHERE role = 'client' AND path = '/second' AND tls AND error = ''"),
            10, "what it asked for")
    finally:
        harness.end_process(process)


def test_a_server_in_another_mount_namespace_with_its_own_library_is_seen(start, folder, certificate):
    tracing = start(plugins=["tracing"])
    copy = shutil.copy(LIBRARY, folder / "libssl.so.3")
    server = SecureNginx(folder, certificate, launcher=[
        "unshare", "--mount", "sh", "-c", f'mount --bind {copy} {LIBRARY} && exec "$@"', "sh"])
    try:
        probed(tracing, 2)  # curl's, or that of the tests, is another file
        curl(f"{server.url}/inside")
        rows = tracing.requests("http_requests", server.port, "tls", 1)
        assert told(rows["server"]) == [("GET", "/inside", 200)]
    finally:
        server.close()


def test_requests_of_pythons_ssl_are_those_that_it_made(start, nginx):
    tracing = start(plugins=["tracing"])
    probed(tracing)
    program = textwrap.dedent(f"""
        import http.client, ssl
        c = http.client.HTTPSConnection("127.0.0.1", {nginx.port}, context=ssl._create_unverified_context())
        for i in range(10):
            c.request("POST", f"/python/{{i}}", body=b"x" * i)
            assert c.getresponse().read() == f"you asked for /python/{{i}}\\n".encode()
    """)
    subprocess.run([sys.executable, "-c", program], check=True)
    rows = tracing.requests("http_requests", nginx.port, "tls", 10)
    for role in ("client", "server"):
        assert sorted(told(rows[role])) == [("POST", f"/python/{i}", 200) for i in range(10)]
        assert [r["request_body_bytes"] for r in sorted(rows[role], key=lambda r: r["path"])] == list(range(10))


def test_redis_over_tls_is_what_it_was_asked(start, folder, certificate):
    port = harness.free_port()
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--tls-port", str(port), "--tls-cert-file", certificate[0],
         "--tls-key-file", certificate[1], "--tls-auth-clients", "no", "--save", "", "--dir", folder],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: listens(port), 10, "redis listens")
        tracing = start(plugins=["tracing"])
        probed(tracing)
        for i in range(5):
            subprocess.run(["redis-cli", "--tls", "--insecure", "-p", str(port), "SET", f"key{i}", f"{i}"],
                           check=True, capture_output=True)
        rows = tracing.requests("redis_requests", port, "tls AND command = 'SET'", 5)
        for role in ("client", "server"):
            sets = [r for r in rows[role] if r["command"] == "SET"]
            assert sorted(r["arguments"] for r in sets) == [[f"key{i}", f"{i}"] for i in range(5)]
            assert {r["response"] for r in sets} == {"OK"}
            assert {r["tls_version"] for r in sets} == {"1.3"}
    finally:
        harness.end_process(server)


def test_postgresql_over_tls_is_what_it_was_asked(start, certificate, tmp_path):
    postgresql_test = pytest.importorskip("postgresql_test")
    if postgresql_test.PROGRAMS is None:
        pytest.skip("PostgreSQL is not installed")
    folder = pathlib.Path(tmp_path)
    for each in (folder, *folder.parents[:-1]):
        each.chmod(0o755 if each.is_relative_to("/tmp/pytest-of-root") else each.stat().st_mode)
    server = postgresql_test.Postgresql(folder)
    try:
        for name, path in zip(("server.crt", "server.key"), certificate):
            shutil.copy(path, server.data / name)
            shutil.chown(server.data / name, "postgres", "postgres")
        server.psql("ALTER SYSTEM SET ssl = on; SELECT pg_reload_conf()".replace("; ", ";\n"))
        secure = ("-d", "sslmode=require dbname=postgres")
        harness.wait_until(lambda: server.psql("SELECT 1", check=False, more=secure).returncode == 0, 10,
                           "it speaks TLS")
        tracing = start(plugins=["tracing"])
        probed(tracing)
        asked = [f"SELECT {i} * 2 AS inside" for i in range(5)]
        answer = server.psql(";\n".join(asked) + ";\n", more=secure).stdout
        assert answer.split() == ["0", "2", "4", "6", "8"]
        rows = tracing.requests("postgresql_requests", server.port, "tls AND query LIKE '%inside%'", 5)
        for role in ("client", "server"):
            told_queries = [r for r in rows[role] if "inside" in r["query"]]
            assert [r["query"].rstrip(";") for r in told_queries] == asked
            assert {r["error"] for r in told_queries} == {""}
            assert {r["tls_version"] for r in told_queries} == {"1.3"}
    finally:
        server.close()


STATIC = r"""
#include <openssl/ssl.h>
#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    SSL *session = SSL_new(SSL_CTX_new(TLS_client_method()));
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char line[64], request[128], answer[4096];
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(s, (void *)&to, sizeof(to)) || !SSL_set_fd(session, s) || SSL_connect(session) != 1)
        return 1;
    while (fgets(line, sizeof(line), stdin)) {
        size_t moved;
        line[strcspn(line, "\n")] = 0;
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: static\r\n\r\n", line);
        if (!SSL_write_ex(session, request, strlen(request), &moved) || moved != strlen(request) ||
            !SSL_read_ex(session, answer, sizeof(answer), &moved))
            return 2;
        puts("done");
        fflush(stdout);
    }
    return 0;
}
"""


def test_a_program_with_the_library_linked_in_is_joined_at_its_next_request(start, nginx, folder):
    source, program = folder / "static.c", folder / "static"
    source.write_text("#include <stdio.h>\n#include <stdlib.h>\n" + STATIC)
    subprocess.run(["gcc", "-o", program, source, "-l:libssl.a", "-l:libcrypto.a"], check=True)
    process = subprocess.Popen([program, str(nginx.port)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)

    def ask(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    try:
        ask("/before")
        tracing = start(plugins=["tracing"])
        probed(tracing, 2)
        for i in range(5):
            ask(f"/static/{i}")
        about = "SELECT path, status, error FROM http_requests WHERE tls AND role = 'client' ORDER BY path"
        harness.wait_until(lambda: len(tracing.query(about)) >= 5, 10, "its requests")
        assert tracing.query(about) == [
            {"path": f"/static/{i}", "status": 200, "error": ""} for i in range(5)]
    finally:
        harness.end_process(process)


def test_sessions_that_their_programs_carry_to_the_socket_are_seen(start, certificate):
    """asyncio gives its library bytes, not sockets."""
    port = harness.free_port()
    tracing = start(plugins=["tracing"])
    probed(tracing)
    server = textwrap.dedent(f"""
        import asyncio, ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain({str(certificate[0])!r}, {str(certificate[1])!r})
        async def serve(reader, writer):
            while head := await reader.readuntil(b"\\r\\n\\r\\n"):
                path = head.split()[1]
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(path), path))
        async def run():
            await (await asyncio.start_server(serve, "127.0.0.1", {port}, ssl=context)).serve_forever()
        asyncio.run(run())
    """)
    client = textwrap.dedent(f"""
        import asyncio, ssl
        context = ssl._create_unverified_context()
        async def ask(name):
            reader, writer = await asyncio.open_connection("127.0.0.1", {port}, ssl=context)
            for i in range(10):
                path = f"/{{name}}/{{i}}".encode()
                writer.write(b"GET %s HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" % path)
                answer = await reader.readuntil(path)
            writer.close()
        async def run():
            await asyncio.gather(*(ask(name) for name in "abcd"))
        asyncio.run(run())
    """)
    process = subprocess.Popen([sys.executable, "-c", server], stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: listens(port), 10, "the server listens")
        subprocess.run([sys.executable, "-c", client], check=True, stderr=subprocess.DEVNULL)
        rows = tracing.requests("http_requests", port, "tls", 40)
        expected = sorted(f"/{name}/{i}" for name in "abcd" for i in range(10))
        for role in ("client", "server"):
            assert sorted(row["path"] for row in rows[role]) == expected
            assert all(row["response_body"] == row["path"] for row in rows[role])
            assert {row["tls_version"] for row in rows[role]} == {"1.3"}
            assert {row["process"] for row in rows[role]} == {"python3"}
        # No two connections were taken for one another.
        for row in rows["client"]:
            twin, = (r for r in rows["server"] if r["path"] == row["path"])
            assert twin["peer_port"] == row["local_port"]
    finally:
        harness.end_process(process)


def test_requests_of_node_are_those_that_it_made(start, nginx):
    tracing = start(plugins=["tracing"])
    program = f"""
        const https = require("https");
        const agent = new https.Agent({{keepAlive: true, maxSockets: 1, rejectUnauthorized: false}});
        let left = 10;
        function ask() {{
          https.get({{port: {nginx.port}, path: `/node/${{left}}`, agent}}, (answer) => {{
            answer.resume();
            answer.on("end", () => {{ if (--left) ask(); else process.exit(0); }});
          }});
        }}
        setTimeout(ask, {int(2000 * harness.SCALE)});
    """
    subprocess.run(["node", "-e", program], check=True)
    rows = tracing.requests("http_requests", nginx.port, "tls", 10)
    for role in ("client", "server"):
        assert sorted(told(rows[role])) == sorted(("GET", f"/node/{i}", 200) for i in range(1, 11))


def test_executables_that_are_excepted_are_not_seen(start, nginx):
    tracing = start(plugins=["tracing"], changes={"tracing.tls.text_except": ["*/curl"]})
    probed(tracing)
    curl(*[f"{nginx.url}/{i}" for i in range(5)])
    harness.wait_until(lambda: len(tracing.query(
        "SELECT 1 FROM http_requests WHERE tls AND role = 'server'")) == 5, 10, "the server's part")
    assert tracing.query("SELECT path FROM http_requests WHERE role = 'client' AND tls") == []


def test_a_server_lives_through_trivets_that_come_and_go(start, nginx):
    load = subprocess.Popen(["wrk", "-t1", "-c8", f"-d{int(14 * harness.SCALE)}s", f"{nginx.url}/load"],
                            stdout=subprocess.PIPE, text=True)
    seen = 0
    for _ in range(4):
        tracing = start(plugins=["tracing"])
        with contextlib.suppress(AssertionError):
            probed(tracing)
            time.sleep(0.5)
            seen += tracing.query("SELECT count(*) AS n FROM http_requests WHERE tls")[0]["n"]
        tracing.close()
    report = load.communicate(timeout=60 * harness.SCALE)[0]
    assert "requests in" in report and "Socket errors" not in report and "Non-2xx" not in report
    assert nginx.process.poll() is None
    assert seen > 0
