# SPDX-License-Identifier: Apache-2.0
"""MariaDB between real programs: what the server's own log says was asked is what the table says."""

import collections
import contextlib
import ctypes
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest

import trivet_harness as harness

pymysql = pytest.importorskip("pymysql")


class Mariadb:
    """Debian's MariaDB on a free port, in a folder of its own, as the user mysql."""

    def __init__(self, folder):
        self.folder = folder / "mariadb"
        self.folder.mkdir(mode=0o755)
        shutil.chown(self.folder, "mysql", "mysql")
        self.port = harness.free_port()
        self.log = self.folder / "general.log"
        own = ["--no-defaults", f"--datadir={self.folder}/data", "--user=mysql"]
        subprocess.run(["mariadb-install-db", *own, "--auth-root-authentication-method=normal",
                        "--skip-test-db"], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=120 * harness.SCALE)
        self.certify()
        self.process = subprocess.Popen(
            ["mariadbd", *own, f"--ssl-cert={self.folder}/certificate", f"--ssl-key={self.folder}/key", f"--port={self.port}", "--bind-address=127.0.0.1",
             f"--socket={self.folder}/socket", f"--pid-file={self.folder}/pid", "--skip-name-resolve",
             "--local-infile", "--innodb-flush-log-at-trx-commit=0", "--general-log",
             f"--general-log-file={self.log}", "--max-allowed-packet=64M", "--skip-log-bin"],
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: self.mariadb("SELECT 1", check=False).returncode == 0, 30,
                           "mariadbd serves")
        self.mariadb("CREATE DATABASE shop; CREATE USER anna@'127.0.0.1' IDENTIFIED BY 's3cret-word'; "
                     "GRANT ALL ON shop.* TO anna@'127.0.0.1'")

    def certify(self):
        key = self.folder / "key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", self.folder / "certificate"],
                       check=True, capture_output=True, timeout=60 * harness.SCALE)
        shutil.chown(key, "mysql")

    def address(self, user="root"):
        return ["-h", "127.0.0.1", "-P", str(self.port), "-u", user]

    def mariadb(self, text, check=True, more=(), user="root"):
        return subprocess.run(["mariadb", "--no-defaults", *self.address(user), "-N", *more],
                              input=text, check=check, capture_output=True, text=True,
                              timeout=120 * harness.SCALE)

    def connect(self, **more):
        return pymysql.connect(**{"host": "127.0.0.1", "port": self.port, "user": "root", **more})

    def asked(self, word):
        """What the server's log says of requests that hold `word`: (command, text) of each."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            told = re.match(r"(?:\d{6} +[\d:]+)?\t+ *\d+ (\w+(?: \w+)?)\t(.*)", line)
            if told and word in told[2]:
                found.append(told.groups())
        return found

    def close(self):
        harness.end_process(self.process, seconds=30)


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is not installed")
    folder = pathlib.Path(tmp_path_factory.mktemp("my", numbered=True))
    for each in (folder, *folder.parents):
        if each == pathlib.Path("/tmp"):
            break
        each.chmod(0o755)
    server = Mariadb(folder)
    yield server
    server.close()


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 200000})


def told(rows, word):
    return [row for row in rows if word in row["query"]]


@pytest.mark.parametrize("form", ["plain", "compressed"])
def test_mysqlslap_asked_as_many_statements_as_there_are_records(tracing, mariadb, form):
    mark = f"slap_{form}"
    subprocess.run(
        ["mariadb-slap", "--no-defaults", "--ssl=0", *mariadb.address(), "--create-schema=shop",
         "--concurrency=4", "--iterations=1", "--number-of-queries=2000", "--no-drop",
         f"--query=SELECT {' ' * 100} seq AS {mark} FROM seq_1_to_20",
         *(["--compress"] if form == "compressed" else [])],
        check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120 * harness.SCALE)
    asked = mariadb.asked(mark)
    assert len(asked) == 2000
    rows = tracing.requests("mysql_requests", mariadb.port, f"query LIKE '%{mark}%'", 2000)
    for role, process in (("client", "mariadb-slap"), ("server", "mariadbd")):
        found = told(rows[role], mark)
        assert len(found) == 2000
        assert {(row["error"], row["status"]) for row in found} == {("", "")}
        assert {row["process"] for row in found} == {process}
        assert {row["rows"] for row in found} == {20}
        assert {row["fingerprint"] for row in found} == {f"SELECT seq AS {mark} FROM seq_1_to_20"}
        assert all(row["latency"] > 0 for row in found)
    assert tracing.metrics().sum("db_client_operation_duration_seconds_count", db_system_name="mysql",
                                 db_operation_name="SELECT") >= 2000


def test_sysbench_ran_prepared_statements(tracing, mariadb):
    if shutil.which("sysbench") is None:
        pytest.skip("sysbench is not installed")
    own = ["sysbench", "oltp_read_write", "--db-driver=mysql", "--mysql-host=127.0.0.1",
           f"--mysql-port={mariadb.port}", "--mysql-user=root", "--mysql-db=shop", "--tables=1",
           "--table-size=1000", "--mysql-ssl=off"]

    def sysbench(*more):
        return subprocess.run([*own, *more], check=True, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=120 * harness.SCALE).stdout

    sysbench("prepare")
    said = sysbench("--threads=4", "--events=200", "--time=0", "run")
    counts = {kind: int(re.search(rf"{kind}: +(\d+)", said)[1]) for kind in ("read", "write", "other")}
    executed = collections.Counter(text.split()[0] for command, text in mariadb.asked("")
                                   if command == "Execute")
    assert executed["SELECT"] == counts["read"]
    rows = tracing.requests("mysql_requests", mariadb.port,
                            "command = 23 AND operation = 'COMMIT'", executed["COMMIT"])
    for role in ("client", "server"):
        found = [row for row in rows[role] if row["command"] == 23]
        assert collections.Counter(row["operation"] for row in found) == executed
        assert {row["error"] for row in found} == {""}
        assert all(row["rows"] == 1 for row in found if row["query"].startswith("SELECT c FROM sbtest1 WHERE id=?"))
        assert all(row["affected_rows"] == 1 for row in found
                   if row["operation"] == "INSERT" and not row["status"])


def test_a_session_with_several_results_errors_and_other_commands(tracing, mariadb, folder):
    lines = folder / "lines.txt"
    lines.write_text("".join(f"{i}\tline {i}\n" for i in range(5000)))
    with contextlib.closing(mariadb.connect(database="shop", local_infile=True, client_flag=(
            pymysql.constants.CLIENT.MULTI_STATEMENTS))) as client:
        cursor = client.cursor()
        cursor.execute("CREATE OR REPLACE TABLE things(id INT PRIMARY KEY, name TEXT) ENGINE=InnoDB")
        cursor.execute(f"LOAD DATA LOCAL INFILE '{lines}' INTO TABLE things")
        assert cursor.rowcount == 5000
        cursor.execute("SELECT 'first'; SELECT id FROM things WHERE id < 7; UPDATE things SET name='x' WHERE id < 3")
        while cursor.nextset():
            pass
        with pytest.raises(pymysql.err.ProgrammingError):
            cursor.execute("SELECT nothing FROM nowhere")
        with pytest.raises(pymysql.err.IntegrityError):
            cursor.execute("INSERT INTO things VALUES (1, 'again')")
        cursor.execute("CREATE OR REPLACE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END")
        cursor.callproc("two")
        while cursor.nextset():
            pass
        client.ping()
        client.select_db("mysql")
        cursor.execute("SELECT 'in another', DATABASE()")
        cursor.execute("SET PASSWORD FOR anna@'127.0.0.1' = PASSWORD('s3cret-word')")
        cursor.execute("SELECT REPEAT('x', 20000000) AS large")
        assert len(cursor.fetchone()[0]) == 20000000
        large = "y" * 17000000
        cursor.execute(f"SELECT LENGTH('{large}') AS large_request")
        assert cursor.fetchone() == (17000000,)
    with pytest.raises(pymysql.err.OperationalError):
        mariadb.connect(user="anna", password="wrong-s3cret-word", database="shop")
    rows = tracing.requests("mysql_requests", mariadb.port, "status = '1045'", 1)
    for role in ("client", "server"):
        by = {row["query"][:40]: row for row in rows[role] if row["query"]}
        load = next(row for text, row in by.items() if text.startswith("LOAD DATA"))
        assert load["affected_rows"] == 5000
        assert load["request_bytes"] > lines.stat().st_size
        several = by["SELECT 'first'; SELECT id FROM things WHERE id < 7; UPDATE"[:40]]
        assert (several["rows"], several["affected_rows"]) == (1 + 7, 3)
        assert (by["SELECT nothing FROM nowhere"]["status"],
                by["SELECT nothing FROM nowhere"]["sqlstate"]) == ("1146", "42S02")
        assert by["INSERT INTO things VALUES (1, 'again')"]["status"] == "1062"
        assert by["CALL two()"]["rows"] == 2
        assert by["SELECT 'in another', DATABASE()"]["database"] == "mysql"
        assert by["SELECT nothing FROM nowhere"]["database"] == "shop"
        assert by["SELECT REPEAT('x', 20000000) AS large"]["rows"] == 1
        asked = by["SELECT LENGTH('" + "y" * 25]
        assert (asked["rows"], asked["query_truncated"]) == (1, True)
        assert [row["operation"] for row in rows[role] if row["command"] == 14] == ["PING"]
        refused = [row for row in rows[role] if row["status"] == "1045"]
        assert [(row["operation"], row["user"], row["sqlstate"]) for row in refused] == [
            ("CONNECT", "anna", "28000")]
        assert not [row for row in rows[role] if row["error"]]
        assert "s3cret" not in str(rows[role])
        versions = {row["server_version"] for row in rows[role] if row["command"] == 3}
        assert len(versions) == 1 and "MariaDB" in versions.pop()


def test_a_large_result_is_whole_as_the_first_one_of_a_connection(tracing, mariadb):
    for _ in range(5):
        time.sleep(0.1)  # nothing hurries what reads events
        mariadb.mariadb("SELECT seq AS at_once FROM shop.seq_1_to_300000", more=("--ssl=0",))
    rows = tracing.requests("mysql_requests", mariadb.port, "query LIKE '%at_once%'", 5)
    for role in ("client", "server"):
        assert [(row["rows"], row["error"]) for row in told(rows[role], "at_once")] == 5 * [(300000, "")]


class Statements:
    """MariaDB's own C library, which speaks what no Python library does: prepared statements in one
    go with their preparation, cursors and batches."""

    def __init__(self, port):
        self.lib = ctypes.CDLL("libmariadb.so.3")
        for name in ("mysql_init", "mysql_real_connect", "mysql_stmt_init"):
            getattr(self.lib, name).restype = ctypes.c_void_p
        self.link = ctypes.c_void_p(self.lib.mysql_init(None))
        assert self.lib.mysql_real_connect(self.link, b"127.0.0.1", b"root", None, b"shop",
                                           ctypes.c_uint(port), None, ctypes.c_ulong(0))

    def statement(self):
        return ctypes.c_void_p(self.lib.mysql_stmt_init(self.link))

    def fetch_all(self, statement):
        count = 0
        while self.lib.mysql_stmt_fetch(statement) == 0:
            count += 1
        return count

    def run_at_once(self, text):
        """Preparation and execution in one packet, without waiting between them."""
        statement = self.statement()
        assert self.lib.mariadb_stmt_execute_direct(statement, text, ctypes.c_size_t(len(text))) == 0
        rows = self.fetch_all(statement)
        self.lib.mysql_stmt_close(statement)
        return rows

    def run_with_cursor(self, text, at_a_time):
        statement = self.statement()
        for attribute, value in ((1, 1), (2, at_a_time)):  # a read-only cursor, rows of each fetch
            set_to = ctypes.c_ulong(value)
            assert self.lib.mysql_stmt_attr_set(statement, attribute, ctypes.byref(set_to)) == 0
        assert self.lib.mysql_stmt_prepare(statement, text, ctypes.c_ulong(len(text))) == 0
        assert self.lib.mysql_stmt_execute(statement) == 0
        rows = self.fetch_all(statement)
        self.lib.mysql_stmt_close(statement)
        return rows

    def close(self):
        self.lib.mysql_close(self.link)


def test_statements_sent_with_their_preparation_and_cursors(tracing, mariadb):
    with contextlib.closing(Statements(mariadb.port)) as client:
        for count in range(1, 201):
            text = f"SELECT seq, 'at_once' FROM seq_1_to_{count}".encode()
            assert client.run_at_once(text) == count
        assert client.run_with_cursor(b"SELECT seq, 'by_cursor' FROM seq_1_to_25", 10) == 25
    rows = tracing.requests("mysql_requests", mariadb.port, "query LIKE '%by_cursor%' AND operation = 'CLOSE'", 1)
    for role in ("client", "server"):
        runs = [row for row in told(rows[role], "at_once") if row["operation"] == "SELECT"]
        assert [(row["query"], row["rows"], row["error"]) for row in runs] == [
            (f"SELECT seq, 'at_once' FROM seq_1_to_{count}", count, "") for count in range(1, 201)]
        fetches = [row["rows"] for row in told(rows[role], "by_cursor") if row["operation"] == "FETCH"]
        assert sum(fetches) == 25 and len(fetches) >= 3
        assert not [row for row in rows[role] if row["error"]]


class Relay:
    """Between client and server: sends on what it reads in pieces of a given size."""

    def __init__(self, port, size):
        self.size, self.port = size, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        client, _ = self.listener.accept()
        with client, socket.create_connection(("127.0.0.1", self.port)) as server:
            pair = [threading.Thread(target=self.pump, args=ends)
                    for ends in ((client, server), (server, client))]
            for each in pair:
                each.start()
            for each in pair:
                each.join()

    def pump(self, source, target):
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                for at in range(0, len(data), self.size):
                    target.sendall(data[at:at + self.size])
            target.shutdown(socket.SHUT_WR)

    def close(self):
        self.thread.join(30 * harness.SCALE)
        self.listener.close()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64])
def test_split_writes_change_nothing(tracing, mariadb, size):
    mark = f"split_{size}"
    with contextlib.closing(Relay(mariadb.port, size)) as relay:
        client = mariadb.connect(port=relay.address[1], database="shop")
        cursor = client.cursor()
        for count in range(1, 31):
            cursor.execute(f"SELECT seq AS {mark} FROM seq_1_to_{count}")
        client.close()
    rows = tracing.requests("mysql_requests", mariadb.port, f"query LIKE '%{mark}%'", 30)
    for role in ("client", "server"):
        assert [(row["query"], row["rows"], row["error"]) for row in told(rows[role], mark)] == [
            (f"SELECT seq AS {mark} FROM seq_1_to_{count}", count, "") for count in range(1, 31)]
        assert [row["user"] for row in rows[role] if row["operation"] == "CONNECT"] == ["root"]


def test_connections_that_are_there_before_trivet_are_joined(start, mariadb):
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(contextlib.closing(mariadb.connect(database="shop")))
        statements = stack.enter_context(contextlib.closing(Statements(mariadb.port)))
        for count in range(1, 5):
            plain.cursor().execute(f"SELECT seq AS before_it FROM seq_1_to_{count}")
            statements.run_at_once(b"SELECT 'before_it'")
        tracing = start(plugins=["tracing"])
        for count in range(1, 151):
            plain.cursor().execute(f"SELECT seq AS joined FROM seq_1_to_{count}")
            statements.run_at_once(f"SELECT seq, 'joined_too' FROM seq_1_to_{count}".encode())
    rows = tracing.requests("mysql_requests", mariadb.port,
                            "query LIKE '%joined%' AND operation = 'SELECT'", 260)
    for role in ("client", "server"):
        found = [row for row in told(rows[role], "joined") if row["operation"] == "SELECT"]
        assert all(row["query"].endswith(f"seq_1_to_{row['rows']}") for row in found)
        assert len(told(found, "AS joined")) >= 130
        assert len(told(found, "joined_too")) >= 130
        assert {row["error"] for row in found} == {""}


def test_what_follows_a_request_for_tls_is_a_handshake(tracing, mariadb):
    said = mariadb.mariadb("SHOW STATUS LIKE 'Ssl_version'", more=("--ssl",)).stdout
    version = said.split()[1].removeprefix("TLSv")
    rows = tracing.requests("tls_handshakes", mariadb.port, f"version = '{version}'", 1)
    for role, process in (("client", "mariadb"), ("server", "mariadbd")):
        assert [(row["process"], row["error"]) for row in rows[role]] == [(process, "")]
