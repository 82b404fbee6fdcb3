# SPDX-License-Identifier: Apache-2.0
"""What the kernel tests share: a daemon, an nginx and a folder, each gone when the test ends."""

import os
import pathlib
import shutil
import tempfile

import pytest

import host_snapshot
import trivet_harness

SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the kernel tests need root", SKIPPED)
    if "TRIVET_BIN" not in os.environ:
        pytest.exit("TRIVET_BIN names no program: run these tests with ctest -L kernel", 1)


@pytest.fixture
def folder():
    """A folder that the unprivileged main process can reach, owned by root."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="trivet-test-", dir="/run"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def shared_daemon():
    """shared_daemon(**options) -> a serving Trivet for all tests of a module."""
    before = host_snapshot.take()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trivet-test-", dir="/run"))
    folder.chmod(0o755)
    running = []

    def begin(**options):
        running.append(trivet_harness.Trivet(folder, **options))
        running[0].start()
        return running[0]

    try:
        yield begin
        for daemon in running:
            daemon.close()
    finally:
        shutil.rmtree(folder)
    host_snapshot.assert_as_before(before)


@pytest.fixture
def installed(folder):
    """A copy of the program with its plugins, where any user reaches it: (program, plugin folder)."""
    build = pathlib.Path(trivet_harness.trivet_program()).parents[1]
    plugins = folder / os.environ["TRIVET_PLUGIN_FOLDER"]
    shutil.copytree(build / "lib/trivet/plugins", plugins)
    (folder / "bin").mkdir()
    program = folder / "bin/trivet"
    shutil.copy(trivet_harness.trivet_program(), program)
    return program, plugins


@pytest.fixture
def start(folder):
    """start(**options) -> a serving Trivet. Afterwards it is stopped and the host is as it was."""
    before = host_snapshot.take()
    running = []

    def begin(**options):
        name = f"{len(running)}"
        (folder / name).mkdir()
        daemon = trivet_harness.Trivet(folder / name, **options)
        running.append(daemon)
        daemon.start()
        return daemon

    yield begin
    for daemon in running:
        daemon.close()
    host_snapshot.assert_as_before(before, 10 * trivet_harness.SCALE)


@pytest.fixture
def nginx(folder):
    server = trivet_harness.Nginx(folder)
    yield server
    server.close()
