# SPDX-License-Identifier: GPL-2.0-or-later
"""devlxdfs attach and detach with containers of real managers: odd ones, and ones that end.

tests/system/test_attach.py has the same with guests of namespaces alone, and more of it.
"""

import concurrent.futures
import os
import signal
import subprocess

import pytest

from conftest import kinds
from container import call
from daemon import kill_and_wait, wait_until
from pair import Pair

KEY = "config/user.role"
PIVOT = """mount --make-rprivate /
mount --rbind / /mnt
cd /mnt
pivot_root . tmp
umount -l /tmp
"""


@pytest.fixture(scope="module", params=kinds(["attach"]))
def pair(request, lab):
    with Pair(lab, *request.param) as pair:
        yield pair


@pytest.fixture
def guest(pair):
    """web1 with nothing attached; what a test does to its /dev goes with the container."""
    pair.daemon.ctl("detach", "web1", status=None)
    yield pair.one
    pair.daemon.ctl("detach", "web1", status=None)
    if not pair.one.is_up or not is_clean(pair.one):
        pair.one.down()
        pair.one.up()


def attach(pair, status=0):
    return pair.daemon.ctl("attach", "web1", "--pid", str(pair.one.pid), status=status)


def ledger(daemon):
    return os.listdir(os.path.join(daemon.dirs["run"], "attached"))


def mounts_of(guest):
    """Where directories of the tree are mounted in it, but for the one that tests put there."""
    with open(f"/proc/{guest.pid}/mountinfo") as lines:
        return [line.split()[4] for line in lines
                if " - fuse.devlxdfs " in line and line.split()[4] != "/dev/other"]


def is_clean(guest):
    return guest.run(["sh", "-c", "rmdir /dev/lxd 2>/dev/null; [ ! -e /dev/lxd -a -w /dev ]"],
                     check=False).returncode == 0


def as_host(guest, *argv):
    """With the host's rights, in the guest's mounts: mounting is not every guest's root's."""
    call(["nsenter", f"--target={guest.pid}", "--mount", "--pid", "/bin/busybox", *argv])


def test_again_is_no_second_mount(pair, guest):
    attach(pair)
    attach(pair)
    assert mounts_of(guest) == ["/dev/lxd"]
    assert guest.cat(KEY) == "role of web1"


def test_two_at_once(pair, guest):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: attach(pair), range(2)))
    assert mounts_of(guest) == ["/dev/lxd"] and ledger(pair.daemon).count("web1") == 1


def test_detach(pair, guest):
    attach(pair)
    pair.daemon.ctl("detach", "web1")
    assert mounts_of(guest) == [] and "web1" not in ledger(pair.daemon)
    assert "No such file" in guest.cat(KEY)
    assert "nothing is attached" in pair.daemon.ctl("detach", "web1", status=1).stderr


@pytest.mark.parametrize("made, says", [("ln -s /etc /dev/lxd", "symbolic link"),
                                        (": >/dev/lxd", "no directory")], ids=["link", "file"])
def test_what_is_no_directory(pair, guest, made, says):
    guest.run(["sh", "-c", f"rm -rf /dev/lxd; {made}"])
    before = guest.run(["ls", "-la", "/etc"]).stdout
    said = attach(pair, status=1).stderr
    assert says in said and said.startswith("devlxdfs: web1: not attached: "), said
    assert mounts_of(guest) == [] and "web1" not in ledger(pair.daemon)
    assert guest.run(["ls", "-la", "/etc"]).stdout == before
    guest.run(["rm", "/dev/lxd"])


def test_read_only_dev(pair, guest):
    """It will do when the directory is there."""
    guest.run(["sh", "-c", "rm -rf /dev/lxd"])
    as_host(guest, "mount", "-o", "remount,bind,ro", "/dev")
    said = attach(pair, status=1).stderr
    assert "Read-only file system" in said, said
    as_host(guest, "mount", "-o", "remount,bind,rw", "/dev")
    guest.run(["mkdir", "/dev/lxd"])
    as_host(guest, "mount", "-o", "remount,bind,ro", "/dev")
    attach(pair)
    assert guest.cat(KEY) == "role of web1"


def test_pivots_its_root_later(pair, guest):
    """As programs do that boot a root file system of theirs, and take /dev along."""
    attach(pair)
    as_host(guest, "sh", "-ec", PIVOT)
    assert guest.cat(KEY) == "role of web1"
    attach(pair)
    assert mounts_of(guest) == ["/dev/lxd"]
    pair.daemon.ctl("detach", "web1")
    assert mounts_of(guest) == []
    guest.down()
    guest.up()


def test_init_dies_meanwhile(pair, guest):
    """Whatever attach was about to do: it ends, and the next run of the guest can be attached."""
    child = pair.daemon.ctl_popen("attach", "web1", "--pid", str(guest.pid))
    os.kill(guest.pid, signal.SIGKILL)
    out, error = child.communicate(timeout=30)
    assert child.returncode in (0, 1) and (child.returncode == 0) == (error == ""), (out, error)
    guest.down()
    guest.up()
    attach(pair)
    assert guest.cat(KEY) == "role of web1"


def test_keeper_killed(pair, guest):
    """Guests that run have their directories again when there is a daemon again."""
    attach(pair)
    pair.daemon.may_lose_workers = True
    kill_and_wait(pair.daemon.keeper_pid)
    pair.daemon.process.wait()
    pair.daemon.start()
    for one in guest, pair.two:
        wait_until(lambda: one.cat(KEY) == f"role of {one.name}",
                   lambda: f"{one.name} reads again: {one.cat(KEY)}")
    assert mounts_of(guest) == ["/dev/lxd"]
