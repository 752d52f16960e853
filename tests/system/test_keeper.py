# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest never notices the daemon: workers die, the socket's queue does not."""

import json
import os
import select
import socket
import subprocess

import pytest

from daemon import NO_WORKERS, START_SECONDS, UnixConnection, children_of, name_of, wait_until


def ask(daemon):
    """One request on a new connection; the status. Host processes are nobody: 500."""
    connection = UnixConnection(daemon.sock, timeout=START_SECONDS)
    connection.request("GET", "/1.0")
    status = connection.getresponse().status
    connection.close()
    return status


def has_worker(daemon):
    return any(name_of(pid) not in NO_WORKERS for pid in children_of(daemon.keeper_pid))


def test_connections_wait_while_a_worker_is_replaced(daemon):
    for _ in range(3):
        daemon.kill_worker()
        assert ask(daemon) == 500


def test_nobody_is_refused_while_workers_die(daemon, guest):
    """A client that connects during a crash waits; only a request in flight may be lost."""
    client = guest.start_python(r"""
import json, socket, sys, select
refused = lost = answered = 0
print("go", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect("/dev/lxd/sock")
        except OSError:
            refused += 1
            continue
        try:
            s.sendall(b"GET /1.0/config/user.role HTTP/1.1\r\nHost: x\r\n\r\n")
            good = s.recv(65536).endswith(b"frontend")
        except OSError:
            good = False
        answered, lost = answered + good, lost + (not good)
print(json.dumps([answered, refused, lost]))
""")
    assert client.stdout.readline() == "go\n"
    for _ in range(3):
        daemon.kill_worker()
        assert guest.curl("/1.0/config/user.role") == (200, "frontend")
    out, _ = client.communicate("stop\n", START_SECONDS)
    answered, refused, lost = json.loads(out)
    assert answered > 0 and refused == 0 and lost <= 3


def test_worker_goes_with_its_keeper(daemon):
    pidfd = os.pidfd_open(daemon.worker_pid)
    process, daemon.process = daemon.process, None
    process.kill()
    process.wait()
    assert select.select([pidfd], [], [], START_SECONDS)[0]
    os.close(pidfd)
    daemon.start()  # what the dead one left behind is in nobody's way
    assert ask(daemon) == 500


def fails_to_start(daemon):
    """Runs a daemon that must not start; exit status and log."""
    process, ready = daemon.spawn()
    status = process.wait(START_SECONDS)
    assert os.read(ready, 1) == b""
    os.close(ready)
    return status, daemon.log()


def test_one_daemon_per_directory(daemon, new_daemon):
    second = new_daemon()
    second.dirs["run"] = daemon.dirs["run"]
    status, log = fails_to_start(second)
    assert status == 1 and f'"{daemon.dirs["run"]}" is served by another' in log
    assert ask(daemon) == 500


@pytest.mark.parametrize("text, place", [
    ("{", "devlxdfsd.conf:1:1: "),
    ('{"max_connections": "many"}', "max_connections"),
    ('{\n"max_conections": 3}', "devlxdfsd.conf:2:"),
])
def test_bad_settings(new_daemon, text, place):
    daemon = new_daemon()
    with open(os.path.join(daemon.dirs["conf"], "devlxdfsd.conf"), "w") as settings:
        settings.write(text)
    status, log = fails_to_start(daemon)
    assert status == 1 and place in log
    assert not os.path.exists(daemon.sock)


def test_bad_command_line(build):
    done = subprocess.run([f"{build}/fsd/devlxdfsd", "--no-such"], capture_output=True, text=True)
    assert done.returncode == 2 and "--no-such" in done.stderr


def test_stop_removes_the_sockets(daemon):
    daemon.stop()
    assert not os.path.exists(daemon.sock) and not os.path.exists(daemon.admin_sock)


@pytest.mark.parametrize("how", ["link", "relative"])
def test_stop_unmounts_whatever_the_directory_is_called(new_daemon, tmp_path, how):
    daemon = new_daemon()
    real = daemon.dirs["run"]
    os.mkdir(real)
    os.symlink(real, tmp_path / "link")
    daemon.dirs["run"] = str(tmp_path / "link") if how == "link" else os.path.relpath(real)
    for _ in range(2):
        daemon.start()
        with open("/proc/self/mountinfo") as mounts:
            assert mounts.read().count(f" {real}/tree ") == 1
        daemon.stop()
        with open("/proc/self/mountinfo") as mounts:
            assert f" {real}/tree " not in mounts.read()


def test_stale_socket_is_replaced(new_daemon):
    daemon = new_daemon()
    os.makedirs(daemon.dirs["run"])
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(daemon.sock)
    daemon.start()
    assert ask(daemon) == 500


@pytest.mark.parametrize("name", ["sock", "admin.sock"])
def test_a_file_in_the_way_is_not_replaced(new_daemon, name):
    daemon = new_daemon()
    os.makedirs(daemon.dirs["run"])
    path = os.path.join(daemon.dirs["run"], name)
    with open(path, "w") as file:
        file.write("precious")
    status, log = fails_to_start(daemon)
    assert status == 1 and f'"{path}" is not a socket' in log
    with open(path) as file:
        assert file.read() == "precious"


def test_foreground_worker(new_daemon, new_guest):
    daemon = new_daemon(options=["--foreground-worker"]).start()
    guest = new_guest("web1").attach(daemon)
    daemon.guest_record(guest, {"user.role": "x"})
    assert guest.curl("/1.0/config/user.role") == (200, "x")


def test_descriptors_do_not_leak_into_the_worker(daemon):
    """What the keeper was started with is not the worker's to have."""
    links = [os.readlink(f"/proc/{daemon.worker_pid}/fd/{fd}")
             for fd in os.listdir(f"/proc/{daemon.worker_pid}/fd")]
    assert sum(link.startswith("pipe:") for link in links) == 0, links


def test_heeds_the_kernels_patience(new_daemon, fuse_sysctl):
    """A pause as long as the kernel waits for a tree that does not answer would be the end of the tree."""
    fuse_sysctl("max_request_timeout", "1\n")
    daemon = new_daemon().start()
    line = "the kernel aborts the tree when no worker answers for 1 s"
    assert daemon.log().count(line) == 1
    for _ in range(7):
        wait_until(lambda: has_worker(daemon), "another worker")
        daemon.kill_worker()
    assert ask(daemon) == 500
    assert "starting another one in 0.2 s" in daemon.log()
    assert "starting another one in 0.4 s" not in daemon.log()
    assert daemon.log().count(line) == 1
