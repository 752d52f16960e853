# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's directory stays its own, whatever becomes of the record."""

import os

import pytest

from daemon import wait_until


@pytest.fixture
def guest(new_guest):
    return new_guest("web1")


def inodes(guest):
    return guest.run(["sh", "-c", "cd /dev/lxd; find . | sort | xargs ls -di"]).stdout


def test_record_goes_and_returns(daemon, guest):
    """The same mount empties and fills again, whichever way it went."""
    top = ["stat", "-c%i", "/dev/lxd"]
    found = set()

    def goes(away, back):
        back()
        if not found:
            guest.attach_tree(daemon)
        assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
        assert guest.run(["ls", "/dev/lxd/config"]).stdout == "user.role\n"
        found.add(guest.run(top).stdout)
        away()
        wait_until(lambda: guest.run(["ls", "/dev/lxd"]).stdout == "", "the directory to empty")
        done = guest.run(["cat", "/dev/lxd/config/user.role"], check=False)
        assert "No such file" in done.stderr
        assert not os.path.exists(daemon.tree("web1"))
        found.add(guest.run(top).stdout)

    def remove():
        os.unlink(daemon.record_path("web1"))

    def write():
        daemon.guest_record(guest, {"user.role": "frontend"})

    for _ in range(2):
        goes(remove, write)
        goes(lambda: daemon.ctl("delete", "web1"),
             lambda: daemon.ctl("create", "web1", "--cgroup", guest.cgroup.path, "-c",
                                "user.role=frontend"))
    daemon.kill_worker()  # the next one has never seen it
    goes(remove, write)
    assert len(found) == 1, "it is another directory"


def test_instance_is_renamed(daemon, guest):
    """What the guest has mounted is the old name's, and empties; the new one's is another."""
    daemon.ctl("create", "old", "--cgroup", guest.cgroup.path, "-c", "user.role=frontend")
    guest.attach_tree(daemon, "old")
    assert guest.run(["cat", "/dev/lxd/name"]).stdout == "old\n"
    daemon.ctl("rename", "old", "new")
    assert guest.run(["ls", "/dev/lxd"]).stdout == ""
    assert not os.path.exists(daemon.tree("old"))
    guest.attach_tree(daemon, "new")
    assert guest.run(["cat", "/dev/lxd/name"]).stdout == "new\n"
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"


def test_rejected_record(daemon, guest):
    """The last good one stays in force, with its files and their numbers."""
    daemon.guest_record(guest, {"user.role": "frontend"})
    guest.attach_tree(daemon)
    before = inodes(guest)
    with open(daemon.record_path("web1"), "w") as file:
        file.write('{"config": {"user.role": ["bad"]}}')
    assert daemon.admin("POST", "/1.0/instances/web1/load")[0] == 409
    assert inodes(guest) == before
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "frontend"
    daemon.guest_record(guest, {"user.role": "backend"})
    assert guest.run(["cat", "/dev/lxd/config/user.role"]).stdout == "backend"
