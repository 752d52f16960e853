# SPDX-License-Identifier: GPL-2.0-or-later
"""A keeper ends and another takes up its mount and sockets, which a service manager keeps; guests see nothing."""

import os
import signal
import subprocess

import pytest

from daemon import kill_and_wait, wait_until
from inside import Inside
from manager import Manager
from reader import Reader

TREE = ["fuse", "journal", "poke-poker", "poke-worker", "shared", "tree"]
ALL = sorted(["admin", "guest", *TREE])


@pytest.fixture
def manager(tmp_path):
    made = Manager(str(tmp_path))
    yield made
    made.close()


@pytest.fixture
def start(manager, new_daemon):
    """start(daemon=None): a daemon, or the next keeper of one, with what is in the store."""
    made = []

    def go(daemon=None, options=()):
        daemon = daemon or new_daemon(options=["--fd-store", *options])
        daemon.wrapper, fds = manager.wrapper()
        spawn = daemon.spawn

        def spawn_with_store(**popen_options):
            real = subprocess.Popen

            def popen(argv, pass_fds=(), **rest):
                return real(argv, pass_fds=[*pass_fds, *fds], **rest)

            subprocess.Popen = popen
            try:
                return spawn(**popen_options)
            finally:
                subprocess.Popen = real

        daemon.spawn = spawn_with_store
        try:
            daemon.start()
        finally:
            daemon.spawn = spawn
        made.append(daemon)
        return daemon

    yield go
    for daemon in made:
        daemon.stop()
        take_down(daemon)


def take_down(daemon):
    subprocess.run([f"{daemon.build}/fsd/devlxdfsd", *daemon._dir_options(), "--take-down"], check=True)


def is_mounted(daemon):
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == daemon.tree() for line in mounts)


def end(daemon, number):
    if number == signal.SIGKILL:
        daemon.may_lose_workers = True
        worker = daemon.worker_pid
        kill_and_wait(daemon.keeper_pid)
        daemon.process.wait()
        daemon.process = None
        wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "the worker's end")
    else:
        daemon.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_guest_notices_nothing(manager, start, new_guest, number):
    daemon = start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon)
    inside, late = Inside(guest), Inside(guest)
    events = Reader(guest, ["cat", "/dev/lxd/events"])
    inode = inside("os.stat('config/user.role').st_ino")
    inside.run("opened = open('config/user.role', 'rb')")
    daemon.guest_record(guest, {"user.role": "one"})
    events.until('"value":"one"')
    assert manager.names() == ALL

    end(daemon, number)
    assert is_mounted(daemon)
    # These wait for the next one: the answers are read when it is there.
    for waits, question in (inside, "read('config/user.role')"), (late, "ask('/1.0/config/user.role')"):
        waits.child.stdin.write(repr(("eval", question)) + "\n")
        waits.child.stdin.flush()
    start(daemon)
    assert "taking up" in daemon.log()
    assert "b'one'" in inside.child.stdout.readline()
    assert "200, b'one'" in late.child.stdout.readline()
    assert inside("opened.read()") == b"frontend"
    daemon.guest_record(guest, {"user.role": "two"})
    assert len(events.until('"value":"two"')) == 1
    daemon.guest_record(guest, {"user.role": "frontend"})
    assert len(events.until('"value":"frontend"')) == 1
    assert inside("os.stat('config/user.role').st_ino") == inode
    assert manager.names() == ALL
    inside.close()
    late.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_sockets_outside_the_tree_live_on(start, new_guest, number):
    daemon = start()
    guest = new_guest("web1")
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach(daemon)
    ids = [os.stat(path).st_ino for path in (daemon.sock, daemon.admin_sock)]
    end(daemon, number)
    waits = guest.popen(["curl", "-sf", "--unix-socket", "/dev/lxd/sock",
                         "http://lxd/1.0/config/user.role"])
    start(daemon)
    assert waits.communicate()[0] == "frontend"
    assert ids == [os.stat(path).st_ino for path in (daemon.sock, daemon.admin_sock)]


def test_an_instances_own_listener_lives_on(manager, start, new_guest):
    daemon = start()
    guest = new_guest("web1")
    daemon.record("web1", config={"user.role": "frontend"}, match={"mount": True})
    wait_until(lambda: len(manager.names()) == len(ALL) + 1, "its listener in the store")
    guest.attach_tree(daemon)
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    end(daemon, signal.SIGKILL)
    start(daemon)
    assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    assert len(manager.names()) == len(ALL) + 1
    os.unlink(daemon.record_path("web1"))
    wait_until(lambda: manager.names() == ALL, "its listener out of the store")


@pytest.mark.parametrize("lost", TREE)
def test_a_part_is_not_enough(manager, start, lost):
    daemon = start()
    end(daemon, signal.SIGTERM)
    manager.heed().forget(lost)
    start(daemon)
    assert "lost a part of the tree" in daemon.log()
    assert is_mounted(daemon) and os.listdir(daemon.tree()) == []
    assert manager.names() == ALL


def test_what_is_not_mounted_is_made_anew(manager, start):
    daemon = start()
    end(daemon, signal.SIGTERM)
    take_down(daemon)
    assert not is_mounted(daemon) and not os.path.exists(daemon.sock)
    start(daemon)
    assert "is not mounted" in daemon.log() and "is not the one in" in daemon.log()
    assert is_mounted(daemon) and os.path.exists(daemon.sock)
    assert manager.names() == ALL


def test_of_another_version_is_made_anew(manager, start):
    daemon = start()
    end(daemon, signal.SIGTERM)
    os.pwrite(dict(manager.heed().store)["shared"], b"\xff", 8)
    start(daemon)
    assert "another version" in daemon.log()
    assert is_mounted(daemon) and manager.names() == ALL


def test_without_a_tree_only_the_sockets_are_kept(manager, start):
    daemon = start(options=["--no-fuse"])
    assert manager.names() == ["admin", "guest"]
    end(daemon, signal.SIGTERM)
    assert os.path.exists(daemon.sock)
    start(daemon)
    assert daemon.admin("GET", "/1.0/status")[0] == 200


def test_without_a_manager_stopping_unmounts(new_daemon):
    daemon = new_daemon(options=["--fd-store"]).start()
    assert is_mounted(daemon)
    daemon.stop()
    assert not is_mounted(daemon) and not os.path.exists(daemon.sock)
    assert "no service manager" in daemon.log()


def test_a_running_daemon_is_not_taken_down(daemon):
    done = subprocess.run([f"{daemon.build}/fsd/devlxdfsd", *daemon._dir_options(), "--take-down"],
                          capture_output=True, text=True)
    assert done.returncode == 1 and "is served by another devlxdfsd" in done.stderr
    assert is_mounted(daemon)
