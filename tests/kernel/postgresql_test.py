# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL between real programs: what pgbench and psql did is what the table says."""

import collections
import pathlib
import re
import shutil
import subprocess

import pytest

import trivet_harness as harness

PROGRAMS = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Postgresql:
    """Debian's PostgreSQL on a free port, in a folder of its own, as the user postgres."""

    def __init__(self, folder):
        self.data = folder / "postgresql"
        self.data.mkdir(mode=0o700)
        shutil.chown(self.data, "postgres", "postgres")
        self.port = harness.free_port()
        self.run_as_postgres("initdb", "-D", self.data, "-A", "trust", "-N", "-U", "postgres")
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nssl = off\n"
                                f"unix_socket_directories = '{self.data}'\nfsync = off\n")
        self.process = subprocess.Popen(
            ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
             str(PROGRAMS / "postgres"), "-D", str(self.data)], cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(lambda: self.psql("SELECT 1", check=False).returncode == 0, 20,
                           "postgres serves")

    def run_as_postgres(self, program, *arguments):
        subprocess.run(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
                        str(PROGRAMS / program), *map(str, arguments)], cwd="/", check=True,
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=60 * harness.SCALE)

    def psql(self, text, check=True, more=()):
        return subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
             "-d", "postgres", *more], input=text, check=check, capture_output=True, text=True,
            timeout=60 * harness.SCALE)

    def pgbench(self, *arguments):
        return subprocess.run(
            ["pgbench", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
             *map(str, arguments), "postgres"], check=True, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120 * harness.SCALE).stdout

    def close(self):
        # SIGINT: at once, without waiting for clients.
        harness.end_process(self.process, first=harness.signal.SIGINT)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    if PROGRAMS is None:
        pytest.skip("PostgreSQL is not installed")
    folder = pathlib.Path(tmp_path_factory.mktemp("pg", numbered=True))
    for each in (folder, *folder.parents):
        if each == pathlib.Path("/tmp"):
            break
        each.chmod(0o755)
    server = Postgresql(folder)
    yield server
    server.close()


@pytest.fixture
def tracing(start):
    return start(plugins=["tracing"], changes={"records.max_rows": 100000})


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_ran_as_many_statements_as_there_are_records(tracing, postgresql, folder, mode):
    script = folder / "script.sql"
    # The count of rows, which the answer alone tells, names the statement.
    script.write_text("\\set n random(1, 50)\nSELECT :n AS asked FROM generate_series(1, :n);\n")
    said = postgresql.pgbench("-n", "-M", mode, "-c", 4, "-t", 500, "-f", script)
    assert "number of transactions actually processed: 2000/2000" in said
    rows = tracing.requests("postgresql_requests", postgresql.port,
                            "operation = 'SELECT' AND query LIKE '%generate_series%'", 2000)
    for role, process in (("client", "pgbench"), ("server", "postgres")):
        told = [row for row in rows[role] if row["operation"] == "SELECT" and
                "generate_series" in row["query"]]
        assert len(told) == 2000
        assert {(row["error"], row["status"]) for row in told} == {("", "")}
        assert {row["process"] for row in told} == {process}
        assert {row["database"] for row in told} == {"postgres"}
        assert all(row["command_tag"] == f"SELECT {row['rows']}" for row in told)
        if mode == "simple":
            wrong = [row for row in told if row["query"] !=
                     f"SELECT {row['rows']} AS asked FROM generate_series(1, {row['rows']});"]
            assert wrong == []
            assert {row["fingerprint"] for row in told} == {
                "SELECT ? AS asked FROM generate_series(?);"}
        assert all(row["latency"] > 0 for row in told)
    assert tracing.metrics().sum("db_client_operation_duration_seconds_count",
                                 db_system_name="postgresql", db_operation_name="SELECT") >= 2000


def test_a_session_with_copy_errors_and_notifications(tracing, postgresql):
    said = postgresql.psql("""
CREATE TABLE things(id int PRIMARY KEY, name text);
COPY things FROM STDIN;
1\tone
2\ttwo
\\.
COPY things TO STDOUT;
SELECT * FROM things;
SELECT nothing;
BEGIN; INSERT INTO things VALUES (1, 'again'); ROLLBACK;
LISTEN news;
NOTIFY news, 'hello';
ALTER ROLE postgres PASSWORD 's3cret-word';
DROP TABLE things;
""", check=False).stdout
    assert '"news" with payload "hello"' in said
    rows = tracing.requests("postgresql_requests", postgresql.port, "operation = 'DROP'", 1)
    for role in ("client", "server"):
        told = collections.defaultdict(list)
        for row in rows[role]:
            told[row["operation"]].append(row)
        assert [row["command_tag"] for row in told["COPY"]] == ["COPY 2", "COPY 2"]
        assert [(row["rows"], row["status"]) for row in told["SELECT"]
                if "thing" in row["query"]] == [(2, ""), (0, "42703")]
        assert [row["status"] for row in told["INSERT"]] == ["23505"]
        assert [row["query"] for row in told["NOTIFICATION"]] == ["NOTIFY news, 'hello'"]
        assert [row["query"] for row in told["ALTER"]] == [
            "ALTER ROLE postgres PASSWORD '<redacted>';"]
        assert [row["user"] for row in told["CONNECT"]] == ["postgres"]
        assert not [row for row in rows[role] if row["error"]]
        assert "s3cret" not in str(rows[role])


def test_a_refused_login_and_a_cancelled_query(tracing, postgresql):
    refused = subprocess.run(["psql", "-X", "-h", "127.0.0.1", "-p", str(postgresql.port), "-U",
                              "postgres", "-d", "nowhere", "-c", "SELECT 1"], check=False,
                             capture_output=True, text=True)
    assert 'database "nowhere" does not exist' in refused.stderr
    client = subprocess.Popen(["psql", "-X", "-h", "127.0.0.1", "-p", str(postgresql.port), "-U",
                               "postgres", "-d", "postgres", "-c", "SELECT pg_sleep(60)"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    harness.wait_until(lambda: re.search(r"^1$", postgresql.psql(
        "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'").stdout, re.M), 10,
        "it sleeps")
    client.send_signal(harness.signal.SIGINT)
    assert "canceling statement" in client.communicate(timeout=20)[1]
    rows = tracing.requests("postgresql_requests", postgresql.port, "status = '57014'", 1)
    for role in ("client", "server"):
        assert [row["query"] for row in rows[role] if row["status"] == "57014"] == [
            "SELECT pg_sleep(60)"]
        assert [row["database"] for row in rows[role] if row["status"] == "3D000"] == ["nowhere"]
        assert len([row for row in rows[role] if row["operation"] == "CANCEL"]) == 1
