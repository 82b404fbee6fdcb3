# SPDX-License-Identifier: Apache-2.0
"""What a machine does all day raises nothing with the shipped rules: packages are built and upgraded,
nginx and PostgreSQL serve under load, somebody logs in and works."""

import contextlib
import os
import pathlib
import pty
import select
import shutil
import subprocess
import time

import pytest

import trivet_harness as harness
from postgresql_test import PROGRAMS as POSTGRESQL, Postgresql

# A machine's folders, as the test's own to change.
OWN = ("mkdir -p {0}/upper {0}/work; for place in etc usr var root home; do mkdir -p {0}/$place/upper {0}/$place/work; "
       "mount -t overlay -o lowerdir=/$place,upperdir={0}/$place/upper,workdir={0}/$place/work none /$place; done; "
       "exec \"$@\"")


def on_an_own_system(folder, *command):
    return ["unshare", "-m", "sh", "-c", OWN.format(folder / "layers"), "sh", *map(str, command)]


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"):
            pytest.skip(f"no {program}")


@pytest.fixture(scope="module")
def alerts(shared_daemon):
    return shared_daemon(plugins=["security"]).follow("alerts")


@pytest.fixture
def quiet(alerts):
    """What the test's body does, in a cgroup of its own, must raise nothing."""
    root = harness.cgroup_root()
    before = root / pathlib.Path("/proc/self/cgroup").read_text().rpartition("0::/")[2].strip()
    cgroup = root / f"trivet-test-{os.getpid()}-{time.monotonic_ns()}"
    cgroup.mkdir()
    number = cgroup.stat().st_ino
    (cgroup / "cgroup.procs").write_text(str(os.getpid()))
    try:
        yield
        # Events are judged in order: when this alert is there, the others would be.
        subprocess.run(["cat", "/etc/shadow"], stdout=subprocess.DEVNULL, check=True)
    finally:
        (before / "cgroup.procs").write_text(str(os.getpid()))
        harness.wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), 10, "the cgroup is empty")
        cgroup.rmdir()
    own = lambda a: a["cgroup_id"] == number
    alerts.wait(lambda a: own(a) and a["process"] == "cat", what="the alert that shows that alerts come")
    assert [(a["rule"], a["output"]) for a in alerts.matching(lambda a: own(a) and a["process"] != "cat")] == []


PACKAGE = {
    "debian/control": "Source: quiet\nSection: misc\nPriority: optional\nMaintainer: T <t@example.org>\n"
                      "Standards-Version: 4.6.2\nRules-Requires-Root: binary-targets\n\n"
                      "Package: quiet\nArchitecture: any\nDescription: a test\n",
    "debian/changelog": "quiet (1) unstable; urgency=low\n\n  * One.\n\n"
                        " -- T <t@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n",
    "debian/rules": """#!/usr/bin/make -f
clean:
\trm -rf debian/quiet debian/files debian/*substvars quiet *.so *.o
build build-arch build-indep:
\tgcc -O2 -fPIC -shared -o libquiet.so part.c
\tgcc -O2 -o quiet quiet.c -L. -lquiet
\tLD_LIBRARY_PATH=.:$$LD_LIBRARY_PATH ./quiet
binary: binary-arch
binary-indep:
binary-arch: build
\tinstall -D -m 755 quiet debian/quiet/usr/bin/quiet
\tinstall -D -m 644 libquiet.so debian/quiet/usr/lib/libquiet.so
\tinstall -D -m 644 quiet.c debian/quiet/etc/quiet/quiet.conf
\tchmod u+s debian/quiet/usr/bin/quiet
\tstrip debian/quiet/usr/bin/quiet
\tmkdir -p debian/quiet/DEBIAN
\tdpkg-gencontrol -Pdebian/quiet
\tdpkg-deb --build debian/quiet ..
""",
    "part.c": "int part(void) { return 0; }\n",
    "quiet.c": "int part(void);\nint main(void) { return part(); }\n",
}


@pytest.mark.parametrize("place", ["/run", "/tmp"])
def test_a_package_is_built(quiet, place, tmp_path):
    need("dpkg-buildpackage", "gcc", "make", "fakeroot")
    room = tmp_path if place == "/tmp" else pathlib.Path(f"/run/trivet-test-build-{os.getpid()}")
    source = room / "quiet-1"
    for name, text in PACKAGE.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (source / "debian/rules").chmod(0o755)
    try:
        done = subprocess.run(["dpkg-buildpackage", "-b", "-us", "-uc", "-d", "-rfakeroot"], cwd=source,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120 * harness.SCALE)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        if place == "/run":
            shutil.rmtree(room)


def test_packages_are_upgraded(quiet, folder):
    need("apt-get")
    # With configuration files, alternatives, units and triggers of others.
    packages = ["logrotate", "mawk", "procps", "libc-bin", "openssl"]
    got = subprocess.run(["apt-get", "install", "--reinstall", "--download-only", "-y", *packages],
                         capture_output=True, text=True, timeout=300 * harness.SCALE)
    if got.returncode != 0:
        pytest.skip(f"no packages to install: {got.stderr.strip()[-200:]}")
    done = subprocess.run(
        on_an_own_system(folder, "apt-get", "install", "--reinstall", "-y", "-o", "Dpkg::Options::=--force-confnew",
                         *packages),
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=300 * harness.SCALE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nginx_and_postgresql_serve_under_load(quiet, nginx, folder):
    need("wrk")
    if POSTGRESQL is None:
        pytest.skip("PostgreSQL is not installed")
    database = Postgresql(folder)
    try:
        subprocess.run(["wrk", "-d", "3", "-c", "50", f"{nginx.url}/ok/x"], check=True, stdout=subprocess.DEVNULL)
        database.pgbench("-i", "-s", 1)
        database.pgbench("-c", 4, "-T", 3)
        database.psql("CREATE TABLE t AS SELECT generate_series(1, 100000); TRUNCATE t; VACUUM FULL;")
    finally:
        database.close()


SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/pid
AuthorizedKeysFile {folder}/keys
PermitRootLogin yes
PasswordAuthentication no
UsePAM yes
Subsystem sftp /usr/lib/openssh/sftp-server
"""
# What is typed, with what must be seen before the next line is.
TYPED = ["echo ready-$((40+2))", "ls -la /etc /var/log >/dev/null; echo ready-$((40+3))",
         "cat /etc/passwd | grep root; ps aux | head -3; df -h; echo ready-$((40+4))",
         "su -s /bin/sh -c 'id; uptime' nobody; echo ready-$((40+5))",
         "cd /tmp && touch trivet-test-note && rm trivet-test-note; echo ready-$((40+6))",
         "vi -c ':q' /root/notes.txt 2>/dev/null || true; history | tail -2; echo ready-$((40+7))"]


def type_at_a_terminal(command):
    """Runs it at a terminal of its own, types TYPED, logs out."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    seen = ""

    def read_until(text):
        nonlocal seen
        end = time.monotonic() + 20 * harness.SCALE
        while text not in seen:
            assert time.monotonic() < end, f"no {text!r} at the terminal, but: {seen[-2000:]}"
            if select.select([terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    seen += os.read(terminal, 65536).decode(errors="replace")

    try:
        for number, line in enumerate(TYPED):
            os.write(terminal, (line + "\n").encode())
            read_until(f"ready-{42 + number}")
        os.write(terminal, b"exit\n")
        read_until("losed")  # "Connection to ... closed."
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def test_somebody_logs_in_and_works(quiet, folder):
    need("sshd", "ssh", "ssh-keygen", "scp")
    port = harness.free_port()
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copy(folder / "key.pub", folder / "keys")
    (folder / "sshd_config").write_text(SSHD.format(port=port, folder=folder))
    made = not os.path.exists("/run/sshd")
    if made:
        os.mkdir("/run/sshd", 0o755)
    options = ["-F", "none", "-i", str(folder / "key"), "-o", "StrictHostKeyChecking=no", "-o",
               f"UserKnownHostsFile={folder}/known_hosts"]
    server = subprocess.Popen(on_an_own_system(folder, "/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"),
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    login = ["ssh", *options, "-p", str(port), "root@127.0.0.1"]
    try:
        harness.wait_until(lambda: subprocess.run([*login, "true"], capture_output=True).returncode == 0, 20,
                           "sshd lets in")
        type_at_a_terminal([login[0], "-tt", *login[1:]])
        subprocess.run(["scp", *options, "-P", str(port), str(folder / "key.pub"), "root@127.0.0.1:copied"],
                       check=True, capture_output=True)
    finally:
        harness.end_process(server)
        server.stderr.close()
        if made:
            os.rmdir("/run/sshd")
