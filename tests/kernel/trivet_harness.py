# SPDX-License-Identifier: Apache-2.0
"""A real trivet, and the real programs that give it something to see, for tests and for other kernels.

Every process started here is ended here, by its own pid. TRIVET_BIN names the program under test;
TRIVET_TEST_SCALE multiplies every patience (slow machines).
"""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FALCO_FOLDER = pathlib.Path(os.environ.get("TRIVET_SHARED_DATA", ROOT.parent / "shared/data")) / "falco"
FALCO_RULES = FALCO_FOLDER / "falco_rules.yaml"
OWN_RULES = ROOT / "config/rules/trivet_rules.yaml"
SCALE = float(os.environ.get("TRIVET_TEST_SCALE", "1"))


def trivet_program():
    return os.environ["TRIVET_BIN"]


def wait_until(ask, seconds, what):
    """The first true answer of ask(), which is asked until `seconds` have passed."""
    end = time.monotonic() + seconds * SCALE
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds * SCALE:.0f} s")
        time.sleep(0.02)


def cgroup_root():
    """Where the cgroup2 hierarchy is mounted."""
    mounts = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return pathlib.Path(next(line.split()[4] for line in mounts if " - cgroup2 " in line))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_process(process, first=signal.SIGTERM, seconds=10):
    """Ends a child: asks, waits, insists. Its exit status."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(seconds * SCALE)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return str(value) if isinstance(value, int) else json.dumps(str(value))


def changed_configuration(text, changes):
    """The TOML `text` with {"section.key": value} set, each in its section, which must be there."""
    for place, value in changes.items():
        section, _, key = place.rpartition(".")
        head = re.search(rf"^\[{re.escape(section)}\][^\n]*\n", text, re.M)
        assert head, f"the shipped configuration has no [{section}]"
        following = re.search(r"^\[", text[head.end():], re.M)
        last = head.end() + following.start() if following else len(text)
        body = text[head.end():last]
        line = f"{key} = {toml_value(value)}\n"
        # An array may go over several lines.
        old = re.search(rf"^{re.escape(key)}\s*=\s*(\[[^\]]*\]|[^\n\[]*)[^\n]*\n", body, re.M)
        body = body[:old.start()] + line + body[old.end():] if old else line + body
        text = text[:head.end()] + body + text[last:]
    return text


def shipped_configuration():
    """config/trivet.toml with the files that it names as absolute paths."""
    folder = ROOT / "config"

    def absolute(match):
        return re.sub(r'"([^"/][^"]*)"', lambda path: f'"{folder / path.group(1)}"', match.group())

    return re.sub(r"^\s*\w+_files?\s*=\s*(\[[^\]]*\]|\"[^\"]*\")", absolute,
                  (folder / "trivet.toml").read_text(), flags=re.M)


@contextlib.contextmanager
def overlay(folder):
    """(lower layer, overlay) of two file systems: stat() then tells neither's device nor the overlay's."""
    for name in ("low", "up", "work", "over"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as mounted:
        def mount(*arguments):
            done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
            if done.returncode:
                raise unittest.SkipTest(f"no overlay can be mounted here: {done.stderr}")
            mounted.callback(subprocess.run, ["umount", arguments[-1]], check=True)

        mount("-t", "tmpfs", "low", folder / "low")
        mount("-t", "overlay", "overlay", "-o",
              f"lowerdir={folder}/low,upperdir={folder}/up,workdir={folder}/work", folder / "over")
        yield folder / "low", folder / "over"


class Rows:
    """The rows of a table as they come: `trivet observe TABLE -f -o json`."""

    def __init__(self, daemon, table, form="json", options=()):
        self.rows, self.table = [], table
        self.changed = threading.Condition()
        self.process = subprocess.Popen(
            daemon.command("observe", table, "-f", "-o", form, *options), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.rows.append(json.loads(line))
                self.changed.notify_all()

    def wait(self, matches, seconds=5, what="a matching row"):
        """The first row that matches(row), past ones included."""
        end, seen = time.monotonic() + seconds * SCALE, 0
        with self.changed:
            while True:
                for row in self.rows[seen:]:
                    if matches(row):
                        return row
                seen = len(self.rows)
                left = end - time.monotonic()
                if left <= 0:
                    last = "\n".join(json.dumps(r) for r in self.rows[-5:])
                    raise AssertionError(f"{self.table}: {what}: not within {seconds * SCALE:.1f} s;"
                                         f" {seen} rows came, the last:\n{last}")
                self.changed.wait(left)

    def matching(self, matches):
        with self.changed:
            return [row for row in self.rows if matches(row)]

    def close(self):
        end_process(self.process)
        self.reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


class Samples:
    """One scrape."""

    LINE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
    LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

    def __init__(self, text):
        self.text, self.samples = text, []
        for line in text.splitlines():
            match = self.LINE.match(line)
            if match:
                labels = dict(self.LABEL.findall(match.group(2) or ""))
                self.samples.append((match.group(1), labels, float(match.group(3))))

    def sum(self, name, **labels):
        """The sum of a name's samples that carry these labels; 0 if there is none."""
        return sum(value for sample, own, value in self.samples
                   if sample == name and labels.items() <= own.items())

    def names(self):
        return {name for name, _, _ in self.samples}


class Trivet:
    """One daemon. `folder` is its own, root's and traversable. `changes` are {"section.key": value}
    on top of the shipped configuration, `outputs` is TOML behind it."""

    def __init__(self, folder, plugins=("security", "tracing", "network"), changes=None, outputs="",
                 launcher=()):
        self.folder = folder
        self.socket = folder / "trivet.sock"
        self.port = free_port()
        self.config = folder / "trivet.toml"
        self.process = None
        self.launcher = launcher  # what runs the daemon: a command that ends in exec "$@"
        self.follows = []
        self.changes = {"control.socket": self.socket, "metrics.listen": f"127.0.0.1:{self.port}"}
        for name in ("security", "tracing", "network"):
            self.changes[f"{name}.enabled"] = name in plugins
        self.outputs = outputs
        self.configure(changes or {})

    def configure(self, changes):
        self.changes.update(changes)
        self.config.write_text(changed_configuration(shipped_configuration(), self.changes) + self.outputs)

    def start(self):
        self.errors = (self.folder / "stderr").open("w+")
        # A session of its own: a Ctrl-C at the tests is not the daemon's.
        self.process = subprocess.Popen([*self.launcher, trivet_program(), "run", "-c", str(self.config)],
                                        stdin=subprocess.DEVNULL, stdout=self.errors,
                                        stderr=self.errors, start_new_session=True)
        try:
            wait_until(self.serves, 20, "the daemon serves")
        except AssertionError as late:
            self.kill()
            raise AssertionError(f"{late}\n{self.log()}") from None

    def serves(self):
        assert self.process.poll() is None, f"run ended with {self.process.returncode}:\n{self.log()}"
        return self.socket.exists() and self.call("status", check=False).returncode == 0

    def command(self, *verb):
        return [trivet_program(), *verb, "--socket", str(self.socket)]

    def call(self, *verb, check=True):
        done = subprocess.run(self.command(*verb), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False, timeout=60 * SCALE)
        if check:
            assert done.returncode == 0, f"{' '.join(verb)}: {done.stderr}"
        return done

    def log(self):
        return (self.folder / "stderr").read_text(errors="replace")[-8000:]

    def follow(self, table, *options, form="json"):
        """The rows of a table from now on (and the last few before)."""
        rows = Rows(self, table, form, options)
        self.follows.append(rows)
        return rows

    def rows(self, table, limit=100000):
        """All rows that the table holds now, up to `limit`."""
        text = self.call("observe", table, "-o", "json", "-n", str(limit)).stdout
        return [json.loads(line) for line in text.split("\n") if line]

    def query(self, sql):
        """The rows of a query, as objects."""
        text = self.call("query", "-o", "json", sql).stdout
        return [json.loads(line) for line in text.split("\n") if line]

    def requests(self, table, port, matching, count):
        """The rows of a table about the server at `port` by role, once each has `count` that match
        the SQL condition."""
        about = f"(role = 'server' AND local_port = {port} OR role = 'client' AND peer_port = {port})"
        ask = f"SELECT role, count(*) AS n FROM {table} WHERE {about} AND ({matching}) GROUP BY role"

        def enough():
            return len([row for row in self.query(ask) if row["n"] >= count]) == 2

        wait_until(enough, 30, f"{count} rows of {table} with {matching} for each role")
        rows = {"client": [], "server": []}
        for row in self.rows(table):
            if row["local_port" if row["role"] == "server" else "peer_port"] == port:
                rows[row["role"]].append(row)
        return rows

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10 * SCALE) as got:
            return Samples(got.read().decode())

    def children(self):
        """The processes of this daemon beside the one that was started."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[1]) == self.process.pid and int(path.parent.name) != self.process.pid:
                    found.append(int(path.parent.name))
        return found

    def main_pid(self):
        """The unprivileged process."""
        pids = [pid for pid in self.children() if process_status(pid)["Uid"].split()[0] != "0"
                and process_status(pid)["Name"] != "trivet-runner"]
        assert len(pids) == 1, f"the processes without root are {pids}"
        return pids[0]

    def stop(self, with_signal=signal.SIGTERM):
        """Asks it to end; its exit status."""
        for rows in self.follows:
            rows.close()
        self.follows = []
        status = end_process(self.process, with_signal)
        self.errors.close()
        return status

    def kill(self):
        """Ends what is left of it, whatever state it is in."""
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end_process(self.process, signal.SIGKILL)
        self.errors.close()

    def close(self):
        """Ends it as an operator would, and insists that this works."""
        if self.process is None or self.errors.closed:
            return
        try:
            assert self.process.poll() is None, \
                f"the daemon ended by itself with {self.process.returncode}:\n{self.log()}"
            status = self.stop()
            assert status == 0, f"SIGTERM: exit status {status}:\n{self.log()}"
            assert not self.socket.exists(), "the control socket is still there"
        finally:
            if not self.errors.closed:
                self.kill()


def process_status(pid):
    """/proc/PID/status as a dictionary."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


class Nginx:
    """Debian's nginx on a free port, in its own prefix. The path says what it answers."""

    CONFIGURATION = """
daemon off;
user root;
worker_processes 1;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off;
  keepalive_requests 1000000;
  client_body_temp_path {prefix}/body;
  proxy_temp_path {prefix}/proxy;
  fastcgi_temp_path {prefix}/fastcgi;
  uwsgi_temp_path {prefix}/uwsgi;
  scgi_temp_path {prefix}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /ok/ {{ return 200 "here\\n"; }}
    location /missing/ {{ return 404 "nothing\\n"; }}
    location /moved/ {{ return 301 http://127.0.0.1:{port}/ok/; }}
    location /denied/ {{ return 403; }}
    location /1k/ {{ root {prefix}; add_header X-Request $request_uri; try_files /files/1k =404; }}
    location /files/ {{ alias {prefix}/files/; }}
    location /upload/ {{ alias {prefix}/files/; dav_methods PUT; client_max_body_size 20m; }}
  }}
}}
"""

    def __init__(self, folder):
        self.prefix = folder / "nginx"
        (self.prefix / "files").mkdir(parents=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        configuration = self.prefix / "nginx.conf"
        configuration.write_text(self.CONFIGURATION.format(prefix=self.prefix, port=self.port))
        self.process = subprocess.Popen(
            ["nginx", "-p", str(self.prefix), "-c", str(configuration), "-e", "stderr"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, 10, "nginx listens")

    def answers(self):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        return False

    def close(self):
        end_process(self.process)
