# SPDX-License-Identifier: GPL-2.0-or-later
"""devlxdfs attach and detach, with guests of namespaces alone; managers' own are in tests/managers."""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

from daemon import children_of, descriptors_of, kill_and_wait, wait_until
from guest import Cgroup, cgroup2_root
from mounting import mount_into

KEY = "/dev/lxd/config/user.role"


@pytest.fixture(params=["privileged", "mapped"])
def running(request, daemon, new_guest):
    """A guest that runs, with a record that does not say which cgroup is its own."""
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.record("web1", config={"user.role": "frontend"})
    return guest


def attach(daemon, guest, *options, status=0):
    return daemon.ctl("attach", guest.name, "--pid", str(guest.pid), *options, status=status)


def ledger(daemon):
    return os.listdir(os.path.join(daemon.dirs["run"], "attached"))


def mounts_of(guest):
    """Where directories of a tree are mounted in it."""
    with open(f"/proc/{guest.pid}/mountinfo") as mounts:
        return [line.split()[4] for line in mounts
                if " - fuse.devlxdfs " in line and not line.split()[4].endswith("/run/tree")]


def group_of(pid):
    with open(f"/proc/{pid}/cgroup") as groups:
        return [line[3:].strip() for line in groups if line.startswith("0::")][0]


def test_attach_makes_the_guest_that_instance(daemon, running):
    attach(daemon, running)
    assert running.run(["cat", KEY]).stdout == "frontend"
    assert running.run(["stat", "-c", "%u:%g %a", KEY]).stdout == "0:0 400\n"
    assert running.run(["stat", "-c", "%u", "/dev/lxd"]).stdout == "0\n"
    assert running.curl("/1.0/config/user.role") == (200, "frontend")
    running.run(["sh", "-c", "echo Ready >/dev/lxd/state"])
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["ready"] is True
    seen = json.loads(daemon.ctl("whois", str(running.pid), "-f", "json"))
    assert seen["instance"] == "web1", seen


def test_again_is_no_error_and_no_second_mount(daemon, running):
    for _ in range(3):
        attach(daemon, running)
    assert mounts_of(running) == ["/dev/lxd"]


def test_many_at_once_mount_it_once(daemon, running):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: attach(daemon, running), range(16)))
    assert mounts_of(running) == ["/dev/lxd"]


def test_detach_takes_it_away(daemon, running):
    attach(daemon, running)
    daemon.ctl("detach", "web1")
    assert mounts_of(running) == []
    assert ledger(daemon) == []
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["binding"] is None
    assert "nothing is attached" in daemon.ctl("detach", "web1", status=1).stderr


def test_match_finds_the_guest(daemon, running):
    daemon.guest_record(running, {"user.role": "frontend"})
    daemon.ctl("attach", "web1")
    assert running.run(["cat", KEY]).stdout == "frontend"


def test_match_finds_nobody(daemon, new_guest):
    daemon.record("web1", match={"cgroup": "/no/such"})
    assert "no process in its cgroup /no/such" in daemon.ctl("attach", "web1", status=1).stderr
    daemon.record("web2")
    assert "--pid" in daemon.ctl("attach", "web2", status=1).stderr
    assert "devlxdfs create web3" in daemon.ctl("attach", "web3", status=1).stderr
    assert not os.path.exists(os.path.join(daemon.dirs["run"], "attached")) or not ledger(daemon)


def test_other_places(daemon, running):
    attach(daemon, running, "--path", "/dev/lxd-files", "--path", "/tmp/lxd")
    assert sorted(mounts_of(running)) == ["/dev/lxd-files", "/tmp/lxd"]
    assert running.run(["cat", "/dev/lxd-files/name", "/tmp/lxd/name"]).stdout == "web1\nweb1\n"
    assert "absolute" in attach(daemon, running, "--path", "dev/lxd", status=1).stderr
    assert "does not exist" in attach(daemon, running, "--path", "/no/such/lxd", status=1).stderr


def test_dev_incus(daemon, running):
    daemon.settings(offer_dev_incus=1)
    attach(daemon, running)
    assert sorted(mounts_of(running)) == ["/dev/incus", "/dev/lxd"]
    done = running.run(["curl", "-s", "--unix-socket", "/dev/incus/sock",
                        "http://incus/1.0/config/user.role"])
    assert done.stdout == "frontend"
    daemon.ctl("detach", "web1")
    assert mounts_of(running) == []


@pytest.mark.parametrize("what, says", [
    ("rmdir /dev/lxd && ln -s /etc /dev/lxd", "symbolic link"),
    ("rmdir /dev/lxd && ln -s /no/such /dev/lxd", "symbolic link"),
    ("rmdir /dev/lxd && : >/dev/lxd", "no directory"),
    ("rmdir /dev/lxd && mknod /dev/lxd p", "no directory"),
    ("rmdir /dev/lxd && mount -o remount,bind,ro /dev", "Read-only file system"),
    ("mount -t tmpfs tmpfs /dev/lxd", "something else is mounted at /dev/lxd in the guest (tmpfs)"),
])
def test_hostile_places_are_refused(daemon, running, what, says):
    before = running.run(["stat", "-c", "%n %i %Y", "/etc"]).stdout
    running.run(["sh", "-c", what])
    said = attach(daemon, running, status=1).stderr
    assert says in said, said
    assert said.startswith("devlxdfs: web1: not attached: ") and said.count("\n") == 1, said
    assert mounts_of(running) == [] and ledger(daemon) == []
    assert running.run(["stat", "-c", "%n %i %Y", "/etc"]).stdout == before


def test_link_on_the_way(daemon, running):
    running.run(["sh", "-c", "mkdir /tmp/real && ln -s /tmp/real /tmp/link"])
    said = attach(daemon, running, "--path", "/tmp/link/lxd", status=1).stderr
    assert "the directory above /tmp/link/lxd is a symbolic link" in said
    said = attach(daemon, running, "--path", "/tmp/../tmp/real", status=0)
    assert mounts_of(running) == ["/tmp/real"]


def test_a_directory_on_a_read_only_dev_will_do(daemon, running):
    running.run(["mount", "-o", "remount,bind,ro", "/dev"])
    attach(daemon, running)
    assert running.run(["cat", KEY]).stdout == "frontend"


def test_the_guest_has_no_say_in_who_it_is(daemon, running, new_guest):
    other = new_guest("web2")
    daemon.record("web2", config={"user.role": "database"})
    attach(daemon, running)
    attach(daemon, other)
    # What the first one can reach of the second's it may not open.
    mount_into(running.pid, daemon.tree("web2"), "/tmp/theirs")
    done = running.run(["cat", "/tmp/theirs/config/user.role"], check=False)
    assert done.returncode and "ermission denied" in done.stderr
    said = attach(daemon, running, "--path", "/tmp/theirs", status=1).stderr
    assert "the directory of web2 is at /tmp/theirs" in said


def test_two_guests_cannot_be_one(daemon, running, new_guest):
    attach(daemon, running)
    other = new_guest("web1")
    said = attach(daemon, other, status=1).stderr
    assert f"another guest that runs, process {running.pid}, is it" in said
    assert running.run(["cat", KEY]).stdout == "frontend"
    running.close()
    attach(daemon, other)
    assert other.run(["cat", KEY]).stdout == "frontend"


def test_no_such_process(daemon):
    daemon.record("web1")
    assert "has ended" in daemon.ctl("attach", "web1", "--pid", "4194303", status=1).stderr
    assert daemon.ctl("attach", "web1", "--pid", "x", status=2)
    said = daemon.ctl("attach", "web1", "--pid", str(os.getpid()), status=1).stderr
    assert "the host's own mount namespace" in said


def test_ends_during_attach(daemon, new_guest):
    """At whatever moment; nothing stays."""
    daemon.record("web1")
    for delay in range(8):
        guest = new_guest("web1")
        child = daemon.ctl_popen("attach", "web1", "--pid", str(guest.pid))
        for _ in range(delay * 40):
            os.stat(f"/proc/{child.pid}")
        guest.close()
        child.communicate()
        wait_until(lambda: ledger(daemon) == [], "the ledger to be empty")


def test_what_ended_is_forgotten(daemon, running):
    attach(daemon, running)
    assert ledger(daemon) == ["web1"]
    running.close()
    wait_until(lambda: ledger(daemon) == [], "the guest to be forgotten")
    assert json.loads(daemon.ctl("list", "-f", "json"))[0]["state"] == "STOPPED"


def test_the_daemon_comes_back(daemon, running):
    """Killed with all that it is, so that every mount is dead."""
    attach(daemon, running)
    daemon.may_lose_workers = True
    kill_and_wait(daemon.keeper_pid)
    daemon.process.wait()
    assert running.run(["cat", KEY], check=False).returncode
    daemon.start()
    wait_until(lambda: running.run(["cat", KEY], check=False).stdout == "frontend",
               "its directory to be there again")
    assert mounts_of(running) == ["/dev/lxd"]
    assert running.curl("/1.0/config/user.role") == (200, "frontend")


def test_a_new_worker_leaves_it(daemon, running):
    attach(daemon, running)
    daemon.kill_worker()
    assert running.run(["cat", KEY]).stdout == "frontend"
    assert mounts_of(running) == ["/dev/lxd"]


def test_without_a_daemon(daemon, running):
    daemon.stop()
    said = attach(daemon, running, status=1).stderr
    assert "no daemon at " in said
    assert ledger(daemon) == []


def group_namespace(pid="self"):
    return os.readlink(f"/proc/{pid}/ns/cgroup")


class Together:
    """A guest that shares its cgroup with whoever started it, as bwrap's do."""

    def __init__(self, *namespaces):
        script = "mount -t tmpfs tmpfs /dev && mkdir /dev/lxd && sleep 1000 & " \
                 "echo ready; exec sleep 1000"
        self.process = subprocess.Popen(
            ["unshare", *namespaces, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        forked = "--fork" in namespaces
        wait_until(lambda: not forked or children_of(self.process.pid), "its first process")
        self.pid = children_of(self.process.pid)[0] if forked else self.process.pid
        wait_until(lambda: len(self.all()) == 2, "its second process")

    def all(self):
        return [self.pid, *children_of(self.pid)]

    def end(self):
        for pid in reversed(self.all()):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.parametrize("namespaces", [["--mount", "--pid", "--fork", "--kill-child"], ["--mount"]],
                         ids=["pid-namespace", "mount-namespace"])
def test_no_cgroup_of_its_own(daemon, namespaces):
    daemon.record("box", config={"user.role": "frontend"})
    own = group_of(os.getpid())
    guest = Together(*namespaces)
    try:
        assert group_of(guest.pid) == own
        daemon.ctl("attach", "box", "--pid", str(guest.pid))
        group = f"/devlxdfs/box.{guest.pid}"
        assert [group_of(pid) for pid in guest.all()] == [group, group]
        assert group_of(os.getpid()) == own
        assert daemon.admin("GET", "/1.0/instances/box")[1]["binding"]["cgroup"] == group
        daemon.ctl("attach", "box", "--pid", str(guest.pid))
    finally:
        guest.end()
    wait_until(lambda: not os.path.exists(f"{cgroup2_root()}{group}"), "its cgroup to go")
    wait_until(lambda: ledger(daemon) == [], "it to be forgotten")


def test_nothing_leaks(daemon, new_guest):
    daemon.record("web1")
    for n in range(30):
        guest = new_guest("web1")
        attach(daemon, guest)
        guest.close()
        wait_until(lambda: ledger(daemon) == [], "the guest to be forgotten")
        if n == 5:
            before = descriptors_of(daemon.keeper_pid), descriptors_of(daemon.worker_pid)
    wait_until(lambda: (descriptors_of(daemon.keeper_pid), descriptors_of(daemon.worker_pid)) <= before,
               "no more descriptors than before")


def test_who_is_sent_in_does_not_make_it_shared(daemon, running):
    """A process of the host in its cgroup, as lxc-attach has one for a moment."""
    sent = subprocess.Popen(["sh", "-c", f"echo 0 >{running.cgroup.procs}; echo ready; read -r _"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert sent.stdout.readline() == "ready\n"
        attach(daemon, running)
    finally:
        sent.communicate("")
    assert group_of(running.pid) == running.cgroup.path


@pytest.mark.parametrize("mapped", [False, True], ids=["privileged", "mapped"])
def test_first_process_in_a_part_of_its_cgroup(daemon, new_guest, mapped):
    """As systemd does it: init.scope is the first process's, and services have others."""
    guest = new_guest("web1", mapped=mapped)
    daemon.record("web1", config={"user.role": "frontend"})
    init, service = (Cgroup(f"{guest.cgroup.path}/{name}") for name in ("init.scope", "service"))
    # It makes its cgroup namespace where its root is to be, and goes down.
    inside = guest.popen(["unshare", "--cgroup", "sh", "-c", "echo ready; read -r _"],
                         stdin=subprocess.PIPE)
    try:
        assert inside.stdout.readline() == "ready\n"
        pid = next(pid for pid in guest.cgroup.pids() if group_namespace(pid) != group_namespace())
        init.add(pid)
        daemon.ctl("attach", "web1", "--pid", str(pid))
        binding = daemon.admin("GET", "/1.0/instances/web1")[1]["binding"]
        assert binding["cgroup"] == guest.cgroup.path
        assert guest.run(["cat", KEY], cgroup=service).stdout == "frontend"
    finally:
        inside.communicate("")
