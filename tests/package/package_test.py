# SPDX-License-Identifier: Apache-2.0
"""The packages on a fresh Debian 12: installed with what they depend on, run as the unit runs it,
upgraded while running, removed, purged. systemd is installed there but is not process 1: the unit's
command runs under the unit's capabilities and system calls, and systemd-analyze judges the rest."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))

import fresh_debian
import host_snapshot
import trivet_harness as harness

SKIPPED = 77
BUILD = pathlib.Path(os.environ["TRIVET_BUILD"])
CONFIGURATION = "/etc/trivet/trivet.toml"
UNIT = "/usr/lib/systemd/system/trivet.service"
MAX_EXPOSURE = 4.0

# Runs a command under a filter of system calls as systemd sets one: the others fail with EPERM.
FILTERED = """
import os, seccomp, sys
allowed, *command = sys.argv[1:]
rules = seccomp.SyscallFilter(seccomp.ERRNO(1))
for name in allowed.split():
    try:
        rules.add_rule(seccomp.ALLOW, name)
    except RuntimeError:
        pass  # of another architecture
rules.load()
os.execvp(command[0], command)
"""


@pytest.fixture(scope="module")
def packages():
    """{revision: {package: file}} of two builds that differ by their revision."""
    if os.geteuid() != 0:
        pytest.exit("installing packages takes root", SKIPPED)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trivet-packages-", dir="/var/tmp"))
    made = {}
    for revision in ("1", "2"):
        done = subprocess.run(["cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B",
                               folder / revision, "-D", f"CPACK_DEBIAN_PACKAGE_RELEASE={revision}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"cpack: {done.stdout}{done.stderr}"
        made[revision] = {file.name.split("_")[0]: file for file in (folder / revision).glob("*.deb")}
        assert made[revision].keys() == {"trivet", "trivet-dev"}
    yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debian():
    tree = fresh_debian.system(BUILD / "debian")
    if tree is None:
        pytest.exit("there is no mirror of Debian 12", SKIPPED)
    system = fresh_debian.FreshDebian(tree)
    system.run("apt-get", "update", "-q")
    yield system
    system.close()


def install(debian, file):
    shutil.copy(file, debian.path("/var/cache/" + file.name))
    return debian.run("apt-get", "install", "-q", "-y", "--no-install-recommends", "/var/cache/" + file.name)


def unit_settings(debian):
    """{key: words} of the unit, where a key that comes again adds to itself."""
    settings = {}
    for line in debian.path(UNIT).read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            settings[key] = settings.get(key, []) + value.split()
    return settings


def allowed_calls(debian, names):
    """The system calls that SystemCallFilter= names, its groups resolved by systemd itself."""
    calls = []
    for name in names:
        if name.startswith("@"):
            lines = debian.run("systemd-analyze", "syscall-filter", name).stdout.splitlines()
            inner = [line.strip() for line in lines[1:] if line.startswith("    ")]
            calls += allowed_calls(debian, [call for call in inner if not call.startswith("#")])
        else:
            calls.append(name)
    return calls


# ProtectSystem=strict: what the unit names may be written, and nothing else. In a namespace of its own.
STRICT = """
set -e
for folder; do mount --bind "$folder" "$folder"; done
mount -o remount,bind,ro /
echo ready
exec sleep infinity
"""


class Service:
    """The unit's command as the unit has it run, in a network namespace of its own."""

    def __init__(self, debian):
        self.debian = debian
        settings = unit_settings(debian)
        folders = [place + settings[key][0] for key, place in (
            ("RuntimeDirectory", "/run/"), ("StateDirectory", "/var/lib/"))]
        debian.run("install", "--directory", "--mode=755", *folders)
        folders += [path.removeprefix("-") for path in settings["ReadWritePaths"]]
        assert settings["ProtectSystem"] == ["strict"]
        self.view = subprocess.Popen(
            debian.command("unshare", "--mount", "--propagation", "private", "sh", "-c", STRICT, "sh", *folders),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert self.view.stdout.readline() == "ready\n"
        capabilities = ",".join("+" + name.removeprefix("CAP_").lower()
                                for name in settings["CapabilityBoundingSet"])
        calls = " ".join(allowed_calls(debian, settings["SystemCallFilter"]))
        self.ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify = debian.path("/run/notify")
        notify.unlink(missing_ok=True)
        self.ready.bind(str(notify))
        self.ready.setblocking(False)
        self.errors = tempfile.TemporaryFile("w+")
        # chroot(2) is nsenter's.
        inner = ["nsenter", f"--target={self.view.pid}", "--mount", "--root", "--wd=/",
                 "setpriv", "--no-new-privs", f"--bounding-set=-all,{capabilities}", *settings["ExecStart"]]
        self.process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-c",
             FILTERED, calls + " chroot", *inner], stdin=subprocess.DEVNULL,
            stdout=self.errors, stderr=self.errors, start_new_session=True, umask=int(settings["UMask"][0], 8),
            env={**fresh_debian.ENVIRONMENT, "NOTIFY_SOCKET": "/run/notify"})
        try:
            harness.wait_until(self.is_ready, 60, "READY=1")
        except AssertionError as late:
            self.end()
            raise AssertionError(f"{late}\n{self.log()}") from None

    def is_ready(self):
        assert self.process.poll() is None, f"it ended with {self.process.returncode}"
        with contextlib.suppress(BlockingIOError):
            return self.ready.recv(100) == b"READY=1"
        return False

    def log(self):
        self.errors.seek(0)
        return self.errors.read()

    def main(self):
        """/proc/PID/status of the unprivileged process."""
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        mains = [status for status in map(harness.process_status, children) if status["Name"] != "trivet-runner"]
        assert len(mains) == 1, f"the broker's children: {children}"
        return mains[0]

    def end(self):
        self.ready.close()
        status = harness.end_process(self.process, signal.SIGTERM, 30)
        harness.end_process(self.view)
        self.view.stdout.close()
        return status


@pytest.fixture
def service(debian):
    before = host_snapshot.take()
    running = Service(debian)
    yield running
    running.end()
    host_snapshot.assert_as_before(before)


def test_it_is_installed_with_what_it_needs(debian, packages):
    install(debian, packages["1"]["trivet"])
    for file in ["/usr/bin/trivet", *map(str, debian.run(
            "find", "/usr/lib", "-path", "*/trivet/plugins/*.so").stdout.split())]:
        assert "not found" not in debian.run("ldd", file).stdout
    assert debian.run("trivet", "check").returncode == 0
    assert debian.run("getent", "passwd", "trivet").stdout.split(":")[6].strip() == "/usr/sbin/nologin"
    conffiles = debian.run("dpkg-query", "-W", "-f", "${Conffiles}", "trivet").stdout
    files = debian.run("find", "/etc/trivet", "-type", "f").stdout.split()
    assert CONFIGURATION in files and sorted(files) == sorted(re.findall(r"/etc/\S+", conffiles))
    assert debian.path("/etc/systemd/system/multi-user.target.wants/trivet.service").is_symlink()
    assert debian.run("dpkg", "--verify", "trivet").stdout == ""


def test_every_verb_has_its_page_and_completes(debian):
    verbs = re.findall(r"^    ([a-z]+)  +\S", debian.run("trivet", "--help").stdout, re.M)
    assert {"run", "check", "status", "observe"} <= set(verbs)
    pages = {file.name for file in debian.path("/usr/share/man/man1").glob("trivet*.1.gz")}
    assert pages == {"trivet.1.gz", *(f"trivet-{verb}.1.gz" for verb in verbs if verb != "help")}
    for file in [*debian.path("/usr/share/man").glob("man*/trivet*.gz")]:
        text = subprocess.run(["gzip", "-dc", file], capture_output=True, check=True).stdout
        drawn = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-P-cbou"], input=text, capture_output=True, check=True)
        assert drawn.stderr == b"" and b"SEE ALSO" in drawn.stdout, file.name

    script = ("source /usr/share/bash-completion/completions/trivet; COMP_WORDS=(trivet \"$@\"); "
              "COMP_CWORD=$#; _trivet; echo \"${COMPREPLY[@]}\"")
    for words, offered in [
            (["obs"], {"observe"}), (["observe", "al"], {"alerts"}), (["help", "relo"], {"reload"}),
            (["observe", "-o", ""], {"compact", "json", "falco", "text", "hubble"}),
            (["observe", "--colour", "a"], {"auto", "always"}), (["observe", "--fol"], {"--follow"}),
            (["run", "-c", "/etc/trivet/tri"], {CONFIGURATION}), (["rules", "sh"], {"show"})]:
        done = debian.run("bash", "-c", script, "bash", *words)
        assert set(done.stdout.split()) == offered, f"{words}: {done.stdout}{done.stderr}"


def test_systemd_accepts_the_unit_and_finds_it_confined(debian):
    verified = debian.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert "trivet" not in verified.stderr, verified.stderr
    done = debian.run("systemd-analyze", "security", "--offline=true", "--no-pager",
                      f"--threshold={int(MAX_EXPOSURE * 10)}", UNIT, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_it_runs_as_the_unit_confines_it_and_is_upgraded_meanwhile(debian, packages, service):
    user = debian.run("id", "-u", "trivet").stdout.strip()
    main = service.main()
    assert main["Uid"].split() == [user] * 4 and int(main["CapEff"], 16) == 0
    assert '"running"' in debian.run("trivet", "status", "-o", "json").stdout
    assert not re.search("warning|error", service.log()), service.log()

    # What an administrator changes stays.
    configuration = debian.path(CONFIGURATION)
    changed = configuration.read_text().replace('# spill = "/var', 'spill = "/var')
    # The example of an output, as it is written there.
    changed = re.sub(r'^# (\[\[outputs\]\]|name = "alerts"|type = "file"|path = .*|tables = .*)$', r"\1", changed,
                     flags=re.M)
    assert '\n[[outputs]]\nname = "alerts"\ntype = "file"\npath = "/var/log/trivet/' in changed
    configuration.write_text(changed)
    install(debian, packages["2"]["trivet"])
    assert debian.run("dpkg-query", "-W", "-f", "${Version}", "trivet").stdout.endswith("-2")
    assert configuration.read_text() == changed
    assert os.readlink(f"/proc/{service.process.pid}/exe").endswith("(deleted)"), "it is the old program"
    debian.run("trivet", "reload")
    assert len(debian.run("trivet", "query", "SELECT pid FROM processes LIMIT 1").stdout) > 0
    assert service.end() == 0, service.log()


def test_what_was_upgraded_runs_with_records_in_files(debian, service):
    debian.run("cat", "/etc/shadow")
    harness.wait_until(lambda: "/etc/shadow" in debian.run("trivet", "observe", "alerts").stdout, 10, "an alert")
    assert service.end() == 0, service.log()
    records = debian.path("/var/lib/trivet/records")
    assert str(records.stat().st_uid) == debian.run("id", "-u", "trivet").stdout.strip()
    assert list(records.iterdir()), "no file of records"
    assert "/etc/shadow" in debian.path("/var/log/trivet/alerts.json").read_text()


def test_a_removal_leaves_the_configuration_and_a_purge_nothing(debian):
    debian.run("apt-get", "remove", "-q", "-y", "trivet")
    assert not debian.path("/usr/bin/trivet").exists()
    assert debian.path(CONFIGURATION).exists() and debian.path("/var/lib/trivet/records").exists()
    debian.run("apt-get", "purge", "-q", "-y", "trivet")
    left = debian.run("find", "/etc", "/usr", "/var/lib", "/var/log", "-xdev", "-name", "*trivet*").stdout
    assert left == "", left
