# SPDX-License-Identifier: GPL-2.0-or-later
"""The worker's cage: who the process is that serves, what it cannot do, and that it serves all the same."""

import ctypes
import os
import re
import select
import signal
import socket
import subprocess

import pytest

import account
from daemon import wait_until
from here import BUILD, IS_INSTRUMENTED, cannot

LANDLOCK_CREATE_RULESET = 444


def status_of(pid):
    """{"Uid": "0 0 0 0", ...} of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as lines:
        fields = (line.partition(":") for line in lines)
        return {name: " ".join(value.split()) for name, _, value in fields}


def assert_caged(pid, uid=account.ID, gid=account.ID):
    for thread in os.listdir(f"/proc/{pid}/task"):
        status = status_of(f"{pid}/task/{thread}")
        assert status["Uid"] == " ".join([str(uid)] * 4)
        assert status["Gid"] == " ".join([str(gid)] * 4)
        assert status["Groups"] == ""
        for kind in "Inh", "Prm", "Eff", "Bnd", "Amb":
            assert int(status[f"Cap{kind}"], 16) == 0, kind
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"


def owner_and_mode(path):
    st = os.stat(path)
    return st.st_uid, st.st_gid, st.st_mode & 0o7777


def test_worker_is_caged(daemon):
    assert_caged(daemon.worker_pid)
    for pid in daemon.keeper_pid, daemon.helper_pid, daemon.poker_pid:
        assert status_of(pid)["Uid"] == "0 0 0 0"


def test_next_worker_is_caged(daemon):
    first = daemon.worker_pid
    daemon.kill_worker()
    wait_until(lambda: "Seccomp" in status_of(daemon.worker_pid) and daemon.worker_pid != first and
               status_of(daemon.worker_pid)["Seccomp"] == "2", "another worker")
    assert_caged(daemon.worker_pid)


def test_worker_ends_with_its_keeper(daemon):
    pidfd = os.pidfd_open(daemon.worker_pid)
    os.kill(daemon.keeper_pid, signal.SIGKILL)
    assert select.select([pidfd], [], [], 20)[0], "it lives on"
    os.close(pidfd)
    daemon.process.wait()
    daemon.process = None
    subprocess.run(["umount", "--lazy", daemon.tree()], check=True)


def test_foreground_is_caged(new_daemon):
    daemon = new_daemon(options=["--foreground-worker"]).start()
    assert_caged(daemon.process.pid)


def test_limits(daemon):
    with open(f"/proc/{daemon.worker_pid}/limits") as limits:
        text = limits.read()
    for name in "core file size", "locked memory", "msgqueue size", "realtime priority":
        assert re.search(rf"^Max {name} +0 +0 ", text, re.M), text


# --- what it is given

def test_what_the_account_owns(daemon):
    state, run = daemon.dirs["state"], daemon.dirs["run"]
    for path in state, f"{state}/instances", f"{state}/profiles":
        assert owner_and_mode(path) == (0, account.ID, 0o2750)
    for path in f"{state}/volatile", f"{run}/published", f"{run}/published/kept":
        assert owner_and_mode(path) == (account.ID, account.ID, 0o700)


def test_records_of_before(new_daemon, tmp_path):
    """Those written before there was an account are given to it; what is not a plain file is not."""
    daemon = new_daemon()
    state = daemon.dirs["state"]
    for part in "instances", "volatile":
        os.makedirs(f"{state}/{part}", mode=0o700)
        outside = tmp_path / f"outside-{part}"
        outside.write_text("{}")
        outside.chmod(0o600)
        os.symlink(outside, f"{state}/{part}/link.json")
        os.link(outside, f"{state}/{part}/twin.json")
    with open(f"{state}/instances/web1.json", "w") as file:
        file.write('{"config": {"user.a": "1"}}')
    os.chmod(f"{state}/instances/web1.json", 0o600)
    daemon.start()
    assert owner_and_mode(f"{state}/instances/web1.json") == (0, account.ID, 0o640)
    assert daemon.admin("GET", "/1.0/instances/web1")[0] == 200
    for part in "instances", "volatile":
        assert owner_and_mode(tmp_path / f"outside-{part}") == (0, 0, 0o600)


@pytest.mark.parametrize("target", ["there", "not there"])
def test_a_worker_leads_the_keeper_nowhere(new_daemon, tmp_path, target):
    """It could put a link in the place of a directory that the keeper will give to its account."""
    daemon = new_daemon()
    outside = tmp_path / "outside"
    if target == "there":
        outside.mkdir(mode=0o755)
        (outside / "file").write_text("")
    os.makedirs(f"{daemon.dirs['run']}/published")
    os.symlink(outside, f"{daemon.dirs['run']}/published/kept")
    daemon.start()
    assert owner_and_mode(f"{daemon.dirs['run']}/published/kept") == (account.ID, account.ID, 0o700)
    assert not os.path.islink(f"{daemon.dirs['run']}/published/kept")
    if target == "there":
        assert owner_and_mode(outside) == (0, 0, 0o755) and os.stat(outside / "file").st_uid == 0
    else:
        assert not outside.exists()


def test_command_writes_what_the_worker_reads(daemon):
    daemon.ctl("create", "web1", "-c", "user.a=1")
    path = f"{daemon.dirs['state']}/instances/web1.json"
    assert owner_and_mode(path) == (0, account.ID, 0o640)
    daemon.ctl("config", "set", "web1", "user.a=2")
    assert daemon.ctl("config", "get", "web1", "user.a") == "2\n"


def test_ready_is_kept(daemon, tree_guest):
    tree_guest.run(["sh", "-c", "echo Ready > /dev/lxd/state"])
    path = f"{daemon.dirs['state']}/volatile/web1.json"
    assert owner_and_mode(path) == (account.ID, account.ID, 0o600)
    daemon.kill_worker()
    assert tree_guest.run(["cat", "/dev/lxd/state"]).stdout == "Ready\n"


def test_a_record_that_it_cannot_read(daemon):
    path = daemon.record_path("web1")
    with open(path + ".new", "w") as file:
        file.write("{}")
    os.chmod(path + ".new", 0o600)
    os.rename(path + ".new", path)
    status, answer = daemon.admin("POST", "/1.0/instances/web1/load")
    remedy = f"chgrp {account.NAME} {path} && chmod g+r {path}"
    assert status == 409, answer
    assert f"Permission denied; let the daemon: {remedy}" in answer
    assert remedy in daemon.ctl("check", status=1).stdout
    subprocess.run(["sh", "-c", remedy], check=True)
    wait_until(lambda: daemon.admin("GET", "/1.0/instances/web1")[0] == 200, "the record")


@pytest.mark.parametrize("name, mode", [("instances", 0o700), ("devlxdfsd.conf", 0o600)])
def test_configuration_that_it_cannot_read(new_daemon, name, mode):
    daemon = new_daemon()
    daemon.settings()
    path = os.path.join(daemon.dirs["conf"], name)
    os.chmod(path, mode)
    process, ready = daemon.spawn()
    assert process.wait(20) == 1
    os.close(ready)
    assert "Permission denied; let the daemon read it" in daemon.log()
    assert f"chgrp {account.NAME} {path} && chmod g+r" in daemon.log()


def test_caller_that_has_exited(daemon, guest):
    """Its cgroup's id is all that is left; to find the cgroup by it takes the keeper."""
    if tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) < (6, 15):
        cannot("needs PIDFD_INFO_EXIT")
    worker = os.pidfd_open(daemon.worker_pid)
    signal.pidfd_send_signal(worker, signal.SIGSTOP)
    try:
        ours, theirs = socket.socketpair()
        sender = guest.start_python(
            "import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            "s.connect('/dev/lxd/sock')\n"
            "s.sendall(b'GET /1.0/config/user.role HTTP/1.0\\r\\n\\r\\n')\n"
            "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'x'], [s.fileno()])",
            theirs.fileno(), pass_fds=[theirs.fileno()])
        _, [connected], _, _ = socket.recv_fds(ours, 1, 1)
        ours.close()
        theirs.close()
        sender.communicate()
    finally:
        signal.pidfd_send_signal(worker, signal.SIGCONT)
        os.close(worker)
    reply = b""
    with socket.socket(fileno=connected) as connection:
        while piece := connection.recv(65536):
            reply += piece
    assert reply.endswith(b"frontend"), reply


@pytest.mark.parametrize("options, is_hidden", [
    ("hidepid=1", True), ("hidepid=2", True), (f"hidepid=2,gid={account.ID}", False)])
def test_hidden_processes(new_daemon, options, is_hidden):
    subprocess.run(["mount", "-t", "proc", "-o", options, "proc", "/proc"], check=True)
    try:
        daemon = new_daemon().start()
        assert ("/proc hides them" in daemon.log()) == is_hidden
        assert ("mount /proc without hidepid" in daemon.ctl("check", status=None).stdout) == is_hidden
    finally:
        subprocess.run(["umount", "--lazy", "/proc"], check=True)


# --- the account

def test_without_account(new_daemon, tmp_path):
    account.put_over(str(tmp_path), has_account=False)
    try:
        daemon = new_daemon().start()
        assert_caged(daemon.worker_pid, 0, 0)
        assert daemon.log().count('there is no account "devlxdfs"') == 1
        assert "useradd --system" in daemon.log()
        daemon.ctl("create", "web1")
        assert daemon.admin("GET", "/1.0/instances/web1")[0] == 200
    finally:
        account.take_away()


@pytest.mark.parametrize("user", ["nobody", "65534"])
def test_another_account(new_daemon, user):
    daemon = new_daemon(options=["--user", user]).start()
    assert_caged(daemon.worker_pid, 65534, 65534)


@pytest.mark.parametrize("user", ["no-such-account", "4294967294"])
def test_unknown_account(new_daemon, user):
    daemon = new_daemon(options=["--user", user])
    process, ready = daemon.spawn()
    assert process.wait(20) == 1
    os.close(ready)
    assert f'cannot run the worker as "{user}": there is no such account' in daemon.log()


# --- the walls

@pytest.fixture
def caged(tmp_path):
    """caged(what, argument): what became of it: "done", an error's name, or a signal."""
    for name in "state/volatile", "run/published":
        os.makedirs(tmp_path / name)
        os.chown(tmp_path / name, account.ID, account.ID)
    account.let_through(str(tmp_path))

    def attempt(what, argument=""):
        done = subprocess.run([f"{BUILD}/tests/system/caged", str(tmp_path / "state"),
                               str(tmp_path / "run"), what, str(argument)],
                              capture_output=True, text=True)
        if done.returncode < 0:
            return signal.Signals(-done.returncode).name
        assert done.returncode == 0, done
        return done.stdout.strip()

    return attempt


def has_landlock():
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) > 0


def test_what_may_be_done(caged, tmp_path):
    assert caged("nothing") == "done"
    assert caged("read", "/etc/passwd") == "done"
    for name in "state/volatile", "run/published":
        assert caged("write", tmp_path / name / "new") == "done"
        assert caged("remove", tmp_path / name / "new") == "done"


@pytest.mark.parametrize("what, argument, outcome", [
    ("exec", "/bin/true", "SIGSYS"),
    ("mount", "/mnt", "SIGSYS"),
    ("inet", "", "ENOSYS"),
    ("unix", "", "ENOSYS"),
    ("root", "", "ENOSYS"),
    ("read", "/etc/shadow", "EACCES"),
])
def test_what_cannot_be_done(caged, what, argument, outcome):
    assert caged(what, argument) == outcome


if not IS_INSTRUMENTED:  # a sanitizer needs these
    @pytest.mark.parametrize("what, outcome", [
        ("fork", "ENOSYS"), ("trace", "SIGSYS"), ("kill", "ENOSYS"), ("code", "ENOSYS")])
    def test_what_sanitizers_need(caged, what, outcome):
        assert caged(what, os.getpid()) == outcome


def test_no_talking_to_others(caged, tmp_path):
    """As to a bus: its socket is anybody's to connect to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bus:
        bus.bind(str(tmp_path / "bus"))
        os.chmod(tmp_path / "bus", 0o666)
        assert caged("connect", tmp_path / "bus") == "ENOSYS"


def test_no_writing_elsewhere(caged, tmp_path):
    """Not even where modes let it."""
    if not has_landlock():
        cannot("needs Landlock")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    file = open_to_all / "file"
    file.write_text("mine")
    file.chmod(0o666)
    assert caged("write", open_to_all / "new") == "EACCES"
    assert caged("write", file) == "EACCES"
    assert caged("remove", file) == "EACCES"
    assert file.read_text() == "mine"
