# SPDX-License-Identifier: Apache-2.0
"""Who may do what at the sockets: users and supplementary groups as the kernel tells them."""

import grp
import subprocess

import pytest

import trivet_harness as harness

# Groups of every Debian.
READ, WRITE = "games", "operator"


@pytest.fixture
def trivet(start, installed):
    """A daemon, and a way to ask it as somebody else: ask(groups, words) -> the finished process."""
    daemon = start(changes={"control.read_group": READ, "control.write_group": WRITE})

    def ask(groups, *words, command=None):
        ids = ",".join(str(grp.getgrnam(name).gr_gid) for name in groups)
        who = ["--groups", ids] if groups else ["--clear-groups"]
        return subprocess.run(["setpriv", "--reuid", "54321", "--regid", "54321", *who, "--inh-caps=-all",
                               *(command or [installed[0], *words, "--socket", daemon.socket])],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd="/",
                              timeout=60 * harness.SCALE)

    ask.daemon = daemon
    return ask


@pytest.mark.parametrize("verb", [("status",), ("plugin", "ls"), ("observe", "alerts"), ("query", "SELECT 1"),
                                  ("policy", "show")])
def test_both_groups_may_read_and_nobody_else(trivet, verb):
    for groups, status in (([READ], 0), ([WRITE], 0), (["audio", READ], 0), ([], 1), (["audio"], 1)):
        done = trivet(groups, *verb)
        assert done.returncode == status, (groups, done.stderr)
        if status:
            assert f'be root or a member of group "{READ}" (control.read_group)' in done.stderr


def test_only_one_group_may_change_and_the_other_is_told_which(trivet, folder):
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    file = folder / "open" / "capture"
    for words in (("reload",), ("capture", "record", file, "--for", "1s")):
        refused = trivet([READ], *words)
        assert refused.returncode == 1
        assert f'be root or a member of group "{WRITE}" (control.write_group)' in refused.stderr
        assert not file.exists()
        done = trivet([WRITE], *words)
        assert done.returncode == 0, done.stderr
    assert file.stat().st_uid == 54321, "the file is whoever's asked for it"


def test_the_api_at_its_unix_socket_is_for_those_who_may_read(trivet):
    api = trivet.daemon.socket.parent / "api.sock"
    for groups, status in (([READ], "200"), ([WRITE], "200"), ([], "403")):
        done = trivet(groups, command=["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                                       api, "http://localhost/v1/status"])
        assert done.stdout == status, (groups, done)
