# SPDX-License-Identifier: GPL-2.0-or-later
"""Upgrades: the worker is replaced by one of the program on disk, or stays when that is no good."""

import os
import shutil
import signal
import subprocess

import pytest

from daemon import START_SECONDS, memfd_of, wait_until
from here import BUILD, TAKE_OVERS
from reader import Reader

VERSION = subprocess.run([f"{BUILD}/fsd/devlxdfsd", "--version"], check=True, text=True,
                         capture_output=True).stdout.split()[1]
NEXT_VERSION = VERSION[:-1] + "x"  # of the same length: it is put into the program's bytes
TIMEOUT = ["--worker-timeout", "1"]  # the patience that failures need


@pytest.fixture
def program(tmp_path):
    """A copy of devlxdfsd that may be replaced."""
    return shutil.copy(f"{BUILD}/fsd/devlxdfsd", f"{tmp_path}/devlxdfsd")


@pytest.fixture
def daemon(new_daemon, program):
    return new_daemon(program=program).start()


def install(program, content):
    """As package managers do: by a rename."""
    with open(program + ".new", "wb") as file:
        file.write(content)
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)


def install_next(program):
    with open(program, "rb") as file:
        content = file.read()
    assert VERSION.encode() in content
    install(program, content.replace(VERSION.encode(), NEXT_VERSION.encode()))


def version_of(daemon):
    return daemon.admin("GET", "/1.0")[1]["version"]


def upgrades_of(daemon):
    return daemon.admin("GET", "/1.0/status")[1]["upgrades"]


@TAKE_OVERS
def test_upgrade(new_daemon, program, new_guest, options):
    """Those who read, list, listen and have files open do not notice."""
    daemon, guest = new_daemon(program=program, options=options).start(), new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon)
    busy = guest.start_python(r"""
import os, sys, select
held = os.open("/dev/lxd/config/user.role", os.O_RDONLY)
print("go", flush=True)
n = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    assert open("/dev/lxd/config/user.role").read() == "frontend"
    assert os.pread(held, 100, 0) == b"frontend"
    assert "user.role" in os.listdir("/dev/lxd/config")
    n += 1
print(n)
""")
    assert busy.stdout.readline() == "go\n"
    listener = Reader(guest, "cat /dev/lxd/events")
    daemon.guest_record(guest, {"user.role": "frontend", "user.x": "before"})
    listener.until("before")
    worker = daemon.worker_pid
    install_next(program)
    assert version_of(daemon) == VERSION
    assert daemon.ctl("upgrade") == f"Upgraded from version {VERSION} to {NEXT_VERSION}\n"
    assert version_of(daemon) == NEXT_VERSION and daemon.worker_pid != worker
    daemon.guest_record(guest, {"user.role": "frontend", "user.x": "after"})
    listener.until("after")
    out, err = busy.communicate("stop\n", START_SECONDS)
    assert int(out) > 0, err
    # From now on it is the program: also for those who come after a crash.
    daemon.kill_worker()
    assert version_of(daemon) == NEXT_VERSION
    assert upgrades_of(daemon) == {"done": 1, "failed": 0, "last_failure": None}


def test_signal(daemon, program):
    install_next(program)
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: version_of(daemon) == NEXT_VERSION, "the upgrade", START_SECONDS)


def test_again_and_again(daemon, program):
    """Also to the same program, which takes up what the administrator has changed in the settings."""
    for n in range(1, 4):
        daemon.settings(location=f"host{n}")
        assert "Upgraded" in daemon.ctl("upgrade")
        assert daemon.admin("GET", "/1.0")[1]["location"] == f"host{n}"
        assert upgrades_of(daemon)["done"] == n


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("content, failure", [
    (lambda: b"", "the program cannot be run"),
    (lambda: b"no program at all", "the program cannot be run"),
    (lambda: bytes_of("/bin/false"), "the program failed its trial"),
    (lambda: bytes_of("/bin/true"), "its worker died before it served"),
    (lambda: bytes_of(f"{BUILD}/fsd/devlxdfsd")[:5000], "the program failed its trial"),
], ids=["empty", "text", "false", "true", "cut off"])
def test_bad_programs(daemon, program, tree_guest, content, failure):
    """The old program goes on; its file is gone from the disk."""
    install(program, content())
    if failure == "its worker died before it served":
        daemon.may_lose_workers = True
    for n in 1, 2:
        failed = daemon.ctl("upgrade", status=1)
        assert failed.stdout == ""
        assert f"not upgraded, version {VERSION} goes on: {failure}" in failed.stderr
        assert upgrades_of(daemon) == {"done": 0, "failed": n, "last_failure": failure}
    assert tree_guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    daemon.kill_worker()
    assert tree_guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    install_next_of_build(program)
    assert "Upgraded" in daemon.ctl("upgrade")


def install_next_of_build(program):
    install(program, bytes_of(f"{BUILD}/fsd/devlxdfsd"))
    install_next(program)


def test_no_program(daemon, program):
    os.unlink(program)
    failed = daemon.ctl("upgrade", status=1)
    assert "the program cannot be run" in failed.stderr
    assert f'"{program}"' in daemon.log() and "No such file" in daemon.log()
    daemon.kill_worker()
    assert version_of(daemon) == VERSION


@pytest.mark.parametrize("hangs, failure", [
    ("trial", "the program's trial does not end"),
    ("serving", "its worker does not serve"),
])
def test_programs_that_hang(new_daemon, program, new_guest, monkeypatch, hangs, failure):
    monkeypatch.setenv("IMPOSTOR", hangs)
    daemon = new_daemon(program=program, options=TIMEOUT).start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon)
    install(program, bytes_of(f"{BUILD}/tests/system/impostor"))
    command = daemon.ctl_popen("upgrade")
    # Whoever comes in the meantime waits for the old program, and is not turned away.
    while command.poll() is None:
        assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    assert f"not upgraded, version {VERSION} goes on: {failure}" in command.communicate()[1]
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"


def test_state_of_another_version(daemon, tree_guest):
    """What could not take over says so before the one that serves has stopped."""
    worker = daemon.worker_pid
    with open(memfd_of(daemon.keeper_pid), "r+b", buffering=0) as shared:
        shared.seek(8)
        version = shared.read(4)
        shared.seek(8)
        shared.write(b"\xff\xff\0\0")
        failed = daemon.ctl("upgrade", status=1)
        shared.seek(8)
        shared.write(version)
    assert "the program failed its trial" in failed.stderr
    assert "it keeps its state in another way; restart it" in daemon.log()
    assert daemon.worker_pid == worker
    assert tree_guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"


def test_bad_settings(daemon):
    worker = daemon.worker_pid
    daemon.settings(no_such=1)
    assert "the program failed its trial" in daemon.ctl("upgrade", status=1).stderr
    assert "no_such" in daemon.log() and daemon.worker_pid == worker


def test_a_trial_writes_nothing(new_daemon):
    """Not even the volatile file of a record that nobody has loaded yet: who serves will write that."""
    daemon = new_daemon()
    daemon.record("late")
    volatile = os.path.join(daemon.dirs["state"], "volatile")
    os.makedirs(volatile)
    daemon.options = ["--worker=,,,,,,,", "--trial"]
    process, ready = daemon.spawn()
    os.close(ready)
    assert process.wait(START_SECONDS) == 0 and os.listdir(volatile) == []
    daemon.options = []
    daemon.start()
    assert os.listdir(volatile) == ["late.json"]


def test_in_the_foreground(new_daemon):
    daemon = new_daemon(options=["--foreground-worker"]).start()
    assert "it serves in the foreground" in daemon.ctl("upgrade", status=1).stderr


def test_two_at_once(daemon, program):
    install_next(program)
    commands = [daemon.ctl_popen("upgrade") for _ in range(3)]
    for command in commands:
        out, err = command.communicate(timeout=START_SECONDS)
        assert (command.returncode, err) == (0, "")
        assert out.endswith(f"to {NEXT_VERSION}\n")


def test_stop_during_an_upgrade(new_daemon, program, monkeypatch):
    monkeypatch.setenv("IMPOSTOR", "trial")
    daemon = new_daemon(program=program).start()
    install(program, bytes_of(f"{BUILD}/tests/system/impostor"))
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "upgrading to" in daemon.log(), "the trial", START_SECONDS)
    daemon.stop()
