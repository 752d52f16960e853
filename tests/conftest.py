# SPDX-License-Identifier: GPL-2.0-or-later
"""What system and client tests share: a daemon and guests, each gone when its test ends."""

import ctypes
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "harness"))

from daemon import Daemon  # noqa: E402
from guest import Guest, cgroup2_root  # noqa: E402
from here import BUILD, cannot  # noqa: E402

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


@pytest.fixture(scope="session", autouse=True)
def host():
    if os.getuid() != 0:
        cannot("needs root for namespaces and cgroups")
    # What is mounted here is seen nowhere else, and goes with this process.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or \
            libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        cannot(f"needs a mount namespace: {os.strerror(ctypes.get_errno())}")
    root = cgroup2_root()
    if not root or not os.access(root, os.W_OK):
        cannot("needs a writable cgroup2 hierarchy")


@pytest.fixture
def build():
    return BUILD


@pytest.fixture
def new_daemon(tmp_path):
    """Makes daemons that are not started yet; stops them and looks through their logs."""
    made = []

    def make(**options):
        directory = tmp_path / f"daemon{len(made)}"
        directory.mkdir()
        made.append(Daemon(BUILD, str(directory), **options))
        return made[-1]

    yield make
    for daemon in made:
        if os.path.exists(daemon.log_path):
            print(daemon.log())
        daemon.stop()


@pytest.fixture
def daemon(new_daemon):
    return new_daemon().start()


@pytest.fixture
def new_guest():
    """Makes guests: new_guest("web1", mapped=True)."""
    made = []

    def make(name, mapped=False):
        made.append(Guest(BUILD, name, mapped))
        return made[-1]

    yield make
    for guest in made:
        guest.close()


@pytest.fixture(params=["privileged", "mapped"])
def guest(request, daemon, new_guest):
    """A guest with a record and the socket, in both kinds of user namespace."""
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach(daemon)


@pytest.fixture(params=["privileged", "mapped"])
def tree_guest(request, daemon, new_guest):
    """A guest with a record and its directory at /dev/lxd, in both kinds of user namespace."""
    guest = new_guest("web1", mapped=request.param == "mapped")
    daemon.guest_record(guest, {"user.role": "frontend"})
    return guest.attach_tree(daemon)
