# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket in the tree: one for all, where callers are known by their cgroup, or an instance's
own, where whoever comes in is that instance."""

import os
import stat
import subprocess

import pytest

from daemon import wait_until

ASK = ["curl", "-s", "--unix-socket", "/dev/lxd/sock", "x/1.0/config/user.name"]
UNKNOWN = "Process ID not found in container\n"
NOT_ROOT = "Access denied for non-root user\n"

# Asks for the name on the socket of each directory in argv; prints the answers.
ASK_EACH = r"""
import json, os, socket, sys
def ask(directory):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(directory, "sock"))
        s.sendall(b"GET /1.0/config/user.name HTTP/1.0\r\n\r\n")
        reply = b""
        while piece := s.recv(65536):
            reply += piece
        return reply.partition(b"\r\n\r\n")[2].decode()
print(json.dumps([ask(directory) for directory in sys.argv[1:]]))
"""


def ask(guest, **options):
    return guest.run(ASK, check=False, **options).stdout


def exists(guest, path):
    return guest.run(["test", "-e", path], check=False).returncode == 0


def socket_inode(daemon, name):
    st = os.lstat(daemon.tree(name, "sock"))
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o666
    return st.st_ino


@pytest.fixture
def guests(daemon, new_guest):
    """Two, with their directories; web2's ids are mapped."""
    made = [new_guest("web1"), new_guest("web2", mapped=True)]
    for guest in made:
        daemon.guest_record(guest, {"user.name": guest.name})
        guest.attach_tree(daemon)
    return made


def test_one_for_all(daemon, guests):
    """The same inode everywhere, and everybody is himself on it."""
    inodes = {socket_inode(daemon, guest.name) for guest in guests}
    assert inodes == {os.lstat(daemon.tree(".sock")).st_ino}
    for guest in guests:
        assert guest.run(["stat", "-c%F %a %i", "/dev/lxd/sock"]).stdout == \
            f"socket 666 {min(inodes)}\n"
        assert ask(guest) == guest.name
        assert ask(guest, uid=1000) == NOT_ROOT
        assert guest.curl("/1.0", "-X", "PATCH", "-d", '{"state":"Ready"}')[0] == 200
        assert guest.run(["cat", "/dev/lxd/state"]).stdout == "Ready\n"


def test_from_within_namespaces(guests):
    for guest in guests:
        for unshare in (["--user", "--map-root-user", "--pid", "--fork", "--mount"],
                        ["--mount", "--pid", "--fork", "--mount-proc"], ["--net", "--ipc"]):
            assert guest.run(["unshare", *unshare, *ASK]).stdout == guest.name


def test_read_only_mount(guests):
    for guest in guests:
        guest.run(["mount", "-o", "remount,bind,ro", "/dev/lxd"])
        assert ask(guest) == guest.name
        done = guest.run(["sh", "-c", "echo Ready >/dev/lxd/state"], check=False)
        assert "Read-only file system" in done.stderr


def test_in_anothers_directory(daemon, guests):
    """It is the caller who counts."""
    guests[0].mount(daemon.tree("web2"), "/tmp/theirs")
    assert guests[0].python(ASK_EACH, "/dev/lxd") == ["web1"]
    # The name is not in the kernel's cache for him: he may not look it up.
    done = guests[0].run(["cat", "/tmp/theirs/config/user.name"], check=False)
    assert "Permission denied" in done.stderr
    assert guests[1].run(["test", "-S", "/dev/lxd/sock"]).returncode == 0
    assert guests[0].python(ASK_EACH, "/tmp/theirs") == ["web1"]


def test_stays(daemon, guests):
    """When the kernel forgets what it can, and however often the directory is listed."""
    guest = guests[0]
    before = socket_inode(daemon, "web1")
    with open("/proc/sys/vm/drop_caches", "w") as drop:
        drop.write("2")
    assert socket_inode(daemon, "web1") == before and ask(guest) == "web1"
    assert guest.python(r"""
import json, os, sys
names = {tuple(sorted(os.listdir("/dev/lxd"))) for _ in range(int(sys.argv[1]))}
print(json.dumps(["sock" in each for each in names]))
""", 20000) == [True]
    assert socket_inode(daemon, "web1") == before and ask(guest) == "web1"


def test_switched_off(daemon, guests):
    """For that instance, not for its neighbour; and on again."""
    guest, other = guests
    for _ in range(3):
        assert ask(guest) == "web1"
        daemon.guest_record(guest, {"user.name": "web1", "security.devlxd.socket": "false"})
        assert not exists(guest, "/dev/lxd/sock")
        assert "sock" not in guest.run(["ls", "/dev/lxd"]).stdout.split()
        assert guest.run(["cat", "/dev/lxd/config/user.name"]).stdout == "web1"
        assert ask(other) == "web2"
        daemon.guest_record(guest, {"user.name": "web1", "security.devlxd.socket": "true"})
        assert "sock" in guest.run(["ls", "/dev/lxd"]).stdout.split()


# --- match: {mount: true}

def mount_record(daemon, name, config=None, **members):
    daemon.record(name, config={"user.name": name, **(config or {})}, match={"mount": True},
                  **members)


def wait_for_socket(daemon, name, is_there=True):
    """The keeper makes it when a worker asks."""
    wait_until(lambda: os.path.lexists(daemon.tree(name, "sock")) == is_there,
               f"the socket of {name}, there: {is_there}")


@pytest.fixture
def by_mount(daemon, new_guest):
    """A guest whose cgroup no record claims, with the directory of web1."""
    guest = new_guest("web1")
    mount_record(daemon, "web1")
    wait_for_socket(daemon, "web1")
    return guest.attach_tree(daemon)


def test_mount_is_the_identity(daemon, by_mount):
    guest = by_mount
    assert guest.run(["cat", "/dev/lxd/config/user.name"]).stdout == "web1"
    assert ask(guest) == "web1"
    assert guest.run(["sh", "-c", "echo Ready >/dev/lxd/state; cat /dev/lxd/state"]).stdout == \
        "Ready\n"
    assert daemon.admin("GET", "/1.0/instances/web1")[1]["ready"] is True
    assert guest.curl("/1.0", "-X", "PATCH", "-d", '{"state":"Started"}')[0] == 200
    assert guest.run(["cat", "/dev/lxd/state"]).stdout == "Started\n"
    # On the socket for all it is nobody.
    guest.mount(daemon.sock, "/tmp/sock")
    done = guest.run(["curl", "-s", "--unix-socket", "/tmp/sock", "x/1.0"])
    assert done.stdout == UNKNOWN


def test_each_has_its_own(daemon, by_mount, new_guest):
    claimed = new_guest("web2")
    daemon.guest_record(claimed, {"user.name": "web2"})
    mount_record(daemon, "web3")
    wait_for_socket(daemon, "web3")
    assert len({socket_inode(daemon, name) for name in ("web1", "web2", "web3")}) == 3
    # Whoever is let in there is that instance, also if it is another as well.
    claimed.mount(daemon.tree("web3"), "/tmp/web3")
    claimed.attach_tree(daemon)
    assert claimed.python(ASK_EACH, "/dev/lxd", "/tmp/web3") == ["web2", "web3"]
    assert claimed.run(["cat", "/tmp/web3/config/user.name"]).stdout == "web3"


def test_match_goes_and_returns(daemon, by_mount):
    guest = by_mount
    for _ in range(3):
        daemon.record("web1", config={"user.name": "web1"})
        done = guest.run(["cat", "/dev/lxd/config/user.name"], check=False)
        assert done.returncode == 1 and "Permission denied" in done.stderr
        assert ask(guest) in ("", UNKNOWN)
        mount_record(daemon, "web1")
        wait_for_socket(daemon, "web1")
        assert ask(guest) == "web1"
        assert guest.run(["cat", "/dev/lxd/config/user.name"]).stdout == "web1"
        mount_record(daemon, "web1", config={"security.devlxd.socket": "false"})
        assert not exists(guest, "/dev/lxd/sock")
        mount_record(daemon, "web1")
        wait_for_socket(daemon, "web1")


@pytest.mark.parametrize("mapped", [False, True], ids=["privileged", "mapped"])
def test_root_alone_may_connect(daemon, new_guest, mapped):
    """Its uid is the record's `root`, and the host's own without one."""
    guest = new_guest("web1", mapped)
    root = {"uid": guest.root_uid, "gid": guest.root_uid}
    mount_record(daemon, "web1", root=root)
    wait_for_socket(daemon, "web1")
    guest.attach_tree(daemon)
    assert ask(guest) == "web1"
    assert ask(guest, uid=1000) == NOT_ROOT
    assert guest.run(["stat", "-c%u", "/dev/lxd/config/user.name"]).stdout == "0\n"
    assert guest.run(["cat", "/dev/lxd/config/user.name"]).stdout == "web1"
    assert guest.run(["cat", "/dev/lxd/config/user.name"], uid=1000, check=False).returncode == 1
    mount_record(daemon, "web1", root={"uid": root["uid"] + 1000, "gid": root["gid"] + 1000})
    assert ask(guest) == NOT_ROOT
    assert ask(guest, uid=1000) == "web1"
    mount_record(daemon, "web1")
    assert ask(guest) == (NOT_ROOT if mapped else "web1")


def test_many_and_a_worker_that_dies(daemon, new_guest):
    """Twenty in one guest's reach; the next worker listens where the last one did."""
    guest = new_guest("holder")
    names = [f"web{n}" for n in range(20)]
    for name in names:
        mount_record(daemon, name)
    for name in names:
        wait_for_socket(daemon, name)
        guest.mount(daemon.tree(name), f"/tmp/{name}")
    directories = [f"/tmp/{name}" for name in names]
    inodes = [socket_inode(daemon, name) for name in names]
    assert len(set(inodes)) == 20
    assert guest.python(ASK_EACH, *directories) == names
    for _ in range(3):
        daemon.kill_worker()
        assert guest.python(ASK_EACH, *directories) == names
        assert [socket_inode(daemon, name) for name in names] == inodes
    # The twenty-first comes after all that.
    mount_record(daemon, "late")
    wait_for_socket(daemon, "late")
    guest.mount(daemon.tree("late"), "/tmp/late")
    assert guest.python(ASK_EACH, "/tmp/late") == ["late"]


def test_host_is_no_instance(daemon, guests):
    """Its root may read files; on the socket it is nobody."""
    done = subprocess.run(["curl", "-s", "--unix-socket", daemon.tree("web1", "sock"), "x/1.0"],
                          capture_output=True, text=True)
    assert done.stdout == UNKNOWN
